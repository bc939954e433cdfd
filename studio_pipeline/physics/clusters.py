"""Groups of tetrahedra that share one stiffness: first those around each bone, then halves where the loss wants it."""

from __future__ import annotations

import numpy as np

from studio_pipeline.physics.topology import Topology
from studio_pipeline.schema.records import Solid

__all__ = ["bone_clusters", "borders", "split"]


def bone_clusters(solid: Solid) -> np.ndarray:
    """For each tetrahedron the number of its cluster: those whose corners one joint moves most. [E] int32, no gaps."""
    share = solid.vertex_weights.astype(np.float64)[solid.tets].sum(1)
    share[solid.tet_joints >= 0] = 0.0
    driven = np.flatnonzero(solid.tet_joints >= 0)
    share[driven, solid.tet_joints[driven]] = 1.0
    return _numbered(share.argmax(1))


def borders(topology: Topology, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of clusters that touch [N, 2], and how much: faces between them over all faces inside the body. [N]"""
    tets = np.sort(topology.tets, axis=1)
    faces = np.concatenate([tets[:, corners] for corners in ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))])
    owner = np.tile(np.arange(len(tets)), 4)
    order = np.lexsort(faces.T)
    faces, owner = faces[order], owner[order]
    twin = np.flatnonzero((faces[1:] == faces[:-1]).all(1))
    pairs = np.sort(labels[np.stack([owner[twin], owner[twin + 1]], axis=1)], axis=1)
    pairs, counts = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    return pairs.reshape(-1, 2), counts / max(len(twin), 1)


def split(topology: Topology, labels: np.ndarray, gradient: np.ndarray, *, most: int, least: int = 12) -> np.ndarray:
    """Halve the clusters whose halves the loss pulls apart most.

    A cluster at its best has no gradient as a whole; what its halves want is equal and opposite. Halves are tried
    across the three axes along which its tetrahedra spread.

    Args:
        topology: The body.
        labels: Cluster of each tetrahedron [E].
        gradient: dL / dlog E of each tetrahedron [E].
        most: How many clusters are halved.
        least: Tetrahedra that a half must have.

    Returns:
        New labels [E], without gaps; the same when nothing can be halved.
    """
    centres = topology.rest[topology.tets].mean(1)
    found: list[tuple[float, np.ndarray]] = []
    for label in np.unique(labels):
        inside = np.flatnonzero(labels == label)
        if len(inside) < 2 * least:
            continue
        offset = centres[inside] - centres[inside].mean(0)
        axes = np.linalg.svd(offset, full_matrices=False)[2]
        halves = [inside[offset @ axis > np.median(offset @ axis)] for axis in axes]
        halves = [half for half in halves if least <= len(half) <= len(inside) - least]
        pulls = [abs(gradient[half].sum() - gradient[inside].sum() * len(half) / len(inside)) for half in halves]
        if pulls:
            best = int(np.argmax(pulls))
            found.append((pulls[best], halves[best]))
    result = labels.copy()
    for number, (_, half) in enumerate(sorted(found, key=lambda item: -item[0])[:most]):
        result[half] = labels.max() + 1 + number
    return _numbered(result)


def _numbered(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].astype(np.int32).reshape(-1)
