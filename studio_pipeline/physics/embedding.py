"""The character's surface carried by the solid: barycentric embedding that reproduces the rest pose."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.records import Solid

__all__ = ["blend_weights", "embed", "volumes"]


def embed(solid: Solid, rest: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Surface vertices carried by the solid's.

    What the embedding leaves over at rest (a vertex beside the solid whose coordinates were clamped) is kept and
    turns with its tetrahedron.

    Args:
        solid: Gives the tetrahedron and barycentric coordinates of each surface vertex.
        rest: Surface at rest [m]. [V, 3]
        positions: The solid's vertices over time [m]. [T, P, 3]

    Returns:
        [T, V, 3] float32 [m].
    """
    corners = solid.tets[solid.surface_tets]
    shares = solid.surface_barycentrics.astype(np.float64)
    own = solid.vertices.astype(np.float64)[corners]
    left = rest.astype(np.float64) - np.einsum("vk,vka->va", shares, own)
    turns = np.linalg.norm(left, axis=1) > 1e-6 * np.linalg.norm(np.ptp(rest, axis=0))
    inverse = np.linalg.inv(np.swapaxes(own[turns, 1:] - own[turns, :1], 1, 2))
    out = np.empty((len(positions), len(rest), 3), dtype=np.float32)
    for frame, x in enumerate(positions):
        posed = x[corners]
        offset = left.copy()
        if turns.any():
            u, _, vt = np.linalg.svd(np.swapaxes(posed[turns, 1:] - posed[turns, :1], 1, 2) @ inverse)
            offset[turns] = np.einsum("vab,vb->va", u @ vt, left[turns])
        out[frame] = np.einsum("vk,vka->va", shares, posed) + offset
    return out


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
