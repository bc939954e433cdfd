"""A shot's reference and plate, read for what they show."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from studio_pipeline.media.reading import read_clip, read_image

__all__ = ["Footage", "read_footage"]

_PICTURES = (".png", ".jpg", ".jpeg")


class Footage(NamedTuple):
    """Frames of a reference or a plate."""

    frames: np.ndarray  # [T, H, W, 3] uint8, sRGB; one of a picture
    alpha: np.ndarray | None  # [T, H, W] uint8
    fps: Fraction


def read_footage(path: Path, fps: Fraction) -> Footage:
    """A video, a folder of numbered pictures or one picture.

    Args:
        path: The file or folder.
        fps: Frames a second where the file doesn't say: the shot's.

    Raises:
        InputError: It is missing, truncated, corrupt or too large.
    """
    if path.suffix.lower() in _PICTURES and not path.is_dir():
        frame, cover = read_image(path)
        return Footage(frame[None], None if cover is None else cover[None], fps)
    clip = read_clip(path)
    return Footage(clip.frames, clip.alpha, clip.fps or fps)
