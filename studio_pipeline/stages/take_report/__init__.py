"""Stage `take_report`: every take of the shot looked at by filters, by the judge of collapse and by the captioner.

Payload: ``report.json`` (see `scoring.TakeScore`; ``{"takes": [...], "ranking": [...], "least_head": ..., "weights":
...}``), ``report.png`` (a strip and a card a take). Nothing is chosen here: `reference_clip` does.

Figures: ``takes``, ``passed``, ``best`` (index, -1 when none passed), ``composite_best``, ``lowest_head_best``,
``fidelity_best``, ``failed`` (which takes, and why).
Verdict: ``take_left`` (fails when no take passed; doesn't block, because an artist may still choose one:
`reference_clip` blocks).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio_pipeline.stages.base import Backend, Settings, Stage

__all__ = ["STAGE", "ReportSettings", "Weights"]


class Weights(Settings):
    """What the composite score is made of; only their proportions count."""

    lowest: float = Field(default=0.4, ge=0.0)  # the judge's lowest head
    mean: float = Field(default=0.15, ge=0.0)  # the mean of its heads
    fidelity: float = Field(default=0.35, ge=0.0)  # share of what was asked that the captioner reads in the take
    filters: float = Field(default=0.1, ge=0.0)  # share of the filters that the take passes


class ReportSettings(Settings):
    """When a take fails, and what makes one better than another."""

    least_head: float = Field(default=2.0, ge=1.0, le=5.0)  # under it a take fails; of a plate it is told
    subject_iou: float = Field(default=0.35, ge=0.0, le=1.0)  # least overlap of index 0 with the character's silhouette
    captioner: Literal["auto", "network", "measured"] = "auto"  # reads takes; auto: the network what previz drew
    text_fails: bool = False  # burnt-in text fails a take; otherwise it costs score and is told
    weights: Weights = Weights()


STAGE = Stage(
    name="take_report",
    version=1,
    summary="Filters, judge and captioner look at every take",
    inputs=("takes", "directives", "canonical_view", "character"),
    shot_fields=(),
    backends={
        "judge": Backend(
            run="studio_pipeline.stages.take_report.report:run",
            settings=ReportSettings,
            distributions=("numpy", "scipy", "opencv-python-headless", "warp-lang", "torch", "safetensors"),
        )
    },
    default="judge",
    checks=("take_left",),
    assets=("taxonomy", "weights/judge", "weights/caption"),
)
