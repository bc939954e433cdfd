"""A shot's reference and plate, read for what they show."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from studio_pipeline.media.reading import read_clip, read_image
from studio_pipeline.schema.errors import InputError

__all__ = ["Footage", "read_footage"]

_LEAST = 16  # [px], the shortest side
_LONGEST = 8  # times the shortest side
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
        InputError: It is missing, truncated, corrupt, too large or too small.
    """
    if path.suffix.lower() in _PICTURES and not path.is_dir():
        frame, cover = read_image(path)
        footage = Footage(frame[None], None if cover is None else cover[None], fps)
    else:
        clip = read_clip(path)
        footage = Footage(clip.frames, clip.alpha, clip.fps or fps)
    height, width = footage.frames.shape[1:3]
    if min(height, width) < _LEAST or max(height, width) > _LONGEST * min(height, width):
        raise InputError(
            f"is {width} x {height} pixels, too little to see what it shows", where=path, do=f"at least {_LEAST} a side"
        )
    return footage
