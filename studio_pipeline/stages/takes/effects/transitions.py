"""``camera.transition``: how the shot begins or ends. What comes next is the same place from elsewhere, empty."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.picture.colour import recolour
from studio_pipeline.render.picture.optics import blurred
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["TRANSITIONS"]


def _length(scene: Scene) -> int:
    """Frames that a transition takes."""
    return max(2, min(scene.frames // 3, round(0.4 * scene.fps)))


def _fade_in(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Out of black; the first frame already shows something, so that the rest pose can be seen."""
    picture *= np.float32(min(1.0, (frame + 1.0) / _length(scene)))


def _fade_out(scene: Scene, frame: int, picture: np.ndarray) -> None:
    picture *= np.float32(min(1.0, (scene.frames - 1 - frame + 0.12) / _length(scene)))


def _share(scene: Scene, frame: int) -> float:
    """How far the next shot has come in, 0..1."""
    start = scene.frames - 1 - _length(scene)
    return float(np.clip((frame - start) / _length(scene), 0.0, 1.0))


def _next(scene: Scene) -> np.ndarray:
    """A picture of the shot after this: the place seen the other way round, in the evening's colours."""
    first = scene.behind[0][:, ::-1].astype(np.float32) / 255.0
    picture = np.where(first <= 0.04045, first / 12.92, ((first + 0.055) / 1.055) ** 2.4).astype(np.float32)
    height, width = picture.shape[:2]
    zoomed = cv2.resize(picture, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR)
    part = zoomed[:height, (zoomed.shape[1] - width) // 2 :][:, :width]
    down = np.linspace(0.75, 0.3, height, dtype=np.float32)[:, None, None]
    return recolour(blurred(part, 1.0 * scene.px), "warm") * down * np.array([1.0, 0.72, 0.62], np.float32)


def _dissolve(scene: Scene, frame: int, picture: np.ndarray) -> None:
    share = np.float32(0.92 * _share(scene, frame))
    if share > 0.0:
        picture += share * (_next(scene) - picture)


def _wipe(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A slanted edge with a bright border runs from the right."""
    share = _share(scene, frame)
    if share <= 0.0:
        return
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32) + 0.5
    edge = scene.width * (1.15 - 1.2 * share) - 0.18 * (y - scene.height / 2.0)
    inside = np.clip((x - edge) / scene.px + 0.5, 0.0, 1.0)
    border = np.clip(4.0 - np.abs(x - edge) / scene.px, 0.0, 1.0)
    picture += inside[..., None] * (_next(scene) - picture)
    picture += border[..., None] * (1.0 - picture)


TRANSITIONS = {
    "fade_in": Effect(front=_fade_in, order=6),
    "fade_out": Effect(front=_fade_out, order=6),
    "dissolve": Effect(front=_dissolve, order=6),
    "wipe": Effect(front=_wipe, order=6),
}
"""By value of ``camera.transition``."""
