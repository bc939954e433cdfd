"""What a tetrahedral mesh's connections fix once: rest shape, masses and the places of the block-sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.errors import InputError

__all__ = ["Topology", "connected_parts"]


@dataclass(frozen=True)
class Topology:
    """A rest mesh, its shape gradients and the pattern of its 3x3-block matrix."""

    rest: np.ndarray  # [P, 3] float64 [m]
    tets: np.ndarray  # [E, 4] int32
    rest_inverse: np.ndarray  # [E, 3, 3] float64, inv([X1 - X0, X2 - X0, X3 - X0])
    volumes: np.ndarray  # [E] float64 [m^3]
    offsets: np.ndarray  # [P + 1] int32, start of each block row
    columns: np.ndarray  # [B] int32
    slots: np.ndarray  # [E, 16] int32, block of each pair of corners, row by row
    diagonal: np.ndarray  # [P] int32, block of each vertex with itself

    @classmethod
    def build(cls, vertices: np.ndarray, tets: np.ndarray) -> Topology:
        """From rest vertices [P, 3] and tetrahedra [E, 4] of positive volume.

        Raises:
            InputError: No tetrahedra, indices out of range, non-finite vertices or a volume that is not positive.
        """
        rest = np.asarray(vertices, dtype=np.float64)
        tets = np.asarray(tets, dtype=np.int32)
        if len(tets) == 0 or tets.min() < 0 or tets.max() >= len(rest):
            raise InputError("has no tetrahedra or indices outside its vertices", where="solid")
        if not np.isfinite(rest).all():
            raise InputError("has vertices that are not finite", where="solid")
        edges = np.swapaxes(rest[tets[:, 1:]] - rest[tets[:, :1]], 1, 2)
        volumes = np.linalg.det(edges) / 6.0
        if not (volumes > 0.0).all():
            raise InputError(f"has {int((volumes <= 0).sum())} tetrahedra without positive volume", where="solid")
        count = len(rest)
        pairs = (tets[:, :, None].astype(np.int64) * count + tets[:, None, :]).reshape(-1)
        own = np.arange(count, dtype=np.int64) * (count + 1)
        keys, inverse = np.unique(np.concatenate([pairs, own]), return_inverse=True)
        offsets = np.searchsorted(keys, np.arange(count + 1, dtype=np.int64) * count)
        return cls(
            rest=rest,
            tets=tets,
            rest_inverse=np.linalg.inv(edges),
            volumes=volumes,
            offsets=offsets.astype(np.int32),
            columns=(keys % count).astype(np.int32),
            slots=inverse[: len(pairs)].reshape(-1, 16).astype(np.int32),
            diagonal=inverse[len(pairs) :].astype(np.int32),
        )

    def vertex_volumes(self) -> np.ndarray:
        """A quarter of each adjacent tetrahedron's volume; unused vertices get the mean. [P] float64 [m^3]"""
        volume = np.zeros(len(self.rest))
        np.add.at(volume, self.tets, self.volumes[:, None] / 4.0)
        used = volume > 0.0
        return np.where(used, volume, volume[used].mean())

    def volume_ratios(self, x: np.ndarray) -> np.ndarray:
        """Det F of every tetrahedron at positions [P, 3], in float64. [E]"""
        edges = np.swapaxes(x[self.tets[:, 1:]] - x[self.tets[:, :1]], 1, 2)
        return np.linalg.det(edges) / (6.0 * self.volumes)


def connected_parts(count: int, tets: np.ndarray) -> np.ndarray:
    """Label of the connected part that each of ``count`` vertices belongs to. [P] int32"""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.repeat(tets[:, 0], 3), tets[:, 1:].reshape(-1)
    graph = coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
