"""Frames unlike their neighbours: impact frames in two colours, flashes of white, and fades at the clip's ends."""

from __future__ import annotations

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.readings import Reading, sure

__all__ = ["Light", "flashes", "light_of", "transition"]

_FIELD = "vfx.impact"
_WHITE = 45.0  # grey levels that a flash lies above its surroundings
_TWO = 0.82  # share of pixels near one of two colours in an impact frame
_BLACK = 14.0  # grey levels, mean of a frame that has faded to black


class Light:
    """Per frame: mean luma, shares of white and black, and how nearly the picture has two colours. [T] each"""

    def __init__(self, footage: Footage) -> None:
        grey = footage.grey.reshape(footage.count, -1)
        self.mean = grey.mean(1)
        self.white = (grey > 232).mean(1)
        self.black = (grey < 24).mean(1)
        self.two = np.array([_two_colours(frame) for frame in footage.small])
        self.flash = np.zeros(footage.count, bool)
        self.impact = np.zeros(footage.count, bool)
        self.colourless = _chroma(footage.small)


def light_of(footage: Footage) -> Light:
    """Light, with the frames found that are a flash or an impact frame."""
    light = Light(footage)
    usual = _surroundings(light.mean)
    usual_two, usual_chroma = _surroundings(light.two), _surroundings(light.colourless)
    sudden = np.abs(light.mean - usual) > 18.0
    two = (light.two > _TWO) & (light.two > usual_two + 0.12)
    drained = light.colourless < 0.5 * usual_chroma
    light.impact = two & (sudden | drained) & (light.white + light.black > 0.3)
    bright = (light.mean > usual + _WHITE) | ((light.white > 0.6) & (light.mean > usual + 25.0))
    light.flash = bright & ~light.impact
    if light.impact.mean() > 0.4:  # the whole clip looks so
        light.impact[:] = False
    return light


def _surroundings(series: np.ndarray, reach: int = 6) -> np.ndarray:
    """Median of the neighbourhood of every frame. [T]"""
    return np.array([np.median(series[max(0, t - reach) : t + reach + 1]) for t in range(len(series))])


def _two_colours(frame: np.ndarray) -> float:
    """Share of pixels within 26 levels of one of two colours, the best of a few k-means rounds."""
    pixels = frame[::4, ::4].reshape(-1, 3).astype(np.float32)
    grey = pixels.mean(1)
    centres = np.stack(
        [pixels[grey <= np.percentile(grey, 30)].mean(0), pixels[grey >= np.percentile(grey, 70)].mean(0)]
    )
    for _ in range(3):
        away = np.linalg.norm(pixels[:, None] - centres, axis=-1)
        nearest = away.argmin(1)
        centres = np.stack(
            [np.median(pixels[nearest == k], axis=0) if (nearest == k).any() else centres[k] for k in (0, 1)]
        )
    if np.linalg.norm(centres[0] - centres[1]) < 120.0:
        return 0.0
    return float((np.linalg.norm(pixels[:, None] - centres, axis=-1).min(1) < 26.0).mean())


def _chroma(frames: np.ndarray) -> np.ndarray:
    """Mean difference of the largest and the smallest channel, levels. [T]"""
    return (frames.max(-1).astype(np.int16) - frames.min(-1)).reshape(len(frames), -1).mean(1)


def flashes(light: Light) -> Reading:
    """Impact frames and flashes; a clip without them is not an abstention, it has none."""
    values: dict[str, float] = {}
    count = len(light.mean)
    runs = {name: _runs(getattr(light, name)) for name in ("impact", "flash")}
    if runs["impact"] and max(map(len, runs["impact"])) <= 4:
        best = max(float(light.two[t]) for run in runs["impact"] for t in run)
        values["impact_frame"] = 0.5 + 0.5 * sure(best, _TWO, 0.97)
    short = [run for run in runs["flash"] if len(run) <= max(4, count // 3)]
    if short:
        jump = max(float(light.mean[t] - _surroundings(light.mean)[t]) for run in short for t in run)
        values["flash"] = 0.5 + 0.5 * sure(jump, _WHITE, 2.0 * _WHITE)
    measures = {
        "impact_frame_indices": [int(t) for t in np.flatnonzero(light.impact)],
        "flash_indices": [int(t) for t in np.flatnonzero(light.flash)],
        "luma_mean_levels": round(float(light.mean.mean()), 2),
        "luma_jump_levels": round(float(np.abs(light.mean - _surroundings(light.mean)).max()), 2),
        "two_colours_share_max": round(float(light.two.max()), 4),
        "white_share_max": round(float(light.white.max()), 4),
    }
    return Reading(looked_at=(_FIELD,), values={_FIELD: values}, measures=measures)


def _runs(marked: np.ndarray) -> list[np.ndarray]:
    """Runs of neighbouring marked frames."""
    where = np.flatnonzero(marked)
    return [run for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(run)]


def transition(light: Light) -> Reading:
    """A fade at the beginning or end: luma climbs from black, or sinks to it, without a jump."""
    field, mean = "camera.transition", light.mean
    count = len(mean)
    measures = {
        "luma_first_levels": round(float(mean[0]), 2),
        "luma_last_levels": round(float(mean[-1]), 2),
    }
    if count < 4:
        return Reading(looked_at=(field,), measures=measures)
    level = float(np.median(np.sort(mean)[count // 2 :]))
    values = {}
    for name, series in (("fade_in", mean), ("fade_out", mean[::-1])):
        if series[0] < max(_BLACK, 0.2 * level) and level > 2.0 * _BLACK:
            reached = int(np.argmax(series > 0.85 * level))
            climb = np.diff(series[: reached + 1])
            smooth = float((climb > -1.0).mean()) if len(climb) else 0.0
            values[name] = (0.5 + 0.5 * sure(reached, 0.0, 3.0)) * smooth if reached else 0.0
    found = {name: confidence for name, confidence in values.items() if confidence >= 0.5}
    return Reading(looked_at=(field,), values={field: found or {"cut": 0.8}}, measures=measures)
