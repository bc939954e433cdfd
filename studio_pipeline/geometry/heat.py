"""Skin weights by heat diffusion through the inside of a body, so that nothing bleeds from one leg to the other.

Baran and Popovic 2007, "Automatic rigging and animation of 3D characters", on voxels instead of the
surface: -laplace(w_j) + H w_j = H p_j, H = 1 / d^2, d the distance through the body to the nearest bone.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from studio_pipeline.geometry.skeletons import CellGraph
from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["bone_heat", "keep_largest", "rigid_parts", "sample_cells", "smoothed", "without_tails"]

_TOLERANCE, _MAX_ITERATIONS = 1e-4, 400


def bone_heat(body: VoxelBody, graph: CellGraph, segments: list[np.ndarray]) -> np.ndarray:
    """Weights of every cell of the body.

    Args:
        body: The voxels.
        graph: Their graph.
        segments: Per bone its pieces [S, 2, 3].

    Returns:
        Weights [N, B] float64, rows sum to one.
    """
    tree = cKDTree(body.points(graph.cells))
    owner = np.full(len(graph.cells), -1)
    for bone, pieces in enumerate(segments):
        for start, stop in pieces:
            steps = max(int(np.ceil(2.0 * np.linalg.norm(stop - start) / body.spacing)), 1)
            # Half a cell short of both ends: neighbours in a chain meet there.
            share = (np.arange(steps) + 0.5)[:, None] / steps
            cells = tree.query(start + share * (stop - start))[1]
            owner[cells] = np.where(owner[cells] < 0, bone, owner[cells])
    sources = np.flatnonzero(owner >= 0)
    distance, _, origin = csgraph.dijkstra(graph.lengths, indices=sources, min_only=True, return_predecessors=True)
    nearest = owner[origin]
    heat = 1.0 / np.maximum(distance, body.spacing) ** 2
    wanted = sparse.csr_matrix(
        (heat, (np.arange(len(nearest)), nearest)), shape=(len(nearest), len(segments))
    ).toarray()
    weights = _solve(_laplacian(graph, body.spacing) + sparse.diags(heat), wanted, np.eye(len(segments))[nearest])
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum(1, keepdims=True)


def sample_cells(
    body: VoxelBody, graph: CellGraph, values: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """Values of cells [N, B] at surface points [M, 3], read a little inside the surface. [M, B]"""
    place = (points - 0.6 * body.spacing * normals - body.origin) / body.spacing
    low = np.floor(place).astype(np.int64)
    part = place - low
    result = np.zeros((len(points), values.shape[1]))
    total = np.zeros(len(points))
    top = np.array(graph.ids.shape) - 1
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(np.array(corner) == 1, part, 1.0 - part), axis=1)
        cell = np.clip(low + corner, 0, top)
        node = graph.ids[tuple(cell.T)]
        share = np.where(node >= 0, share, 0.0)
        result += share[:, None] * values[np.maximum(node, 0)]
        total += share
    lost = total < 0.05
    if lost.any():
        result[lost] = values[cKDTree(body.points(graph.cells)).query(points[lost])[1]]
        total[lost] = 1.0
    return result / total[:, None]


def keep_largest(weights: np.ndarray, count: int = 8, least: float = 1e-3) -> np.ndarray:
    """Keep each row's ``count`` largest weights above ``least`` and make rows sum to one. [V, J] float32"""
    weights = np.where(weights < least, 0.0, weights)
    if weights.shape[1] > count:
        order = np.argsort(-weights, axis=1, kind="stable")
        np.put_along_axis(weights, order[:, count:], 0.0, axis=1)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def without_tails(weights: np.ndarray, *, share: float = 0.07) -> np.ndarray:
    """Weights [V, J] less ``share`` of each row's largest, none below zero; rows sum to one.

    Heat never quite ends: a thin rest of it reaches joints far away. What is subtracted leaves weights continuous.
    """
    cut = np.maximum(weights - share * weights.max(1, keepdims=True), 0.0)
    return cut / cut.sum(1, keepdims=True)


def smoothed(
    weights: np.ndarray, points: np.ndarray, faces: np.ndarray, *, reach: float, share: float = 0.3
) -> np.ndarray:
    """Weights [V, J] of which each vertex takes ``share`` from the mean of its close neighbours: no short edge tears.

    Args:
        weights: Rows sum to one.
        points: Vertices [V, 3].
        faces: Triangles [F, 3].
        reach: Edges longer than this don't count, in units of the points.
        share: Of the neighbours.
    """
    count = len(weights)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    short = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) <= reach
    pairs = np.unique(np.sort(pairs[short & (pairs[:, 0] != pairs[:, 1])], axis=1), axis=0)
    links = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    links = links + links.T
    degree = np.asarray(links.sum(1)).reshape(-1, 1)
    mean = links @ weights / np.maximum(degree, 1.0)
    return np.where(degree > 0.0, (1.0 - share) * weights + share * mean, weights)


def rigid_parts(weights: np.ndarray, points: np.ndarray, faces: np.ndarray, *, largest: float = 0.05) -> np.ndarray:
    """Weights [V, J] in which small separate pieces of the surface (eyes, buttons, plates) move as one.

    Args:
        weights: Rows sum to one.
        points: Vertices, welded [V, 3].
        faces: Triangles [F, 3].
        largest: Pieces smaller than this, of the diagonal, are small.
    """
    count = len(points)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    joined = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    pieces, piece = csgraph.connected_components(joined, directed=False)
    if pieces == 1:
        return weights
    low, high = np.full((pieces, 3), np.inf), np.full((pieces, 3), -np.inf)
    np.minimum.at(low, piece, points)
    np.maximum.at(high, piece, points)
    size = np.linalg.norm(high - low, axis=1)
    small = size < largest * float(np.linalg.norm(np.ptp(points, axis=0)))
    total = sparse.csr_matrix((np.ones(count), (piece, np.arange(count))), shape=(pieces, count)) @ weights
    mean = total / np.bincount(piece, minlength=pieces)[:, None]
    return np.where(small[piece][:, None], mean[piece], weights)


def _laplacian(graph: CellGraph, spacing: float) -> sparse.csr_matrix:
    """The 26-neighbour Laplacian, positive semidefinite, in 1 / length^2."""
    links = graph.lengths.copy()
    links.data = (spacing / links.data) ** 2
    # Faces weigh 1, edges 1/2, corners 1/3: the second moment along an axis is 26/3 cells^2, a Laplacian's is 2.
    links.data *= (3.0 / 13.0) / spacing**2
    return (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsr()


def _solve(matrix: sparse.csr_matrix, right: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Jacobi-preconditioned conjugate gradients, all columns at once."""
    inverse = np.reciprocal(np.asarray(matrix.diagonal(), dtype=np.float64))[:, None]
    solution = guess.astype(np.float64)
    residual = right - matrix @ solution
    direction = inverse * residual
    product = np.einsum("nb,nb->b", residual, direction)
    bound = _TOLERANCE**2 * np.einsum("nb,nb->b", right, inverse * right)
    for _ in range(_MAX_ITERATIONS):
        if np.all(product <= bound):
            break
        moved = matrix @ direction
        curvature = np.einsum("nb,nb->b", direction, moved)
        step = np.where(curvature > 0.0, product / np.where(curvature > 0.0, curvature, 1.0), 0.0)
        solution += step * direction
        residual -= step * moved
        scaled = inverse * residual
        fresh = np.einsum("nb,nb->b", residual, scaled)
        direction = scaled + np.where(product > 0.0, fresh / np.where(product > 0.0, product, 1.0), 0.0) * direction
        product = fresh
    return solution
