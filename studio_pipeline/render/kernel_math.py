# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Small functions that the renderer's kernels share."""

from __future__ import annotations

import warp as wp

__all__ = ["comes_before", "cross2", "edge_weights", "first_corner", "last_corner", "mix3", "pixel_bound"]


@wp.func
def cross2(ax: float, ay: float, bx: float, by: float) -> float:
    """z of the cross product of two plane vectors."""
    return ax * by - ay * bx


@wp.func
def edge_weights(a: wp.vec3, b: wp.vec3, c: wp.vec3, x: float, y: float) -> wp.vec3:
    """Twice the signed areas of (p, b, c), (p, c, a), (p, a, b): exactly opposite on the two sides of an edge."""
    ax = a[0] - x
    ay = a[1] - y
    bx = b[0] - x
    by = b[1] - y
    cx = c[0] - x
    cy = c[1] - y
    return wp.vec3(cross2(bx, by, cx, cy), cross2(cx, cy, ax, ay), cross2(ax, ay, bx, by))


@wp.func
def comes_before(a: wp.vec3, b: wp.vec3) -> bool:
    """Order of points by x, then y, then depth."""
    if a[0] != b[0]:
        return a[0] < b[0]
    if a[1] != b[1]:
        return a[1] < b[1]
    return a[2] < b[2]


@wp.func
def first_corner(a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """The one that `comes_before`."""
    return wp.where(comes_before(a, b), a, b)


@wp.func
def last_corner(a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """The other one."""
    return wp.where(comes_before(a, b), b, a)


@wp.func
def pixel_bound(value: float, limit: int) -> int:
    """``value`` as a pixel index within [-1, limit]; huge values don't overflow."""
    return int(wp.clamp(value, -1.0, float(limit)))


@wp.func
def mix3(a: wp.vec3, b: wp.vec3, t: float) -> wp.vec3:
    """Linear blend."""
    return a * (1.0 - t) + b * t
