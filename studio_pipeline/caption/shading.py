"""Shading steps: how the subject's lightness is spread within regions of one colour, in steps or in slopes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.caption.frames_of import Still
from studio_pipeline.caption.readings import Reading, sure

__all__ = ["shading"]

_FIELD = "style.shading"
_EDGE = 7.0  # Lab lightness a pixel: more is an edge
_LEAST = 150  # px of the subject


def shading(pictures: Sequence[Still]) -> Reading:
    """Flat, cel (one step), two_step or gradient; abstains where the subject is unknown or small."""
    rows = [row for row in map(_frame, pictures) if row is not None]
    if not rows:
        return Reading(looked_at=(_FIELD,))
    numbers = np.median(np.array(rows), axis=0)
    spread, levels, contrast, even = (float(value) for value in numbers)
    measures = {
        "shading_spread_levels": round(spread, 4),
        "shading_levels": round(levels, 3),
        "shading_contrast_lab": round(contrast, 3),
        "shading_even_share": round(even, 4),
    }
    soft = sure(spread, 5.5, 10.5)
    if soft > 0.5:
        values = {"gradient": 0.4 + 0.55 * soft}
    elif contrast < 6.0:
        values = {"flat": 0.5 + 0.45 * sure(contrast, 6.0, 2.0)}
    else:
        two = sure(levels, 1.8, 2.8)
        values = {"two_step": 0.35 + 0.6 * two, "cel": 0.35 + 0.6 * (1.0 - two)}
    return Reading(looked_at=(_FIELD,), values={_FIELD: values}, measures=measures)


def _frame(still: Still) -> tuple[float, float, float, float] | None:
    """How many levels the lightness of a colour is spread over, its modes, their contrast, share of even pixels."""
    import cv2

    inner = cv2.erode(still.subject.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if inner.sum() < _LEAST:
        return None
    lab = cv2.bilateralFilter(np.ascontiguousarray(still.lab), 5, 4.0, 1.5)
    light = lab[..., 0]
    change = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)) / 8.0
    calm = inner & ~(cv2.dilate((change > _EDGE).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    if calm.sum() < _LEAST // 4:
        return None
    return (*_levels(light[calm], lab[calm][:, 1:]), float(calm.sum() / inner.sum()))


def _levels(light: np.ndarray, colour: np.ndarray) -> tuple[float, float, float]:
    """Mean over the subject's colours, by area: levels of 2 Lab that lightness is spread over (the exponential of its
    entropy), modes of lightness, and its range [Lab]."""
    import cv2

    hue = (np.degrees(np.arctan2(colour[:, 1], colour[:, 0])) + 360.0) % 360.0
    names = np.where(np.hypot(colour[:, 0], colour[:, 1]) < 8.0, -1, hue // 24.0).astype(int)
    found = []
    for name in np.unique(names):
        part = light[names == name]
        if len(part) < 0.12 * len(light):
            continue
        bars = np.histogram(part, bins=50, range=(0.0, 100.0))[0].astype(np.float32) / len(part)
        spread = float(np.exp(-(bars[bars > 0] * np.log(bars[bars > 0])).sum()))
        bars = cv2.GaussianBlur(bars[None], (0, 0), 1.0)[0]
        peaks = (bars > np.roll(bars, 1)) & (bars >= np.roll(bars, -1)) & (bars > 0.025)
        low, high = np.percentile(part, [5, 95])
        found.append((len(part), spread, float(peaks.sum()), float(high - low)))
    if not found:
        return 1.0, 1.0, 0.0
    weight, *numbers = np.array(found).T
    spread, levels, contrast = ((weight * number).sum() / weight.sum() for number in numbers)
    return float(spread), float(levels), float(contrast)
