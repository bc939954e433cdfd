"""Backends `sam2`, `depth_anything` and `external`: everything classical, and networks from the user's own models."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.base import StageContext, StageResult, silent
from studio_pipeline.stages.observations.classical import CLASSICAL
from studio_pipeline.stages.observations.depth_anything import predicted_depth
from studio_pipeline.stages.observations.observe import observe_with, run_with
from studio_pipeline.stages.observations.parts import Providers
from studio_pipeline.stages.observations.sam2 import sam2_masks
from studio_pipeline.stages.observations.settings import ObservationSettings

__all__ = ["ALL", "available", "observe", "run"]

ALL = Providers(
    masks={**CLASSICAL.masks, "sam2": sam2_masks},
    tracks=CLASSICAL.tracks,
    depth={**CLASSICAL.depth, "depth_anything": predicted_depth},
)


def available() -> str:
    """What is missing for networks; empty when nothing is."""
    missing = [name for name in ("transformers", "safetensors") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed; pip install 'studio_pipeline[models]'" if missing else ""


def observe(
    character: Character,
    camera: CameraPath,
    clip: Clip,
    settings: ObservationSettings,
    progress: Callable[..., None] = silent,
) -> tuple[Observations, np.ndarray]:
    """`observe_with` every provider there is."""
    return observe_with(ALL, character, camera, clip, settings, progress)


def run(context: StageContext) -> StageResult:
    """Backends `sam2`, `depth_anything` and `external`."""
    return run_with(ALL, context)
