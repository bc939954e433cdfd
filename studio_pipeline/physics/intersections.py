"""Counts the pairs of a surface's triangles that pass through each other."""

# Warp reads annotations as types of its own, evaluated when a kernel is made.
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from typing import Any

import numpy as np
import warp as wp

__all__ = ["SelfIntersections"]

_module = wp.get_module("studio_pipeline.physics.intersections")


@wp.func(module=_module)
def _side(a: wp.vec3d, b: wp.vec3d, c: wp.vec3d, d: wp.vec3d):
    """Six times the signed volume of a tetrahedron."""
    return wp.dot(wp.cross(b - a, c - a), d - a)


@wp.func(module=_module)
def _crosses(p: wp.vec3d, q: wp.vec3d, a: wp.vec3d, b: wp.vec3d, c: wp.vec3d):
    """Whether the segment pq passes through the inside of the triangle abc."""
    zero = wp.float64(0.0)
    if _side(a, b, c, p) * _side(a, b, c, q) >= zero:
        return False
    u, v, w = _side(p, q, a, b), _side(p, q, b, c), _side(p, q, c, a)
    return (u > zero and v > zero and w > zero) or (u < zero and v < zero and w < zero)


@wp.kernel(enable_backward=False, module=_module)
def _bounds(
    x: wp.array(dtype=wp.vec3d),
    faces: wp.array(dtype=wp.vec3i),
    low: wp.array(dtype=wp.vec3),
    high: wp.array(dtype=wp.vec3),
):
    f = wp.tid()
    a, b, c = wp.vec3(x[faces[f][0]]), wp.vec3(x[faces[f][1]]), wp.vec3(x[faces[f][2]])
    low[f] = wp.min(wp.min(a, b), c)
    high[f] = wp.max(wp.max(a, b), c)


@wp.kernel(enable_backward=False, module=_module)
def _count(
    bvh: wp.uint64,
    x: wp.array(dtype=wp.vec3d),
    faces: wp.array(dtype=wp.vec3i),
    low: wp.array(dtype=wp.vec3),
    high: wp.array(dtype=wp.vec3),
    total: wp.array(dtype=wp.int32),
):
    f = wp.tid()
    s = faces[f]
    a, b, c = x[s[0]], x[s[1]], x[s[2]]
    query = wp.bvh_query_aabb(bvh, low[f], high[f])
    other = wp.int32(0)  # a plain 0 would be a constant to Warp
    while wp.bvh_query_next(query, other):
        if other > f:
            t = faces[other]
            shared = wp.bool(False)
            for i in range(3):
                for j in range(3):
                    if s[i] == t[j]:
                        shared = True
            if not shared:
                p, q, r = x[t[0]], x[t[1]], x[t[2]]
                first = _crosses(a, b, p, q, r) or _crosses(b, c, p, q, r) or _crosses(c, a, p, q, r)
                if first or _crosses(p, q, a, b, c) or _crosses(q, r, a, b, c) or _crosses(r, p, a, b, c):
                    wp.atomic_add(total, 0, 1)


class SelfIntersections:
    """Counter for one surface; vertices that share a rest position count as one.

    Triangles that share a vertex, coplanar overlaps and mere touching are not counted.
    """

    def __init__(self, rest: np.ndarray, faces: np.ndarray, device: str = "cpu") -> None:
        _, first, welded = np.unique(rest, axis=0, return_index=True, return_inverse=True)
        mapped = first[welded.reshape(-1)][faces]
        proper = (mapped[:, 0] != mapped[:, 1]) & (mapped[:, 1] != mapped[:, 2]) & (mapped[:, 2] != mapped[:, 0])
        self._device = wp.get_device(device)
        self._faces = wp.array(mapped[proper].astype(np.int32), dtype=wp.vec3i, device=self._device)

    def count(self, vertices: np.ndarray) -> int:
        """Number of crossing pairs with the vertices [V, 3] where they are."""
        count = len(self._faces)
        x = wp.array(vertices.astype(np.float64), dtype=wp.vec3d, device=self._device)
        low, high = (wp.empty(count, dtype=wp.vec3, device=self._device) for _ in range(2))
        total: Any = wp.zeros(1, dtype=wp.int32, device=self._device)
        wp.launch(_bounds, dim=count, inputs=[x, self._faces, low, high], device=self._device)
        bvh = wp.Bvh(low, high)
        wp.launch(_count, dim=count, inputs=[bvh.id, x, self._faces, low, high, total], device=self._device)
        return int(total.numpy()[0])
