"""``vfx.symbol``: signs of comics, fixed to the head."""

from __future__ import annotations

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.shapes import Mask, heart, over, paint, polygon, rotate, stroke, teardrop
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["SYMBOLS"]

Colour = tuple[int, int, int]
_INK: Colour = (44, 32, 52)


def _drawn(scene: Scene, picture: np.ndarray, shape: np.ndarray, fill: Colour, *, line: float = 2.6) -> None:
    """A shape [N, 2] px with an outline."""
    closed = np.concatenate([shape, shape[:2]])
    paint(picture, stroke(closed, 2.0 * max(line * scene.px, 1.0)), linear(_INK))
    paint(picture, shape, linear(fill))


def _shine(scene: Scene, picture: np.ndarray, at: np.ndarray, radius: float) -> None:
    over(picture, 0.95 * Mask(scene.height, scene.width).disc(at, radius).sharp, np.ones(3))


def _place(scene: Scene, frame: int, left: float, up: float, ahead: float = 0.0) -> tuple[np.ndarray, float]:
    """A pixel beside the head, offsets in sizes of the head, and the pixels of that size."""
    moments = scene.moments
    point = moments.head[frame] + moments.head_size * (
        left * moments.left[frame] + ahead * moments.front[frame] + np.array([0.0, up, 0.0])
    )
    return scene.at(frame, point), scene.scale(frame, point) * moments.head_size / scene.size


def _screen(scene: Scene, frame: int, across: float, up: float) -> tuple[np.ndarray, float]:
    """A pixel beside the head as seen: ``across`` to the right, ``up``, in sizes of the head."""
    point = scene.moments.head[frame]
    unit = scene.scale(frame, point) * scene.moments.head_size / scene.size
    return scene.at(frame, point) + np.array([across, -up]) * unit, unit


def _sweat_drop(scene: Scene, frame: int, picture: np.ndarray) -> None:
    u = (frame / scene.fps / 1.1 + 0.12) % 1.0
    at, unit = _screen(scene, frame, 0.4, 0.34 - 0.26 * u)
    size = 0.17 * unit * min(1.0, 0.5 + 2.0 * u) * (0.85 + 0.15 * scene.strength)
    _drawn(scene, picture, teardrop() * size + at, (150, 212, 250))
    _shine(scene, picture, at + np.array([-0.22, 0.3]) * size, 0.16 * size)


def _anger_mark(scene: Scene, frame: int, picture: np.ndarray) -> None:
    throb = 1.0 + 0.14 * np.sin(2.0 * np.pi * 2.2 * frame / scene.fps)
    at, unit = _screen(scene, frame, 0.36, 0.38)
    size = 0.19 * unit * throb
    for quarter in range(4):
        t = np.linspace(0.0, np.pi / 2.0, 14)
        arc = np.stack([1.0 - 0.72 * np.sin(t) ** 1.0, 1.0 - 0.72 * np.cos(t)], axis=-1)
        points = rotate(arc, quarter * np.pi / 2.0 + 0.25) * size + at
        over(picture, Mask(scene.height, scene.width).line(points, 0.42 * size, taper=0.35).sharp, linear(_INK))
    for quarter in range(4):
        t = np.linspace(0.06, np.pi / 2.0 - 0.06, 14)
        arc = np.stack([1.0 - 0.72 * np.sin(t), 1.0 - 0.72 * np.cos(t)], axis=-1)
        points = rotate(arc, quarter * np.pi / 2.0 + 0.25) * size + at
        over(picture, Mask(scene.height, scene.width).line(points, 0.25 * size, taper=0.5).sharp, linear((224, 44, 52)))


def _hearts(scene: Scene, frame: int, picture: np.ndarray) -> None:
    rng, time = scene.rng("hearts"), frame / scene.fps
    for index in range(round(7 * scene.strength)):
        phase, across, speed = (
            (index * 0.37 + rng.uniform(0, 0.2)) % 1.0,
            rng.uniform(-0.75, 0.75),
            rng.uniform(0.5, 0.75),
        )
        u = (phase + speed * time) % 1.0
        at, unit = _screen(scene, frame, across + 0.08 * np.sin(6.0 * u + index), 0.15 + 0.75 * u)
        size = 0.13 * unit * rng.uniform(0.7, 1.25) * np.sin(np.pi * min(1.0, 0.12 + u)) ** 0.4
        shape = rotate(heart(), 0.28 * np.sin(5.0 * u + 2.0 * index)) * size + at
        _drawn(scene, picture, shape, (246, 96, 130), line=2.0)
        _shine(scene, picture, at + np.array([-0.4, -0.34]) * size, 0.15 * size)


def _tears(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Streams under the eyes, and drops that fly off."""
    moments, time = scene.moments, frame / scene.fps
    if float((scene.camera.world_to_camera[frame, :3, :3] @ moments.front[frame])[2]) < 0.05:
        return
    for side in (-1.0, 1.0):
        at, unit = _place(scene, frame, 0.19 * side, -0.07, 0.46)
        t = np.linspace(0.0, 1.0, 14)
        sway = 0.014 * np.sin(9.0 * t - 14.0 * time) * unit
        stream = at + np.stack([sway + side * 0.05 * unit * t * t, 0.4 * unit * t], axis=-1)
        width = 0.075 * unit * (0.85 + 0.15 * scene.strength)
        outline = stroke(stream, width)
        over(picture, 0.9 * Mask(scene.height, scene.width).fill(outline).disc(stream[-1], 0.6 * width).sharp,
             linear((128, 200, 250)))  # fmt: skip
        over(
            picture,
            Mask(scene.height, scene.width).line(stream[1:-2] - [0.18 * width, 0], 0.26 * width).sharp,
            np.ones(3),
        )
        for index in range(2):
            u = (1.5 * time + 0.5 * index + 0.2 * side) % 1.0
            drop = at + np.array([side * (0.12 + 0.5 * u), -0.1 + 0.55 * u * u + 0.1 * index]) * unit
            _drawn(scene, picture, rotate(teardrop(), -side * 0.9) * 0.055 * unit + drop, (150, 214, 252), line=1.6)


def _music_notes(scene: Scene, frame: int, picture: np.ndarray) -> None:
    rng, time = scene.rng("music_notes"), frame / scene.fps
    tones: tuple[Colour, ...] = ((66, 132, 216), (232, 110, 120), (240, 176, 60), (88, 172, 120))
    for index in range(round(5 * scene.strength)):
        phase, side = (index * 0.41) % 1.0, 1.0 if index % 2 else -1.0
        u = (phase + 0.6 * time) % 1.0
        across = side * (0.42 + 0.32 * u) + 0.05 * np.sin(8.0 * u)
        at, unit = _screen(scene, frame, across + rng.uniform(-0.08, 0.08), 0.05 + 0.7 * u)
        size = 0.15 * unit * np.sin(np.pi * min(1.0, 0.15 + u)) ** 0.4
        tilt = 0.25 * np.sin(2.0 * np.pi * (1.4 * time + phase))
        oval = rotate(polygon(24) * [0.5, 0.36], -0.4)
        stem = np.array([[0.36, 0.0], [0.5, 0.0], [0.5, -1.9], [0.36, -1.9]])
        parts = [oval, stem]
        if index % 2:
            other = [1.25, -0.1]
            beam = np.array([[0.36, -1.9], [1.75, -2.05], [1.75, -1.65], [0.36, -1.5]])
            parts += [oval + other, stem + other, beam]
        else:
            parts.append(np.array([[0.5, -1.9], [1.05, -1.35], [0.95, -0.75], [0.85, -1.2], [0.5, -1.45]]))
        mask, edge = Mask(scene.height, scene.width), Mask(scene.height, scene.width)
        for part in parts:
            shape = rotate(part, tilt) * size + at
            edge.line(np.concatenate([shape, shape[:2]]), max(5.0 * scene.px, 2.0)).fill(shape)
            mask.fill(shape)
        over(picture, edge.sharp, linear((255, 252, 246)))
        over(picture, mask.sharp, linear(tones[index % 4]))


def _exclamation(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Pops up over the head, overshoots, trembles."""
    time = frame / scene.fps
    grown = 1.0 + 0.45 * np.exp(-9.0 * time) * np.cos(22.0 * time) if frame else 0.9
    at = scene.at(frame, scene.moments.crown[frame])
    unit = scene.scale(frame, scene.moments.head[frame]) * scene.moments.head_size / scene.size
    at = at + np.array([0.42 * unit, 0.18 * unit])
    at[1] = max(at[1], 0.46 * unit)
    size = 0.36 * unit * grown
    tilt = 0.2 + 0.05 * np.sin(30.0 * time) * np.exp(-3.0 * time)
    bar = np.array([[-0.2, -1.05], [0.2, -1.05], [0.09, -0.02], [-0.09, -0.02]])
    _drawn(scene, picture, rotate(bar, tilt) * size + at, (250, 206, 60), line=3.2)
    dot = polygon(28) * 0.15 + np.array([0.0, 0.24])
    _drawn(scene, picture, rotate(dot, tilt) * size + at, (250, 206, 60), line=3.2)


def _blush(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Reddened cheeks with three strokes, on the face where it is seen."""
    facing = float((scene.camera.world_to_camera[frame, :3, :3] @ scene.moments.front[frame])[2])
    if facing < 0.1:
        return
    cover = scene.cover(frame)
    for side in (-1.0, 1.0):
        at, unit = _place(scene, frame, 0.235 * side, -0.23, 0.4)
        soft = Mask(scene.height, scene.width).fill(polygon(32) * [0.105 * unit, 0.07 * unit] + at).soft(0.035 * unit)
        over(picture, 0.78 * soft * cover * min(1.0, 2.5 * facing), linear((250, 92, 104)))
        strokes = Mask(scene.height, scene.width)
        for dx in (-0.045, 0.0, 0.045):
            strokes.line(at + np.array([[dx + 0.022, -0.034], [dx - 0.022, 0.034]]) * unit, 0.016 * unit)
        over(picture, 0.8 * strokes.sharp * cover, linear((206, 44, 66)))


SYMBOLS = {
    "sweat_drop": Effect(front=_sweat_drop),
    "anger_mark": Effect(front=_anger_mark),
    "hearts": Effect(front=_hearts),
    "tears": Effect(front=_tears),
    "music_notes": Effect(front=_music_notes),
    "exclamation": Effect(front=_exclamation),
    "blush": Effect(front=_blush),
}
"""By value of ``vfx.symbol``."""
