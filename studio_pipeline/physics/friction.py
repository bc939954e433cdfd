"""Warp functions of Coulomb friction as a potential over one step, for either scalar type.

A vertex that slides by u over a step gives ``mu N f(|u|)`` with N the normal force at the step's start (lagged) and

    f(u) = u^2 / r - u^3 / (3 r^2)  below the reach r = slip speed * h,  u - r / 3 above,

so that the force mu N f' rises smoothly from 0 to mu N. f is convex and twice continuous: with N fixed, energy,
gradient and Hessian belong together and the Hessian is never negative. Li et al. 2020, "Incremental Potential Contact",
less their constant r / 3.
"""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

__all__ = ["friction_functions"]


@cache
def friction_functions(name: str) -> SimpleNamespace:
    """The functions for scalar type ``name`` ("float32" or "float64")."""
    single = name == "float32"
    real = wp.float32 if single else wp.float64
    vec3: Any = wp.vec3f if single else wp.vec3d
    func = wp.func(module=wp.get_module(f"studio_pipeline.physics.{name}"))

    @func
    def slide(x: vec3, previous: vec3):
        """Movement along the ground."""
        return vec3(x[0] - previous[0], real(0.0), x[2] - previous[2])

    @func
    def slip_energy(u: vec3, reach: real):
        """f(|u|) [m]."""
        length = wp.length(u)
        if length >= reach:
            return length - reach / real(3.0)
        part = length / reach
        return length * part * (real(1.0) - part / real(3.0))

    @func
    def slip_slope(u: vec3, reach: real):
        """f' / |u| [1/m]: the gradient of f is this times u."""
        length = wp.length(u)
        if length >= reach:
            return real(1.0) / length
        return (real(2.0) - length / reach) / reach

    @func
    def slip_hessian(u: vec3, reach: real):
        """Second derivatives of f by u along the ground [1/m]."""
        slope = slip_slope(u, reach)
        block = wp.diag(vec3(slope, real(0.0), slope))
        length = wp.length(u)
        if length > real(0.0):
            along = u / length
            # f'' - f' / |u|
            block -= wp.where(length >= reach, slope, length / (reach * reach)) * wp.outer(along, along)
        return block

    return SimpleNamespace(slide=slide, slip_energy=slip_energy, slip_slope=slip_slope, slip_hessian=slip_hessian)
