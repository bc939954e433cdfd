"""Backend `previz`: the rig, animated procedurally from the directives and rendered through the directed camera."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.look import Background, Look, default_outline_px, render_frames
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.takes import PrevizSettings
from studio_pipeline.stages.takes.acting import Acted, act
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.writing import load_directives, write_takes

__all__ = ["Previz", "look_of", "make_previz", "run"]

_HOURS = {
    "dawn": ((196, 186, 214), (250, 224, 208)),
    "day": ((196, 208, 224), (238, 234, 228)),
    "sunset": ((214, 160, 140), (250, 214, 170)),
    "night": ((58, 66, 104), (112, 120, 158)),
}
"""Top and bottom of the backdrop, sRGB, by value of ``environment.time``."""


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
    """
    settings = settings or PrevizSettings()
    acted = act(
        rig, character.vertices, camera, directives, fps=fps, frame_count=frame_count, first_frame=first_frame,
        seed=seed, keep_in_frame=settings.keep_in_frame,
    )  # fmt: skip
    behind: Background = settings.background
    if behind is None:
        top, bottom = _HOURS[directives.get("environment.time") or "day"]
        behind = backdrop(camera.width, camera.height, top=top, bottom=bottom)
    look = look_of(directives, camera.height)
    frames = render_frames(
        acted.vertices, character, camera, look=look, supersample=settings.supersample, background=behind
    )
    clip = Clip(frames=frames.rgb, alpha=frames.alpha, fps=fps, first_frame=first_frame, source="previz")
    return Previz(clip, camera, acted.obeyed, acted.not_obeyed, acted)


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
        seed = shot.seed + index
        made.append(make_previz(character, rig, camera, directives, **options, seed=seed, settings=settings))
    context.progress(0.9, "writing")
    strips = write_takes(context.out, [_written(take, camera, shot.seed + i) for i, take in enumerate(made)])
    return _result(made, directives, strips)


def _written(take: Previz, camera: CameraPath, seed: int) -> tuple[Clip, CameraPath | None, dict[str, object]]:
    moved = None if take.camera is camera else take.camera
    return take.clip, moved, {"seed": seed, "obeyed": list(take.obeyed), "not_obeyed": list(take.not_obeyed)}


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
    }
    verdicts = [_of_any(of_takes) for of_takes in zip(*(verdicts for _, verdicts in judged), strict=True)]
    return StageResult(figures=figures, previews=strips, verdicts=tuple(verdicts))


def _of_any(verdicts: tuple[Verdict, ...]) -> Verdict:
    return next((verdict for verdict in verdicts if verdict.passed), verdicts[0])


def look_of(directives: Directives, height: int) -> Look:
    """The look that the style directives ask for, on pictures ``height`` [px] high."""
    shading = {"flat": "flat", "gradient": "lambert", "painterly": "lambert"}.get(
        directives.get("style.shading") or "cel", "toon"
    )
    width = {"thick": 1.8, "thin": 0.6, "none": 0.0}.get(directives.get("style.line") or "clean")
    outline = None if width is None else width * default_outline_px(height)
    return Look(shading=shading, outline_px=outline)  # pyright: ignore[reportArgumentType]
