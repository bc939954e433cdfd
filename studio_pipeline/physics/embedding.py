"""The character's surface carried by the solid: barycentric embedding that reproduces the rest pose."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.records import Solid

__all__ = ["Embedding", "blend_weights", "volumes"]


class Embedding:
    """How a surface hangs in a solid.

    What the embedding leaves over at rest (a vertex beside the solid whose coordinates were clamped) is kept and
    turns with its tetrahedron.

    Args:
        solid: Gives the tetrahedron and barycentric coordinates of each surface vertex.
        rest: Surface at rest [m]. [V, 3]
    """

    def __init__(self, solid: Solid, rest: np.ndarray) -> None:
        self.corners = solid.tets[solid.surface_tets]
        self.shares = solid.surface_barycentrics.astype(np.float64)
        own = solid.vertices.astype(np.float64)[self.corners]
        self.left = rest.astype(np.float64) - np.einsum("vk,vka->va", self.shares, own)
        self.turns = np.linalg.norm(self.left, axis=1) > 1e-6 * np.linalg.norm(np.ptp(rest, axis=0))
        self.inverse = np.linalg.inv(np.swapaxes(own[self.turns, 1:] - own[self.turns, :1], 1, 2))

    def surface(self, positions: np.ndarray) -> np.ndarray:
        """The surface [T, V, 3] float32 [m] carried by the solid's vertices over time [T, P, 3] [m]."""
        out = np.empty((len(positions), len(self.left), 3), dtype=np.float32)
        for frame, x in enumerate(positions):
            posed = x[self.corners]
            offset = self.left.copy()
            if self.turns.any():
                offset[self.turns] = np.einsum("vab,vb->va", self._rotations(posed)[0], self.left[self.turns])
            out[frame] = np.einsum("vk,vka->va", self.shares, posed) + offset
        return out

    def carried(self, positions: np.ndarray, skinned: np.ndarray, surface: np.ndarray) -> np.ndarray:
        """A skinned surface moved by what the solid adds to its own skinned pose.

        Flesh that is where skinning would have it leaves the surface exactly as skinned, whatever the solid is too
        coarse for. Derivatives by the positions are those of `surface` (`gradient`).

        Args:
            positions: The solid's vertices [T, P, 3] [m].
            skinned: Where skinning alone puts them [T, P, 3] [m].
            surface: The skinned surface [T, V, 3] [m].

        Returns:
            [T, V, 3] float32 [m].
        """
        return (surface + (self.surface(positions) - self.surface(skinned))).astype(np.float32)

    def gradient(self, positions: np.ndarray, by_surface: np.ndarray) -> np.ndarray:
        """A loss's derivatives by the solid's vertices [T, P, 3], of those by the surface [T, V, 3].

        The rotation of the polar decomposition F = R S turns by w with ``(tr(S) I - S) w = axial(R^T dF)``.
        """
        out = np.zeros(positions.shape)
        for frame, x in enumerate(positions):
            given = by_surface[frame].astype(np.float64)
            np.add.at(out[frame], self.corners, self.shares[..., None] * given[:, None])
            if not self.turns.any():
                continue
            R, F = self._rotations(x[self.corners])
            S = np.swapaxes(R, 1, 2) @ F
            K = np.trace(S, axis1=1, axis2=2)[:, None, None] * np.eye(3) - 0.5 * (S + np.swapaxes(S, 1, 2))
            couple = np.cross(self.left[self.turns], np.einsum("vba,vb->va", R, given[self.turns]))
            u = np.linalg.solve(K, couple[..., None])[..., 0]
            by_edges = R @ _skew(u) @ np.swapaxes(self.inverse, 1, 2)  # columns: the three edges
            corners = self.corners[self.turns]
            np.add.at(out[frame], corners[:, 1:], np.swapaxes(by_edges, 1, 2))
            np.add.at(out[frame], corners[:, 0], -by_edges.sum(2))
        return out

    def _rotations(self, posed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R of the polar decomposition, and F, of the tetrahedra that turn something. [N, 3, 3] each"""
        F = np.swapaxes(posed[self.turns, 1:] - posed[self.turns, :1], 1, 2) @ self.inverse
        u, _, vt = np.linalg.svd(F)
        return u @ vt, F


def _skew(w: np.ndarray) -> np.ndarray:
    """Matrices [N, 3, 3] of the cross product with w [N, 3]."""
    zero = np.zeros(len(w))
    rows = [[zero, -w[:, 2], w[:, 1]], [w[:, 2], zero, -w[:, 0]], [-w[:, 1], w[:, 0], zero]]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def blend_weights(failed: np.ndarray, width: int) -> np.ndarray:
    """How much of the stand-in each frame shows: 1 where ``failed`` [T] bool, easing to 0 over ``width`` frames. [T]"""
    frames = np.arange(len(failed))
    where = frames[failed]
    if len(where) == 0:
        return np.zeros(len(failed))
    distance = np.abs(frames[:, None] - where[None]).min(1)
    t = np.clip(1.0 - distance / (width + 1.0), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def volumes(positions: np.ndarray, tets: np.ndarray) -> np.ndarray:
    """Total volume of the solid in each frame, [T, P, 3] -> [T] [m^3]."""
    edges = positions[:, tets[:, 1:]] - positions[:, tets[:, :1]]
    return np.linalg.det(edges).sum(1) / 6.0
