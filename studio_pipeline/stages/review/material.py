"""What the page is made from, loaded once from the upstream artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.arrays import load_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Motion, Observations, PointCache, Rig
from studio_pipeline.stages.base import StageContext

__all__ = ["Material", "StageRecord", "stage_records"]

_CHUNK_PIXELS = 16_000_000  # rendered at once


@dataclass(frozen=True)
class StageRecord:
    """What an upstream stage said of its artifact; empty when it said nothing."""

    name: str
    backend: str
    figures: Mapping[str, Any]
    verdicts: tuple[Mapping[str, Any], ...]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Material:
    """The shot's records, all of the same T frames."""

    character: Character
    rig: Rig
    camera: CameraPath  # T frames
    directives: Directives
    clip: Clip
    observations: Observations
    motion: Motion
    cache: PointCache
    delivered_frames: tuple[Path, ...]  # rendered refined motion

    @classmethod
    def load(cls, context: StageContext) -> Material:
        """Read everything and check that it is one shot.

        Raises:
            InputError: Frame counts differ or a file is missing.
        """
        inputs, shot = context.inputs, context.shot
        cache = PointCache.load(inputs["refined_motion"])
        count = cache.frame_count
        camera = CameraPath.load(inputs["reference_clip"])
        camera = camera.at(np.zeros(count, dtype=int)) if camera.frame_count == 1 else camera
        names = [f"{shot.id}.{cache.first_frame + index:04d}.png" for index in range(count)]
        material = cls(
            character=Character.load(inputs["character"]),
            rig=Rig.load(inputs["rig"]),
            camera=camera,
            directives=Directives.model_validate(load_json(inputs["directives"] / "directives.json")),
            clip=Clip.load(inputs["reference_clip"]),
            observations=Observations.load(inputs["observations"]),
            motion=Motion.load(inputs["lifted_motion"]),
            cache=cache,
            delivered_frames=tuple(inputs["delivery"] / "frames" / name for name in names),
        )
        for what, found in (
            ("the clip", material.clip.frame_count),
            ("the camera", camera.frame_count),
            ("the observations", len(material.observations.masks)),
            ("the lifted motion", material.motion.frame_count),
        ):
            if found != count:
                raise InputError(f"{what} has {found} frames, the refined motion {count}", where=f"review of {shot.id}")
        seen = material.observations.masks.shape[:0:-1]
        if not seen == material.clip.size == (camera.width, camera.height):
            sizes = (
                f"the clip is {material.clip.size}, its masks {seen}, the camera {(camera.width, camera.height)} pixels"
            )
            raise InputError(sizes, where=f"review of {shot.id}")
        return material

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return self.cache.frame_count

    @cached_property
    def lifted(self) -> np.ndarray:
        """Skinned surface. [T, V, 3] float32 [m]"""
        transforms = skinning_transforms(self.rig, self.motion)
        return pose_vertices(self.character.vertices, self.rig.weights, transforms)

    def parts(self) -> Iterator[slice]:
        """Slices of frames small enough to be rendered at once."""
        step = max(1, _CHUNK_PIXELS // (self.camera.width * self.camera.height))
        for start in range(0, self.frame_count, step):
            yield slice(start, min(start + step, self.frame_count))


def stage_records(inputs: Mapping[str, Path]) -> tuple[StageRecord, ...]:
    """What each upstream stage said, in the graph's order; a stage without ``stage.json`` said nothing."""
    records = []
    for name, folder in inputs.items():
        path = folder / "stage.json"
        said = load_json(path) if path.exists() else {}
        records.append(
            StageRecord(
                name=name,
                backend=str(said.get("backend", "")),
                figures=said.get("figures", {}),
                verdicts=tuple(said.get("verdicts", ())),
                folder=folder,
            )
        )
    return tuple(records)
