"""Settings of the rig's backends."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio_pipeline.stages.base import InputFile, Settings

__all__ = ["GeometricSettings", "ProvidedSettings"]


class GeometricSettings(Settings):
    """How a skeleton is found from the shape."""

    symmetry: Literal["auto", "off"] = "auto"  # auto: a body that mirrors itself gets a mirrored skeleton
    voxels: int = Field(default=20_000, ge=2_000, le=200_000)  # filled cells; more see thinner parts
    min_length: float = Field(default=0.055, ge=0.01, le=0.5)  # of the diagonal: shorter limbs get no joints
    max_joints: int = Field(default=60, ge=8, le=200)


class ProvidedSettings(Settings):
    """Whose skeleton is used."""

    file: InputFile | None = None  # another file of the same shape that carries the rig; None: the character's own
