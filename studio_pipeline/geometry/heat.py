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

__all__ = ["bone_heat", "keep_largest", "sample_cells"]

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
