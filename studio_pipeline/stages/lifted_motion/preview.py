"""Pictures of a lift: the clip, the lift and their difference."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip

__all__ = ["write_previews"]

STRIP = 6  # frames in the still preview
GAIN = 2.0  # of the difference


def _difference(clip: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    """Absolute difference as heat on black: alike is black, far off is light. [..., 3] uint8"""
    value = np.abs(clip.astype(np.float32) - lifted).mean(-1) * GAIN
    flat = np.clip(value, 0, 255).astype(np.uint8)
    heat = cv2.applyColorMap(flat.reshape(flat.shape[0], -1), cv2.COLORMAP_INFERNO)
    return heat[..., ::-1].reshape(clip.shape)


def write_previews(folder: Path, clip: Clip, pictures: np.ndarray) -> tuple[str, ...]:
    """Write ``overlay.png`` and ``overlay.mp4`` of the lift's pictures [T, H, W, 3]; returns the still's name."""
    rows = clip.frames, pictures, _difference(clip.frames, pictures)
    picked = np.unique(np.linspace(0, clip.frame_count - 1, STRIP).round().astype(int))
    strip = np.concatenate([np.concatenate(list(row[picked]), axis=1) for row in rows], axis=0)
    cv2.imwrite(str(folder / "overlay.png"), np.ascontiguousarray(strip[..., ::-1]))
    write_mp4(folder / "overlay.mp4", np.concatenate(rows, axis=2), clip.fps)
    return ("overlay.png",)
