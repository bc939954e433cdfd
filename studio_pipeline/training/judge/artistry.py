"""Intentional deformation: what animators do to a drawing on purpose. All of it counts as good.

The deformation lasts a few frames, follows the movement, and the drawing comes back whole.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.training.judge.layers import Layers, flatten, moved
from studio_pipeline.training.judge.noise import grid

__all__ = ["ARTISTRY", "DEFORMATIONS", "EFFECTS", "artistry", "deformed", "with_effect"]

DEFORMATIONS = ("smear", "multiples", "blur", "squash")
"""What changes the drawing of the subject."""

EFFECTS = ("impact", "flash", "shake", "speed_lines")
"""What changes the whole picture."""

ARTISTRY = (*DEFORMATIONS, *EFFECTS)
"""Kinds of intentional deformation that are made here, on top of what previz draws."""


def artistry(kind: str, layers: Layers, seed: int) -> np.ndarray:
    """The clip with an intentional deformation or effect. [T, H, W, 3] uint8 sRGB

    Args:
        kind: One of `ARTISTRY`.
        layers: The plain clip.
        seed: The same seed gives the same picture.
    """
    if kind in DEFORMATIONS:
        return flatten(deformed(kind, layers, seed))
    return with_effect(kind, flatten(layers), layers, seed)


def deformed(kind: str, layers: Layers, seed: int) -> Layers:
    """The subject deformed on purpose, still in layers; ``kind`` is one of `DEFORMATIONS`."""
    made = {"smear": _smear, "multiples": _multiples, "blur": _blur, "squash": _squash}[kind]
    return made(layers, np.random.default_rng([seed, 77, ARTISTRY.index(kind)]))


def with_effect(kind: str, frames: np.ndarray, layers: Layers, seed: int) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 of the clip with an effect over them; ``kind`` is one of `EFFECTS`."""
    made = {"impact": _impact, "flash": _flash, "shake": _shake, "speed_lines": _speed_lines}[kind]
    return made(frames.copy(), layers, np.random.default_rng([seed, 77, ARTISTRY.index(kind)]))


def _centres(layers: Layers) -> np.ndarray:
    """Middle of the subject. [T, 2] float64, row and column [px]"""
    rows, columns = grid(layers.alpha.shape[1:])
    total = np.maximum(layers.alpha.sum((1, 2)), 1e-3)
    return np.stack([(layers.alpha * rows).sum((1, 2)) / total, (layers.alpha * columns).sum((1, 2)) / total], 1)


def _fast_frames(layers: Layers, rng: np.random.Generator, most: int) -> list[int]:
    """Where the subject changes most: that is where animators smear."""
    change = np.abs(np.diff(layers.alpha, axis=0)).sum((1, 2)) * rng.uniform(0.7, 1.0, len(layers.alpha) - 1)
    order = np.argsort(-change) + 1
    first = int(order[0])
    return sorted({min(first + k, len(layers.alpha) - 1) for k in range(most)})


def _heading(layers: Layers, index: int, rng: np.random.Generator) -> np.ndarray:
    """Direction of the movement at a frame, a unit vector (row, column); by chance where it stands still."""
    centres = _centres(layers)
    step = centres[min(index, len(centres) - 1)] - centres[max(index - 1, 0)]
    length = float(np.linalg.norm(step))
    if length < 0.3:
        angle = rng.uniform(0.0, 2.0 * np.pi)
        return np.array([np.sin(angle), np.cos(angle)])
    return step / length


def _warped(layers: Layers, chosen: dict[int, tuple[np.ndarray, np.ndarray]]) -> Layers:
    """The subject of the chosen frames fetched from elsewhere."""
    parts = {name: getattr(layers, name).copy() for name in ("colour", "alpha", "bones", "faces")}
    for index, (rows, columns) in chosen.items():
        for name, values in moved(layers, index, rows, columns).items():
            parts[name][index] = values
    return layers.but(**parts)


def _affine(shape: tuple[int, int], centre: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels come from when the picture is mapped by ``matrix`` [2, 2] (row, column) about ``centre``."""
    back = np.linalg.inv(matrix)
    rows, columns = grid(shape)
    y, x = rows - centre[0], columns - centre[1]
    return centre[0] + back[0, 0] * y + back[0, 1] * x, centre[1] + back[1, 0] * y + back[1, 1] * x


def _smear(layers: Layers, rng: np.random.Generator) -> Layers:
    """One to three frames stretched along the movement, most at the trailing end."""
    centres, shape = _centres(layers), layers.alpha.shape[1:]
    chosen = {}
    for index in _fast_frames(layers, rng, int(rng.integers(1, 4))):
        way = _heading(layers, index, rng)
        amount = rng.uniform(1.35, 2.1)
        matrix = np.eye(2) + (amount - 1.0) * np.outer(way, way)
        matrix = matrix @ (np.eye(2) + (1.0 / np.sqrt(amount) - 1.0) * (np.eye(2) - np.outer(way, way)))
        lag = centres[index] - 0.25 * (amount - 1.0) * layers.extent * way * 0.5
        rows, columns = _affine(shape, lag, matrix)
        along = (grid(shape)[0] - lag[0]) * way[0] + (grid(shape)[1] - lag[1]) * way[1]
        bend = rng.uniform(-0.12, 0.12) * along**2 / max(layers.extent, 1.0)
        chosen[index] = (rows - bend * way[1], columns + bend * way[0])
    return _warped(layers, chosen)


def _multiples(layers: Layers, rng: np.random.Generator) -> Layers:
    """A few frames in which the subject is drawn several times along its way, fading."""
    colour, alpha = layers.colour.copy(), layers.alpha.copy()
    for index in _fast_frames(layers, rng, int(rng.integers(1, 4))):
        way = _heading(layers, index, rng)
        step = rng.uniform(0.07, 0.16) * layers.extent
        rows, columns = grid(alpha.shape[1:])
        for copy in range(1, int(rng.integers(2, 5))):
            frame = moved(layers, index, rows + copy * step * way[0], columns + copy * step * way[1])
            fade = rng.uniform(0.45, 0.8) ** copy
            free = 1.0 - alpha[index]
            colour[index] += free[..., None] * fade * frame["colour"]
            alpha[index] += free * fade * frame["alpha"]
    return layers.but(colour=colour, alpha=alpha)


def _blur(layers: Layers, rng: np.random.Generator) -> Layers:
    """Motion blur along the movement, in proportion to the speed, over the whole clip."""
    centres, shape = _centres(layers), layers.alpha.shape[1:]
    rows, columns = grid(shape)
    shutter = rng.uniform(0.4, 1.2)
    least = rng.uniform(0.0, 0.05) * layers.extent
    colour, alpha = layers.colour.copy(), layers.alpha.copy()
    for index in range(1, len(alpha)):
        speed = float(np.linalg.norm(centres[index] - centres[index - 1]))
        way = _heading(layers, index, rng)
        length = max(shutter * speed, least)
        parts = [moved(layers, index, rows + k * length * way[0], columns + k * length * way[1])
                 for k in np.linspace(-0.5, 0.5, 7)]  # fmt: skip
        colour[index] = np.mean([part["colour"] for part in parts], axis=0)
        alpha[index] = np.mean([part["alpha"] for part in parts], axis=0)
    return layers.but(colour=colour, alpha=alpha)


def _squash(layers: Layers, rng: np.random.Generator) -> Layers:
    """The body flattens and lengthens over the clip with its area kept, about its lowest point."""
    count, shape = len(layers.alpha), layers.alpha.shape[1:]
    period, size = rng.uniform(6.0, 14.0), rng.uniform(0.15, 0.45)
    tilt = rng.uniform(-0.25, 0.25)
    chosen = {}
    for index in range(1, count):
        rows, columns = np.nonzero(layers.alpha[index] > 0.5)
        if not len(rows):
            continue
        tall = 1.0 + size * np.sin(2.0 * np.pi * index / period) * min(1.0, index / 3.0)
        lean = tilt * size * np.sin(2.0 * np.pi * index / period + 0.6) * min(1.0, index / 3.0)
        matrix = np.array([[tall, 0.0], [lean, 1.0 / tall]])
        chosen[index] = _affine(shape, np.array([rows.max(), columns.mean()]), matrix)
    return _warped(layers, chosen)


def _impact(frames: np.ndarray, layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """One or two frames in stark colours: inverted, in two tones, or the subject alone on black or white."""
    for index in _fast_frames(layers, rng, int(rng.integers(1, 3))):
        how = int(rng.integers(0, 4))
        if how == 0:
            frames[index] = 255 - frames[index]
        elif how == 1:
            gray = frames[index].mean(-1)
            two = np.array(rng.integers(0, 256, (2, 3)), np.uint8)
            frames[index] = two[(gray > np.median(gray)).astype(int)]
        else:
            shown = (layers.alpha[index] > 0.5)[..., None]
            frames[index] = np.where(shown, 255 if how == 2 else 0, 0 if how == 2 else 255)
    return frames


def _flash(frames: np.ndarray, layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """The picture goes white (or tinted) and comes back over a few frames."""
    frames = frames.astype(np.float32)
    colour = np.where(rng.random() < 0.6, 255.0, rng.uniform(150.0, 255.0, 3))
    start = int(rng.integers(1, max(2, len(frames) - 3)))
    strength = rng.uniform(0.6, 1.0)
    for index in range(start, len(frames)):
        share = strength * 0.5 ** (index - start)
        frames[index] = (1.0 - share) * frames[index] + share * colour
    return np.round(frames).astype(np.uint8)


def _shake(frames: np.ndarray, layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """The whole picture jolts for some frames, dying out."""
    import cv2

    start = int(rng.integers(1, max(2, len(frames) // 2)))
    size = rng.uniform(0.02, 0.06) * layers.extent
    result = frames.copy()
    for index in range(start, len(frames)):
        dy, dx = size * 0.75 ** (index - start) * rng.uniform(-1.0, 1.0, 2)
        matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]], np.float32)
        result[index] = cv2.warpAffine(frames[index], matrix, frames.shape[2:0:-1], borderMode=cv2.BORDER_REPLICATE)
    return result


def _speed_lines(frames: np.ndarray, layers: Layers, rng: np.random.Generator) -> np.ndarray:
    """Radial or parallel lines over the picture for some frames, new ones every frame or second frame."""
    import cv2

    height, width = frames.shape[1:3]
    centre, radial = _centres(layers)[0], rng.random() < 0.5
    colour = [int(value) for value in (255, 255, 255)] if rng.random() < 0.6 else [30, 26, 40]
    angle, hold = rng.uniform(-0.4, 0.4), int(rng.integers(1, 3))
    first = int(rng.integers(0, len(frames) // 2))
    lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for index in range(first, len(frames)):
        if (index - first) % hold == 0:
            lines = []
            for _ in range(int(rng.integers(10, 30))):
                if radial:
                    way, near = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.55, 0.9) * layers.extent
                    unit = np.array([np.sin(way), np.cos(way)])
                    ends = centre + near * unit, centre + (near + 2.0 * width) * unit
                else:
                    start = np.array([rng.uniform(0, height), rng.uniform(-0.3 * width, 0.9 * width)])
                    ends = start, start + rng.uniform(0.2, 0.7) * width * np.array([np.sin(angle), np.cos(angle)])
                lines.append(tuple((int(end[1]), int(end[0])) for end in ends))  # pyright: ignore
        over = frames[index].copy()
        for begin, end in lines:
            cv2.line(over, begin, end, colour, 1, cv2.LINE_AA)
        shown = 1.0 - 0.85 * layers.alpha[index][..., None]  # behind the subject for the most part
        frames[index] = np.round(frames[index] * (1.0 - shown) + over * shown).astype(np.uint8)
    return frames
