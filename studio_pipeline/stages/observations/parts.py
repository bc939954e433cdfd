"""What the parts of an observation are given and give: one provider each for masks, tracks and depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.observations.sampling import SurfacePoints
from studio_pipeline.stages.observations.settings import DepthKind, ObservationSettings
from studio_pipeline.stages.observations.tracking import Tracked

__all__ = ["Measured", "Providers", "Scene"]


@dataclass(frozen=True)
class Scene:
    """What every provider sees."""

    character: Character
    camera: CameraPath
    clip: Clip
    rest: np.ndarray  # [H, W] bool, silhouette that index 0 should show
    rest_depth: np.ndarray  # [H, W] float32 [m], NaN outside

    @property
    def still_camera(self) -> bool:
        """Whether the camera never moves."""
        return bool(np.allclose(self.camera.world_to_camera, self.camera.world_to_camera[:1], atol=1e-9))


@dataclass(frozen=True)
class Measured:
    """Depth values before their scale is known."""

    values: np.ndarray  # [T, h, w] float32
    kind: DepthKind
    source: str
    given: bool = False  # by the user: what doesn't fit is an error, a network's is only left out


MaskProvider = Callable[[Scene, ObservationSettings], tuple[np.ndarray, str]]
"""Coverage [T, H, W] uint8, and where it comes from."""
TrackProvider = Callable[[Scene, np.ndarray, SurfacePoints, ObservationSettings], tuple[Tracked, str]]
"""Tracks of the points and late ones, and where they come from."""
DepthProvider = Callable[[Scene, np.ndarray, ObservationSettings], Measured | None]
"""Depth values; None where there are none."""


@dataclass(frozen=True)
class Providers:
    """The providers that a backend may use, by the name that its settings give them."""

    masks: Mapping[str, MaskProvider]
    tracks: Mapping[str, TrackProvider]
    depth: Mapping[str, DepthProvider]
