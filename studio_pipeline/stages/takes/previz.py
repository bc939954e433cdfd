"""Backend `previz`: the rig, animated procedurally from the directives and rendered through the shot's camera."""

from __future__ import annotations

from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.look import Background, Look, default_outline_px, render_frames
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.takes.acting import act
from studio_pipeline.stages.takes.checks import judge
from studio_pipeline.stages.takes.writing import load_directives, write_take

__all__ = ["look_of", "run"]

_HOURS = {
    "dawn": ((196, 186, 214), (250, 224, 208)),
    "day": ((196, 208, 224), (238, 234, 228)),
    "sunset": ((214, 160, 140), (250, 214, 170)),
    "night": ((58, 66, 104), (112, 120, 158)),
}
"""Top and bottom of the backdrop, sRGB, by value of ``environment.time``."""


def run(context: StageContext) -> StageResult:
    """Make one take (see `acting.act`) and judge its pixels."""
    shot, settings = context.shot, context.settings
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    camera = CameraPath.load(context.inputs["canonical_view"])
    directives = load_directives(context.inputs["directives"])
    if camera.frame_count != shot.frame_count or len(rig.weights) != len(character.vertices):
        raise InputError("camera, rig and character do not belong to this shot", where="takes")
    acted = act(
        rig, character.vertices, camera, directives, fps=shot.fps, frame_count=shot.frame_count,
        first_frame=shot.first_frame, seed=shot.seed, keep_in_frame=settings.keep_in_frame,
    )  # fmt: skip
    context.progress(0.3, "rendering")
    behind: Background = settings.background
    if behind is None:
        top, bottom = _HOURS[directives.get("environment.time") or "day"]
        behind = backdrop(camera.width, camera.height, top=top, bottom=bottom)
    look = look_of(directives, camera.height)
    frames = render_frames(
        acted.vertices, character, camera, look=look, supersample=settings.supersample, background=behind
    )
    clip = Clip(frames=frames.rgb, alpha=frames.alpha, fps=shot.fps, first_frame=shot.first_frame, source="previz")
    context.progress(0.8, "writing")
    record = {"seed": shot.seed, "obeyed": list(acted.obeyed), "not_obeyed": list(acted.not_obeyed)}
    preview = write_take(context.out, clip, record)
    figures, verdicts = judge(clip, directives)
    figures |= {
        "obeyed": len(acted.obeyed),
        "not_obeyed": ", ".join(acted.not_obeyed),
        "in_frame": round(acted.in_frame, 4),
        "movement_scale": round(acted.size, 3),
    }
    return StageResult(figures=figures, previews=(preview,), verdicts=verdicts)


def look_of(directives: Directives, height: int) -> Look:
    """The look that the style directives ask for, on pictures ``height`` [px] high."""
    shading = {"flat": "flat", "gradient": "lambert", "painterly": "lambert"}.get(
        directives.get("style.shading") or "cel", "toon"
    )
    width = {"thick": 1.8, "thin": 0.6, "none": 0.0}.get(directives.get("style.line") or "clean")
    outline = None if width is None else width * default_outline_px(height)
    return Look(shading=shading, outline_px=outline)  # pyright: ignore[reportArgumentType]
