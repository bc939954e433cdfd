"""Clips whose camera is known: a textured picture seen through a moving window."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

__all__ = ["filmed", "noisy", "texture"]

Window = Callable[[int], tuple[float, ...]]
"""Of a frame: shift x, y of the window [px]; optionally scale and roll [rad, content clockwise]."""


def texture(seed: int = 0, size: tuple[int, int] = (900, 700), grain: float = 3.0) -> np.ndarray:
    """A picture full of soft blobs [H, W, 3] uint8."""
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    return cv2.normalize(soft, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def filmed(window: Window, *, count: int = 24, size: int = 128, seed: int = 0) -> np.ndarray:
    """The texture through a window that moves. [T, size, size, 3] uint8"""
    picture = texture(seed)
    centre = np.array([picture.shape[1] / 2.0, picture.shape[0] / 2.0])
    frames = []
    for t in range(count):
        x, y, scale, roll = (*window(t), 1.0, 0.0)[:4] if len(window(t)) == 2 else window(t)
        matrix = cv2.getRotationMatrix2D(tuple(centre + np.array([x, y])), -np.degrees(roll), scale)
        matrix[:, 2] += size / 2.0 - (centre + np.array([x, y]))
        frames.append(cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_CUBIC))
    return np.stack(frames)


def noisy(frames: np.ndarray, sigma: float = 3.0, seed: int = 1) -> np.ndarray:
    """The clip with a sensor's noise."""
    rng = np.random.default_rng(seed)
    return np.clip(frames + rng.normal(0.0, sigma, frames.shape), 0, 255).astype(np.uint8)
