# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Small functions that the renderer's kernels share."""

from __future__ import annotations

import warp as wp

__all__ = [
    "clipped_span",
    "comes_before",
    "cross2",
    "edge_weights",
    "first_corner",
    "last_corner",
    "mix3",
    "orientation",
    "pixel_bound",
    "seen_span",
    "widened",
]

FAR_PX = 1.0e9
"""Beyond any picture."""


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


@wp.func
def orientation(a: wp.vec3, b: wp.vec3, c: wp.vec3, near: float) -> float:
    """Twice a triangle's area on the screen, signed as its part in front of the near plane shows.

    0 where nothing of it is in front, or it isn't finite. Corners behind the camera are projected through the eye:
    each mirrors the triangle once, as in Olano and Greer, "Triangle scan conversion using 2D homogeneous
    coordinates" (1997).
    """
    area = cross2(b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1])
    if not wp.isfinite(area):
        return 0.0
    if a[2] > near and b[2] > near and c[2] > near:
        return area
    if not (a[2] > near or b[2] > near or c[2] > near):
        return 0.0
    if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0 or not wp.isfinite(a[2] + b[2] + c[2]):
        return 0.0
    return area * wp.sign(a[2]) * wp.sign(b[2]) * wp.sign(c[2])


@wp.func
def widened(span: wp.vec2, p: float, q: float, p_depth: float, q_depth: float, near: float) -> wp.vec2:
    """``span`` (lowest, highest screen coordinate) widened by the part of segment pq in front of the near plane.

    What crosses the plane of the camera runs off to infinity, away from the end behind; where exactly the near plane
    cuts it there is of no use to a box.
    """
    low = span[0]
    high = span[1]
    if p_depth > near:
        low = wp.min(low, p)
        high = wp.max(high, p)
        if q_depth > 0.0:
            low = wp.min(low, q)
            high = wp.max(high, q)
        elif p > q:
            high = FAR_PX
        elif p < q:
            low = -FAR_PX
    return wp.vec2(low, high)


@wp.func
def seen_span(p: float, q: float, p_depth: float, q_depth: float, near: float) -> wp.vec2:
    """Lowest and highest screen coordinate of the part of a segment in front of the near plane."""
    span = widened(wp.vec2(FAR_PX, -FAR_PX), p, q, p_depth, q_depth, near)
    return widened(span, q, p, q_depth, p_depth, near)


@wp.func
def clipped_span(p: wp.vec3, depth: wp.vec3, near: float) -> wp.vec2:
    """`seen_span` of a triangle, from one screen coordinate and the depth of each corner."""
    span = wp.vec2(FAR_PX, -FAR_PX)
    for k in range(3):
        n = (k + 1) % 3
        span = widened(span, p[k], p[n], depth[k], depth[n], near)
        span = widened(span, p[n], p[k], depth[n], depth[k], near)
    return span
