"""Stage `reference_clip`: the take that the rest of the line follows.

Without anybody's say it is the best of `take_report`; the shot list (``take``) or an artist (``studio select SHOT
TAKE``, a pinned ``choice``) chooses another, also one that failed there.

Payload: the take's Clip at the root, ``camera.{npz,json}`` (the CameraPath that it is seen by), ``clip.mp4``,
``clip.png`` (contact strip), ``choice.json`` (which take, chosen by whom, one sentence why, and the figures).
Figures: ``take``, ``takes``, ``chosen_by``, ``composite``, ``frames``, ``width_px``, ``height_px``, ``has_alpha``.
Verdicts: ``take_accepted`` (blocking: the take passed `take_report`, or a person chose it), ``choice_current`` (a
pinned choice was made among these very takes).
"""

from __future__ import annotations

from pydantic import Field

from studio_pipeline.stages.base import Backend, InputFile, Override, Settings, Stage

__all__ = ["STAGE", "BestSettings"]


class BestSettings(Settings):
    """Which take, when it isn't the best."""

    take: int | None = Field(default=None, ge=0, le=9999)  # index of a take, chosen in the shot list
    choice: InputFile | None = None  # an artist's choice, as `studio select` pins it; wins over ``take``


STAGE = Stage(
    name="reference_clip",
    version=2,
    summary="The chosen take",
    inputs=("takes", "take_report", "canonical_view"),
    shot_fields=(),
    backends={
        "best": Backend(
            run="studio_pipeline.stages.reference_clip.best:run",
            settings=BestSettings,
            distributions=("numpy", "opencv-python-headless", "av"),
        )
    },
    default="best",
    checks=("take_accepted", "choice_current"),
    override=Override(
        backend="best", setting="choice", check="studio_pipeline.stages.reference_clip.choosing:check_choice"
    ),
)
