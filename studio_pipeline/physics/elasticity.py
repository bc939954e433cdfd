"""Warp functions of one tetrahedron: fixed-corotated energy, stress and Hessian blocks, for either scalar type.

Energy density of F (sigma its singular values, J = det F):
``psi = mu sum (sigma_i - 1)^2 + lambda / 2 (J - 1)^2 + b(J)`` with
``b(J) = (mu + lambda) (1 - r)^3 / r``, r = J / J0, below J0 = 0.2 and zero above. The last term is no part of the
material: it makes the energy infinite at J = 0, so a minimum without inverted elements always exists.

The rotation of F = R S comes from Newton's iteration on the polar decomposition, never from ``wp.svd3`` alone: in
float32 that is wrong by up to 5e-3. Projected Hessian: the eigensystem of Smith, de Goes and Kim (2019),
"Analytic Eigensystems for Isotropic Distortion Energies", for psi(sigma) above; it divides by sigma_i + sigma_j only.
"""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

__all__ = ["BARRIER_START", "elasticity"]

BARRIER_START = 0.2  # J below which the barrier acts


@cache
def elasticity(name: str) -> SimpleNamespace:
    """The functions for scalar type ``name`` ("float32" or "float64"), and the types ``real, vec3, mat33, quat``."""
    single = name == "float32"
    real = wp.float32 if single else wp.float64
    vec3: Any = wp.vec3f if single else wp.vec3d
    mat33: Any = wp.mat33f if single else wp.mat33d
    quat: Any = wp.quatf if single else wp.quatd
    func = wp.func(module=wp.get_module(f"studio_pipeline.physics.{name}"))
    polar_tolerance = wp.constant(1e-6 if single else 1e-13)

    @func
    def deformation(x: wp.array(dtype=vec3), tet: wp.vec4i, rest_inverse: mat33):
        """F = [x1 - x0, x2 - x0, x3 - x0] inv([X1 - X0, X2 - X0, X3 - X0])."""
        origin = x[tet[0]]
        return wp.matrix_from_cols(x[tet[1]] - origin, x[tet[2]] - origin, x[tet[3]] - origin) * rest_inverse

    @func
    def cofactor(F: mat33):
        """Cofactor matrix: the derivative of det F."""
        a, b, c = F[:, 0], F[:, 1], F[:, 2]
        return wp.matrix_from_cols(wp.cross(b, c), wp.cross(c, a), wp.cross(a, b))

    @func
    def twist_matrix(S: mat33):
        """K = tr(S) I - sym(S), whose eigenvalues are sigma_i + sigma_j."""
        return wp.trace(S) * wp.identity(n=3, dtype=real) - real(0.5) * (S + wp.transpose(S))

    @func
    def improve(F: mat33, q: quat, rounds: int):
        """Newton steps towards the q whose matrix R makes R^T F symmetric; returns q and the last step's length."""
        length = real(1.0)
        for _ in range(rounds):
            S = wp.transpose(wp.quat_to_matrix(q)) * F
            axis = vec3(S[2, 1] - S[1, 2], S[0, 2] - S[2, 0], S[1, 0] - S[0, 1])
            K = twist_matrix(S)
            det = wp.determinant(K)
            if det > real(0.0) and wp.trace(K) > real(0.0):
                step = real(0.5) * (wp.inverse(K) * axis)
                q = wp.normalize(q * quat(step[0], step[1], step[2], real(1.0)))
                length = wp.length(step)
            if length < real(polar_tolerance):
                break
        return q, length

    @func
    def is_positive(K: mat33):
        """Sylvester's criterion."""
        minor = K[0, 0] * K[1, 1] - K[0, 1] * K[1, 0]
        return K[0, 0] > real(0.0) and minor > real(0.0) and wp.determinant(K) > real(0.0)

    @func
    def polar(F: mat33, start: quat):
        """Rotation of the polar decomposition of F (det F > 0) as a quaternion, from a nearby ``start``."""
        q, length = improve(F, start, 5)
        K = twist_matrix(wp.transpose(wp.quat_to_matrix(q)) * F)
        # A critical point of tr(R^T F) with K > 0 is its only maximum; anything else starts over from the SVD.
        if length > real(0.001) or not is_positive(K):
            U, _s, V = wp.svd3(F)
            q, length = improve(F, wp.quat_from_matrix(U * wp.transpose(V)), 4)
        return q

    @func
    def volume_terms(J: real, mu: real, lam: real):
        """Volumetric energy and its first and second derivative in J."""
        energy = real(0.5) * lam * (J - real(1.0)) * (J - real(1.0))
        first = lam * (J - real(1.0))
        second = lam
        start = real(BARRIER_START)
        if start > J:
            kappa = mu + lam
            r = wp.max(J / start, real(1.0e-9))
            gap = real(1.0) - r
            q = gap / r
            energy += kappa * gap * gap * q
            first -= kappa / start * (real(3.0) * gap * q + gap * q * q)
            second += kappa / (start * start) * (real(6.0) * q + real(6.0) * q * q + real(2.0) * q * q * q)
        return energy, first, second

    @func
    def density(F: mat33, R: mat33, mu: real, lam: real):
        """Energy density psi(F) [J/m^3]."""
        stretch = wp.transpose(R) * F - wp.identity(n=3, dtype=real)
        energy, _first, _second = volume_terms(wp.determinant(F), mu, lam)
        return mu * wp.ddot(stretch, stretch) + energy

    @func
    def stress(F: mat33, R: mat33, mu: real, lam: real):
        """First Piola-Kirchhoff stress d psi / d F [Pa]."""
        _energy, first, _second = volume_terms(wp.determinant(F), mu, lam)
        return real(2.0) * mu * (F - R) + first * cofactor(F)

    @func
    def rotate_pair(pp: real, qq: real, pq: real, rp: real, rq: real, vp: vec3, vq: vec3):
        """One Jacobi rotation that zeroes the entry pq: both diagonal entries, those beside it, two columns of V."""
        if pq != real(0.0):
            theta = (qq - pp) / (real(2.0) * pq)
            t = real(1.0) / (wp.abs(theta) + wp.sqrt(theta * theta + real(1.0)))
            if theta < real(0.0):
                t = -t
            c = real(1.0) / wp.sqrt(t * t + real(1.0))
            s = t * c
            beside, column = rp, vp
            pp -= t * pq
            qq += t * pq
            rp = c * beside - s * rq
            rq = s * beside + c * rq
            vp = c * column - s * vq
            vq = s * column + c * vq
        return pp, qq, rp, rq, vp, vq

    @func
    def eigen(A: mat33):
        """Eigenvalues and eigenvectors (columns, a rotation) of a symmetric matrix by Jacobi's method."""
        zero, one = real(0.0), real(1.0)
        a, b, c = A[0, 0], A[1, 1], A[2, 2]
        d, e, f = A[0, 1], A[0, 2], A[1, 2]
        v0, v1, v2 = vec3(one, zero, zero), vec3(zero, one, zero), vec3(zero, zero, one)
        scale = wp.ddot(A, A) * real(polar_tolerance) * real(polar_tolerance)
        for _ in range(8):
            if d * d + e * e + f * f > scale:
                a, b, e, f, v0, v1 = rotate_pair(a, b, d, e, f, v0, v1)
                a, c, d, f, v0, v2 = rotate_pair(a, c, e, zero, f, v0, v2)
                b, c, d, e, v1, v2 = rotate_pair(b, c, f, d, zero, v1, v2)
                f = zero
        return vec3(a, b, c), wp.matrix_from_cols(v0, v1, v2)

    @func
    def make_positive(A: mat33):
        """The nearest positive semi-definite matrix to a symmetric one."""
        if is_positive(A):
            return A
        values, V = eigen(A)
        floor = vec3(wp.max(values[0], real(0.0)), wp.max(values[1], real(0.0)), wp.max(values[2], real(0.0)))
        return V * wp.diag(floor) * wp.transpose(V)

    @func
    def eigensystem(s: vec3, mu: real, lam: real):
        """Projected Hessian in the singular frame: scaling block, halves of flip + twist and of flip - twist."""
        J = s[0] * s[1] * s[2]
        _energy, first, second = volume_terms(J, mu, lam)
        c = vec3(s[1] * s[2], s[2] * s[0], s[0] * s[1])
        A = second * wp.outer(c, c)
        same = mat33()
        swap = mat33()
        for i in range(3):
            A[i, i] += real(2.0) * mu
            j = (i + 1) % 3
            k = (i + 2) % 3
            A[i, j] += first * s[k]
            A[j, i] += first * s[k]
            bent = first * s[k]
            twist = wp.max(real(2.0) * mu * (real(1.0) - real(2.0) / (s[i] + s[j])) + bent, real(0.0))
            flip = wp.max(real(2.0) * mu - bent, real(0.0))
            same[i, j] = real(0.5) * (flip + twist)
            same[j, i] = same[i, j]
            swap[i, j] = real(0.5) * (flip - twist)
            swap[j, i] = swap[i, j]
        return make_positive(A), same, swap

    @func
    def projected_block(ga: vec3, gb: vec3, A: mat33, same: mat33, swap: mat33):
        """Block of the projected Hessian, in the frame of U, for shape gradients in the frame of V."""
        return wp.cw_mul(wp.outer(ga, gb), A) + wp.cw_mul(wp.outer(gb, ga), swap) + wp.diag(same * wp.cw_mul(ga, gb))

    @func
    def exact_block(
        ga: vec3, gb: vec3, F: mat33, R: mat33, K_inverse: mat33, C: mat33, mu: real, first: real, second: real
    ):
        """Block of the true Hessian: 2 mu (I - dR/dF) + second cof cof^T + first d cof / d F."""
        turn = wp.transpose(wp.skew(ga)) * K_inverse * wp.skew(gb)
        ca = C * ga
        cb = C * gb
        bend = -wp.skew(F * wp.cross(ga, gb))
        return (
            real(2.0) * mu * (wp.dot(ga, gb) * wp.identity(n=3, dtype=real) - R * turn * wp.transpose(R))
            + second * wp.outer(ca, cb)
            + first * bend
        )

    return SimpleNamespace(**{key: value for key, value in locals().items() if key not in ("name", "single", "func")})
