"""Light that is more than shading: beams, leaves' spots, a bright or a dark place around the figure."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from studio_pipeline.render.picture.colour import from_oklab, linear, to_oklab
from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.optics import blurred
from studio_pipeline.render.picture.shapes import Mask, add
from studio_pipeline.render.sets.filming import rays
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["CHANGES", "LIGHTING", "TEMPERATURES"]


def _shafts(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Beams that fan out from beyond the upper left corner and breathe a little."""
    rng, time = scene.rng("shafts"), frame / scene.fps
    source = np.array([0.02 * scene.width, -0.55 * scene.height])
    far = 2.2 * float(np.hypot(scene.width, scene.height))
    mask = Mask(scene.height, scene.width)
    light = np.zeros((scene.height, scene.width), np.float32)
    for index in range(7):
        turn = np.radians(34.0 + 9.5 * index + rng.uniform(-2.5, 2.5) + 0.8 * np.sin(1.1 * time + index))
        half = np.radians(rng.uniform(1.2, 3.4))
        ends = [source + far * np.array([np.cos(turn + side * half), np.sin(turn + side * half)]) for side in (-1, 1)]
        mask = Mask(scene.height, scene.width).fill(np.array([source, *ends]))
        breath = 0.75 + 0.25 * np.sin(0.9 * time + 2.0 * index)
        light += mask.soft(5.0 * scene.px) * np.float32(rng.uniform(0.45, 1.0) * breath)
    down = 1.0 - 0.55 * (np.arange(scene.height) / scene.height)[:, None].astype(np.float32)
    picture *= 0.84
    add(picture, 0.52 * scene.strength * light * down, linear((255, 240, 200)))


@lru_cache(maxsize=4)
def _leaves(seed: int) -> np.ndarray:
    """How much sun comes through a crown. [256, 256], periodic"""
    rng = np.random.default_rng([seed, 61])
    value = fractal_noise(rng, (256, 256), (11, 11), octaves=3, gain=0.45)
    return smooth(0.5, 0.6, value).astype(np.float32)


def _dappled(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Spots of sun lie on the figure and the ground, and sway."""
    camera = scene.camera.at([frame])
    assert scene.depth is not None
    own = float(scene.seen(frame, scene.moments.centre[frame])[1][0])
    behind = np.full(picture.shape[:2], own, np.float32) if scene.distance is None else scene.distance[frame]
    depth = np.where(np.isnan(scene.depth[frame]), behind, scene.depth[frame])
    rotation, shift = camera.world_to_camera[0, :3, :3], camera.world_to_camera[0, :3, 3]
    points = rays(camera) * depth[..., None] + (-rotation.T @ shift).astype(np.float32)
    time, period = frame / scene.fps, 1.7 * scene.size
    x = (points[..., 0] + 0.45 * points[..., 1]) / period + 0.016 * np.sin(2.1 * time)
    z = (points[..., 2] - 0.85 * points[..., 1]) / period + 0.016 * np.sin(1.7 * time + 1.0)
    tile = cv2.copyMakeBorder(_leaves(scene.seed), 1, 1, 1, 1, cv2.BORDER_WRAP)
    places = ((x % 1.0 * 256.0 + 0.5).astype(np.float32), (z % 1.0 * 256.0 + 0.5).astype(np.float32))
    sun = cv2.remap(tile, *places, cv2.INTER_LINEAR)
    sun = np.where(depth < 40.0 * own, sun, 0.5)[..., None]
    shade = np.array([0.5, 0.56, 0.5], np.float32)
    picture *= shade + sun * (np.array([1.22, 1.16, 0.98], np.float32) - shade)


def _backlight(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """The place behind burns out around the figure, and its light wraps about the edges."""
    cover = scene.cover(frame)
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32) + 0.5
    middle = scene.at(frame, 0.6 * scene.moments.head[frame] + 0.4 * scene.moments.centre[frame])
    away = np.hypot(x - middle[0], y - middle[1]) / scene.height
    burst = (0.35 + 0.95 * np.exp(-((away / 0.4) ** 2))) * (1.0 - cover)
    add(picture, burst.astype(np.float32), linear((255, 244, 214)))
    wrap = blurred(burst.astype(np.float32), 7.0 * scene.px) * cover
    add(picture, 0.5 * wrap, linear((255, 236, 196)))


def _rim(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A darker place lets the bright edge tell."""
    picture *= np.array([0.52, 0.54, 0.6], np.float32)


def _high_key(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    lab = to_oklab(picture)
    lab[..., 0] = 1.0 - 0.58 * np.maximum(1.0 - lab[..., 0], 0.0) ** 1.12
    lab[..., 1:] *= 0.88
    return np.minimum(from_oklab(lab), 1.0)


def _low_key(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """The place sinks into the dark but for a pool of light."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32) + 0.5
    middle = scene.at(frame, scene.moments.centre[frame])
    away = np.hypot(x - middle[0], 1.25 * (y - middle[1])) / scene.height
    pool = (0.05 + 0.17 * np.exp(-((away / 0.42) ** 2)))[..., None].astype(np.float32)
    picture *= pool * np.array([0.85, 0.92, 1.15], np.float32)


def _underlight(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """The place is lit from the floor: bright below, dark above."""
    rise = ((np.arange(scene.height) + 0.5) / scene.height)[:, None, None].astype(np.float32)
    picture *= (0.14 + 0.62 * smooth(0.25, 1.05, rise)) * np.array([1.0, 0.92, 0.84], np.float32)


def _nothing(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """All of it is in the shading."""


def _tinted(tone: tuple[float, float, float]) -> Effect:
    def paint(scene: Scene, frame: int, picture: np.ndarray) -> None:
        picture *= np.array(tone, np.float32)

    return Effect(front=paint, order=1)


def _mixed(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Warm light from the left, cool from the right."""
    share = ((np.arange(scene.width) + 0.5) / scene.width)[None, :, None].astype(np.float32)
    share = share * share * (3.0 - 2.0 * share)
    warm, cool = (np.array(tone, np.float32) for tone in ((1.25, 0.92, 0.6), (0.6, 0.86, 1.3)))
    picture *= warm * (1.0 - share) + cool * share


TEMPERATURES = {
    "warm": _tinted((1.16, 0.93, 0.64)),
    "neutral": Effect(),
    "cool": _tinted((0.72, 0.93, 1.2)),
    "mixed": Effect(front=_mixed, order=1),
}
"""By value of ``lighting.temperature``."""


def _flicker(scene: Scene, frame: int, picture: np.ndarray) -> None:
    drawing = scene.redrawn(frame, 1.0 / 14.0)
    picture *= np.float32(scene.rng("flicker", drawing).uniform(0.5, 1.1) if drawing else 1.0)


def _pulse(scene: Scene, frame: int, picture: np.ndarray) -> None:
    picture *= np.float32(0.72 + 0.36 * np.cos(2.0 * np.pi * frame / scene.fps / 0.8))


def _sweep(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A slanted band of light passes from left to right."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32) + 0.5
    u = frame / max(scene.frames - 1, 1)
    away = (x + 0.35 * y) / scene.width - (-0.25 + 1.9 * u)
    band = np.exp(-((away / 0.16) ** 2))[..., None]
    picture *= 0.62 + 1.0 * band * np.array([1.0, 0.97, 0.88], np.float32)


CHANGES = {
    "steady": Effect(),
    "flicker": Effect(front=_flicker, order=1),
    "pulse": Effect(front=_pulse, order=1),
    "sweep": Effect(front=_sweep, order=1),
}
"""By value of ``lighting.change``."""

LIGHTING = {
    "soft_key": Effect(behind=_nothing),
    "rim": Effect(behind=_rim),
    "backlight": Effect(front=_backlight, order=1),
    "shafts": Effect(front=_shafts, order=1),
    "dappled": Effect(front=_dappled, order=0),
    "high_key": Effect(front=_high_key, order=1),
    "low_key": Effect(behind=_low_key),
    "underlight": Effect(behind=_underlight),
}
"""By value of ``lighting.source``."""
