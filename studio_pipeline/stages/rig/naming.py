"""Names of joints that tell what they are (see `geometry.bone_names`), for any backend that finds a skeleton."""

from __future__ import annotations

import dataclasses

import numpy as np

from studio_pipeline.geometry.bone_names import semantic_names
from studio_pipeline.schema.records import Rig

__all__ = ["named"]


def named(rig: Rig, vertices: np.ndarray) -> Rig:
    """The same rig, its joints named by where they lie and what they move in the rest surface [V, 3]."""
    return dataclasses.replace(rig, names=semantic_names(rig, vertices))
