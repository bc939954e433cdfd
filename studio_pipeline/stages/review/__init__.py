"""Review: everything about a shot on one page that opens from disk with no network.

Payload: ``review.html`` (pictures and videos inside), ``contact_sheet.png``, ``side_by_side.mp4`` (clip, lift,
refinement), ``turntable.mp4``.

Figures: ``frames``, ``iou_lift_mean``, ``iou_refined_mean`` (silhouettes against the observed masks),
``displacement_mm_mean``, ``displacement_mm_max`` (refined against lifted surface), ``failed_gates``, ``page_mb``.
Verdicts: ``self_contained``.
"""

from studio_pipeline.stages.base import Backend, Stage
from studio_pipeline.stages.review.settings import ReviewSettings

__all__ = ["STAGE"]

STAGE = Stage(
    name="review",
    version=1,
    summary="One page: clip, lift and refinement side by side, turntable, figures and gates",
    inputs=(
        "character",
        "rig",
        "solid",
        "canonical_view",
        "directives",
        "takes",
        "take_report",
        "reference_clip",
        "observations",
        "lifted_motion",
        "refined_motion",
        "delivery",
    ),
    shot_fields=("id", "brief", "fps", "frames", "handles", "resolution"),
    backends={
        "page": Backend(
            run="studio_pipeline.stages.review.page:run",
            settings=ReviewSettings,
            smaller="studio_pipeline.stages.review.settings:smaller",
            distributions=("numpy", "opencv-python-headless", "pillow", "av", "jinja2", "warp-lang"),
        )
    },
    default="page",
    checks=("self_contained",),
)
