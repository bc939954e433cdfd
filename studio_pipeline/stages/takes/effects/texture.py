"""``texture.surface`` and ``texture.finish``: what areas are filled with, and what lies over the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.render.picture import manners, surfaces
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["FINISHES", "SURFACES"]

_DRAWN_EVERY = 1.0 / 8.0  # [s] between two drawings of what is redrawn by hand

Filler = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]


def _filled(fill: Filler, name: str, *, order: int, every: float | None = _DRAWN_EVERY) -> Effect:
    """A painter whose chance changes with every drawing, never (``every`` None), or with every frame (0)."""

    def paint(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
        drawing = 0 if every is None else frame if every == 0.0 else scene.redrawn(frame, every)
        return fill(picture, scene.rng(name, drawing), scene.px)

    return Effect(front=paint, order=order)


def _halftone(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    return surfaces.halftoned(picture, px)


def _hatching(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    return surfaces.hatched(picture, rng, px, crossed=False)


def _cross_hatching(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    return surfaces.hatched(picture, rng, px, crossed=True)


_FILLS: dict[str, Filler] = {
    "halftone": _halftone, "hatching": _hatching, "cross_hatching": _cross_hatching, "stipple": surfaces.stippled,
    "watercolour_wash": manners.watercolour, "gouache": surfaces.gouache, "crayon": surfaces.crayon,
    "pencil": surfaces.pencil, "dry_brush": surfaces.dry_brush,
}  # fmt: skip

SURFACES = {"smooth": Effect()} | {name: _filled(fill, name, order=2) for name, fill in _FILLS.items()}
"""By value of ``texture.surface``."""


def _cel(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return surfaces.cel(picture, scene.cover(frame), scene.rng("cel", scene.redrawn(frame, _DRAWN_EVERY)), scene.px)


FINISHES = {
    "clean": Effect(),
    "paper": _filled(surfaces.on_paper, "paper", order=4, every=None),
    "canvas": _filled(surfaces.canvas, "canvas", order=4, every=None),
    "film_stock": _filled(surfaces.film_stock, "film_stock", order=4, every=0.0),
    "cel": Effect(front=_cel, order=4),
    "print": _filled(surfaces.printed, "print", order=4, every=None),
    "videotape": _filled(surfaces.videotape, "videotape", order=4, every=0.0),
}
"""By value of ``texture.finish``."""
