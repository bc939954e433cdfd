"""Collapse of lines and of time: outlines that break and boil, bands torn from other frames."""

from __future__ import annotations

import numpy as np

from studio_pipeline.training.judge.layers import Layers, flatten
from studio_pipeline.training.judge.noise import grid, smooth_noise

__all__ = ["broken_lines", "tearing"]

_INK = 14.0  # 8-bit levels by which a line is darker than what is around it
_LEAST_INK = 0.04  # of the subject's pixels; a drawing with fewer has no lines to break


def broken_lines(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray | None:
    """Outlines have gaps that change from frame to frame, and what is left of them jitters."""
    import cv2

    frames = flatten(layers)
    share = (0.3, 0.5, 0.75)[severity - 1] * rng.uniform(0.9, 1.1)
    shake = (0.7, 1.1, 1.7)[severity - 1] * layers.extent / 90.0
    inks = [_ink(frame, cover) for frame, cover in zip(frames, layers.alpha, strict=True)]
    if (
        float(np.mean([ink.sum() / max((cover > 0.5).sum(), 1) for ink, cover in zip(inks, layers.alpha, strict=True)]))
        < _LEAST_INK
    ):
        return None
    rows, columns = grid(frames.shape[1:3])
    result = frames.copy()
    begin, held, gaps = int(rng.integers(1, 4)), 0, np.zeros(frames.shape[1:3])
    down = right = gaps
    for index in range(begin, len(frames)):
        if held <= 0:
            held = int(rng.integers(1, 3))
            noise = smooth_noise(rng, frames.shape[1:3], max(3.0, layers.extent / rng.uniform(9.0, 16.0)))
            gaps = np.clip((noise > np.quantile(noise, 1.0 - share)) * 1.0, 0.0, 1.0)
            down, right = (smooth_noise(rng, frames.shape[1:3], max(3.0, layers.extent / 14.0)) for _ in range(2))
        held -= 1
        near = cv2.GaussianBlur(cv2.dilate(inks[index], np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.8)
        closed = cv2.morphologyEx(frames[index], cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        hidden = np.clip(near * gaps, 0.0, 1.0)[..., None]
        frame = frames[index] * (1.0 - hidden) + closed * hidden
        y, x = rows + shake * near * down, columns + shake * near * right
        frame = cv2.remap(frame.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        result[index] = np.round(frame).astype(np.uint8)
    return result


def _ink(frame: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Where thin dark lines are, on the subject or at its rim. [H, W] uint8"""
    import cv2

    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    hat = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((5, 5), np.uint8))
    near = cv2.dilate((cover > 0.3).astype(np.uint8), np.ones((3, 3), np.uint8))
    return ((hat > _INK) & (near > 0)).astype(np.uint8)


def tearing(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray | None:
    """Bands of a frame come from other times, or slip sideways."""
    frames = flatten(layers)
    count, extent = len(frames), layers.extent
    rows = np.nonzero((layers.alpha > 0.5).any((0, 2)))[0]
    if not len(rows) or count < 4:
        return None
    result = frames.copy()
    often, bands = (0.35, 0.55, 0.8)[severity - 1], (1, 2, 3)[severity - 1]
    tall, slip = (0.1, 0.13, 0.17)[severity - 1] * extent, (0.05, 0.08, 0.13)[severity - 1] * extent
    for index in range(1, count):
        if rng.random() > often:
            continue
        for _ in range(bands):
            height = max(3, round(tall * rng.uniform(0.8, 1.3)))
            top = int(rng.integers(rows[0], max(rows[0] + 1, rows[-1] - height + 1)))
            band = slice(top, top + height)
            others = [other for other in range(count) if abs(other - index) >= 2]
            other = max(
                rng.permutation(others)[:4],
                key=lambda o: np.abs(frames[o, band].astype(int) - frames[index, band]).mean(),
            )
            shift = round(slip * rng.uniform(0.7, 1.3) * rng.choice([-1.0, 1.0]))
            result[index, band] = np.roll(frames[other, band], shift, axis=1)
    return result
