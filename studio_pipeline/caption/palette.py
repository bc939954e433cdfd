"""Colours: chroma, lightness and hue of the whole picture, and the name of the palette they make; the hour by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.caption.frames_of import Still
from studio_pipeline.caption.readings import Reading

__all__ = ["hour", "palette"]

_COLOURED = 6.0  # chroma (Lab) below which a pixel has no hue


def palette(pictures: Sequence[Still]) -> Reading:
    """Name of the palette, and the numbers that it was taken from."""
    lab = np.concatenate([still.lab[::2, ::2].reshape(-1, 3) for still in pictures])
    numbers = _numbers(lab)
    values = {name: score for name, score in _scores(numbers).items() if score > 0.0}
    measures = {name: round(value, 4) for name, value in numbers.items()}
    return Reading(looked_at=("style.palette",), values={"style.palette": values}, measures=measures)


def _numbers(lab: np.ndarray) -> dict[str, float]:
    light = lab[:, 0]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.arctan2(lab[:, 2], lab[:, 1])
    mean = (chroma * np.exp(1j * hue)).sum() / max(float(chroma.sum()), 1e-6)
    coloured = chroma > _COLOURED
    spread = np.exp(2j * hue[coloured]).mean() if coloured.any() else 0.0
    warm = chroma[(lab[:, 1] + 0.6 * lab[:, 2] > 0)].sum() / max(float(chroma.sum()), 1e-6)
    return {
        "lightness_mean_lab": float(light.mean()),
        "lightness_p10_lab": float(np.percentile(light, 10)),
        "lightness_p90_lab": float(np.percentile(light, 90)),
        "chroma_mean_lab": float(chroma.mean()),
        "chroma_p95_lab": float(np.percentile(chroma, 95)),
        "coloured_share": float(coloured.mean()),
        "hue_mean_deg": float(np.degrees(np.angle(mean))),
        "hue_agreement": float(abs(mean)),
        "hue_axis_agreement": float(abs(spread)),
        "warm_share": float(warm),
    }


def _scores(n: dict[str, float]) -> dict[str, float]:
    """Confidence of every palette; 0 where its conditions aren't met."""
    light, chroma, high = n["lightness_mean_lab"], n["chroma_mean_lab"], n["chroma_p95_lab"]
    hue, agree, deep = n["hue_mean_deg"], n["hue_agreement"], n["lightness_p10_lab"]
    if high < 3.0:
        return {"monochrome": 0.95}
    if agree > 0.985 and 55.0 < hue < 95.0 and n["coloured_share"] > 0.9 and 9.0 < chroma < 30.0:
        return {"sepia": 0.75}
    if light < 40.0 and deep < 22.0 and high > 42.0:
        return {"neon": min(1.0, 0.6 + (high - 42.0) / 80.0)}
    if agree > 0.88 and n["coloured_share"] > 0.6 and chroma > 11.0:
        if -30.0 < hue < 100.0:
            return {"warm": 0.6}
        if abs(hue) > 130.0 or -140.0 < hue < -50.0:
            return {"cool": 0.6}
    if high > 70.0:
        return {"vivid": min(0.95, 0.5 + (high - 70.0) / 60.0)}
    if deep > 70.0 and light > 85.0 and 12.0 < high < 40.0:
        return {"pastel": min(0.95, 0.5 + (light - 85.0) / 20.0)}
    if light < 72.0 and high < 22.0:
        return {"muted": min(0.95, 0.5 + (22.0 - high) / 20.0)}
    return {"natural": 0.6}


def hour(pictures: Sequence[Still]) -> Reading:
    """The hour by the light of what lies behind the subject; abstains where that has no colour of an hour."""
    field = "environment.time"
    behind = [still.lab[still.behind] for still in pictures if still.behind.any()]
    if not behind:
        return Reading(looked_at=(field,))
    lab = np.concatenate(behind)
    light, a, b = (float(np.median(lab[:, k])) for k in range(3))
    measures = {
        "backdrop_lightness_lab": round(light, 3), "backdrop_a_lab": round(a, 3), "backdrop_b_lab": round(b, 3),
    }  # fmt: skip
    values: dict[str, float] = {}
    if light < 48.0 and b < 2.0:
        values = {"night": min(0.95, 0.55 + (48.0 - light) / 50.0)}
    elif a > 8.0 and b > 10.0:
        values = {"sunset": min(0.9, 0.5 + a / 60.0)}
    elif a > 4.0 and light > 60.0:
        values = {"dawn": 0.55}
    elif light > 70.0 and abs(a) < 4.0:
        values = {"day": min(0.85, 0.55 + (light - 70.0) / 60.0)}
    return Reading(looked_at=(field,), values={field: values}, measures=measures)
