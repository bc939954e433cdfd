"""All measures of a clip as one row of numbers with fixed names, whatever its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from studio_pipeline.models.judge.footage import Footage, prepare
from studio_pipeline.models.judge.priors import flows_of, novelty, strain, warp_errors
from studio_pipeline.models.judge.shapes import colour_series, line_series, row_series, shape_series

__all__ = ["measure", "series_of", "summary"]

_STATISTICS = ("mean", "median", "max", "second", "least", "low", "late", "rough", "step")


def measure(frames: np.ndarray, alpha: np.ndarray | None = None) -> dict[str, float]:
    """Measures of a short clip by name.

    Args:
        frames: [T, H, W, 3] uint8 sRGB, at least three.
        alpha: The subject's coverage [T, H, W] uint8 where there is one.
    """
    return summary(series_of(prepare(frames, alpha)))


def series_of(footage: Footage) -> dict[str, np.ndarray]:
    """Measures over time. Each [T] float64."""
    flows = flows_of(footage.frames)
    maps = {**warp_errors(footage, flows), "strain": strain(flows, footage)}
    near = _grown(footage.masks)
    series: dict[str, np.ndarray] = {}
    for name, values in maps.items():
        series |= _pooled(name, [values[t][near[t]] for t in range(len(near))])
    for name, lists in novelty(footage).items():
        series |= _pooled(f"novel_{name}", lists)
    speed = [
        np.linalg.norm(flow, axis=-1)[mask] / footage.extent for flow, mask in zip(flows.back, near[1:], strict=True)
    ]
    series |= _pooled("speed", [np.zeros(1), *speed])
    against_first = {f"{name}_gain": values - values[0] for name, values in
                     (shape_series(footage) | line_series(footage)).items()}  # fmt: skip
    return series | against_first | colour_series(footage) | row_series(footage)


def _grown(masks: np.ndarray) -> np.ndarray:
    import cv2

    return np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) for mask in masks])


def _pooled(name: str, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    rows = np.array(
        [(v.mean(), np.quantile(v, 0.9), np.quantile(v, 0.98)) if len(v) else (0.0, 0.0, 0.0) for v in values]
    )
    return {f"{name}_mean": rows[:, 0], f"{name}_p90": rows[:, 1], f"{name}_p98": rows[:, 2]}


def summary(series: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each series as statistics that don't depend on the number of frames.

    ``second`` is the second largest value (one odd frame is artistry), ``low`` the lower quartile (what stays),
    ``late`` the last third minus the first, ``rough`` the mean second difference, ``step`` the largest first one.
    """
    found: dict[str, float] = {}
    for name, values in series.items():
        moved = values[1:] if len(values) > 1 else values
        third = max(1, len(values) // 3)
        rough = np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2]).mean() if len(values) > 2 else 0.0
        ordered = np.sort(moved)
        statistics = (
            moved.mean(), np.median(moved), ordered[-1], ordered[-2] if len(ordered) > 1 else ordered[-1],
            ordered[0], np.quantile(moved, 0.25), values[-third:].mean() - values[:third].mean(), rough,
            np.abs(np.diff(values)).max() if len(values) > 1 else 0.0,
        )  # fmt: skip
        found |= {f"{name}.{kind}": float(value) for kind, value in zip(_STATISTICS, statistics, strict=True)}
    return found
