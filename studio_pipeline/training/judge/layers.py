"""A clip taken apart: the subject with its coverage, what is behind it, and which bone every pixel belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear

__all__ = ["Layers", "flatten", "layers_of", "moved"]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Light is linear. Frames T, rows H, columns W."""

    colour: np.ndarray  # the subject's, times its coverage. [T, H, W, 3] float32
    alpha: np.ndarray  # [T, H, W] float32, 0-1
    behind: np.ndarray  # [T, H, W, 3] float32
    bones: np.ndarray  # joint that moves what is seen, -1 behind the subject. [T, H, W] int16
    faces: np.ndarray  # face that is seen, -1 behind the subject. [T, H, W] int32
    parents: np.ndarray  # of the joints. [J] int32

    @property
    def extent(self) -> float:
        """Longer side of the subject's box at index 0 [px]."""
        rows, columns = np.nonzero(self.alpha[0] > 0.5)
        return float(max(np.ptp(rows), np.ptp(columns)) + 1) if len(rows) else float(max(self.alpha.shape[1:]))

    def but(self, **changes: np.ndarray) -> Self:
        """The same with other arrays."""
        return replace(self, **changes)


def layers_of(
    frames: np.ndarray,
    alpha: np.ndarray,
    background: tuple[int, int, int],
    behind: np.ndarray,
    *,
    bones: np.ndarray,
    faces: np.ndarray,
    parents: np.ndarray,
) -> Layers:
    """Take a clip apart that was rendered over one colour, and put something else behind it.

    Args:
        frames: [T, H, W, 3] uint8 sRGB, over ``background``.
        alpha: [T, H, W] uint8.
        background: sRGB 0-255.
        behind: [H, W, 3] or [T, H, W, 3] uint8 sRGB.
        bones: See `Layers`.
        faces: See `Layers`.
        parents: See `Layers`.
    """
    table = srgb_to_linear(np.arange(256) / 255.0, np.float64).astype(np.float32)
    cover = alpha.astype(np.float32) / 255.0
    colour = table[frames] - (1.0 - cover[..., None]) * table[np.array(background)]
    wide = table[np.broadcast_to(behind, frames.shape)]
    return Layers(
        colour=np.clip(colour, 0.0, cover[..., None]), alpha=cover, behind=wide, bones=bones.astype(np.int16),
        faces=faces, parents=parents,
    )  # fmt: skip


def flatten(layers: Layers) -> np.ndarray:
    """The clip as it is seen. [T, H, W, 3] uint8 sRGB"""
    linear = layers.colour + (1.0 - layers.alpha[..., None]) * layers.behind
    return np.round(linear_to_srgb(np.clip(linear, 0.0, 1.0)) * 255.0).astype(np.uint8)


def moved(layers: Layers, index: int, rows: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
    """The subject of one frame fetched from elsewhere: pixel (y, x) shows what was at (rows, columns)[y, x].

    Returns:
        ``colour``, ``alpha``, ``bones`` and ``faces`` of the frame.
    """
    import cv2

    x, y = columns.astype(np.float32), rows.astype(np.float32)
    soft = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_CONSTANT}
    hard = {"interpolation": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_CONSTANT, "borderValue": -1}
    return {
        "colour": cv2.remap(layers.colour[index], x, y, **soft),
        "alpha": cv2.remap(layers.alpha[index], x, y, **soft),
        "bones": cv2.remap(layers.bones[index], x, y, **hard),
        "faces": cv2.remap(layers.faces[index].astype(np.float32), x, y, **hard).astype(np.int32),
    }
