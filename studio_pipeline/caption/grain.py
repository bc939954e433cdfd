"""Fine structure: dots of a halftone, grain, dark corners, colour fringes, softness - numbers more than names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.frames_of import Still
from studio_pipeline.caption.readings import Reading, sure

__all__ = ["grain", "halftone"]

_TILE = 48  # px


def halftone(pictures: Sequence[Still]) -> Reading:
    """Dots in a lattice: their pitch [px] and how regular they are. Named where the taxonomy has a name for them."""
    peaks = np.array([_lattice(still) for still in pictures] or [(0.0, 0.0)])
    strength, pitch = peaks[np.argsort(peaks[:, 0])[len(peaks) // 2]]
    measures = {"halftone_regularity": round(float(strength), 4), "halftone_pitch_px": round(float(pitch), 2)}
    confidence = sure(float(strength), 0.35, 0.85)
    values = {"texture.surface": {"halftone": confidence}, "style.look": {"comic": 0.9 * confidence}}
    return Reading(looked_at=(), values=values if confidence >= 0.5 else {}, measures=measures)


def _lattice(still: Still) -> tuple[float, float]:
    """Height of the second peak of a tile's autocorrelation, and where it is [px]; the best quarter of the tiles."""
    import cv2

    light = still.lab[..., 0]
    fine = light - cv2.GaussianBlur(light, (0, 0), 4.0)
    found = []
    for top in range(0, light.shape[0] - _TILE + 1, _TILE // 2):
        for left in range(0, light.shape[1] - _TILE + 1, _TILE // 2):
            tile = fine[top : top + _TILE, left : left + _TILE]
            if tile.std() > 1.0:
                found.append(_second_peak(tile))
    if not found:
        return 0.0, 0.0
    found.sort(reverse=True)
    best = np.array(found[: max(1, len(found) // 4)])
    return float(best[:, 0].mean()), float(np.median(best[:, 1]))


def _second_peak(tile: np.ndarray) -> tuple[float, float]:
    """Of a tile that is periodic both ways the correlation comes back in two directions; a line's only in one."""
    import cv2

    window = np.outer(np.hanning(_TILE), np.hanning(_TILE))
    spectrum = np.abs(np.fft.fft2(np.clip(tile, -12.0, 12.0) * window)) ** 2
    alike = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    mask = np.fft.fftshift(np.fft.ifft2(np.abs(np.fft.fft2(window)) ** 2).real)
    alike = alike / np.maximum(mask, 0.05 * mask.max())
    alike /= max(float(alike[_TILE // 2, _TILE // 2]), 1e-9)
    y, x = np.mgrid[:_TILE, :_TILE] - _TILE // 2
    radius = np.hypot(x, y)
    ring = (radius >= 3.0) & (radius <= 14.0)
    crest = ring & (alike >= cv2.dilate(alike, np.ones((3, 3), np.uint8)))
    if not crest.any():
        return 0.0, 0.0
    high = crest & (alike >= 0.8 * alike[crest].max())
    first = np.argmin(np.where(high, radius, np.inf))
    angle = np.arctan2(y.flat[first], x.flat[first])
    turned = np.abs(np.sin(np.arctan2(y, x) - angle)) > 0.6
    return float(min(alike.flat[first], np.max(np.where(ring & turned, alike, -1.0)))), float(radius.flat[first])


def grain(footage: Footage, pictures: Sequence[Still]) -> Reading:
    """Numbers on noise, vignette, fringes and sharpness; the network makes names of them."""
    import cv2

    rows = []
    for still in pictures:
        light = still.lab[..., 0]
        fine = np.abs(light - cv2.GaussianBlur(light, (3, 3), 0))
        wide = cv2.resize(light, (24, 24), interpolation=cv2.INTER_AREA)
        corners = np.mean([wide[:4, :4], wide[:4, -4:], wide[-4:, :4], wide[-4:, -4:]])
        sharp = np.abs(cv2.Laplacian(light, cv2.CV_32F))
        sides = [float(np.percentile(sharp[where], 95)) if where.sum() > 50 else np.nan
                 for where in (still.subject, still.behind)]  # fmt: skip
        rgb = still.rgb.astype(np.float32)
        fringe = np.abs(cv2.Laplacian(rgb[..., 0] - rgb[..., 2], cv2.CV_32F)).mean() / max(sharp.mean(), 0.2)
        rows.append((np.median(fine), float(wide[8:16, 8:16].mean() - corners), *sides, fringe))
    numbers = np.array(rows, np.float64)
    steps = np.abs(np.diff(footage.grey.astype(np.int16), axis=0)) if footage.count > 1 else np.zeros((1, 1, 1))
    names = ("grain_lab", "corner_darkness_lab", "subject_sharpness_lab", "backdrop_sharpness_lab", "colour_fringe")
    measures = {}
    for name, column in zip(names, numbers.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            measures[name] = round(float(np.median(known)), 4)
    measures["flicker_median_levels"] = round(float(np.median(steps)), 4)
    measures["flicker_mean_levels"] = round(float(steps.mean()), 4)
    return Reading(looked_at=(), measures=measures)
