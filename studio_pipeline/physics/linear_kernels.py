"""Warp kernels of the conjugate gradient iteration: four launches an iteration, scalars stay on the device."""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from functools import cache
from types import SimpleNamespace

import warp as wp

from studio_pipeline.physics.elasticity import elasticity

__all__ = ["CURVATURE", "ITERATIONS", "RESIDUAL", "START", "linear_kernels"]

# Places in the array of scalars.
RESIDUAL = 0  # r . z of the iterate
CURVATURE = 1  # p . A p
NEXT = 2  # r . z being summed
STOPPED = 3  # 1 after p . A p <= 0 was met: the iterate stays as it is
ITERATIONS = 4
START = 5  # r . z at the start


@cache
def linear_kernels(name: str) -> SimpleNamespace:
    """The kernels for scalar type ``name``."""
    e = elasticity(name)
    real, vec3, mat33 = e.real, e.vec3, e.mat33
    kernel = wp.kernel(enable_backward=False, module=wp.get_module(f"studio_pipeline.physics.{name}"))

    @kernel
    def start(
        gradient: wp.array(dtype=vec3),
        inverse: wp.array(dtype=mat33),
        x: wp.array(dtype=vec3),
        r: wp.array(dtype=vec3),
        z: wp.array(dtype=vec3),
        p: wp.array(dtype=vec3),
        scalars: wp.array(dtype=wp.float64),
    ):
        """x = 0, r = -gradient, z = p = M r; scalars must be zero before."""
        i = wp.tid()
        r[i] = -gradient[i]
        z[i] = inverse[i] * r[i]
        p[i] = z[i]
        x[i] = vec3()
        value = wp.float64(wp.dot(r[i], z[i]))
        wp.atomic_add(scalars, RESIDUAL, value)
        wp.atomic_add(scalars, START, value)

    @kernel
    def multiply(
        offsets: wp.array(dtype=wp.int32),
        columns: wp.array(dtype=wp.int32),
        values: wp.array(dtype=mat33),
        p: wp.array(dtype=vec3),
        q: wp.array(dtype=vec3),
        scalars: wp.array(dtype=wp.float64),
    ):
        """Q = A p and p . q."""
        i = wp.tid()
        total = vec3()
        for k in range(offsets[i], offsets[i + 1]):
            total += values[k] * p[columns[k]]
        q[i] = total
        wp.atomic_add(scalars, CURVATURE, wp.float64(wp.dot(p[i], total)))

    @kernel
    def update(
        inverse: wp.array(dtype=mat33),
        p: wp.array(dtype=vec3),
        q: wp.array(dtype=vec3),
        x: wp.array(dtype=vec3),
        r: wp.array(dtype=vec3),
        z: wp.array(dtype=vec3),
        scalars: wp.array(dtype=wp.float64),
    ):
        """Step along p, new residual, preconditioned residual and r . z."""
        i = wp.tid()
        alpha = real(0.0)
        if scalars[STOPPED] == wp.float64(0.0) and scalars[CURVATURE] > wp.float64(0.0):
            alpha = real(scalars[RESIDUAL] / scalars[CURVATURE])
        x[i] = x[i] + alpha * p[i]
        residual = r[i] - alpha * q[i]
        r[i] = residual
        better = inverse[i] * residual
        z[i] = better
        wp.atomic_add(scalars, NEXT, wp.float64(wp.dot(residual, better)))

    @kernel
    def turn(z: wp.array(dtype=vec3), p: wp.array(dtype=vec3), scalars: wp.array(dtype=wp.float64)):
        """The next direction."""
        i = wp.tid()
        if scalars[RESIDUAL] > wp.float64(0.0):
            p[i] = z[i] + real(scalars[NEXT] / scalars[RESIDUAL]) * p[i]

    @kernel
    def shift(scalars: wp.array(dtype=wp.float64)):
        """Close the iteration; a single thread."""
        if scalars[CURVATURE] <= wp.float64(0.0):
            scalars[STOPPED] = wp.float64(1.0)
        scalars[RESIDUAL] = scalars[NEXT]
        scalars[NEXT] = wp.float64(0.0)
        scalars[CURVATURE] = wp.float64(0.0)
        scalars[ITERATIONS] += wp.float64(1.0)

    return SimpleNamespace(start=start, multiply=multiply, update=update, turn=turn, shift=shift)
