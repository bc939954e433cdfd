"""Backend `judge`: looks at every take and writes down what it found."""

from __future__ import annotations

from pathlib import Path

from studio_pipeline.caption import describe
from studio_pipeline.models.caption import CaptionReader, load_reader
from studio_pipeline.models.judge.judging import judge_clip, shipped_judge
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.take_report import ReportSettings
from studio_pipeline.stages.take_report.burnt_in import text_filter
from studio_pipeline.stages.take_report.drawing import draw_report
from studio_pipeline.stages.take_report.fidelity import compare
from studio_pipeline.stages.take_report.filters import Filter, cut_filter, flicker_filter, usable_filters
from studio_pipeline.stages.take_report.scoring import TakeScore, ranked, score_take
from studio_pipeline.stages.take_report.subject import rest_mask, subject_filter
from studio_pipeline.stages.takes.writing import load_directives

__all__ = ["run", "take_filters"]


def run(context: StageContext) -> StageResult:
    """Report on all takes."""
    source, settings = context.inputs["takes"], context.settings
    takes = load_json(source / "takes.json")["takes"]
    if not takes:
        raise InputError("there are no takes", where="takes")
    directives = load_directives(context.inputs["directives"])
    character = Character.load(context.inputs["character"])
    canonical, taxonomy = CameraPath.load(context.inputs["canonical_view"]), load_taxonomy()
    judge = shipped_judge()
    readers = {made["backend"]: _reader(settings.captioner, made["backend"]) for made in takes}
    scores: list[TakeScore] = []
    shown = []
    for index, made in enumerate(takes):
        context.progress(index / len(takes), f"take {index + 1} of {len(takes)}")
        clip = Clip.load(source / made["folder"])
        camera = _camera(source / made["folder"], canonical)
        filters = take_filters(clip, camera, character, directives, settings)
        heads = judge_clip(clip.frames, judge, alpha=clip.alpha)
        caption = describe(clip.frames, clip.fps, alpha=clip.alpha, taxonomy=taxonomy, network=readers[made["backend"]])
        fields = compare(directives, caption.values, caption.abstained)
        scores.append(score_take(index, made, filters, heads, fields, caption.model_dump(mode="json"), settings))
        shown.append(clip.frames)
    order = ranked(scores)
    record = {
        "takes": [score.record() for score in scores],
        "ranking": order,
        "least_head": settings.least_head,
        "weights": settings.weights.model_dump(),
    }
    save_json(context.out / "report.json", record)
    draw_report(context.out / "report.png", [shown[i] for i in order], [scores[i] for i in order])
    return _result(scores, order)


def take_filters(
    clip: Clip, camera: CameraPath, character: Character, directives: Directives, settings: ReportSettings
) -> list[Filter]:
    """What every filter says of a take that ``camera`` saw."""
    rest = rest_mask(character, camera)
    return [
        *usable_filters(clip, directives),
        cut_filter(clip.frames),
        flicker_filter(clip.frames),
        subject_filter(clip, rest, least=settings.subject_iou),
        text_filter(clip.frames, rest, fails=settings.text_fails),
    ]


def _reader(captioner: str, backend: str) -> CaptionReader | None:
    """The network that reads a backend's takes beside the measures; it learnt from previz, and errs on live action."""
    return load_reader() if captioner == "network" or (captioner == "auto" and backend == "previz") else None


def _camera(folder: Path, canonical: CameraPath) -> CameraPath:
    """The camera that saw a take: its own when it came with one."""
    return CameraPath.load(folder) if (folder / "camera.json").is_file() else canonical


def _result(scores: list[TakeScore], order: list[int]) -> StageResult:
    passed = [score for score in scores if score.passed]
    best = scores[order[0]]
    failed = "; ".join(f"take {score.take}: {score.reasons[0]}" for score in scores if not score.passed)
    message = f"{len(passed)} of {len(scores)} takes passed" + (f" ({failed})" if failed else "")
    figures: dict[str, float | int | str | bool] = {
        "takes": len(scores),
        "passed": len(passed),
        "best": best.take if best.passed else -1,
        "composite_best": best.composite,
        "lowest_head_best": -1.0 if best.lowest is None else best.lowest,
        "fidelity_best": -1.0 if best.fidelity is None else best.fidelity,
        "failed": failed,
    }
    verdict = Verdict("take_left", bool(passed), message, blocking=False)
    return StageResult(figures=figures, previews=("report.png",), verdicts=(verdict,))
