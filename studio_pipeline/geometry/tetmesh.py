"""Tetrahedral meshes: volumes, quality, boundary, and binding points to tetrahedra."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

__all__ = ["barycentrics", "boundary_faces", "embed_points", "pieces", "tet_quality", "tet_volumes", "used_vertices"]

_NEIGHBOURS, _CHUNK = 24, 256


def tet_volumes(vertices: np.ndarray, tets: np.ndarray) -> np.ndarray:
    """Signed volumes, positive when det[b - a, c - a, d - a] > 0. [E] float64"""
    a, b, c, d = (vertices[tets[:, corner]].astype(np.float64) for corner in range(4))
    return np.einsum("ea,ea->e", np.cross(b - a, c - a), d - a) / 6.0


def tet_quality(vertices: np.ndarray, tets: np.ndarray) -> np.ndarray:
    """Volume against that of a regular tetrahedron of the same root mean square edge: 1 regular, 0 flat. [E]"""
    corners = vertices[tets].astype(np.float64)
    first, second = np.triu_indices(4, 1)
    edges = np.linalg.norm(corners[:, first] - corners[:, second], axis=2)
    return tet_volumes(vertices, tets) * 6.0 * np.sqrt(2.0) / np.mean(edges**2, axis=1) ** 1.5


def used_vertices(vertices: np.ndarray, tets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop vertices that no tetrahedron uses. Returns vertices [P', 3] and tets [E, 4]."""
    used, corners = np.unique(tets, return_inverse=True)
    return vertices[used], corners.reshape(tets.shape)


def boundary_faces(tets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces [B, 3] that only one tetrahedron has, seen counter-clockwise from outside, and their tetrahedra [B]."""
    corners = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    faces = tets[:, corners].reshape(-1, 3)
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    alone = np.sort(first[count == 1])
    return faces[alone], alone // 4


def pieces(tets: np.ndarray, vertex_count: int) -> tuple[int, np.ndarray]:
    """Number of pieces that share no vertex, and the piece of each tetrahedron. [E]"""
    row = np.repeat(tets[:, 0], 3)
    graph = sparse.coo_matrix((np.ones(len(row)), (row, tets[:, 1:].ravel())), shape=(vertex_count,) * 2)
    labels = csgraph.connected_components(graph, directed=False)[1][tets[:, 0]]
    names, labels = np.unique(labels, return_inverse=True)
    return len(names), labels


def barycentrics(vertices: np.ndarray, tets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Coordinates of points [..., 3] in tetrahedra [..., 4] of the same leading shape. [..., 4], sum one"""
    corners = vertices[tets].astype(np.float64)
    edges = np.swapaxes(corners[..., 1:, :] - corners[..., :1, :], -1, -2)
    rest = np.linalg.solve(edges, (points - corners[..., 0, :])[..., None])[..., 0]
    return np.concatenate([1.0 - rest.sum(-1, keepdims=True), rest], axis=-1)


def embed_points(
    vertices: np.ndarray, tets: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bind points [N, 3] to the tetrahedra that hold them, or to the nearest one by extrapolation.

    A point outside goes to one of the tetrahedra around the nearest boundary face, the one that extrapolates
    least; its coordinates leave [0, 1] but still give the point back exactly.

    Returns:
        Tetrahedron of each point [N] int64, coordinates [N, 4] float64, distance to the solid [N] (zero inside).
    """
    points = points.astype(np.float64)
    centres = vertices[tets].mean(1)
    near = cKDTree(centres).query(points, k=min(_NEIGHBOURS, len(tets)))[1].reshape(len(points), -1)
    carrier, worst = np.zeros(len(points), dtype=np.int64), np.full(len(points), -np.inf)
    for start in range(0, len(points), 4096):
        part = slice(start, start + 4096)
        least = barycentrics(vertices, tets[near[part]], points[part, None]).min(-1)
        best = np.argmax(least, axis=1)
        rows = np.arange(len(best))
        carrier[part], worst[part] = near[part][rows, best], least[rows, best]
    unsure = np.flatnonzero(worst < -1e-9)
    unsure = unsure[_inside(vertices, tets, points[unsure])]  # the others lie outside of all of them
    for start in range(0, len(unsure), _CHUNK):
        part = unsure[start : start + _CHUNK]
        least = barycentrics(vertices, tets[None], points[part, None]).min(-1)
        best = np.argmax(least, axis=1)
        carrier[part], worst[part] = best, least[np.arange(len(part)), best]
    distance = np.zeros(len(points))
    outside = np.flatnonzero(worst < -1e-9)
    if len(outside):
        carrier[outside], distance[outside] = _nearest(vertices, tets, points[outside])
    return carrier, barycentrics(vertices, tets[carrier], points), distance


def _inside(vertices: np.ndarray, tets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points [N, 3] may lie in a tetrahedron, by the winding number of the boundary. [N] bool"""
    import igl

    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    faces = np.ascontiguousarray(boundary_faces(tets)[0], dtype=np.int64)
    # A quarter, not a half: close to the boundary the fast winding number is off a little.
    number = igl.fast_winding_number(np.ascontiguousarray(vertices, dtype=np.float64), faces, points)
    return np.asarray(number).ravel() > 0.25


def _nearest(vertices: np.ndarray, tets: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tetrahedra [N] near the nearest boundary face that extrapolate least, and distances to the boundary [N]."""
    import igl

    faces, owners = boundary_faces(tets)
    squared, face, _ = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points), np.ascontiguousarray(vertices, dtype=np.float64), faces.astype(np.int64)
    )[:3]
    face = np.asarray(face).ravel().astype(np.int64)
    around = sparse.csr_matrix(
        (np.ones(tets.size, dtype=np.int8), (tets.ravel(), np.repeat(np.arange(len(tets)), 4))),
        shape=(len(vertices), len(tets)),
    )
    carrier = owners[face].copy()
    for index, corners in enumerate(faces[face]):
        ring = np.unique(around[corners].indices)
        least = barycentrics(vertices, tets[ring], np.broadcast_to(points[index], (len(ring), 3))).min(-1)
        carrier[index] = ring[np.argmax(least)]
    return carrier, np.sqrt(np.maximum(np.asarray(squared).ravel(), 0.0))
