"""Vertex normals of a moving surface that keep the rest shape's hard edges."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

__all__ = ["moving_normals", "unit_normals"]


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Normalise [..., 3] in float64; a vanishing normal becomes +Y. Returns float32 of unit length."""
    wide = normals.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    safe = np.where(length > 1e-12, wide / np.where(length > 1e-12, length, 1.0), (0.0, 1.0, 0.0))
    return safe.astype(np.float32)


def moving_normals(rest: np.ndarray, rest_normals: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Area-weighted normals of every frame.

    Vertices that share place and normal at rest (texture seams) share a normal in every frame; vertices that
    share only the place (hard edges) don't.

    Args:
        rest: [V, 3] rest surface.
        rest_normals: [V, 3] its unit normals.
        faces: [F, 3] int.
        points: [T, V, 3] posed surface.

    Returns:
        [T, V, 3] float32, unit.
    """
    scale = max(float(np.ptp(rest, axis=0).max()), 1e-12)
    key = np.round(np.concatenate([rest / scale * 1e6, rest_normals * 1e3], axis=1)).astype(np.int64)
    _, group = np.unique(key, axis=0, return_inverse=True)
    group = group.reshape(-1)
    corners = group[faces]  # [F, 3]
    rows, columns = corners.reshape(-1), np.repeat(np.arange(len(faces)), 3)
    gather = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(int(group.max()) + 1, len(faces)))
    normals = np.empty(points.shape, dtype=np.float32)
    for frame, surface in enumerate(points):
        a, b, c = (surface[faces[:, k]].astype(np.float64) for k in range(3))
        normals[frame] = unit_normals(gather @ np.cross(b - a, c - a))[group]
    return normals
