"""Depth in metres: an unknown scale and shift solved per clip, smaller depth pictures brought to the clip's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.observations.settings import DepthKind

__all__ = ["DepthKind", "DepthSolution", "resize_depth", "solve_depth"]

EDGE_PX = 2  # pixels this near the mask's edge mix what lies before and behind it
LEAST_PIXELS = 30  # known pixels that a solution needs
NEIGHBOURHOOD = 25  # neighbouring pixels err together: as many count as one
PAIRS, CHECKED, MOST = 400, 1500, 200_000  # pairs tried, pixels each is tried on, pixels of the last fit


@dataclass(frozen=True)
class DepthSolution:
    """Depth in metres, and how it was made from the values given."""

    depth_m: np.ndarray  # [T, H, W] float32, -z in the camera [m], NaN outside the masks and where unknown
    scale: float  # z = scale d + shift [m]; for "inverse" 1/z = scale d + shift [1/m]
    shift: float
    residual: float  # robust standard deviation of depth_m - reference [m]; NaN without a reference
    scale_error: float = 0.0  # standard error of the scale as a fraction of it; large: the reference was too flat


def solve_depth(depth: np.ndarray, kind: DepthKind, reference: np.ndarray, masks: np.ndarray) -> DepthSolution:
    """Bring depth values to metres with the one scale and shift that fit a known depth best.

    The values are explained by the reference, not the other way round: the reference has no noise, and
    noise in the explaining variable would flatten the slope. Two-point samples give a start that outliers do not
    move, reweighted least squares (Tukey) the rest.

    Args:
        depth: Values at the clip's size or smaller (see `resize_depth`), NaN where unknown. [T, h, w]
        kind: What they mean; "metric" values are left as they are.
        reference: Depth [m] where it is known, NaN elsewhere: of index 0 [H, W], or of every frame [T, H, W].
        masks: Foreground coverage. [T, H, W] uint8

    Raises:
        InputError: Shapes differ, too few pixels are known, or the values run against the distance.
    """
    if kind not in get_args(DepthKind):
        raise InputError(f"depth of kind {kind!r} is unknown", do=f"one of {', '.join(get_args(DepthKind))}")
    reference = reference[None] if reference.ndim == 2 else reference
    if depth.ndim != 3 or len(depth) != len(masks) or reference.shape[1:] != masks.shape[1:]:
        raise InputError(f"depth {depth.shape} and its reference {reference.shape} don't fit masks {masks.shape}")
    inside = masks > 127
    sized = resize_depth(depth, masks)
    count = min(len(reference), len(sized))
    core = np.stack([_core(mask) for mask in inside[:count]]) & np.isfinite(reference[:count])
    core &= np.isfinite(sized[:count])
    values, known = sized[:count][core].astype(np.float64), reference[:count][core].astype(np.float64)
    scale, shift, error = (1.0, 0.0, 0.0) if kind == "metric" else _solved(values, known, kind)
    metres = _metres(sized.astype(np.float64), kind, scale, shift)
    metres[~inside] = np.nan
    gap = metres[:count][core] - known
    gap = gap[np.isfinite(gap)]
    residual = 1.4826 * float(np.median(np.abs(gap))) if len(gap) else float("nan")
    return DepthSolution(metres.astype(np.float32), scale, shift, residual, error)


def _core(mask: np.ndarray) -> np.ndarray:
    """The mask without its rim, or all of it where the rim is everything."""
    size = 2 * EDGE_PX + 1
    inner = cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return inner if inner.sum() >= LEAST_PIXELS else mask


def _metres(values: np.ndarray, kind: DepthKind, scale: float, shift: float) -> np.ndarray:
    result = scale * values + shift
    result[~(result > 1e-9)] = np.nan  # behind the camera, or beyond infinity
    return 1.0 / result if kind == "inverse" else result


def _solved(values: np.ndarray, known: np.ndarray, kind: DepthKind) -> tuple[float, float, float]:
    """Scale, shift and the scale's relative error of `DepthSolution` from values [N] and depths [N] [m]."""
    if len(values) < LEAST_PIXELS:
        raise InputError(
            f"depth and the rest pose share {len(values)} pixels at index 0, at least {LEAST_PIXELS} are needed"
        )
    pick = np.random.default_rng(0).permutation(len(values))[:MOST]
    values, known = values[pick], known[pick]
    if not np.ptp(values) > 0.0:
        raise InputError("depth is one constant: no scale can be solved")
    explaining = 1.0 / known if kind == "inverse" else known
    slope, offset, error = _line(explaining, values)
    if slope <= 0.0:
        raise InputError(
            f"depth runs against the rest pose's distance when read as {kind!r}",
            do=f"set depth_kind: {'affine' if kind == 'inverse' else 'inverse'}, or check the camera",
        )
    return 1.0 / slope, -offset / slope, error


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Robust y = slope x + offset, and the slope's relative standard error."""
    centre = float(np.median(x))
    x = x - centre
    slope, offset = _first_line(x, y)
    weight = np.ones(len(x))
    spread = 0.0
    for _ in range(30):
        gap = y - slope * x - offset
        spread = max(1.4826 * float(np.median(np.abs(gap))), 1e-9 * max(float(np.ptp(y)), 1e-30))
        weight = np.square(np.clip(1.0 - np.square(gap / (4.685 * spread)), 0.0, None))
        total = weight.sum()
        mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
        below = (weight * np.square(x - mean_x)).sum()
        if not below > 0.0:
            raise InputError("the rest pose's depth is flat at index 0: no scale can be solved from it")
        after = float((weight * (x - mean_x) * (y - mean_y)).sum() / below)
        done = abs(after - slope) <= 1e-10 * abs(after)
        slope, offset = after, float(mean_y - after * mean_x)
        if done:
            break
    error = spread * np.sqrt(NEIGHBOURHOOD / (weight * np.square(x)).sum()) / max(abs(slope), 1e-30)
    return slope, offset - slope * centre, float(error)


def _first_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The line through two points that leaves the least median distance."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(x), (2, 4 * PAIRS))
    far = np.abs(x[first] - x[second]) > 0.1 * float(np.ptp(x))  # near pairs only measure noise
    first, second = first[far][:PAIRS], second[far][:PAIRS]
    if not len(first):
        return 0.0, float(np.median(y))
    slopes = (y[first] - y[second]) / (x[first] - x[second])
    offsets = y[first] - slopes * x[first]
    some = rng.integers(0, len(x), CHECKED)
    gaps = np.abs(y[some][None] - slopes[:, None] * x[some][None] - offsets[:, None])
    best = int(np.argmin(np.median(gaps, axis=1)))
    return float(slopes[best]), float(offsets[best])


def resize_depth(depth: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Depth values at the masks' size; foreground is made from foreground only, and surfaces are not mixed.

    Args:
        depth: Values at the masks' size, or smaller with the same shape of picture, NaN where unknown. [T, h, w]
        masks: Foreground coverage. [T, H, W] uint8

    Returns:
        [T, H, W] float32. What is smaller is filled inside the masks only, NaN elsewhere.

    Raises:
        InputError: The depth is larger, or a picture of another shape.
    """
    (rows, columns), (height, width) = depth.shape[1:], masks.shape[1:]
    if (rows, columns) == (height, width):
        return depth.astype(np.float32)
    if rows > height or columns > width or abs(rows * width - columns * height) > max(height, width):
        raise InputError(
            f"depth is {columns} x {rows} pixels, the clip {width} x {height}",
            do="give depth of the clip's size, or smaller and of the same shape",
        )
    return np.stack([_enlarged(one.astype(np.float32), mask) for one, mask in zip(depth, masks, strict=True)])


def _enlarged(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    inside = mask > 127
    result = np.full(mask.shape, np.nan, np.float32)
    cover = cv2.resize(inside.astype(np.float32), depth.shape[::-1], interpolation=cv2.INTER_AREA)
    known = np.isfinite(depth)
    if not inside.any() or not (known & (cover > 0.5)).any():
        return result
    y, x = (np.mgrid[:height, :width].astype(np.float32) + 0.5) * np.array(
        [depth.shape[0] / height, depth.shape[1] / width], np.float32
    ).reshape(2, 1, 1) - 0.5
    # Cells that are wholly foreground first; where none is near (thin limbs) those that are mostly.
    for share in (0.999, 0.5):
        source = known & (cover > share)
        if source.any():
            left = inside & np.isnan(result)
            result[left] = _interpolated(depth, source, y[left], x[left])
    return result


def _interpolated(depth: np.ndarray, source: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values at places (y, x) from the trusted cells around each; across a step in depth the nearest counts alone."""
    span = float(np.ptp(depth[source])) if source.any() else 0.0
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    corners, weights, nearest = [], [], np.full(len(y), np.nan, np.float32)
    gap = np.full(len(y), np.inf)
    for dy in (-1, 0, 1, 2):
        for dx in (-1, 0, 1, 2):
            row, column = top + dy, left + dx
            inside = (row >= 0) & (row < depth.shape[0]) & (column >= 0) & (column < depth.shape[1])
            row, column = row.clip(0, depth.shape[0] - 1), column.clip(0, depth.shape[1] - 1)
            valid = inside & source[row, column]
            value = np.where(valid, depth[row, column], np.nan)
            far = np.where(valid, np.hypot(row - y, column - x), np.inf)
            nearest, gap = np.where(far < gap, value, nearest), np.minimum(far, gap)
            corners.append(value)
            weights.append(np.clip(1.0 - np.abs(row - y), 0.0, 1.0) * np.clip(1.0 - np.abs(column - x), 0.0, 1.0))
    share, values = np.stack(weights) * np.isfinite(np.stack(corners)), np.nan_to_num(np.stack(corners))
    total = share.sum(0)
    mean = (share * values).sum(0) / np.maximum(total, 1e-6)
    used = share > 0.0
    low, high = np.where(used, values, np.inf).min(0), np.where(used, values, -np.inf).max(0)
    smooth = (total > 1e-3) & (high - low < 0.05 * span)
    return np.where(smooth, mean, nearest).astype(np.float32)
