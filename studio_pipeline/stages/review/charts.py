"""Which curves the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from studio_pipeline.stages.review.material import Material
from studio_pipeline.stages.review.measures import Measures
from studio_pipeline.stages.review.plots import histogram, line_chart

__all__ = ["Chart", "charts"]

_MOST_CURVES = 8


@dataclass(frozen=True)
class Chart:
    """A titled drawing with a sentence on what to look for."""

    title: str
    note: str
    drawing: Markup


def charts(material: Material, measures: Measures, residuals: Mapping[str, Any]) -> list[Chart]:
    """All charts of a shot; ``residuals`` is what the lift kept of its fit."""
    x = material.cache.first_frame + np.arange(material.frame_count)
    result = [
        Chart(
            "Silhouette against the clip",
            "Intersection over union of the rendered and the observed mask, frame by frame.",
            line_chart(
                {"lift": measures.iou_lift, "refinement": measures.iou_refined},
                x=x,
                x_label="frame",
                y_label="IoU",
                y_range=(min(0.5, float(min(measures.iou_lift.min(), measures.iou_refined.min()))), 1.0),
            ),
        ),
        Chart(
            "Secondary motion",
            "How far the refinement left the lifted surface.",
            line_chart(
                {"largest": measures.displacement_max * 1e3, "mean": measures.displacement_mean * 1e3},
                x=x,
                x_label="frame",
                y_label="distance [mm]",
            ),
        ),
        Chart(
            "Joint speed",
            "Turn of the fastest joint since the frame before; a spike is a pop.",
            line_chart({"fastest joint": measures.joint_speed}, x=x, x_label="frame", y_label="turn [deg/frame]"),
        ),
    ]
    result += _residual_charts(residuals, x)
    stiffness = material.cache.stiffness
    if stiffness.size:
        result.append(
            Chart(
                "Stiffness",
                "Young's modulus of the tetrahedra.",
                histogram(stiffness, bins=32, x_label="Young's modulus [Pa]", y_label="tetrahedra", log=True),
            )
        )
    return result


def _residual_charts(residuals: Mapping[str, Any], x: np.ndarray) -> list[Chart]:
    """Curves found in the lift's residuals: those with a value a frame, and those with a value an iteration."""
    found = _curves(residuals)
    by_frame = {name: curve for name, curve in found.items() if len(curve) == len(x)}
    lengths = sorted({len(curve) for name, curve in found.items() if name not in by_frame}, reverse=True)
    result = []
    if by_frame:
        shown = dict(list(by_frame.items())[:_MOST_CURVES])
        drawing = line_chart(shown, x=x, x_label="frame", y_label="residual", log=_wide(shown))
        result.append(Chart("Lift residuals by frame", "What the fit could not explain, term by term.", drawing))
    for length in lengths[:2]:
        shown = {n: c for n, c in found.items() if n not in by_frame and len(c) == length}
        shown = dict(list(shown.items())[:_MOST_CURVES])
        drawing = line_chart(shown, x=np.arange(length), x_label="iteration", y_label="loss", log=_wide(shown))
        result.append(Chart("Lift convergence", "The fit's loss terms as it went.", drawing))
    return result


def _curves(value: Any, name: str = "", depth: int = 0) -> dict[str, np.ndarray]:
    """Every list of at least two numbers inside nested mappings, named by its keys."""
    if isinstance(value, Mapping) and depth < 4:
        found: dict[str, np.ndarray] = {}
        for key, item in value.items():
            found.update(_curves(item, f"{name} {key}".strip().replace("_", " "), depth + 1))
        return found
    if isinstance(value, list) and len(value) >= 2 and all(isinstance(v, int | float | None) for v in value):
        return {name: np.array([np.nan if v is None else v for v in value], dtype=np.float64)}
    return {}


def _wide(curves: Mapping[str, np.ndarray]) -> bool:
    """Whether the curves span so much that a logarithmic axis shows more."""
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0.0 and values.max() > 50.0 * values.min())
