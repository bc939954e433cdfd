"""The backend ``warp``: our own rasterizer under the lift."""

from __future__ import annotations

from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.lifted_motion.lift import lift
from studio_pipeline.stages.lifted_motion.preview import write_previews
from studio_pipeline.stages.lifted_motion.verdicts import agreement, verdicts
from studio_pipeline.stages.lifted_motion.views import load_views

__all__ = ["run"]


def run(context: StageContext) -> StageResult:
    """Lift the reference clip (see `lift.lift`)."""
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    camera = CameraPath.load(context.inputs["reference_clip"])
    clip = Clip.load(context.inputs["reference_clip"])
    observations = Observations.load(context.inputs["observations"])
    settings = context.settings
    views = load_views(settings.views, character, clip) if settings.views else ()
    result = lift(character, rig, camera, clip, observations, settings, context.progress, views)
    result.motion.save(context.out)
    save_json(context.out / "residuals.json", result.residuals)
    previews = write_previews(context.out, clip, observations, result.pictures, result.residuals)
    frames = result.residuals["frames"]
    agreed = agreement(frames)
    unseen = len(result.residuals["frames_unseen"])
    figures: dict[str, float | int | str | bool] = {
        **agreed,
        "rgb_error": result.residuals["rgb_error"],
        "iterations": int(result.residuals.get("iterations", 0)),
        "frames_unseen": unseen,
        "frames_doubted": len(result.residuals.get("frames_doubted", [])),
        "joints_unseen": len(result.residuals["joints_unseen"]),
    }
    if contacts := result.residuals.get("contacts"):
        figures["contacts"] = len(contacts)
        figures["foot_slide_mm"] = max(item["slide_after_mm"] for item in contacts)
    doubts = [result.residuals.get(f"frames_{name}", []) for name in ("doubted", "partly_doubted")]
    judged = verdicts(result.motion, frames, size=max(clip.size), unseen=unseen, doubted=doubts[0], partly=doubts[1])
    return StageResult(figures=figures, previews=previews, verdicts=judged)
