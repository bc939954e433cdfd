"""Clips side by side, each under its name, as an MP4 and a strip of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from studio_pipeline.media.video import write_mp4

__all__ = ["titled", "write_side_by_side"]

_BAR, _PAPER, _INK = 26, (244, 241, 236), (60, 54, 66)  # px, sRGB, sRGB


def titled(frames: np.ndarray, title: str) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 under a line of text. [T, H + 26, W, 3]"""
    import cv2

    bar = np.full((_BAR, frames.shape[2], 3), _PAPER, dtype=np.uint8)
    cv2.putText(bar, title, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.48, _INK, 1, cv2.LINE_AA)
    return np.concatenate([np.broadcast_to(bar, (len(frames), *bar.shape)), frames], axis=1)


def write_side_by_side(
    path: Path,
    clips: Sequence[tuple[str, np.ndarray]],
    fps: Fraction,
    *,
    chosen: Sequence[int] | None = None,
    video: bool = True,
) -> None:
    """Write titled clips [T, H, W, 3] uint8 of one length beside each other as ``path`` (MP4), and as a PNG.

    The PNG has a row a clip and the frames of ``chosen`` indices; None: six, evenly spread.
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = np.concatenate([titled(frames, title) for title, frames in clips], axis=2)
    height, width = (side - side % 2 for side in beside.shape[1:3])
    if video:
        write_mp4(path, beside[:, :height, :width], fps)
    spread = np.linspace(0, len(beside) - 1, min(6, len(beside))).round()
    shown = np.unique(spread).astype(int) if chosen is None else np.array(chosen)
    rows = [titled(np.concatenate(list(frames[shown]), axis=1)[None], title)[0] for title, frames in clips]
    Image.fromarray(np.concatenate(rows)).save(path.with_suffix(".png"))
