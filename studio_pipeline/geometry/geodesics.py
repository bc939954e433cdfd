"""How far it is from a bone to places on a surface along the body: never across the gap between two legs."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

__all__ = ["bone_geodesics"]

_NEIGHBOURS = 9  # in the graph of points, each with itself
_FACING = -0.3  # cosine between normals under which two points lie on opposite sides of a gap or a sheet
_NEAREST = 3  # bones that may be under a point


def bone_geodesics(points: np.ndarray, normals: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Shortest ways from bones to points: straight through the body to the surface over a bone, then along it.

    Points are joined to their neighbours that don't face them. Where no way leads, because parts don't touch, half as
    much again as the straight distance counts, more than anything that was reached.

    Args:
        points: On the surface [N, 3].
        normals: Outward [N, 3].
        heads: Of the bones [J, 3].
        tails: Of the bones [J, 3].

    Returns:
        Distances [N, J] float32, in the unit of the points.
    """
    points = points.astype(np.float64)
    straight, under = _under(points, normals, heads.astype(np.float64), tails.astype(np.float64))
    count, bones = straight.shape
    rank = np.argsort(np.argsort(np.where(under, straight, np.inf), axis=1), axis=1)
    seed_point, seed_bone = np.nonzero(under & (rank < _NEAREST))
    graph = _surface_graph(points, normals)
    links = sparse.coo_matrix(
        (np.maximum(straight[seed_point, seed_bone], 1e-9), (seed_bone + count, seed_point)),
        shape=(count + bones, count + bones),
    )
    graph.resize((count + bones, count + bones))
    ways = csgraph.dijkstra((graph + links).tocsr(), directed=True, indices=np.arange(count, count + bones))[
        :, :count
    ].T
    reached = np.isfinite(ways)
    farthest = float(ways[reached].max(initial=0.0))
    return np.where(reached, np.maximum(ways, straight), np.maximum(1.5 * straight, farthest)).astype(np.float32)


def _under(
    points: np.ndarray, normals: np.ndarray, heads: np.ndarray, tails: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Straight distances to bones [N, J], and whether the way there leads into the body [N, J]."""
    along = tails - heads
    offset = points[:, None] - heads
    share = np.einsum("njc,jc->nj", offset, along) / np.maximum(np.einsum("jc,jc->j", along, along), 1e-12)
    away = offset - np.clip(share, 0.0, 1.0)[..., None] * along  # from the bone to the point
    straight = np.linalg.norm(away, axis=-1)
    return straight, np.einsum("njc,nc->nj", away, normals) > 0.0


def _surface_graph(points: np.ndarray, normals: np.ndarray) -> sparse.csr_matrix:
    distance, neighbour = cKDTree(points).query(points, k=min(_NEIGHBOURS, len(points)))
    row = np.repeat(np.arange(len(points)), neighbour.shape[1])
    column, length = neighbour.ravel(), distance.ravel()
    keep = (row != column) & (np.einsum("ec,ec->e", normals[row], normals[column]) > _FACING)
    row, column, length = row[keep], column[keep], np.maximum(length[keep], 1e-9)
    graph = sparse.coo_matrix((length, (row, column)), shape=(len(points),) * 2).tocsr()
    return graph.maximum(graph.T).tocsr()
