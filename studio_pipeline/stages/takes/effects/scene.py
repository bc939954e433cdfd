"""What a painter of effects may look at, and the measures they share."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.takes.moments import Moments

__all__ = ["Effect", "Painter", "Scene", "pulse"]


@dataclass(frozen=True)
class Scene:
    """A filmed motion, T frames; pictures are missing until the character has been rendered."""

    camera: CameraPath
    moments: Moments
    fps: float
    seed: int
    strength: float  # 0.6 light, 1 medium, 1.5 heavy
    ground: bool  # the place has one
    dark: bool  # the place is dark: lines are drawn bright
    behind: np.ndarray  # [T, H, W, 3] uint8 sRGB, the set
    distance: np.ndarray | None = None  # [T, H, W] float32 m, depth of the set; None: a plain backdrop
    rgb: np.ndarray | None = None  # [T, H, W, 3] uint8 sRGB, character and set
    alpha: np.ndarray | None = None  # [T, H, W] uint8, the character's coverage
    depth: np.ndarray | None = None  # [T, H, W] float32 m, NaN beside the character

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.camera.frame_count

    @property
    def height(self) -> int:
        """Of the picture [px]."""
        return self.camera.height

    @property
    def width(self) -> int:
        """Of the picture [px]."""
        return self.camera.width

    @property
    def px(self) -> float:
        """What a pixel of a picture 512 px high is here [px]."""
        return self.camera.height / 512.0

    @property
    def size(self) -> float:
        """Of the character [m]."""
        return self.moments.size

    def rng(self, name: str, *numbers: int) -> np.random.Generator:
        """Chance that depends on the seed, the effect and ``numbers`` alone."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), *numbers])

    def seen(self, frame: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [N, 2] and depths [N] of world points [N, 3] or [3]."""
        pixels, depth = project(self.camera.at([frame]), np.atleast_2d(points)[None])
        return pixels[0], depth[0]

    def at(self, frame: int, point: np.ndarray) -> np.ndarray:
        """The pixel [2] of a world point [3]."""
        return self.seen(frame, point)[0][0]

    def scale(self, frame: int, point: np.ndarray) -> float:
        """Pixels of the character's size at a world point [3]."""
        depth = float(self.seen(frame, point)[1][0])
        return float(self.camera.focal[frame]) * self.size / max(depth, 0.05 * self.size)

    def cover(self, frame: int) -> np.ndarray:
        """The character's coverage 0..1. [H, W] float32"""
        assert self.alpha is not None
        return self.alpha[frame].astype(np.float32) * np.float32(1.0 / 255.0)

    def on_ground(self, point: np.ndarray, flat: np.ndarray) -> np.ndarray:
        """Points [N, 2] in sizes around a world point, laid on the ground. [N, 3]"""
        x, z = point[0] + flat[:, 0] * self.size, point[2] + flat[:, 1] * self.size
        return np.stack([x, np.full(len(flat), self.moments.ground), z], axis=-1)

    def since(self, frame: int, event: int) -> float:
        """Seconds since the frame ``event``; negative before it."""
        return (frame - event) / self.fps

    def redrawn(self, frame: int, every: float = 1.0 / 12.0) -> int:
        """Which drawing a frame shows of what is redrawn ``every`` seconds."""
        return int(frame / self.fps / every + 1e-6)


Painter = Callable[[Scene, int, np.ndarray], np.ndarray | None]
"""Paints one frame of a scene on a picture [H, W, 3] float32 in linear light, in place or by returning another."""


@dataclass(frozen=True)
class Effect:
    """How a tag is drawn: on the set behind the character, over both, or both."""

    behind: Painter | None = None
    front: Painter | None = None
    order: int = 0  # of fronts: 0 drawn things, 1 light, 2 manners, 3 palette, 4 optics, 5 impacts, 6 transitions


def pulse(seconds: float, rise: float, hold: float, fall: float) -> float:
    """Strength 0..1 of what begins at 0 s: eases in, stays, eases out."""
    if seconds < 0.0 or seconds > rise + hold + fall:
        return 0.0
    if seconds < rise:
        return seconds / max(rise, 1e-9)
    left = (rise + hold + fall - seconds) / max(fall, 1e-9)
    return float(np.clip(left, 0.0, 1.0))
