"""The backend ``warp``: our own rasterizer under the lift."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.lifted_motion.lift import LiftResult, lift
from studio_pipeline.stages.lifted_motion.preview import write_previews
from studio_pipeline.stages.lifted_motion.views import load_views

__all__ = ["run"]

LEAST_IOU = 0.5  # of the mean over frames: below, the lift shows something else
TRACK_BOUND = 0.03  # median track error, of the picture's larger side


def _verdicts(result: LiftResult, iou: float, track: float | None, size: int, unseen: int) -> tuple[Verdict, ...]:
    motion = result.motion
    finite = bool(np.isfinite(motion.rotations).all() and np.isfinite(motion.translations).all())
    bound = TRACK_BOUND * size
    return (
        Verdict("finite", finite, "all rotations and translations are finite" if finite else "the motion has NaN"),
        Verdict("silhouette", iou >= LEAST_IOU, f"mean IoU of lift and mask {iou:.3f}, at least {LEAST_IOU}"),
        Verdict(
            "track_residual",
            track is not None and track <= bound,
            "no tracks to compare with" if track is None else f"median {track:.2f} px, at most {bound:.1f}",
            blocking=False,
        ),
        Verdict(
            "frames_seen",
            unseen == 0,
            f"{unseen} of {motion.frame_count} frames show no character and are carried by smoothness",
            blocking=False,
        ),
        _explained(*(result.residuals.get(f"frames_{name}", []) for name in ("doubted", "partly_doubted"))),
    )


def _explained(doubted: list[dict[str, float]], partly: list[dict[str, float]]) -> Verdict:
    """Whether all frames can be explained by some pose."""
    parts = []
    if doubted:
        parts.append(f"indices that no pose explains as well as the others, and count for less: {_listed(doubted)}")
    if partly:
        parts.append(f"indices of which some part isn't explained: {_listed(partly)}")
    message = "; ".join(parts) or "every frame is explained about as well as the others"
    return Verdict("frames_explained", not doubted, message, blocking=False)


def _listed(frames: list[dict[str, float]]) -> str:
    shown = ", ".join(f"{item['frame']} ({100 * item['explained']:.0f} %)" for item in frames[:8])
    return shown + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")


def run(context: StageContext) -> StageResult:
    """Lift the reference clip (see `lift.lift`)."""
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    camera = CameraPath.load(context.inputs["canonical_view"])
    clip = Clip.load(context.inputs["reference_clip"])
    observations = Observations.load(context.inputs["observations"])
    settings = context.settings
    views = load_views(settings.views, character, clip) if settings.views else ()
    result = lift(character, rig, camera, clip, observations, settings, context.progress, views)
    result.motion.save(context.out)
    save_json(context.out / "residuals.json", result.residuals)
    previews = write_previews(context.out, clip, observations, result.pictures, result.residuals)
    frames = result.residuals["frames"]
    overlaps = [value for value in frames["iou"] if value is not None]
    errors = [value for value in frames["track_error_px"] if value is not None]
    iou = float(np.mean(overlaps)) if overlaps else 0.0
    track = float(np.median(errors)) if errors else None
    unseen = len(result.residuals["frames_unseen"])
    figures: dict[str, float | int | str | bool] = {
        "iou_mean": round(iou, 4),
        "iou_min": min(overlaps, default=0.0),
        "rgb_error": result.residuals["rgb_error"],
        "iterations": int(result.residuals.get("iterations", 0)),
        "frames_unseen": unseen,
        "frames_doubted": len(result.residuals.get("frames_doubted", [])),
        "joints_unseen": len(result.residuals["joints_unseen"]),
    }
    if contacts := result.residuals.get("contacts"):
        figures["contacts"] = len(contacts)
        figures["foot_slide_mm"] = max(item["slide_after_mm"] for item in contacts)
    if track is not None:
        figures["track_error_px"] = round(track, 3)
    return StageResult(
        figures=figures, previews=previews, verdicts=_verdicts(result, iou, track, max(clip.size), unseen)
    )
