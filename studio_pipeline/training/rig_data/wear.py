"""What game meshes suffer from, put onto sampled points: noise, flat facets, holes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["add_noise", "facet", "holes"]


def facet(
    points: np.ndarray, normals: np.ndarray, facets: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Flatten the surface into about ``facets`` plane pieces, as a low-polygon mesh has.

    Args:
        points: On the surface. [N, 3]
        normals: Unit. [N, 3]
        facets: Number of pieces.
        rng: Chooses the pieces.

    Returns:
        Points moved into their piece's plane, and its normal at each.
    """
    facets = min(facets, len(points))
    seeds = rng.choice(len(points), facets, replace=False)
    features = np.concatenate([points, 0.25 * np.ptp(points, axis=0).max() * normals], axis=1)
    piece = cKDTree(features[seeds]).query(features)[1]
    count = np.bincount(piece, minlength=facets)[:, None].clip(1)
    middle, facing = np.zeros((facets, 3)), np.zeros((facets, 3))
    np.add.at(middle, piece, points)
    np.add.at(facing, piece, normals)
    middle /= count
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
    height = np.einsum("na,na->n", points - middle[piece], facing[piece])
    flat = points - height[:, None] * facing[piece]
    return flat.astype(np.float32), facing[piece].astype(np.float32)


def holes(points: np.ndarray, rng: np.random.Generator, *, count: int, size: float) -> np.ndarray:
    """Which points stay when ``count`` patches of radius up to ``size`` are missing. [N] bool"""
    keep = np.ones(len(points), bool)
    for _ in range(count):
        centre = points[rng.integers(len(points))]
        keep &= np.linalg.norm(points - centre, axis=1) > size * rng.uniform(0.3, 1.0)
    return keep


def add_noise(
    points: np.ndarray, normals: np.ndarray, rng: np.random.Generator, *, height: float, tilt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Move points by ``height`` along their normals and tilt the normals by ``tilt`` [rad], standard deviations."""
    moved = points + normals * (height * rng.standard_normal((len(points), 1)))
    tilted = normals + tilt * rng.standard_normal(normals.shape)
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    return moved.astype(np.float32), tilted.astype(np.float32)
