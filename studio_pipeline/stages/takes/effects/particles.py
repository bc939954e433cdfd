"""``vfx.particle`` and what weather throws about: small things in the air around the character."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.shapes import add, over, paint, petal, polygon, rotate
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["PARTICLES", "Swarm", "drift"]

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Swarm:
    """Things of a kind: how many, how large, how they fall; lengths in sizes of the character."""

    name: str
    count: int
    sizes: tuple[float, float]
    fall: tuple[float, float]  # a second, downwards
    wind: float  # a second, to the right of the picture
    sway: float
    spin: float  # turns a second
    paint: Callable[[Scene, np.ndarray, np.ndarray, float, float, int], None]  # picture, place, size px, turn, number
    reach: float = 1.1  # half a side of the box that they fill around the character
    near: float = 0.85  # of the way to the camera that they come


def drift(scene: Scene, frame: int, picture: np.ndarray, swarm: Swarm, *, front: bool) -> None:
    """Paint the half of a swarm that is before or behind the character."""
    rng, time = scene.rng(swarm.name), frame / scene.fps
    right, back = scene.camera.world_to_camera[0, 0, :3], scene.camera.world_to_camera[0, 2, :3]
    back = back * [1.0, 0.0, 1.0] / max(float(np.hypot(back[0], back[2])), 1e-6)
    depth = float(scene.seen(0, scene.moments.centre[0])[1][0]) / scene.size
    tall = 1.15 * scene.height / scene.camera.focal[0] * depth
    wide = 1.15 * scene.width / scene.camera.focal[0] * depth
    middle = scene.moments.centre[0]
    for number in range(round(swarm.count * scene.strength)):
        place, size = rng.uniform(0.0, 1.0, 3), rng.uniform(*swarm.sizes)
        fall, phase = rng.uniform(*swarm.fall), rng.uniform(0.0, 2.0 * np.pi)
        toward = (2.0 * place[2] - 1.0) * swarm.reach
        if (toward > 0.0) != front:
            continue
        toward = min(toward, swarm.near * depth - 0.3)
        across = (place[0] + swarm.wind * time / wide) % 1.0 - 0.5
        rise = 0.5 - (place[1] + fall * time / tall) % 1.0
        sway = swarm.sway * np.sin(2.0 * time + phase)
        point = middle + scene.size * (
            right * (across * wide + sway) + back * toward + np.array([0.0, rise * tall, 0.0])
        )  # fmt: skip
        pixel, unit = scene.at(frame, point), scene.scale(frame, point) * size
        if -unit < pixel[0] < scene.width + unit and -unit < pixel[1] < scene.height + unit:
            turn = phase + 2.0 * np.pi * swarm.spin * time * (1.0 if number % 2 else -1.0)
            swarm.paint(scene, picture, pixel, unit, turn, number)


def _over(scene: Scene, picture: np.ndarray, shape: np.ndarray, tone: Colour, cover: float = 1.0) -> None:
    paint(picture, shape, linear(tone), cover=cover)


def _tumbled(shape: np.ndarray, turn: float) -> np.ndarray:
    """A flat thing that turns over as it falls."""
    return shape * [1.0, 0.3 + 0.7 * abs(np.cos(1.7 * turn))]


def _petal(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    shape = rotate(_tumbled(petal(), turn), turn) * size
    tone = ((255, 196, 212), (250, 170, 194), (255, 222, 230))[number % 3]
    _over(scene, picture, shape * 1.12 + at, (206, 112, 142), 0.7)
    _over(scene, picture, shape + at, tone)
    _over(scene, picture, shape * [0.45, 0.3] + at, (255, 240, 244), 0.6)


def _leaf(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    t = np.linspace(0.0, np.pi, 12)
    half = np.stack([-np.cos(t), 0.48 * np.sin(t) ** 0.8], axis=-1)
    outline = np.concatenate([half, half[::-1] * [1.0, -1.0]])
    tone = ((214, 110, 44), (196, 62, 46), (224, 164, 60), (140, 146, 62))[number % 4]
    shape = rotate(_tumbled(outline, turn), turn) * size
    _over(scene, picture, shape * 1.1 + at, (92, 52, 36), 0.7)
    _over(scene, picture, shape + at, tone)
    _over(scene, picture, rotate(_tumbled(half * 0.94, turn), turn) * size + at, (110, 50, 36), 0.28)
    vein = np.array([[-1.5, -0.03], [0.8, -0.03], [0.8, 0.05], [-1.5, 0.05]])
    _over(scene, picture, rotate(_tumbled(vein, turn), turn) * size + at, (96, 56, 40), 0.9)


def _feather(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    t = np.linspace(0.0, 1.0, 16)
    bend = 0.3 * np.sin(2.6 * t)
    wide = 0.24 * np.sin(np.pi * t**0.7) ** 0.7
    notch = np.where((np.arange(16) % 5 == 3), 0.55, 1.0)
    left = np.stack([2.0 * t - 1.0, bend + wide * notch], axis=-1)
    right = np.stack([2.0 * t - 1.0, bend - wide], axis=-1)
    tilt = 0.6 * np.sin(turn) + (0.4 if number % 2 else -0.5)
    outline = rotate(np.concatenate([left, right[::-1]]), tilt) * size
    _over(scene, picture, outline * 1.07 + at, (120, 132, 160), 0.8)
    _over(scene, picture, outline + at, (250, 250, 255))
    _over(scene, picture, rotate(np.concatenate([right, right[::-1] * [1, 0.4] + [0, 0.02]]), tilt) * size + at,
          (196, 206, 226), 0.6)  # fmt: skip
    quill = np.concatenate(
        [np.stack([2.0 * t - 1.2, bend - 0.018], -1), np.stack([2.0 * t - 1.2, bend + 0.018], -1)[::-1]]
    )
    _over(scene, picture, rotate(quill, tilt) * size + at, (146, 152, 178), 0.9)


def _bubble(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    circle = polygon(40)
    ring = np.concatenate([circle, circle[:1], circle[:1] * 0.88, circle[::-1] * 0.88])
    _over(scene, picture, circle * size + at, (200, 236, 255), 0.16)
    _over(scene, picture, ring * size + at, (236, 250, 255), 0.85)
    t = np.linspace(3.5, 4.7, 12)
    arc = np.stack([np.cos(t), np.sin(t)], axis=-1)
    _over(scene, picture, np.concatenate([arc * 0.78, arc[::-1] * 0.6]) * size + at, (255, 255, 255), 0.9)
    low = rotate(np.concatenate([arc * 0.8, arc[::-1] * 0.7]), np.pi) * size + at
    _over(scene, picture, low, ((255, 196, 230), (190, 255, 226), (255, 240, 180))[number % 3], 0.7)


def _confetto(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    tone = ((236, 72, 92), (250, 196, 62), (74, 160, 232), (106, 196, 110), (178, 108, 214), (255, 140, 66))[number % 6]
    flip = np.cos(2.3 * turn)
    strip = np.array([[-1.0, -0.55], [1.0, -0.55], [1.0, 0.55], [-1.0, 0.55]]) * [1.0, max(abs(flip), 0.15)]
    shade = tone if flip > 0.0 else (round(tone[0] * 0.66), round(tone[1] * 0.66), round(tone[2] * 0.66))
    _over(scene, picture, rotate(strip, turn) * size + at, shade)


def _firefly(scene: Scene, picture: np.ndarray, at: np.ndarray, size: float, turn: float, number: int) -> None:
    bright = np.float32(0.35 + 0.65 * (0.5 + 0.5 * np.sin(1.6 * turn + number)) ** 2)
    reach = int(np.ceil(7.0 * size))
    low, high = np.floor(at).astype(int) - reach, np.floor(at).astype(int) + reach + 1
    low, high = np.maximum(low, 0), np.minimum(high, [scene.width, scene.height])
    if (high <= low).any():
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32) + 0.5
    away = np.hypot(x - at[0], y - at[1]) / np.float32(size)
    part = picture[low[1] : high[1], low[0] : high[0]]
    add(part, bright * 1.5 * np.exp(-((away / 2.6) ** 2)), linear((190, 255, 90)))
    over(part, bright * np.exp(-((away / 0.9) ** 2)), linear((252, 255, 206)))


SWARMS = {
    "petals": Swarm("petals", 64, (0.022, 0.046), (0.16, 0.34), 0.22, 0.06, 0.5, _petal),
    "leaves": Swarm("leaves", 40, (0.03, 0.058), (0.2, 0.42), 0.3, 0.07, 0.55, _leaf),
    "feathers": Swarm("feathers", 26, (0.05, 0.095), (0.1, 0.2), 0.05, 0.1, 0.22, _feather),
    "bubbles": Swarm("bubbles", 44, (0.014, 0.06), (-0.3, -0.12), 0.03, 0.03, 0.3, _bubble),
    "confetti": Swarm("confetti", 120, (0.014, 0.026), (0.35, 0.75), 0.04, 0.05, 0.9, _confetto),
    "fireflies": Swarm("fireflies", 46, (0.007, 0.013), (-0.07, 0.07), 0.03, 0.08, 0.5, _firefly),
}
"""By value of ``vfx.particle``."""


def _effect(swarm: Swarm) -> Effect:
    def behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
        drift(scene, frame, picture, swarm, front=False)

    def front(scene: Scene, frame: int, picture: np.ndarray) -> None:
        drift(scene, frame, picture, swarm, front=True)

    return Effect(behind=behind, front=front)


PARTICLES = {name: _effect(swarm) for name, swarm in SWARMS.items()}
"""By value of ``vfx.particle``."""
