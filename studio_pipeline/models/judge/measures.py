"""All measures of a clip as one row of numbers with fixed names, whatever its length."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from studio_pipeline.models.judge.footage import Footage
from studio_pipeline.models.judge.priors import Flows, Patches, novelty, strain, warp_errors
from studio_pipeline.models.judge.shapes import change_series, colour_series, line_series, row_series, shape_series

__all__ = ["CONTEXT", "context_of", "series_of", "summary"]

CONTEXT = ".context"
"""How the measures end that say what kind of drawing it is."""

_FLOOR = 0.01  # what measures are told apart from nothing by, before their logarithm is taken


def series_of(footage: Footage, flows: Flows, patches: Patches) -> dict[str, np.ndarray]:
    """Measures over time. Each [T] float64."""
    maps = {**warp_errors(footage, flows), "strain": strain(flows, footage)}
    near = _grown(footage.masks)
    series: dict[str, np.ndarray] = {}
    for name, values in maps.items():
        series |= _pooled(name, [values[t][near[t]] for t in range(len(near))])
    for name, lists in novelty(patches).items():
        series |= _pooled(name, lists)
    pairs = zip(flows.back, near[1:], strict=True)
    speed = [np.linalg.norm(flow, axis=-1)[mask] / footage.extent for flow, mask in pairs]
    series |= _pooled("speed", [np.zeros(1), *speed])
    against_first = shape_series(footage) | line_series(footage)
    series |= {f"{name}_off": np.abs(values - values[0]) for name, values in against_first.items()}
    return series | change_series(footage, flows.back) | colour_series(footage) | row_series(footage)


def _grown(masks: np.ndarray) -> np.ndarray:
    import cv2

    return np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) for mask in masks])


def _pooled(name: str, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean, 90th and 98th percentile of every frame's values."""
    rows = np.array([_levels(row) for row in values])
    return {f"{name}_mean": rows[:, 0], f"{name}_p90": rows[:, 1], f"{name}_p98": rows[:, 2]}


def _levels(values: np.ndarray) -> tuple[float, float, float]:
    if not len(values):
        return 0.0, 0.0, 0.0
    ordered, found = np.sort(values), [float(values.mean())]
    for share in (0.9, 0.98):  # np.quantile's way, without its overhead
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found.append(float(ordered[low]) + (place - low) * (float(ordered[high]) - float(ordered[low])))
    return found[0], found[1], found[2]


def context_of(footage: Footage) -> dict[str, float]:
    """What kind of drawing it is: what the same damage measures depends on contrast, texture, build and timing.

    From the first frame, which is the one that a collapse spares, but for ``held``: the share of held drawings.
    """
    import cv2

    first = replace(footage, frames=footage.frames[:1], masks=footage.masks[:1])
    found = {name: float(values[0]) for name, values in (shape_series(first) | line_series(first)).items()}
    frame, mask = footage.frames[0].astype(np.float32) / 255.0, footage.masks[0]
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    own = frame[mask] if mask.any() else frame.reshape(-1, 3)
    behind = frame[far] if far.any() else own
    frames = footage.frames.astype(np.int16)
    steps = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(frames)] or [0.0])
    height, width = mask.shape
    found |= {
        "contrast": float(np.linalg.norm(own.mean(0) - behind.mean(0))),
        "spread": float(own.std(0).mean()),
        "light": float(own.mean()),
        "behind_spread": float(behind.std(0).mean()),
        "held": float((steps < 0.3 * max(float(np.median(steps)), 0.5)).mean()),
        "grain": float(np.quantile(steps, 0.1)) / 255.0,
        "tall": height / width,
        "fill": footage.extent / max(height, width),
    }
    return {f"{name}{CONTEXT}": float(np.log(max(value, 0.0) + _FLOOR)) for name, value in found.items()}


def summary(series: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each series as logarithms of statistics that don't depend on the number of frames.

    ``second`` is the second largest value (one odd frame is artistry), ``low`` the lower quartile (what stays),
    ``late`` the last third's mean beyond the first's, ``rough`` the mean second difference, ``step`` the largest first
    one, ``sole`` how far the largest value is beyond the third largest.
    """
    found: dict[str, float] = {}
    for name, values in series.items():
        moved = values[1:] if len(values) > 1 else values
        third = max(1, len(values) // 3)
        ordered = np.sort(moved)[::-1]
        statistics = {
            "mean": moved.mean(),
            "median": np.median(moved),
            "max": ordered[0],
            "second": ordered[min(1, len(ordered) - 1)],
            "sole": ordered[0] - ordered[min(2, len(ordered) - 1)],
            "low": np.quantile(moved, 0.25),
            "late": values[-third:].mean() - values[:third].mean(),
            "rough": np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2]).mean() if len(values) > 2 else 0.0,
            "step": np.abs(np.diff(values)).max() if len(values) > 1 else 0.0,
        }
        found |= {f"{name}.{kind}": float(np.log(max(value, 0.0) + _FLOOR)) for kind, value in statistics.items()}
    return found
