"""A model's clip and the shot: frame counts and sizes that a model can make, and the way back to the shot's own.

Models want a multiple of so many pixels, k n + 1 frames and a rate of their own. The picture that a model is given is
fitted into its size with the border carried on; that margin is cut off again afterwards. All resizing and blending is
done in linear light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.takes.diffusers_settings import Retime

__all__ = ["Fit", "fit_inside", "frame_positions", "frames_to_ask", "padded", "retimed", "size_to_ask", "unpadded"]


@dataclass(frozen=True)
class Fit:
    """Where the shot's picture lies in a model's frame."""

    size: tuple[int, int]  # width and height of the model's frame [px]
    inner: tuple[int, int, int, int]  # left, top, width, height of the shot's picture in it [px]


def frames_to_ask(frame_count: int, fps: Fraction, model_fps: Fraction, *, step: int, most: int, lost: int = 0) -> int:
    """How many frames a model must make to last as long as the shot: k step + 1, at most ``most``, at least step + 1.

    Args:
        frame_count: The shot's.
        fps: The shot's.
        model_fps: The rate at which the model's movements look right.
        step: The model's temporal compression.
        most: What the model was trained for, or the user allows.
        lost: Frames that it drops of those that it is asked for.
    """
    needed = math.ceil((frame_count - 1) * model_fps / fps) + lost
    steps = max(1, -(-needed // step))
    return min(steps, max(1, (most - 1) // step)) * step + 1


def frame_positions(
    frame_count: int, fps: Fraction, source_count: int, source_fps: Fraction
) -> tuple[np.ndarray, float]:
    """Which moment of a clip each frame of the shot shows.

    Index 0 shows the clip's first frame and time runs on as it does in the clip. Only when the clip is more than one
    of its frames too short is all of it stretched to the shot's length.

    Returns:
        Positions in the clip, in its frames [T] float64, and by how much it was stretched, 1 when it wasn't.
    """
    wanted = float((frame_count - 1) * source_fps / fps)
    stretch = 1.0
    if wanted > source_count and source_count > 1:
        stretch = wanted / (source_count - 1)
    positions = np.arange(frame_count) * (float(source_fps / fps) / stretch)
    return np.minimum(positions, source_count - 1), stretch


def retimed(frames: np.ndarray, positions: np.ndarray, how: Retime) -> np.ndarray:
    """Frames at ``positions``, which count in frames.

    Args:
        frames: sRGB [M, H, W, 3] uint8.
        positions: In 0..M-1. [T]
        how: See `Retime`.

    Returns:
        [T, H, W, 3] uint8.
    """
    if how == "nearest":
        return frames[np.floor(positions + 0.5).astype(int)]
    result = np.empty((len(positions), *frames.shape[1:]), np.uint8)
    for index, position in enumerate(positions):
        before = int(position)
        share = float(position) - before
        if share < 1e-6 or before + 1 >= len(frames):
            result[index] = frames[before]
        else:
            mixed = (1.0 - share) * _linear(frames[before]) + share * _linear(frames[before + 1])
            result[index] = _srgb(mixed)
    return result


def size_to_ask(size: tuple[int, int], *, area: int, multiple: int) -> tuple[int, int]:
    """Width and height that a model can make [px], of the shot's shape as nearly as ``multiple`` allows.

    Args:
        size: The shot's width and height.
        area: About how many pixels a frame of the model has.
        multiple: What its sides must be multiples of.
    """
    scale = math.sqrt(area / (size[0] * size[1]))
    width, height = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return width, height


def fit_inside(size: tuple[int, int], into: tuple[int, int]) -> Fit:
    """The largest picture of the shape ``size`` in the middle of a frame ``into`` (width, height)."""
    scale = min(into[0] / size[0], into[1] / size[1])
    width, height = (min(limit, max(1, round(side * scale))) for side, limit in zip(size, into, strict=True))
    return Fit(into, ((into[0] - width) // 2, (into[1] - height) // 2, width, height))


def padded(picture: np.ndarray, fit: Fit) -> np.ndarray:
    """A picture [H, W, 3] uint8 resized into a model's frame, its border pixels carried on to the edge."""
    left, top, width, height = fit.inner
    inner = _resized(picture, (width, height))
    right, bottom = fit.size[0] - left - width, fit.size[1] - top - height
    return np.pad(inner, ((top, bottom), (left, right), (0, 0)), mode="edge")


def unpadded(frames: np.ndarray, fit: Fit, size: tuple[int, int]) -> np.ndarray:
    """A model's frames [T, H, W, 3] uint8 without the margins, at the shot's ``size`` (width, height).

    Frames of another size than was asked for are cut in the same proportions: a service may scale its videos.

    Raises:
        InputError: They have another shape than was asked for.
    """
    height, width = frames.shape[1:3]
    across, down = width / fit.size[0], height / fit.size[1]
    if abs(across / down - 1.0) > 0.02:
        raise InputError(
            f"the model made frames of {width} x {height}, asked for {fit.size[0]} x {fit.size[1]}", where="takes"
        )
    left, top, inner_width, inner_height = fit.inner
    columns = slice(round(left * across), round((left + inner_width) * across))
    rows = slice(round(top * down), round((top + inner_height) * down))
    return np.stack([_resized(frame, size) for frame in frames[:, rows, columns]])


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resized in linear light: area means when smaller, Lanczos when larger. [h, w, 3] uint8"""
    import cv2

    height, width = picture.shape[:2]
    if (width, height) == size:
        return np.ascontiguousarray(picture)
    smaller = size[0] * size[1] < width * height
    kernel = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    return _srgb(cv2.resize(_linear(picture), size, interpolation=kernel))


def _linear(picture: np.ndarray) -> np.ndarray:
    return srgb_to_linear(np.arange(256) / 255.0, np.float64).astype(np.float32)[picture]


def _srgb(linear: np.ndarray) -> np.ndarray:
    return np.round(linear_to_srgb(linear) * 255.0).astype(np.uint8)
