"""All places by their name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.render.sets import built, land
from studio_pipeline.render.sets.filming import StageSet
from studio_pipeline.render.sets.hours import air
from studio_pipeline.render.sets.site import Site
from studio_pipeline.schema.records import CameraPath

__all__ = ["PLACES", "WITHOUT_GROUND", "build_set"]

PLACES: dict[str, Callable[[Site], StageSet]] = {
    "studio": built.studio, "meadow": land.meadow, "forest": land.forest, "city": built.city, "room": built.room,
    "seaside": land.seaside, "underwater": built.underwater, "sky": built.sky, "mountains": land.mountains,
    "desert": land.desert, "space": built.space,
}  # fmt: skip
"""By value of ``environment.place``."""

WITHOUT_GROUND = ("sky", "space")


def build_set(
    place: str, hour: str, weather: str, *, vertices: np.ndarray, camera: CameraPath, seed: int
) -> StageSet:  # fmt: skip
    """Paint a place around a character.

    Args:
        place: One of `PLACES`.
        hour: Value of ``environment.time``.
        weather: Value of ``environment.weather``.
        vertices: The character at rest [V, 3] m; it stands in the middle.
        camera: Its first frame says what lies in view; the picture's height how fine things are painted.
        seed: What chance depends on.
    """
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    centre = np.array([(low[0] + high[0]) / 2.0, low[1], (low[2] + high[2]) / 2.0])
    ahead = -camera.world_to_camera[0, 2, :3]
    site = Site(
        centre=centre, unit=float((high - low).max()), facing=float(np.arctan2(ahead[0], ahead[2])),
        pixels=camera.height, hour=hour, weather=weather, air=air(hour, weather), seed=seed,
    )  # fmt: skip
    return PLACES[place](site)
