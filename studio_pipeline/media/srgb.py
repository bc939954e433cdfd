"""sRGB (IEC 61966-2-1) to linear light and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["linear_to_srgb", "srgb_to_linear"]


def srgb_to_linear(value: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """sRGB in 0..1 to linear light, element by element, in ``dtype``."""
    value = np.asarray(value, dtype)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(dtype)


def linear_to_srgb(value: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Linear light to sRGB in 0..1, clipped, in ``dtype``."""
    value = np.clip(np.asarray(value, dtype), 0.0, 1.0)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1.0 / 2.4) - 0.055).astype(dtype)
