"""Backend `previz`: the rig, animated procedurally from the directives and rendered through the directed camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.acting import Acted, act
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.drawn import account, strength_of, unliftable
from studio_pipeline.stages.takes.filming.camera import direct_camera
from studio_pipeline.stages.takes.looks import asks, look_of
from studio_pipeline.stages.takes.moments import moments
from studio_pipeline.stages.takes.picture import draw
from studio_pipeline.stages.takes.smears import smeared
from studio_pipeline.stages.takes.writing import load_directives, write_takes

__all__ = ["Previz", "look_of", "make_previz", "run"]


@dataclass(frozen=True)
class Previz:
    """One take and its account."""

    clip: Clip
    camera: CameraPath  # that saw it, T frames
    obeyed: tuple[str, ...]  # "field=value"
    not_obeyed: tuple[str, ...]
    acted: Acted


def make_previz(
    character: Character,
    rig: Rig,
    camera: CameraPath,
    directives: Directives,
    *,
    fps: Fraction,
    frame_count: int,
    first_frame: int,
    seed: int,
    settings: PrevizSettings | None = None,
    explicit_camera: bool = False,
) -> Previz:
    """Animate a character as directed and film it.

    Args:
        character: Gives surface and colours.
        rig: Its rig.
        camera: canonical_view's camera, ``frame_count`` frames; directives may move it.
        directives: What to do.
        fps: Frames a second.
        frame_count: Number of frames T.
        first_frame: Frame number of index 0.
        seed: What chance depends on.
        settings: The backend's; None: its defaults.
        explicit_camera: The shot says where its camera stands (see `filming.camera.direct_camera`).
    """
    settings = settings or PrevizSettings()
    acted = act(
        rig, character.vertices, camera, directives, fps=fps, frame_count=frame_count, first_frame=first_frame,
        seed=seed, keep_in_frame=settings.keep_in_frame, library=settings.performances == "library",
    )  # fmt: skip
    performance = directives.get("motion.performance") or "idle"
    happening = moments(acted.vertices, rig, acted.plan, float(fps), performance=performance)
    directed = direct_camera(
        camera, rig, character.vertices, acted.plan, acted.motion, acted.vertices, happening, directives,
        fps=float(fps), seed=seed, explicit=explicit_camera,
    )  # fmt: skip
    refused, posed = {*acted.refused, *directed.refused}, acted.vertices
    if asks(directives, "vfx.optical", "smear"):
        posed = smeared(posed, happening, strength=strength_of(directives))
        refused |= {"vfx.optical=smear"} if posed is acted.vertices else set()
    pictures = draw(
        posed, character, directed.camera, happening, directives, fps=float(fps), seed=seed,
        supersample=settings.supersample, background=settings.background,
    )  # fmt: skip
    clip = Clip(frames=pictures.rgb, alpha=pictures.alpha, fps=fps, first_frame=first_frame, source="previz")
    obeyed, not_obeyed = account(directives, refused)
    return Previz(clip, directed.camera, obeyed, not_obeyed, acted)


def run(context: StageContext) -> StageResult:
    """Make takes from the shot's seed onwards and judge their pixels."""
    shot, settings = context.shot, context.settings
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    camera = CameraPath.load(context.inputs["canonical_view"])
    directives = load_directives(context.inputs["directives"])
    if camera.frame_count != shot.frame_count or len(rig.weights) != len(character.vertices):
        raise InputError("camera, rig and character do not belong to this shot", where="takes")
    made: list[Previz] = []
    for index in range(settings.count):
        context.progress(index / settings.count, f"take {index + 1} of {settings.count}")
        options = {"fps": shot.fps, "frame_count": shot.frame_count, "first_frame": shot.first_frame}
        options |= {"seed": shot.seed + index, "explicit_camera": shot.camera is not None}
        made.append(make_previz(character, rig, camera, directives, **options, settings=settings))
    context.progress(0.9, "writing")
    told = {"not_liftable": unliftable(directives)}
    strips = write_takes(context.out, [_written(take, camera, shot.seed + i, told) for i, take in enumerate(made)])
    return _result(made, directives, strips)


def _written(
    take: Previz, camera: CameraPath, seed: int, told: Mapping[str, object]
) -> tuple[Clip, CameraPath | None, dict[str, object]]:  # fmt: skip
    moved = None if take.camera is camera else take.camera
    obeyed = {"obeyed": list(take.obeyed), "not_obeyed": list(take.not_obeyed)}
    return take.clip, moved, {"seed": seed, **obeyed, **{name: value for name, value in told.items() if value}}


def _result(made: list[Previz], directives: Directives, strips: tuple[str, ...]) -> StageResult:
    """Figures of the first take; a verdict fails where every take fails it, and tells of the first."""
    judged = [judge(take.clip, directives) for take in made]
    first = made[0]
    figures = judged[0][0] | {
        "takes": len(made),
        "obeyed": len(first.obeyed),
        "not_obeyed": ", ".join(first.not_obeyed),
        "in_frame": round(first.acted.in_frame, 4),
        "movement_scale": round(first.acted.size, 3),
        "played": first.acted.played,
    }
    verdicts = [_of_any(of_takes) for of_takes in zip(*(verdicts for _, verdicts in judged), strict=True)]
    return StageResult(figures=figures, previews=strips, verdicts=tuple(verdicts))


def _of_any(verdicts: tuple[Verdict, ...]) -> Verdict:
    return next((verdict for verdict in verdicts if verdict.passed), verdicts[0])
