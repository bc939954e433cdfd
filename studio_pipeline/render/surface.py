"""What the renderer needs to know of a mesh beside its faces: which vertices share a normal, and linear colours."""

from __future__ import annotations

import numpy as np

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.schema.records import Character

_MOST_REPEATS = 16  # times a position may be repeated and still be compared pair by pair
_SAME_NORMAL_COSINE = 0.9

__all__ = ["SRGB_8BIT", "linear_atlas", "normal_groups", "posed_normals", "weld"]


SRGB_8BIT = srgb_to_linear(np.arange(256) / 255.0)
"""Linear light of the 256 values of an sRGB picture. float32"""


def linear_atlas(character: Character) -> np.ndarray:
    """The atlas's colours in linear light. [h, w, 3] float32"""
    return np.ascontiguousarray(SRGB_8BIT[character.atlas[..., :3]])


def weld(points: np.ndarray, *, tolerance: float) -> np.ndarray:
    """For rows [V, D], an index [V] int32 that equal rows (rounded to ``tolerance``) share; indices are dense."""
    cells = np.round(np.asarray(points, np.float64) / tolerance).astype(np.int64)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    return index.reshape(-1).astype(np.int32)


def normal_groups(character: Character) -> np.ndarray:
    """For each vertex the group that shares its normal: one place, nearly one rest normal. [V] int32

    Texture seams repeat a position with the same normal and stay smooth; hard edges repeat it with another.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    places = weld(character.vertices, tolerance=max(character.diagonal, 1e-9) * 1e-6)
    order = np.argsort(places, kind="stable")
    links = []
    for step in range(1, min(_MOST_REPEATS, len(order))):
        i, j = order[:-step], order[step:]
        alike = np.einsum("vc,vc->v", character.normals[i], character.normals[j]) > _SAME_NORMAL_COSINE
        together = (places[i] == places[j]) & alike
        if not (places[i] == places[j]).any():
            break
        links.append(np.stack([i[together], j[together]]))
    i, j = np.concatenate(links, axis=1) if links else np.zeros((2, 0), int)
    count = len(places)
    return connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)[1]


def posed_normals(vertices: np.ndarray, faces: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Unit normals of posed vertices [T, V, 3], area-weighted over each group's faces. [T, V, 3] float32"""
    import warp as wp

    from studio_pipeline.render import normal_kernels
    from studio_pipeline.render.runtime import initialize

    initialize(normal_kernels.__name__)
    points = wp.array(np.ascontiguousarray(vertices, np.float32), dtype=wp.vec3, device="cpu", copy=False)
    corners = wp.array(np.ascontiguousarray(faces, np.int32), dtype=wp.vec3i, device="cpu", copy=False)
    shared = wp.array(np.ascontiguousarray(groups, np.int32), device="cpu", copy=False)
    sums = wp.zeros((len(vertices), int(groups.max()) + 1), dtype=wp.vec3, device="cpu")
    normals = np.empty(vertices.shape, np.float32)
    result = wp.array(normals, dtype=wp.vec3, device="cpu", copy=False)
    inputs = [points, corners, shared, sums]
    wp.launch(normal_kernels.sum_areas, dim=(len(vertices), len(faces)), inputs=inputs, device="cpu")
    wp.launch(normal_kernels.normals_of_sums, dim=vertices.shape[:2], inputs=[sums, shared, result], device="cpu")
    return normals
