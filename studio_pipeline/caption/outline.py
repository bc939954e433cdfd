"""Line weight: how much ink lies along the subject's border, as the width of a line of full darkness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.caption.frames_of import Still
from studio_pipeline.caption.readings import Reading

__all__ = ["outline"]

_FIELD = "style.line"
_REACH = 6  # px to either side of the border that is looked at
_INKED = 0.2  # share of darkness, against inside and outside, that is ink
_THIN, _THICK = 0.72, 1.45  # of a usual line, whose width [px] is 0.8 + 0.0014 x the picture's height
_LEAST = 0.45  # share of the border that has ink where there are lines


def outline(pictures: Sequence[Still]) -> Reading:
    """Thick, clean (usual), thin or none; abstains where the subject's border isn't known."""
    rows = [row for row in map(_frame, pictures) if row is not None]
    if not rows:
        return Reading(looked_at=(_FIELD,))
    covered, width = np.median(np.array(rows), axis=0)
    usual = 0.8 + 0.0014 * len(pictures[0].rgb)
    measures = {
        "outline_px": round(float(width), 3),
        "outline_relative": round(float(width / usual), 3),
        "outline_covered_share": round(float(covered), 3),
    }
    if covered < _LEAST:
        value, confidence = "none", 0.5 + 0.5 * (1.0 - covered / _LEAST)
    else:
        ratio = float(width / usual)
        value = "thin" if ratio < _THIN else "thick" if ratio > _THICK else "clean"
        confidence = 0.5 + 0.45 * min(1.0, 3.0 * min(abs(np.log(ratio / _THIN)), abs(np.log(ratio / _THICK))))
    return Reading(looked_at=(_FIELD,), values={_FIELD: {value: float(confidence)}}, measures=measures)


def _frame(still: Still) -> tuple[float, float] | None:
    """Share of the border with ink, and the ink's width [px]; None where there is no border to speak of."""
    import cv2

    mask = still.subject.astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([c[:, 0] for c in contours if len(c) > 30] or [np.zeros((0, 2), np.int32)])
    height, width = mask.shape
    inside = (points > _REACH).all(1) & (points[:, 0] < width - _REACH) & (points[:, 1] < height - _REACH)
    points = points[inside].astype(np.float32)
    if len(points) < 40:
        return None
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
    slope = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)], axis=-1)
    at = points.astype(int)
    normal = slope[at[:, 1], at[:, 0]]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)  # points inwards
    steps = np.arange(-_REACH, _REACH + 0.1, 0.5, dtype=np.float32)
    where = points[:, None] + steps[None, :, None] * normal[:, None]
    luma = cv2.remap(still.lab[..., 0], where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    outer, inner = np.median(luma[:, :5], axis=1), np.median(luma[:, -5:], axis=1)
    beside = np.minimum(outer, inner)[:, None]
    middle = np.abs(steps) <= 3.5
    dark = np.clip((beside - luma[:, middle]) / np.maximum(beside - 8.0, 8.0), 0.0, 1.0)
    plain = beside[:, 0] > 25.0  # ink doesn't show on black
    if plain.sum() < 30:
        return None
    inked = dark.max(1) > _INKED
    amount = dark.sum(1) * 0.5
    return float(inked[plain].mean()), float(np.median(amount[plain & inked])) if (plain & inked).any() else 0.0
