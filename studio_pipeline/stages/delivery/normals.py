"""Unit normals that files may hold."""

from __future__ import annotations

import numpy as np

from studio_pipeline.render.surface import normal_groups, posed_normals
from studio_pipeline.schema.records import Character

__all__ = ["moving_normals", "unit_normals"]


def unit_normals(normals: np.ndarray) -> np.ndarray:
    """Normalise [..., 3] in float64; a vanishing normal becomes +Y. Returns float32 of unit length."""
    wide = normals.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    safe = np.where(length > 1e-12, wide / np.where(length > 1e-12, length, 1.0), (0.0, 1.0, 0.0))
    return safe.astype(np.float32)


def moving_normals(character: Character, points: np.ndarray) -> np.ndarray:
    """Unit normals of posed surfaces [T, V, 3], the same that our own pictures are shaded with. [T, V, 3] float32"""
    return unit_normals(posed_normals(points, character.faces, normal_groups(character)))
