"""Everything that needs no network: colours for masks, optical flow for tracks, the clip's own alpha and z pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.base import StageContext, StageResult, silent
from studio_pipeline.stages.observations.external import external_tracks
from studio_pipeline.stages.observations.observe import observe_with, run_with
from studio_pipeline.stages.observations.parts import Measured, Providers, Scene
from studio_pipeline.stages.observations.sampling import SurfacePoints
from studio_pipeline.stages.observations.segmentation import segment
from studio_pipeline.stages.observations.settings import DepthKind, ObservationSettings
from studio_pipeline.stages.observations.tracking import Tracked, follow

__all__ = ["CLASSICAL", "observe", "run"]


def _masks(scene: Scene, settings: ObservationSettings) -> tuple[np.ndarray, str]:
    return segment(scene.clip.frames, scene.rest, settings, still_camera=scene.still_camera), "colour"


def _tracks(
    scene: Scene, masks: np.ndarray, points: SurfacePoints, settings: ObservationSettings
) -> tuple[Tracked, str]:
    corners = scene.character.vertices[scene.character.faces[points.faces]].astype(np.float64)
    places = (corners * points.barycentrics[..., None]).sum(1)
    tracked = follow(
        scene.clip.frames, masks, points.pixels, settings, places=places, depth=np.asarray(scene.rest_depth)
    )
    return tracked, "flow+lk+template" if settings.drift_control else "flow+lk"


def _clip_depth(scene: Scene, masks: np.ndarray, settings: ObservationSettings) -> Measured | None:
    depth, kind = scene.clip.depth, cast(DepthKind, settings.depth_kind or scene.clip.depth_kind)
    return None if depth is None else Measured(depth, kind, "clip", given=True)


def _no_depth(scene: Scene, masks: np.ndarray, settings: ObservationSettings) -> Measured | None:
    return None


CLASSICAL = Providers(
    masks={"classical": _masks},
    tracks={"classical": _tracks, "external": external_tracks},
    depth={"clip": _clip_depth, "off": _no_depth},
)


def observe(
    character: Character,
    camera: CameraPath,
    clip: Clip,
    settings: ObservationSettings,
    progress: Callable[..., None] = silent,
) -> tuple[Observations, np.ndarray]:
    """`observe_with` without networks."""
    return observe_with(CLASSICAL, character, camera, clip, settings, progress)


def run(context: StageContext) -> StageResult:
    """Backend `classical`."""
    return run_with(CLASSICAL, context)
