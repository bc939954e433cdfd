"""Backend `best`: the take with the best score; today there is one."""

from __future__ import annotations

import shutil

from studio_pipeline.media.strips import write_strip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.base import StageContext, StageResult

__all__ = ["run"]


def run(context: StageContext) -> StageResult:
    """Choose a take and keep its clip."""
    source = context.inputs["takes"]
    takes = load_json(source / "takes.json")["takes"]
    if len(takes) != 1:
        raise InputError(f"{len(takes)} takes, expected one: this version has no scores to choose by", where="takes")
    folder = source / takes[0]["folder"]
    clip = Clip.load(folder)
    shutil.copytree(folder, context.out, dirs_exist_ok=True, copy_function=shutil.copyfile)
    if not (context.out / "camera.json").exists():  # the take was made through the shot's own camera
        CameraPath.load(context.inputs["canonical_view"]).save(context.out)
    write_mp4(context.out / "clip.mp4", clip.frames, clip.fps)
    write_strip(context.out / "clip.png", clip.frames)
    save_json(context.out / "choice.json", {"take": 0, "of": len(takes), "reason": "the only take", **takes[0]})
    width, height = clip.size
    return StageResult(
        figures={
            "take": 0,
            "takes": len(takes),
            "frames": clip.frame_count,
            "width_px": width,
            "height_px": height,
            "has_alpha": clip.alpha is not None,
        },
        previews=("clip.png",),
    )
