"""The camera of a take: standpoint and move from the directives, or the shot's own camera where it has one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan
from studio_pipeline.geometry.cameras import project
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.records import CameraPath, Motion, Rig
from studio_pipeline.stages.takes.filming.framing import Standpoint, standpoint
from studio_pipeline.stages.takes.filming.moves import Shooting, moved
from studio_pipeline.stages.takes.moments import Moments

__all__ = ["Directed", "direct_camera"]

_DEFAULTS = {"camera.framing": "full", "camera.angle": "eye_level", "camera.lens": "normal", "camera.move": "fix"}


@dataclass(frozen=True)
class Directed:
    """A camera and what of the directives it could not follow."""

    camera: CameraPath
    refused: tuple[str, ...]  # "field=value"


def direct_camera(
    camera: CameraPath,
    rig: Rig,
    vertices: np.ndarray,
    plan: BodyPlan,
    motion: Motion,
    posed: np.ndarray,
    moments: Moments,
    directives: Directives,
    *,
    fps: float,
    seed: int,
    explicit: bool = False,
) -> Directed:
    """The camera that the directives ask for; ``camera`` itself when they ask for none.

    Args:
        camera: The canonical view, T frames.
        rig: The character's.
        vertices: Its rest surface [V, 3] m.
        plan: Its parts.
        motion: What it does.
        posed: Its surface [T, V, 3] m.
        moments: Where what happens.
        directives: What to do.
        fps: Frames a second.
        seed: What the hand that holds the camera depends on.
        explicit: The shot says where its camera stands: it stays there, moves begin there, and a camera that
            moves already obeys the shot alone.
    """
    asked = {field: directives.get(field) or default for field, default in _DEFAULTS.items()}
    refused = []
    if explicit:
        keyed = bool(np.ptp(camera.world_to_camera, axis=0).max() > 0.0 or np.ptp(camera.focal) > 0.0)
        for field, default in _DEFAULTS.items():
            if asked[field] != default and (keyed or field != "camera.move"):
                refused.append(f"{field}={asked[field]}")
                asked[field] = default
    if all(asked[field] == default for field, default in _DEFAULTS.items()):
        return Directed(camera, tuple(refused))
    if asked["camera.angle"] == "subjective" and asked["camera.framing"] != "full":
        refused.append(f"camera.framing={asked['camera.framing']}")  # one's own eyes frame nothing of oneself
    options = {name: asked[f"camera.{name}"] for name in ("framing", "angle", "lens")}
    stand = standpoint(camera, rig, vertices, plan, motion, **options)
    if asked["camera.move"] != "fix":
        shooting = Shooting(
            stand=stand, fps=fps, centred=not explicit, room=_room(stand, posed), ground=moments.ground,
            centre=moments.centre, impacts=moments.impacts, seed=seed,
        )  # fmt: skip
        stand = moved(shooting, asked["camera.move"])
    return Directed(stand.path(), tuple(refused))


def _room(stand: Standpoint, posed: np.ndarray) -> tuple[float, float]:
    """What is free beside and above the character's whole movement, as a share of the picture."""
    pixels, depth = project(stand.path(), posed)
    if (depth <= 0.0).any():
        return 0.0, 0.0
    low, high = pixels.min((0, 1)), pixels.max((0, 1))
    x = min(float(low[0]), stand.width - float(high[0])) / stand.width
    y = min(float(low[1]), stand.height - float(high[1])) / stand.height
    return x, y
