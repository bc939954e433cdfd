"""What is seen in a clip: foreground masks, point tracks on the surface, depth where there is any.

Masks, tracks and depth are made by one provider each, freely combined in the settings; a backend is a preset that
switches one of them. `classical` runs no network.

Figures: ``mask_rest_iou``, ``mask_area_mean`` (fraction of the picture), ``empty_masks`` (frames), ``track_count``,
``late_track_count``, ``track_length_median_frames``, ``visible_fraction``, ``depth`` (where it comes from). Verdicts:
``rest_pose_matches`` (blocking), ``masks_found`` (blocking when the character is seen in fewer than half of the
frames), ``tracks_found``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.observations.settings import (
    ClassicalSettings,
    DepthAnythingSettings,
    ExternalSettings,
    ObservationSettings,
    Sam2Settings,
)

__all__ = [
    "STAGE",
    "ClassicalSettings",
    "DepthAnythingSettings",
    "ExternalSettings",
    "ObservationSettings",
    "Sam2Settings",
]

_PLAIN = ("opencv-python-headless", "numpy", "scipy", "warp-lang")
_NETWORKS = (*_PLAIN, "torch", "transformers", "safetensors")
_RUN = "studio_pipeline.stages.observations.networks:run"
_AVAILABLE = "studio_pipeline.stages.observations.networks:available"

STAGE = Stage(
    name="observations",
    version=2,
    summary="Foreground masks, point tracks bound to the surface, depth where there is any",
    inputs=("reference_clip", "character"),
    shot_fields=(),
    backends={
        "classical": Backend(
            run="studio_pipeline.stages.observations.classical:run", settings=ClassicalSettings, distributions=_PLAIN
        ),
        "sam2": Backend(run=_RUN, settings=Sam2Settings, distributions=_NETWORKS, available=_AVAILABLE, uses_gpu=True),
        "depth_anything": Backend(
            run=_RUN, settings=DepthAnythingSettings, distributions=_NETWORKS, available=_AVAILABLE, uses_gpu=True
        ),
        "external": Backend(run=_RUN, settings=ExternalSettings, distributions=_NETWORKS),
    },
    default="classical",
    checks=("rest_pose_matches", "masks_found", "tracks_found"),
)
