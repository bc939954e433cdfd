"""Speed lines and focus lines: straight thin streaks that run alike, or towards one point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.caption.frames_of import Still
from studio_pipeline.caption.readings import Reading, sure

__all__ = ["streaks"]

_FIELD = "vfx.impact"
_LONG = 0.09  # of the picture's diagonal: shorter segments are the drawing's own
_ENOUGH = 7  # segments a frame
_NEAR = 0.05  # of the diagonal, that a line may miss the point it runs to


def streaks(pictures: Sequence[Still]) -> Reading:
    """Look for streaks in every still; the frames that have most decide."""
    rows = [_frame(still) for still in pictures]
    numbers = np.array(rows) if rows else np.zeros((1, 3))
    many = np.sort(numbers[:, 0])[len(numbers) // 2 :].mean()
    best = numbers[np.argsort(numbers[:, 0])[len(numbers) // 2 :]]
    parallel, converging = float(best[:, 1].mean()), float(best[:, 2].mean())
    values: dict[str, float] = {}
    enough = sure(float(many), 0.5 * _ENOUGH, 2.0 * _ENOUGH)
    if enough > 0.2:
        values["speed_lines"] = enough * sure(parallel, 0.5, 0.95)
        values["focus_lines"] = enough * sure(converging, 0.35, 0.8) * sure(parallel, 0.95, 0.6)
    measures = {
        "streaks_per_frame": round(float(many), 2),
        "streaks_parallel": round(parallel, 4),
        "streaks_converging_share": round(converging, 4),
    }
    return Reading(looked_at=(_FIELD,), values={_FIELD: values}, measures=measures)


def _frame(still: Still) -> tuple[float, float, float]:
    """Number of streaks outside the subject, how parallel they are, and which share meets in one point."""
    import cv2

    grey = cv2.cvtColor(still.rgb, cv2.COLOR_RGB2GRAY)
    thin = np.maximum(cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((5, 5), np.uint8)),
                      cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, np.ones((5, 5), np.uint8)))  # fmt: skip
    thin[~still.behind] = 0
    marked = (thin > 14).astype(np.uint8) * 255
    diagonal = float(np.hypot(*grey.shape))
    segments = cv2.HoughLinesP(
        marked, 1.0, np.pi / 90.0, max(8, round(0.05 * diagonal)), None, _LONG * diagonal, 0.015 * diagonal
    )
    if segments is None or len(segments) < 3:
        return (0.0 if segments is None else float(len(segments))), 0.0, 0.0
    ends = segments.reshape(-1, 2, 2).astype(np.float64)[:200]
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    along /= length[:, None]
    angle = np.arctan2(along[:, 1], along[:, 0])
    parallel = float(abs((length * np.exp(2j * angle)).sum()) / length.sum())
    normals = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    offsets = (normals * ends[:, 0]).sum(1)
    return float(len(ends)), parallel, _meeting(normals, offsets, length, diagonal)


def _meeting(normals: np.ndarray, offsets: np.ndarray, weight: np.ndarray, diagonal: float) -> float:
    """The largest share (by length) of lines that pass near one point of the picture."""
    rng = np.random.default_rng(0)
    best = 0.0
    for _ in range(60):
        i, j = rng.choice(len(normals), 2, replace=False)
        pair = normals[[i, j]]
        if abs(np.linalg.det(pair)) < 0.2:
            continue
        point = np.linalg.solve(pair, offsets[[i, j]])
        if not (-0.2 * diagonal < point.min() and point.max() < 1.2 * diagonal):
            continue
        near = np.abs(normals @ point - offsets) < _NEAR * diagonal
        best = max(best, float(weight[near].sum() / weight.sum()))
    return best
