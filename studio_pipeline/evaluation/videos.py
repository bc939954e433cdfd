"""What a person looks at: clip, lift, and both from a side the clip's camera never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.evaluation.plates import FPS
from studio_pipeline.evaluation.scores import FIRST, Judge
from studio_pipeline.evaluation.shots import Filmed
from studio_pipeline.media.video import write_mp4

__all__ = ["side_by_side", "write_side_by_side"]


def side_by_side(filmed: Filmed, lifted: np.ndarray, turned: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Clip, lift, lift at +45 degrees, truth at +45 degrees, from index `FIRST` on. [T - FIRST, H, 4 W, 3] uint8"""
    return np.concatenate([filmed.plate.clip.frames[FIRST:], lifted[FIRST:], turned, truth], axis=2)


def write_side_by_side(path: Path, judge: Judge, filmed: Filmed, lifted: np.ndarray, turned: np.ndarray) -> None:
    """Write `side_by_side` as ``path`` (MP4) and its middle and last frame as a PNG beside it."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = side_by_side(filmed, lifted, turned, judge.pictures["plus45"][0])
    write_mp4(path, frames, FPS)
    Image.fromarray(np.concatenate([frames[len(frames) // 2], frames[-1]])).save(path.with_suffix(".png"))
