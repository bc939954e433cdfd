"""Smooth random fields."""

from __future__ import annotations

import numpy as np

__all__ = ["grid", "smooth_noise"]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """A random field of unit variance whose hills are about ``cell`` pixels wide. [H, W] float32"""
    import cv2

    rows, columns = (max(2, round(side / cell) + 2) for side in shape)
    coarse = rng.normal(size=(rows, columns)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of every pixel. Two [H, W] float32"""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return rows, columns
