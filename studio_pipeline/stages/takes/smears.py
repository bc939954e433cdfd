"""Smear frames: on the fastest frames the surface is drawn out backwards along its way, and thinned."""

from __future__ import annotations

import numpy as np

from studio_pipeline.stages.takes.moments import Moments

__all__ = ["LEAST_SPEED", "smeared"]

LEAST_SPEED = 1.0
"""Sizes of the body a second below which nothing is fast enough to smear."""


def smeared(posed: np.ndarray, moments: Moments, *, strength: float = 1.0) -> np.ndarray:
    """Posed vertices [T, V, 3] with their fastest frames smeared; the same array when nothing is fast.

    A vertex is carried back along its own last step, the more the farther behind the leading edge it lies, so the
    front of the movement stays where the pose has it. At most a quarter of the frames are smeared.
    """
    chosen = smear_frames(posed, moments)
    if not len(chosen):
        return posed
    result = posed.copy()
    for frame in chosen:
        step = posed[frame].astype(np.float64) - posed[frame - 1]
        pace = np.linalg.norm(step, axis=1)
        share = pace / max(float(pace.max()), 1e-9)
        fast = share > 0.35
        way = step[fast].mean(0)
        way /= max(float(np.linalg.norm(way)), 1e-9)
        along = posed[frame] @ way
        low, high = float(along[fast].min()), float(along[fast].max())
        behind = np.clip((high - along) / max(high - low, 1e-9), 0.0, 1.0)
        drawn = share**0.8 * behind**1.4 * np.clip((share - 0.1) / 0.3, 0.0, 1.0)
        result[frame] = posed[frame] - 1.7 * strength * drawn[:, None] * step
    return result


def smear_frames(posed: np.ndarray, moments: Moments) -> np.ndarray:
    """Indices of the frames that are fast enough and faster than three quarters of the others."""
    moved = np.zeros(len(posed))
    moved[1:] = np.sort(np.linalg.norm(np.diff(posed.astype(np.float64), axis=0), axis=-1), axis=1)[:, -40:].mean(1)
    if float(moments.speed.max()) < LEAST_SPEED:
        return np.zeros(0, int)
    level = max(float(np.quantile(moved, 0.75)), 0.55 * float(moved.max()))
    return np.flatnonzero((moved >= level) & (np.arange(len(moved)) > 1))
