"""Warp kernels of one implicit time step, for either scalar type.

Incremental potential of a step of length h, positions x, previous ones x0:
``1/2 |x - y|_M^2 / h^2 + sum vol psi(F) + sum k/2 |x - target|^2 + ground + friction + damping`` with
``y = x0 + h v0 + h^2 g``.
Damping is ``eta vol / (8 h) |F^T F - F0^T F0|^2``: it resists the rate of Green's strain, not rigid motion.
"""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from functools import cache
from types import SimpleNamespace

import warp as wp

from studio_pipeline.physics.elasticity import elasticity
from studio_pipeline.physics.friction import friction_functions

__all__ = ["kernels"]

SLIMMEST = wp.constant(0.5)  # stretch that a rest shape takes on, at most; its inverse likewise
LEAST_VOLUME = wp.constant(0.65)  # volume down to which it follows; its inverse likewise
LOST_VOLUME = wp.constant(0.4)  # volume from which on down it keeps all of its own; its inverse likewise


@cache
def kernels(name: str) -> SimpleNamespace:
    """The kernels for scalar type ``name`` ("float32" or "float64"), with the types in ``real, vec3, mat33, quat``."""
    e = elasticity(name)
    real, vec3, mat33, quat = e.real, e.vec3, e.mat33, e.quat
    module = wp.get_module(f"studio_pipeline.physics.{name}")
    kernel = wp.kernel(enable_backward=False, module=module)
    func = wp.func(module=module)
    deformation, cofactor, polar, density, stress = e.deformation, e.cofactor, e.polar, e.density, e.stress
    twist_matrix, volume_terms, eigen, eigensystem = e.twist_matrix, e.volume_terms, e.eigen, e.eigensystem
    projected_block, exact_block, make_positive = e.projected_block, e.exact_block, e.make_positive
    f = friction_functions(name)
    slide, slip_energy, slip_slope, slip_hessian = f.slide, f.slip_energy, f.slip_slope, f.slip_hessian

    @kernel
    def vertex_energy(
        x: wp.array(dtype=vec3),
        predicted: wp.array(dtype=vec3),
        mass: wp.array(dtype=real),
        target: wp.array(dtype=vec3),
        attachment: wp.array(dtype=real),
        contact: wp.array(dtype=real),
        ground: real,
        inverse_h2: real,
        previous: wp.array(dtype=vec3),
        friction: real,
        reach: real,
        energy: wp.array(dtype=wp.float64),
    ):
        """Inertia, attachment, ground and friction energy [J]."""
        v = wp.tid()
        d = x[v] - predicted[v]
        a = x[v] - target[v]
        depth = wp.max(ground - x[v][1], real(0.0))
        value = mass[v] * inverse_h2 * wp.dot(d, d) + attachment[v] * wp.dot(a, a) + contact[v] * depth * depth
        wp.atomic_add(energy, 0, wp.float64(real(0.5) * value))
        if friction > real(0.0):
            normal = contact[v] * wp.max(ground - previous[v][1], real(0.0))
            if normal > real(0.0):
                u = slide(x[v], previous[v])
                wp.atomic_add(energy, 0, wp.float64(friction * normal * slip_energy(u, reach)))

    @kernel
    def element_energy(
        x: wp.array(dtype=vec3),
        previous: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        volume: wp.array(dtype=real),
        mu: wp.array(dtype=real),
        lam: wp.array(dtype=real),
        viscosity: wp.array(dtype=real),
        inverse_h: real,
        rotation: wp.array(dtype=quat),
        energy: wp.array(dtype=wp.float64),
    ):
        """Adds the elastic and damping energy [J] to energy[0], counts inverted elements in energy[1]."""
        t = wp.tid()
        F = deformation(x, tets[t], rest_inverse[t])
        if not (wp.determinant(F) > real(0.0)):
            wp.atomic_add(energy, 1, wp.float64(1.0))
            return
        q = polar(F, rotation[t])
        rotation[t] = q
        value = density(F, wp.quat_to_matrix(q), mu[t], lam[t])
        if viscosity[t] > real(0.0):
            F0 = deformation(previous, tets[t], rest_inverse[t])
            rate = wp.transpose(F) * F - wp.transpose(F0) * F0
            value += viscosity[t] * inverse_h * real(0.125) * wp.ddot(rate, rate)
        wp.atomic_add(energy, 0, wp.float64(volume[t] * value))

    @kernel
    def vertex_system(
        x: wp.array(dtype=vec3),
        predicted: wp.array(dtype=vec3),
        mass: wp.array(dtype=real),
        target: wp.array(dtype=vec3),
        attachment: wp.array(dtype=real),
        contact: wp.array(dtype=real),
        ground: real,
        inverse_h2: real,
        previous: wp.array(dtype=vec3),
        friction: real,
        reach: real,
        diagonal: wp.array(dtype=wp.int32),
        gradient: wp.array(dtype=vec3),
        hessian: wp.array(dtype=mat33),
    ):
        """Starts gradient [N] and Hessian [N/m] with the terms of single vertices; the Hessian must be zero before."""
        v = wp.tid()
        depth = wp.max(ground - x[v][1], real(0.0))
        g = mass[v] * inverse_h2 * (x[v] - predicted[v]) + attachment[v] * (x[v] - target[v])
        gradient[v] = g - vec3(real(0.0), contact[v] * depth, real(0.0))
        block = (mass[v] * inverse_h2 + attachment[v]) * wp.identity(n=3, dtype=real)
        if depth > real(0.0):
            block[1, 1] = block[1, 1] + contact[v]
        if friction > real(0.0):
            normal = contact[v] * wp.max(ground - previous[v][1], real(0.0))
            if normal > real(0.0):
                u = slide(x[v], previous[v])
                gradient[v] = gradient[v] + friction * normal * slip_slope(u, reach) * u
                block += friction * normal * slip_hessian(u, reach)
        hessian[diagonal[v]] = block

    @func
    def add_blocks(
        tet: int,
        slots: wp.array2d(dtype=wp.int32),
        b11: mat33,
        b12: mat33,
        b13: mat33,
        b22: mat33,
        b23: mat33,
        b33: mat33,
        hessian: wp.array(dtype=mat33),
    ):
        """Scatter the six upper blocks of corners 1-3 and what they imply for corner 0 (rows sum to zero)."""
        b21, b31, b32 = wp.transpose(b12), wp.transpose(b13), wp.transpose(b23)
        b01, b02, b03 = -(b11 + b21 + b31), -(b12 + b22 + b32), -(b13 + b23 + b33)
        wp.atomic_add(hessian, slots[tet, 0], -(b01 + b02 + b03))
        wp.atomic_add(hessian, slots[tet, 1], b01)
        wp.atomic_add(hessian, slots[tet, 2], b02)
        wp.atomic_add(hessian, slots[tet, 3], b03)
        wp.atomic_add(hessian, slots[tet, 4], wp.transpose(b01))
        wp.atomic_add(hessian, slots[tet, 5], b11)
        wp.atomic_add(hessian, slots[tet, 6], b12)
        wp.atomic_add(hessian, slots[tet, 7], b13)
        wp.atomic_add(hessian, slots[tet, 8], wp.transpose(b02))
        wp.atomic_add(hessian, slots[tet, 9], b21)
        wp.atomic_add(hessian, slots[tet, 10], b22)
        wp.atomic_add(hessian, slots[tet, 11], b23)
        wp.atomic_add(hessian, slots[tet, 12], wp.transpose(b03))
        wp.atomic_add(hessian, slots[tet, 13], b31)
        wp.atomic_add(hessian, slots[tet, 14], b32)
        wp.atomic_add(hessian, slots[tet, 15], b33)

    @func
    def damping_block(ga: vec3, gb: vec3, F: mat33, rate: mat33, c: real, exact: bool):
        """Block of the damping's Hessian; without ``exact`` only its positive (Gauss-Newton) part."""
        Fa = F * ga
        Fb = F * gb
        block = wp.outer(Fb, Fa) + wp.dot(ga, gb) * (F * wp.transpose(F))
        if exact:
            block += wp.dot(ga, rate * gb) * wp.identity(n=3, dtype=real)
        return c * block

    @kernel
    def element_system(
        x: wp.array(dtype=vec3),
        previous: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        volume: wp.array(dtype=real),
        mu: wp.array(dtype=real),
        lam: wp.array(dtype=real),
        viscosity: wp.array(dtype=real),
        inverse_h: real,
        rotation: wp.array(dtype=quat),
        slots: wp.array2d(dtype=wp.int32),
        project: int,
        gradient: wp.array(dtype=vec3),
        hessian: wp.array(dtype=mat33),
    ):
        """Adds the elastic and damping gradient and Hessian, projected to be positive when ``project`` is not 0."""
        t = wp.tid()
        tet = tets[t]
        inverse = rest_inverse[t]
        vol = volume[t]
        F = deformation(x, tet, inverse)
        q = polar(F, rotation[t])
        rotation[t] = q
        R = wp.quat_to_matrix(q)
        P = stress(F, R, mu[t], lam[t])
        c = real(0.5) * viscosity[t] * inverse_h
        rate = mat33()
        if c > real(0.0):
            F0 = deformation(previous, tet, inverse)
            rate = wp.transpose(F) * F - wp.transpose(F0) * F0
            P += c * (F * rate)
        force = vol * (P * wp.transpose(inverse))
        f1, f2, f3 = force[:, 0], force[:, 1], force[:, 2]
        wp.atomic_add(gradient, tet[0], -(f1 + f2 + f3))
        wp.atomic_add(gradient, tet[1], f1)
        wp.atomic_add(gradient, tet[2], f2)
        wp.atomic_add(gradient, tet[3], f3)

        root = wp.sqrt(vol)
        g1, g2, g3 = root * inverse[0], root * inverse[1], root * inverse[2]
        b11, b12, b13, b22, b23, b33 = mat33(), mat33(), mat33(), mat33(), mat33(), mat33()
        if project != 0:
            s, V = eigen(wp.transpose(R) * F)
            A, same, swap = eigensystem(s, mu[t], lam[t])
            U = R * V
            W = wp.transpose(U)
            h1, h2, h3 = g1 * V, g2 * V, g3 * V
            b11 = U * projected_block(h1, h1, A, same, swap) * W
            b12 = U * projected_block(h1, h2, A, same, swap) * W
            b13 = U * projected_block(h1, h3, A, same, swap) * W
            b22 = U * projected_block(h2, h2, A, same, swap) * W
            b23 = U * projected_block(h2, h3, A, same, swap) * W
            b33 = U * projected_block(h3, h3, A, same, swap) * W
        else:
            K = wp.inverse(twist_matrix(wp.transpose(R) * F))
            C = cofactor(F)
            _energy, first, second = volume_terms(wp.determinant(F), mu[t], lam[t])
            b11 = exact_block(g1, g1, F, R, K, C, mu[t], first, second)
            b12 = exact_block(g1, g2, F, R, K, C, mu[t], first, second)
            b13 = exact_block(g1, g3, F, R, K, C, mu[t], first, second)
            b22 = exact_block(g2, g2, F, R, K, C, mu[t], first, second)
            b23 = exact_block(g2, g3, F, R, K, C, mu[t], first, second)
            b33 = exact_block(g3, g3, F, R, K, C, mu[t], first, second)
        if c > real(0.0):
            exact = project == 0
            b11 += damping_block(g1, g1, F, rate, c, exact)
            b12 += damping_block(g1, g2, F, rate, c, exact)
            b13 += damping_block(g1, g3, F, rate, c, exact)
            b22 += damping_block(g2, g2, F, rate, c, exact)
            b23 += damping_block(g2, g3, F, rate, c, exact)
            b33 += damping_block(g3, g3, F, rate, c, exact)
        add_blocks(t, slots, b11, b12, b13, b22, b23, b33, hessian)

    @func
    def cubic(a: real, b: real, c: real, d: real, s: real):
        return d + s * (c + s * (b + s * a))

    @func
    def first_root(a: real, b: real, c: real, d: real):
        """Smallest s in [0, 1] where a s^3 + b s^2 + c s + d, positive at 0, reaches 0; 1 when it never does."""
        # The roots of the derivative split [0, 1] into intervals on which the cubic is monotone.
        lower = real(2.0)
        upper = real(2.0)
        disc = b * b - real(3.0) * a * c
        if disc >= real(0.0):
            m = -(b + wp.where(b >= real(0.0), real(1.0), real(-1.0)) * wp.sqrt(disc))
            if m != real(0.0):
                lower = c / m
            if a != real(0.0):
                upper = m / (real(3.0) * a)
        if lower > upper:
            swap = lower
            lower = upper
            upper = swap
        left = real(0.0)
        for k in range(3):
            right = real(1.0)
            if k == 0:
                right = wp.clamp(lower, real(0.0), real(1.0))
            if k == 1:
                right = wp.clamp(upper, real(0.0), real(1.0))
            if cubic(a, b, c, d, right) <= real(0.0):
                for _ in range(24):
                    middle = real(0.5) * (left + right)
                    if cubic(a, b, c, d, middle) <= real(0.0):
                        right = middle
                    else:
                        left = middle
                return left
            left = right
        return real(1.0)

    @kernel
    def largest_step(
        x: wp.array(dtype=vec3),
        direction: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        step: wp.array(dtype=real),
    ):
        """Lowers step[0] to the largest one that keeps a tenth of every element's volume ratio on the whole way.

        Raises step[1] to the largest relative change of a volume ratio over the full step.
        """
        t = wp.tid()
        F = deformation(x, tets[t], rest_inverse[t])
        D = deformation(direction, tets[t], rest_inverse[t])
        C = cofactor(F)
        d = wp.determinant(F)
        cubed, squared, linear = wp.determinant(D), wp.ddot(F, cofactor(D)), wp.ddot(C, D)
        wp.atomic_max(step, 1, wp.abs(cubed + squared + linear) / d)
        s = first_root(cubed, squared, linear, real(0.9) * d)
        if s < real(1.0):
            wp.atomic_min(step, 0, s)

    @kernel
    def move(x: wp.array(dtype=vec3), direction: wp.array(dtype=vec3), step: real, out: wp.array(dtype=vec3)):
        v = wp.tid()
        out[v] = x[v] + step * direction[v]

    @kernel
    def volume_ratio(
        x: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        out: wp.array(dtype=real),
    ):
        """J = det F per tetrahedron."""
        t = wp.tid()
        out[t] = wp.determinant(deformation(x, tets[t], rest_inverse[t]))

    @kernel
    def posed_rest(
        target: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        share: real,
        out: wp.array(dtype=mat33),
    ):
        """Rest shapes that have taken on a share of the target's stretch, but for its excess and lost volume."""
        t = wp.tid()
        F = deformation(target, tets[t], rest_inverse[t])
        A = wp.transpose(F) * F
        off = A - wp.identity(n=3, dtype=real)
        out[t] = rest_inverse[t]
        if wp.ddot(off, off) > real(1.0e-8):
            values, V = eigen(A)
            stretch = vec3()
            for i in range(3):
                stretch[i] = wp.clamp(wp.sqrt(wp.max(values[i], real(0.0))), real(SLIMMEST), real(1.0) / real(SLIMMEST))
            volume = stretch[0] * stretch[1] * stretch[2]
            squeezed = wp.min(volume, real(1.0) / volume)
            kept = volume
            if squeezed < real(LEAST_VOLUME):
                reach = real(LEAST_VOLUME) - real(LOST_VOLUME)
                lost = wp.clamp((squeezed - real(LOST_VOLUME)) / reach, real(0.0), real(1.0))
                kept = real(1.0) - lost * (real(1.0) - real(LEAST_VOLUME))
                if volume > real(1.0):
                    kept = real(1.0) / kept
            scale = wp.pow(volume / kept, real(1.0 / 3.0))
            for i in range(3):
                stretch[i] = wp.pow(stretch[i] / scale, -share)
            out[t] = rest_inverse[t] * (V * wp.diag(stretch) * wp.transpose(V))

    @kernel
    def invert_diagonal(
        hessian: wp.array(dtype=mat33), diagonal: wp.array(dtype=wp.int32), inverse: wp.array(dtype=mat33)
    ):
        """Block Jacobi preconditioner; a block that is not positive is made so first."""
        v = wp.tid()
        block = make_positive(hessian[diagonal[v]])
        det = wp.determinant(block)
        trace = wp.trace(block) / real(3.0)
        if det > real(1.0e-9) * trace * trace * trace:
            inverse[v] = wp.inverse(block)
        else:
            inverse[v] = wp.identity(n=3, dtype=real) / wp.max(trace, real(1.0e-30))

    from studio_pipeline.physics.linear_kernels import linear_kernels

    return SimpleNamespace(
        real=real,
        vec3=vec3,
        mat33=mat33,
        quat=quat,
        vertex_energy=vertex_energy,
        element_energy=element_energy,
        vertex_system=vertex_system,
        element_system=element_system,
        largest_step=largest_step,
        move=move,
        volume_ratio=volume_ratio,
        posed_rest=posed_rest,
        invert_diagonal=invert_diagonal,
        linear=linear_kernels(name),
    )
