"""Backend `best`: the take with the best score, or the one that somebody chose."""

from __future__ import annotations

import shutil

from studio_pipeline.media.strips import write_strip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.reference_clip.choosing import Chosen, choose, read_choice, take_digest

__all__ = ["run"]


def run(context: StageContext) -> StageResult:
    """Choose a take, keep its clip, and say why."""
    source, settings = context.inputs["takes"], context.settings
    takes = load_json(source / "takes.json")["takes"]
    report = load_json(context.inputs["take_report"] / "report.json")
    if len(report["takes"]) != len(takes):
        raise InputError(f"{len(takes)} takes, but {len(report['takes'])} in their report", where="reference_clip")
    pinned = read_choice(settings.choice) if settings.choice is not None else None
    digests = [take_digest(source / item["folder"]) for item in takes] if pinned and pinned.digest else []
    chosen = choose(report, take=settings.take, pinned=pinned, digests=digests)
    folder = source / takes[chosen.take]["folder"]
    clip = Clip.load(folder)
    shutil.copytree(folder, context.out, dirs_exist_ok=True, copy_function=shutil.copyfile)
    if not (context.out / "camera.json").exists():  # the take was made through the shot's own camera
        CameraPath.load(context.inputs["canonical_view"]).save(context.out)
    write_mp4(context.out / "clip.mp4", clip.frames, clip.fps)
    write_strip(context.out / "clip.png", clip.frames)
    said = report["takes"][chosen.take]
    save_json(
        context.out / "choice.json",
        {
            "take": chosen.take,
            "of": len(takes),
            "by": chosen.by,
            "reason": chosen.reason,
            "ranking": report["ranking"],
            "scores": [_scores(item) for item in report["takes"]],
            **takes[chosen.take],
        },
    )
    width, height = clip.size
    return StageResult(
        figures={
            "take": chosen.take,
            "takes": len(takes),
            "chosen_by": chosen.by,
            "composite": said["composite"],
            "frames": clip.frame_count,
            "width_px": width,
            "height_px": height,
            "has_alpha": clip.alpha is not None,
        },
        previews=("clip.png",),
        verdicts=_verdicts(chosen),
    )


def _scores(said: dict) -> dict:
    names = ("take", "composite", "heads", "lowest", "lowest_head", "fidelity", "passed", "reasons")
    return {name: said[name] for name in names}


def _verdicts(chosen: Chosen) -> tuple[Verdict, ...]:
    told = chosen.reason
    if not chosen.accepted:
        told += " Make other takes (seed, count), or follow it all the same: studio select SHOT TAKE"
    current = "chosen among these takes" if chosen.current else "the takes were made anew since the choice: look again"
    return (
        Verdict("take_accepted", chosen.accepted, told),
        Verdict("choice_current", chosen.current, current, blocking=False),
    )
