"""From a video model's frames to a take of the shot, and from takes to the stage's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.media.images import read_image
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.diffusers_settings import Retime
from studio_pipeline.stages.takes.resampling import Fit, frame_positions, retimed, unpadded
from studio_pipeline.stages.takes.writing import write_takes

__all__ = ["ModelClip", "finish", "first_picture", "to_take"]

Take = tuple[Clip, None, Mapping[str, Any]]


@dataclass(frozen=True)
class ModelClip:
    """What a model made."""

    frames: np.ndarray  # [M, h, w, 3] uint8, sRGB
    fps: Fraction
    record: Mapping[str, Any]  # what takes.json says of it


def first_picture(context: StageContext) -> np.ndarray:
    """The canonical view, which every model starts from. [H, W, 3] uint8 sRGB

    Raises:
        InputError: It isn't there or doesn't have the shot's size.
    """
    path = context.inputs["canonical_view"] / "canonical.png"
    picture, _ = read_image(path)
    width, height = context.shot.resolution
    if picture.shape[:2] != (height, width):
        raise InputError(f"is {picture.shape[1]} x {picture.shape[0]}, the shot {width} x {height}", where=path)
    return picture


def to_take(made: ModelClip, fit: Fit, shot: Any, how: Retime, *, source: str) -> Take:
    """A take of the shot's size, rate and length.

    Args:
        made: The model's clip.
        fit: Where the shot's picture lies in its frames.
        shot: Gives resolution, fps, frame_count, first_frame.
        how: How frames in between are made.
        source: Name of the backend.
    """
    count = len(made.frames)
    positions, stretch = frame_positions(shot.frame_count, shot.fps, count, made.fps)
    used = slice(0, min(count, int(positions[-1]) + 2))
    frames = unpadded(made.frames[used], fit, tuple(shot.resolution))
    clip = Clip(frames=retimed(frames, positions, how), fps=shot.fps, first_frame=shot.first_frame, source=source)
    record = {
        "model_size": [made.frames.shape[2], made.frames.shape[1]],
        "model_frames": count,
        "model_fps": str(made.fps),
        "retime": how,
        "time_stretch": round(stretch, 4),
        "obeyed": [],  # a model doesn't say; the judge looks
        "not_obeyed": [],
        **made.record,
    }
    return clip, None, record


def finish(context: StageContext, takes: Sequence[Take], directives: Directives, **more: float | str) -> StageResult:
    """Write the takes and judge them: figures of the first, verdicts that fail where every take fails.

    Args:
        context: The stage's.
        takes: At least one.
        directives: What was asked for.
        more: Further figures.
    """
    strips = write_takes(context.out, takes)
    judged = [judge(clip, directives) for clip, _, _ in takes]
    first = takes[0][2]
    figures = judged[0][0] | {
        "takes": len(takes),
        "obeyed": 0,
        "not_obeyed": "",
        "model_frames": first["model_frames"],
        "time_stretch": first["time_stretch"],
        **more,
    }
    verdicts = [_best(of_takes) for of_takes in zip(*(verdicts for _, verdicts in judged), strict=True)]
    return StageResult(figures=figures, previews=strips, verdicts=tuple(verdicts))


def _best(verdicts: tuple[Verdict, ...]) -> Verdict:
    return next((verdict for verdict in verdicts if verdict.passed), verdicts[0])
