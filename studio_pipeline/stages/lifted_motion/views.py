"""Several clips of one shot, from known cameras, fitted together."""

from __future__ import annotations

from dataclasses import dataclass

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Observations

__all__ = ["View"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One camera's clip and what was observed in it."""

    camera: CameraPath
    clip: Clip
    observations: Observations
