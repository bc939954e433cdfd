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
    """Per frame what the lift could not explain (``frames``), and its loss terms as they fell (``curves``)."""
    result = []
    for name, curve in _curves(residuals.get("frames")).items():
        if name != "iou" and len(curve) == len(x):  # the page measures the overlap itself
            label = name.replace("_px", " [px]").replace("_", " ")
            drawing = line_chart({label: curve}, x=x, x_label="frame", y_label=label)
            result.append(Chart(f"Lift: {label}", "What the fit could not explain, frame by frame.", drawing))
    terms = {n.replace("_", " "): c for n, c in _curves(residuals.get("curves")).items()}
    length = max((len(curve) for curve in terms.values()), default=0)
    shown = dict([(n, c) for n, c in terms.items() if len(c) == length][:_MOST_CURVES])
    if shown:
        drawing = line_chart(shown, x=np.arange(length), x_label="checkpoint", y_label="loss", log=_wide(shown))
        result.append(Chart("Lift convergence", "The fit's unweighted loss terms as it went.", drawing))
    return result


def _curves(value: Any) -> dict[str, np.ndarray]:
    """The lists of at least two numbers in a mapping; null is a gap."""
    if not isinstance(value, Mapping):
        return {}
    return {
        name: np.array([np.nan if v is None else v for v in item], dtype=np.float64)
        for name, item in value.items()
        if isinstance(item, list) and len(item) >= 2 and all(isinstance(v, int | float | None) for v in item)
    }


def _wide(curves: Mapping[str, np.ndarray]) -> bool:
    """Whether the curves span so much that a logarithmic axis shows more."""
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0.0 and values.max() > 50.0 * values.min())
