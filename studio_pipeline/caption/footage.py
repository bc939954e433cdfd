"""A clip as measures want it: small, grey, with the subject's mask where it is known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

__all__ = ["SMALL", "Footage", "prepare"]

SMALL = 192
"""Longest side [px] of the pictures that motion is measured on."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Pictures of one clip; lengths and speeds are in pixels of the small ones unless a name says otherwise."""

    frames: np.ndarray  # [T, H, W, 3] uint8 sRGB, as they came
    small: np.ndarray  # [T, h, w, 3] uint8 sRGB
    grey: np.ndarray  # [T, h, w] uint8, luma
    alpha: np.ndarray | None  # [T, H, W] uint8, as it came
    fps: float

    @property
    def count(self) -> int:
        """Number of frames T."""
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the small pictures [px]."""
        return self.grey.shape[2], self.grey.shape[1]


def prepare(frames: np.ndarray, fps: Fraction | float, alpha: np.ndarray | None = None) -> Footage:
    """Footage of ``frames`` [T, H, W, 3] uint8 sRGB and, if the clip has one, ``alpha`` [T, H, W] uint8.

    Raises:
        ValueError: Shapes or types are others.
    """
    import cv2

    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, expected uint8 [T, H, W, 3]")
    if alpha is not None and (alpha.shape != frames.shape[:3] or alpha.dtype != np.uint8):
        raise ValueError(f"alpha is {alpha.dtype} {alpha.shape}, expected uint8 {frames.shape[:3]}")
    height, width = frames.shape[1:3]
    scale = min(1.0, SMALL / max(width, height))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = frames
    if size != (width, height):
        small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small])
    if alpha is not None and not ((alpha > 127).any() and (alpha < 128).any()):
        alpha = None  # it says nothing
    return Footage(frames=frames, small=small, grey=grey, alpha=alpha, fps=float(fps))
