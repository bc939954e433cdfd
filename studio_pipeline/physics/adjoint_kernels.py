"""Warp kernels of the adjoint: what a step's forces do along a multiplier, and what the state before it gets back."""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from functools import cache
from types import SimpleNamespace

import warp as wp

from studio_pipeline.physics.elasticity import elasticity
from studio_pipeline.physics.friction import friction_functions

__all__ = ["adjoint_kernels"]


@cache
def adjoint_kernels(name: str) -> SimpleNamespace:
    """The kernels for scalar type ``name`` ("float32" or "float64")."""
    e = elasticity(name)
    real, vec3, mat33, quat = e.real, e.vec3, e.mat33, e.quat
    deformation, polar, stress = e.deformation, e.polar, e.stress
    f = friction_functions(name)
    slide, slip_slope, slip_hessian = f.slide, f.slip_slope, f.slip_hessian
    kernel = wp.kernel(enable_backward=False, module=wp.get_module(f"studio_pipeline.physics.{name}.adjoint"))

    @kernel
    def element_work(
        x: wp.array(dtype=vec3),
        previous: wp.array(dtype=vec3),
        multiplier: wp.array(dtype=vec3),
        tets: wp.array(dtype=wp.vec4i),
        rest_inverse: wp.array(dtype=mat33),
        volume: wp.array(dtype=real),
        mu: wp.array(dtype=real),
        lam: wp.array(dtype=real),
        viscosity: wp.array(dtype=real),
        inverse_h: real,
        rotation: wp.array(dtype=quat),
        elastic: wp.array(dtype=real),
        damping: wp.array(dtype=real),
        back: wp.array(dtype=vec3),
    ):
        """Work of elastic and damping forces along the multiplier [J], and the damping's d(work) / d(previous) [N]."""
        t = wp.tid()
        tet = tets[t]
        inverse = rest_inverse[t]
        F = deformation(x, tet, inverse)
        q = polar(F, rotation[t])
        along = deformation(multiplier, tet, inverse)
        elastic[t] = volume[t] * wp.ddot(stress(F, wp.quat_to_matrix(q), mu[t], lam[t]), along)
        damping[t] = real(0.0)
        c = real(0.5) * viscosity[t] * inverse_h
        if c > real(0.0):
            F0 = deformation(previous, tet, inverse)
            rate = wp.transpose(F) * F - wp.transpose(F0) * F0
            damping[t] = c * volume[t] * wp.ddot(F * rate, along)
            S = wp.transpose(F) * along
            force = -(c * volume[t]) * (F0 * (S + wp.transpose(S)) * wp.transpose(inverse))
            f1, f2, f3 = force[:, 0], force[:, 1], force[:, 2]
            wp.atomic_add(back, tet[0], -(f1 + f2 + f3))
            wp.atomic_add(back, tet[1], f1)
            wp.atomic_add(back, tet[2], f2)
            wp.atomic_add(back, tet[3], f3)

    @kernel
    def friction_work(
        x: wp.array(dtype=vec3),
        previous: wp.array(dtype=vec3),
        multiplier: wp.array(dtype=vec3),
        contact: wp.array(dtype=real),
        ground: real,
        friction: real,
        reach: real,
        back: wp.array(dtype=vec3),
    ):
        """Adds the friction's d(work along the multiplier) / d(previous) [N]: by its slide and by its normal force."""
        v = wp.tid()
        depth = ground - previous[v][1]
        if contact[v] > real(0.0) and depth > real(0.0):
            u = slide(x[v], previous[v])
            force = -(contact[v] * depth) * (slip_hessian(u, reach) * multiplier[v])
            force[1] = force[1] - contact[v] * slip_slope(u, reach) * wp.dot(u, multiplier[v])
            back[v] = back[v] + friction * force

    return SimpleNamespace(element_work=element_work, friction_work=friction_work)
