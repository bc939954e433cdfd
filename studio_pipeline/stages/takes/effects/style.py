"""``style.look``, ``style.shading`` and ``style.palette`` as far as they are done to the whole picture."""

from __future__ import annotations

import numpy as np

from studio_pipeline.render.picture import manners
from studio_pipeline.render.picture.colour import PALETTES, recolour
from studio_pipeline.stages.takes.effects.scene import Effect, Painter, Scene

__all__ = ["MANNERS", "PALETTE", "SHADING"]

_DRAWN_EVERY = 1.0 / 8.0
"""[s] between two drawings of what is redrawn by hand: paper moves, washes and pencil lines boil."""


def _nothing(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Done where the character is rendered."""


def _boiling(scene: Scene, frame: int, name: str) -> np.random.Generator:
    return scene.rng(name, scene.redrawn(frame, _DRAWN_EVERY))


def _retro_cel(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.retro_cel(picture, scene.rng("retro_cel", frame), scene.px)


def _storybook(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.storybook(picture, scene.rng("storybook"), scene.px)


def _watercolour(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.watercolour(picture, _boiling(scene, frame, "watercolour"), scene.px)


def _ink(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.ink(picture, _boiling(scene, frame, "ink"), scene.cover(frame), scene.px)


def _comic(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.comic(picture, scene.cover(frame), scene.px)


def _rough_sketch(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.sketch(picture, _boiling(scene, frame, "rough_sketch"), scene.cover(frame), scene.px)


MANNERS = {
    "modern_digital": Effect(),
    "retro_cel": Effect(front=_retro_cel, order=2),
    "storybook": Effect(front=_storybook, order=2),
    "watercolour": Effect(front=_watercolour, order=2),
    "ink": Effect(front=_ink, order=2),
    "comic": Effect(front=_comic, order=2),
    "rendered_3d": Effect(),
    "rough_sketch": Effect(front=_rough_sketch, order=2),
}
"""By value of ``style.look``."""


def _painterly(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
    return manners.brushed(picture, _boiling(scene, frame, "painterly"), scene.px)


SHADING = {"painterly": Effect(front=_painterly, order=2)}
"""By value of ``style.shading``: what shading the surface alone doesn't give."""


def _palette(name: str) -> Painter:
    def paint(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray:
        return recolour(picture, name)

    return paint


PALETTE = {name: Effect(front=_palette(name), order=3) for name in PALETTES if name != "natural"}
"""By value of ``style.palette``."""
