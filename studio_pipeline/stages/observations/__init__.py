"""What is seen in a clip: foreground masks, point tracks on the surface, depth where the clip has it.

Figures: ``mask_rest_iou``, ``mask_area_mean`` (fraction of the picture), ``empty_masks`` (frames), ``track_count``,
``track_length_median_frames``, ``visible_fraction``. Verdicts: ``rest_pose_matches`` (blocking), ``masks_found``
(blocking when the character is seen in fewer than half of the frames), ``tracks_found``.
"""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Backend, Settings, Stage

__all__ = ["STAGE", "ClassicalSettings"]


class ClassicalSettings(Settings):
    """Settings of the classical backend: no network, colours and optical flow only."""

    use_alpha: bool = True  # take the clip's own alpha as the mask
    use_depth: bool = True  # take the clip's own z pass as depth
    noise: float = Field(default=2.5, gt=0.0, le=64.0)  # least colour noise [8-bit levels]
    threshold: float = Field(default=4.0, gt=0.0, le=50.0)  # foreground from this many times the noise on
    grabcut_iterations: int = Field(default=2, ge=0, le=10)
    tracks: int = Field(default=500, ge=16, le=5000)  # points sampled on the surface seen at index 0
    track_window: int = Field(default=13, ge=5, le=51)  # [px]
    forward_backward: float = Field(default=0.7, gt=0.0, le=10.0)  # largest round-trip error of a step [px]
    similarity: float = Field(default=0.6, ge=-1.0, le=1.0)  # least correlation with the last patch


STAGE = Stage(
    name="observations",
    version=1,
    summary="Foreground masks, point tracks bound to the surface, depth where the clip has it",
    inputs=("reference_clip", "canonical_view", "character"),
    shot_fields=(),
    backends={
        "classical": Backend(
            run="studio_pipeline.stages.observations.classical:run",
            settings=ClassicalSettings,
            distributions=("opencv-python-headless", "numpy"),
        )
    },
    default="classical",
    checks=("rest_pose_matches", "masks_found", "tracks_found"),
)
