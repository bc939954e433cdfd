"""Seeded noise that repeats without a seam: what skies, grounds, paper and smoke are made of."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["fractal_noise", "ridge", "smooth", "value_noise"]


def smooth(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Hermite step from 0 below ``low`` to 1 above ``high``, element by element."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def value_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise 0..1 of ``cells`` (rows, columns) lumps, periodic on both axes. [h, w] float32"""
    rows, columns = (max(2, count) for count in cells)
    step_y, step_x = -(-shape[0] // rows), -(-shape[1] // columns)
    grid = np.pad(rng.random((rows, columns), np.float32), 2, mode="wrap")
    size = ((columns + 4) * step_x, (rows + 4) * step_y)
    large = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    tile = large[2 * step_y : (2 + rows) * step_y, 2 * step_x : (2 + columns) * step_x]
    if tile.shape != shape:
        tile = cv2.resize(tile, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.clip(tile, 0.0, 1.0)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], *, octaves: int = 4, gain: float = 0.5
) -> np.ndarray:
    """Octaves of `value_noise`, each twice as fine and ``gain`` times as strong, 0..1 about 0.5. [h, w] float32"""
    total, weight, share = np.zeros(shape, np.float32), 0.0, 1.0
    for octave in range(octaves):
        fine = (cells[0] << octave, cells[1] << octave)
        if octave and (fine[0] > shape[0] or fine[1] > shape[1]):
            break
        total += share * value_noise(rng, shape, fine)
        weight += share
        share *= gain
    return total / weight


def ridge(rng: np.random.Generator, width: int, lumps: int, *, octaves: int = 4, gain: float = 0.5) -> np.ndarray:
    """A periodic line of hills, 0..1. [width] float32"""
    x = np.arange(width) / width
    total, weight = np.zeros(width), 0.0
    for octave in range(octaves):
        count, share = lumps << octave, gain**octave
        values = rng.random(count)
        index = np.floor(x * count).astype(int)
        t = x * count - index
        t = t * t * (3.0 - 2.0 * t)
        total += share * (values[index % count] * (1.0 - t) + values[(index + 1) % count] * t)
        weight += share
    return (total / weight).astype(np.float32)
