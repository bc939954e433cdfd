"""Stage `canonical_view`: the shot's camera over all frames, and the first picture it sees.

Payload: ``camera.{npz,json}`` (CameraPath, one entry a frame, handles included), ``canonical.png`` (the rest pose
at the first frame, toon look on a plain backdrop). Figures: ``fov_y_deg``, ``focal_px``, ``distance_m`` (eye to the
middle of the character), ``fill_height`` (height of the character over that of the picture), ``in_frame_fraction``
(of the rest silhouette), all at the first frame; ``in_frame_least`` (over all frames), ``keys``, ``framed``.
Verdicts: ``character_in_frame`` (blocks only when nothing is visible), ``camera_outside`` (blocking).
"""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Backend, Settings, Stage

__all__ = ["STAGE", "CameraSettings"]


class CameraSettings(Settings):
    """How the character is framed when the shot gives no camera; a camera in the shot overrides all of it."""

    azimuth_deg: float = Field(default=35.0, ge=-180.0, le=180.0)  # from the front (+Z) towards +X
    elevation_deg: float = Field(default=10.0, ge=-80.0, le=80.0)
    fov_y_deg: float = Field(default=30.0, gt=0.5, lt=120.0)
    fill: float = Field(default=0.62, gt=0.05, le=1.0)  # share of the picture's tighter side; the rest is for motion


STAGE = Stage(
    name="canonical_view",
    version=1,
    summary="The shot's camera over all frames and the first picture it sees",
    inputs=("character",),
    shot_fields=("camera", "frames", "handles", "fps", "resolution"),
    backends={
        "camera": Backend(
            run="studio_pipeline.stages.canonical_view.stage:run",
            settings=CameraSettings,
            distributions=("warp-lang", "numpy", "scipy", "opencv-python-headless"),
        )
    },
    default="camera",
    checks=("character_in_frame", "camera_outside"),
)
