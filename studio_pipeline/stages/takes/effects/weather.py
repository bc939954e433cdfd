"""``environment.weather``: rain, snow, fog, storm and wind in the air; the sky itself belongs to the set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.shapes import Mask, add, over, paint, polygon, stroke
from studio_pipeline.stages.takes.effects.particles import SWARMS, Swarm, drift
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["WEATHER"]


def _streak(lean: float, length: float, cover: float) -> Swarm:
    def fall(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
        end = at + np.array([lean, 1.0]) * length * size
        paint(picture, stroke(np.array([at, end]), max(0.009 * size, 0.7)), linear((214, 228, 244)), cover=cover)

    return Swarm("rain", 150, (0.5, 1.0), (3.2, 4.0), lean * 3.4, 0.0, 0.0, fall)


def _splashes(scene: Scene, frame: int, picture: np.ndarray) -> None:
    if not scene.ground:
        return
    rng = scene.rng("splashes", frame)
    mask = Mask(scene.height, scene.width)
    ring = np.concatenate([polygon(20), polygon(20)[:1], polygon(20)[:1] * 0.72, polygon(20)[::-1] * 0.72])
    for _ in range(round(46 * scene.strength)):
        place = scene.on_ground(scene.moments.centre[0], rng.uniform(-2.2, 2.2, (1, 2)))[0]
        mask.fill(scene.seen(frame, scene.on_ground(place, ring * rng.uniform(0.02, 0.06)))[0])
    over(picture, 0.55 * mask.sharp, linear((226, 238, 250)))


def _rain_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _splashes(scene, frame, picture)
    drift(scene, frame, picture, _streak(0.1, 0.26, 0.5), front=False)


def _rain_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    drift(scene, frame, picture, _streak(0.1, 0.3, 0.58), front=True)


def _flake(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    paint(picture, polygon(12) * size + at, np.ones(3) * 0.97, cover=0.95, soft=0.3 * size)


_SNOW = Swarm("snow", 260, (0.006, 0.016), (0.22, 0.46), 0.1, 0.07, 0.0, _flake, reach=1.5)


def _snow_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    drift(scene, frame, picture, _SNOW, front=False)


def _snow_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    drift(scene, frame, picture, replace(_SNOW, sizes=(0.006, 0.02)), front=True)


def _banks(scene: Scene, frame: int, name: str) -> np.ndarray:
    """Fog that drifts, denser towards the ground. [H, W]"""
    noise = fractal_noise(scene.rng(name), (scene.height, 2 * scene.width), (4, 6), octaves=4)
    moved = np.roll(noise, round(0.05 * scene.width * frame / scene.fps), axis=1)[:, : scene.width]
    foot = scene.at(frame, scene.on_ground(scene.moments.centre[frame], np.zeros((1, 2)))[0])[1] / scene.height
    rows = (np.arange(scene.height)[:, None] + 0.5) / scene.height
    return smooth(0.3, 0.75, moved) * np.exp(-(((rows - foot) / 0.3) ** 2)).astype(np.float32)


_FOG = (226, 232, 238)


def _fog_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    over(picture, 0.42 + 0.4 * _banks(scene, frame, "fog"), linear(_FOG))


def _fog_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    over(picture, 0.14 * scene.strength + 0.5 * _banks(scene, frame, "fog near"), linear(_FOG))


def _struck(scene: Scene, frame: int) -> float:
    """How bright a distant bolt lights the picture, 0..1."""
    first = round(0.3 * scene.frames)
    flashes = (first, first + round(0.12 * scene.fps), round(0.75 * scene.frames))
    return max(float(np.exp(-scene.since(frame, t) / 0.05)) if frame >= t > 0 else 0.0 for t in flashes)


def _storm_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    bright = _struck(scene, frame)
    if bright > 0.03:
        add(picture, np.full(picture.shape[:2], 0.42 * bright, np.float32), linear((186, 200, 255)))
    _splashes(scene, frame, picture)
    drift(scene, frame, picture, _streak(-0.45, 0.32, 0.6), front=False)


def _storm_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    bright = _struck(scene, frame)
    picture *= np.float32(1.0 + 0.5 * bright)
    drift(scene, frame, picture, _streak(-0.45, 0.36, 0.66), front=True)


def _gusts(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Strokes of wind with a curl at their end, and leaves that it carries."""
    rng, time = scene.rng("windy", int(front)), frame / scene.fps
    mask = Mask(scene.height, scene.width)
    for _ in range(round((5 if front else 8) * scene.strength)):
        row, phase, length = rng.uniform(0.08, 0.9), rng.uniform(0.0, 1.0), rng.uniform(0.3, 0.6)
        u = (phase + 0.9 * time) % 1.0
        head = (-0.2 + 1.5 * u) * scene.width
        t = np.linspace(0.0, 1.0, 26)
        x = head - length * scene.width * (1.0 - t)
        y = row * scene.height + 0.02 * scene.height * np.sin(5.0 * t + 9.0 * phase)
        curl = np.linspace(0.0, 4.6, 18)
        radius = 0.04 * scene.height * (1.0 - curl / 6.2)
        tail = np.stack([x[-1] + radius * np.sin(curl), y[-1] - 0.04 * scene.height + radius * np.cos(curl)], -1)
        line = np.concatenate([np.stack([x, y], -1), tail]) if rng.random() < 0.6 else np.stack([x, y], -1)
        mask.line(line, 3.2 * scene.px, taper=1.0, level=float(np.sin(np.pi * u)) ** 0.5)
    over(picture, 0.8 * mask.sharp, linear((250, 253, 255)))
    leaves = replace(SWARMS["leaves"], name="windy leaves", count=16, wind=1.5, fall=(0.05, 0.25), spin=1.1)
    drift(scene, frame, picture, leaves, front=front)


def _windy_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _gusts(scene, frame, picture, front=False)


def _windy_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _gusts(scene, frame, picture, front=True)


WEATHER = {
    "clear": Effect(),
    "cloudy": Effect(),
    "rain": Effect(behind=_rain_behind, front=_rain_front),
    "snow": Effect(behind=_snow_behind, front=_snow_front),
    "fog": Effect(behind=_fog_behind, front=_fog_front),
    "storm": Effect(behind=_storm_behind, front=_storm_front),
    "windy": Effect(behind=_windy_behind, front=_windy_front),
}
"""By value of ``environment.weather``."""
