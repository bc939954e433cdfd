"""The background of a clip: a smooth surface per frame, and what shows through over time."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

__all__ = ["median_background", "smooth_background"]

DEGREE = 4  # of the polynomial in x and y; what it misses is added by a wide blur
BLUR = 1.0 / 16.0  # standard deviation of that blur, of the picture's larger side


@lru_cache(maxsize=4)
def _basis(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j]
    return np.stack([x**i * y**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)], axis=-1)


def smooth_background(frame: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, float]:
    """The smooth surface through the pixels that show the background.

    Args:
        frame: sRGB [H, W, 3] uint8.
        outside: Pixels believed to be background [H, W] bool; up to a third may be wrong.

    Returns:
        The background everywhere [H, W, 3] float32, and the residual's robust standard deviation [8-bit levels].
    """
    height, width = outside.shape
    image = frame.astype(np.float32)
    step = max(1, int(np.sqrt(height * width / 16384)))
    grid = _basis(height, width)
    picked = np.zeros_like(outside)
    picked[::step, ::step] = outside[::step, ::step]
    if picked.sum() < 4 * grid.shape[-1]:
        colour = np.median(image[outside], axis=0) if outside.any() else np.zeros(3)
        return np.broadcast_to(colour.astype(np.float32), image.shape).copy(), 255.0
    rows, values = grid[picked], image[picked].astype(np.float64)
    weight = np.ones(len(rows))
    spread = 1.0
    for _ in range(8):
        scaled = rows * weight[:, None]
        # Normal equations: 30 times faster than the tall system, and these few columns are far from dependent.
        square, right = scaled.T @ scaled, scaled.T @ (values * weight[:, None])
        solution = np.linalg.lstsq(square, right, rcond=1e-13)[0]
        error = np.linalg.norm(values - rows @ solution, axis=1)
        spread = max(1.4826 * float(np.median(error)), 0.5)
        weight = 1.0 / np.sqrt(1.0 + (error / (2.0 * spread)) ** 2)
    surface = (grid @ solution).astype(np.float32)
    rest = image - surface
    trusted = (outside & (np.linalg.norm(rest, axis=-1) < 4.0 * spread)).astype(np.float32)
    sigma = BLUR * max(height, width)
    share = cv2.GaussianBlur(trusted, (0, 0), sigma)
    surface += cv2.GaussianBlur(rest * trusted[..., None], (0, 0), sigma) / (share + 0.05)[..., None]
    left = np.linalg.norm(image - surface, axis=-1)[trusted > 0]
    return surface, float(np.sqrt(np.mean(left**2))) if len(left) else spread


def median_background(frames: np.ndarray, masks: np.ndarray, margin: int) -> np.ndarray:
    """Per pixel the median over the frames in which it lies outside the mask; NaN where there are fewer than three.

    frames [T, H, W, 3] uint8, masks [T, H, W] bool, margin in pixels -> [H, W, 3] float32
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    hidden = np.stack([cv2.dilate(mask.astype(np.uint8), kernel) > 0 for mask in masks])
    order = np.sort(np.where(hidden[..., None], np.int16(256), frames.astype(np.int16)), axis=0)
    count = (~hidden).sum(0)
    low = np.take_along_axis(order, (np.maximum(count - 1, 0) // 2)[None, ..., None], axis=0)[0]
    high = np.take_along_axis(order, (count // 2).clip(max=len(frames) - 1)[None, ..., None], axis=0)[0]
    result = ((low + high) / 2.0).astype(np.float32)
    result[count < 3] = np.nan
    return result
