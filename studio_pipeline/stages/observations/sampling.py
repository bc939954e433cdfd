"""Points to follow: on the visible surface of index 0, and where a mask has none; pictures read between pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["SurfacePoints", "corner_response", "sample_surface", "sampled", "spread_points"]


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the surface at index 0."""

    pixels: np.ndarray  # [N, 2] float32, centres at +0.5
    faces: np.ndarray  # [N] int32
    barycentrics: np.ndarray  # [N, 3] float32


def sampled(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values of ``field`` [H, W] or [H, W, C] float32 at pixels [N, ..., 2]; edges repeat."""
    x, y = (points[..., 0] - 0.5).astype(np.float32), (points[..., 1] - 0.5).astype(np.float32)
    if x.ndim == 1:
        x, y = x[:, None], y[:, None]
    parts = [slice(i, i + 30000) for i in range(0, max(len(x), 1), 30000)]  # cv2.remap's limit is 32767 rows
    border = cv2.BORDER_REPLICATE
    values = [cv2.remap(field, x[part], y[part], cv2.INTER_LINEAR, borderMode=border) for part in parts]
    result = np.concatenate(values)
    return result[:, 0] if points.ndim == 2 else result


def corner_response(gray: np.ndarray) -> np.ndarray:
    """How well each place of a picture [H, W] uint8 can be told from its neighbours. [H, W] float32"""
    return cv2.cornerMinEigenVal(gray, 5)


def spread_points(response: np.ndarray, free: np.ndarray, spacing: float, count: int) -> np.ndarray:
    """Pixels (row, column) that are free [H, W] bool, the best first, at least ``spacing`` [px] apart. [N, 2] int"""
    candidates = np.flatnonzero(free)
    order = candidates[np.argsort(-response.ravel()[candidates], kind="stable")]
    taken: list[tuple[int, int]] = []
    reach = int(np.ceil(spacing))
    oy, ox = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    far = ox**2 + oy**2 >= spacing**2
    padded = np.pad(free, reach)
    for flat in order:
        y, x = divmod(int(flat), free.shape[1])
        if padded[y + reach, x + reach]:
            taken.append((y, x))
            padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1] &= far
            if len(taken) >= count:
                break
    return np.array(taken, dtype=np.int64).reshape(-1, 2)


def sample_surface(
    gray: np.ndarray, face_ids: np.ndarray, barycentrics: np.ndarray, mask: np.ndarray, count: int
) -> SurfacePoints:
    """Spread about ``count`` points over the visible surface, on corners of the texture where there are some.

    gray [H, W] uint8, face_ids [H, W] int32 (-1 outside), barycentrics [H, W, 3], mask [H, W] bool
    """
    allowed = ((face_ids >= 0) & mask).astype(np.uint8)
    inner = cv2.erode(allowed, np.ones((3, 3), np.uint8))
    allowed = inner if inner.sum() > 0.5 * allowed.sum() else allowed
    spacing = max(1.5, 0.8 * float(np.sqrt(allowed.sum() / max(count, 1))))
    y, x = spread_points(corner_response(gray), allowed > 0, spacing, 2 * count).T
    return SurfacePoints(
        np.stack([x + 0.5, y + 0.5], axis=-1).astype(np.float32),
        face_ids[y, x].astype(np.int32),
        barycentrics[y, x].astype(np.float32),
    )
