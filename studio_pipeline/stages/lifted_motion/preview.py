"""Pictures of a lift: the clip, what was observed, the lift, their difference; and the curves of its residuals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import Observations
from studio_pipeline.stages.lifted_motion.curves import write_curves
from studio_pipeline.stages.observations.preview import draw_frame

__all__ = ["write_previews"]

STRIP = 6  # frames in the still preview
GAIN = 2.0  # of the difference
TILE = 384  # about how large a frame is drawn in the movie [px]; half of it in the still
BAR = 22  # height of a row's label [px]
LABELS = ("clip", "mask's contour and tracks", "lift", f"difference, times {GAIN:.0f}: dark is alike")


def _difference(clip: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    """Absolute difference as heat on black: alike is black, far off is light. [H, W, 3] uint8"""
    value = np.abs(clip.astype(np.float32) - lifted).mean(-1) * GAIN
    return np.ascontiguousarray(
        cv2.applyColorMap(np.clip(value, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    )


def _label(text: str, width: int) -> np.ndarray:
    """A bar [BAR, width, 3] uint8 with a line of text."""
    bar = Image.new("RGB", (width, BAR), (24, 26, 32))
    font = ImageFont.load_default(13)
    ImageDraw.Draw(bar).text((8, BAR // 2), text, (235, 236, 240), font, anchor="lm")
    return np.asarray(bar)


def _rows(
    clip: Clip, observations: Observations, pictures: np.ndarray, index: int, scale: int
) -> tuple[np.ndarray, ...]:
    """One frame as `LABELS` name its pictures."""
    size = clip.size[0] * scale, clip.size[1] * scale
    plain = [clip.frames[index], pictures[index], _difference(clip.frames[index], pictures[index])]
    seen, lifted, gap = (cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in plain)
    return seen, draw_frame(clip, observations, index, scale), lifted, gap


def _still(clip: Clip, observations: Observations, pictures: np.ndarray) -> np.ndarray:
    scale = max(1, round(TILE / 2 / max(clip.size)))
    picked = np.unique(np.linspace(0, clip.frame_count - 1, STRIP).round().astype(int))
    columns = [_rows(clip, observations, pictures, int(index), scale) for index in picked]
    width = clip.size[0] * scale
    numbers = [_label(f"{clip.first_frame + int(index)}", width) for index in picked]
    parts = [np.concatenate(numbers, axis=1)]
    for row, label in enumerate(LABELS):
        parts += [_label(label, width * len(picked)), np.concatenate([column[row] for column in columns], axis=1)]
    return np.concatenate(parts)


def _movie(clip: Clip, observations: Observations, pictures: np.ndarray) -> np.ndarray:
    """Two by two pictures a frame. [T, h, w, 3] uint8"""
    scale = max(1, round(TILE / max(clip.size)))
    width = clip.size[0] * scale
    bars = [_label(label, width) for label in LABELS]
    frames = []
    for index in range(clip.frame_count):
        tiles = [
            np.concatenate([bar, tile])
            for bar, tile in zip(bars, _rows(clip, observations, pictures, index, scale), strict=True)
        ]
        frames.append(np.concatenate([np.concatenate(tiles[k : k + 2], axis=1) for k in (0, 2)]))
    return np.stack(frames)


def write_previews(
    folder: Path, clip: Clip, observations: Observations, pictures: np.ndarray, residuals: Mapping[str, Any]
) -> tuple[str, ...]:
    """Write ``overlay.png``, ``overlay.mp4`` and ``residuals.png``.

    Args:
        folder: Where to.
        clip: The clip.
        observations: What was seen in it.
        pictures: The lift, rendered like the clip [T, H, W, 3] uint8.
        residuals: What the lift tells of itself (see `lift.LiftResult`).

    Returns:
        Names of the pictures.
    """
    still = _still(clip, observations, pictures)
    if not cv2.imwrite(str(folder / "overlay.png"), np.ascontiguousarray(still[..., ::-1])):
        raise OSError(f"could not write {folder / 'overlay.png'}")
    write_mp4(folder / "overlay.mp4", _movie(clip, observations, pictures), clip.fps)
    write_curves(folder / "residuals.png", residuals, clip.first_frame)
    return "overlay.png", "residuals.png"
