"""Small operations on triangle meshes in NumPy."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = [
    "connected_parts",
    "corner_faces",
    "face_areas",
    "face_normals",
    "largest_extent",
    "unify_corners",
    "vertex_normals",
]


def largest_extent(vertices: np.ndarray) -> float:
    """Longest side of the bounding box of ``vertices`` [V, 3], in their unit."""
    return float(np.ptp(vertices, axis=0).max()) if len(vertices) else 0.0


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals of faces [F, 3], counter-clockwise outward, twice the area long. [F, 3] float64"""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Areas of faces in the vertices' unit squared. [F] float64"""
    return 0.5 * np.linalg.norm(face_normals(vertices, faces), axis=1)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals of the vertices as they are indexed; +Y where no face has an area. [V, 3] float64"""
    across = face_normals(vertices, faces)
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-300, normals / np.maximum(length, 1e-300), [0.0, 1.0, 0.0])


def connected_parts(faces: np.ndarray, vertex_count: int) -> tuple[int, np.ndarray]:
    """Number of edge-connected pieces and the piece of every vertex [V] int32; unreferenced vertices are pieces too."""
    rows = faces[:, [0, 1]].reshape(-1)
    columns = faces[:, [1, 2]].reshape(-1)
    links = sp.coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(vertex_count, vertex_count))
    count, labels = sp.csgraph.connected_components(links, directed=False)
    return int(count), labels


def corner_faces(counts: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fan polygons into triangles.

    Args:
        counts: Corners of each polygon, at least 3. [P] int
        corners: Positions in the corner list, polygon after polygon. [sum(counts)] int

    Returns:
        Triangles of ``corners`` values [F, 3] and the polygon of each triangle [F].
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    fans = counts - 2
    polygon = np.repeat(np.arange(len(counts)), fans)
    step = np.arange(len(polygon)) - np.repeat(np.cumsum(fans) - fans, fans)
    first = starts[polygon]
    return corners[np.stack([first, first + step + 1, first + step + 2], axis=1)], polygon


def unify_corners(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give equal corners one vertex, in the order of first use.

    Args:
        corners: What each corner refers to, e.g. position, UV and normal. [C, k] int

    Returns:
        The distinct rows [V, k] and the row of every corner [C].
    """
    unique, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return unique[order], rank[inverse.reshape(-1)]
