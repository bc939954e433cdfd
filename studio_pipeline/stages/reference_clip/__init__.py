"""Stage `reference_clip`: the take that the rest of the line follows.

Payload: a Clip at the root, ``camera.{npz,json}`` (the CameraPath that it is seen by), ``clip.mp4``, ``clip.png``
(contact strip), ``choice.json``.
Figures: ``take``, ``takes``, ``frames``, ``width_px``, ``height_px``, ``has_alpha``.
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Settings, Stage

__all__ = ["STAGE", "BestSettings"]


class BestSettings(Settings):
    """There is one take today and nothing to set."""


STAGE = Stage(
    name="reference_clip",
    version=1,
    summary="The chosen take",
    inputs=("takes", "canonical_view"),
    shot_fields=(),
    backends={
        "best": Backend(
            run="studio_pipeline.stages.reference_clip.best:run",
            settings=BestSettings,
            distributions=("numpy", "opencv-python-headless", "av"),
        )
    },
    default="best",
)
