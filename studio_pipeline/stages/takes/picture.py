"""From posed vertices to pictures: the set, what is drawn behind, the character, what is drawn before, the optics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb
from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.look import Look, RenderedFrames, render_frames
from studio_pipeline.render.picture.optics import warped
from studio_pipeline.render.runtime import over_frames
from studio_pipeline.render.sets.built import STUDIO
from studio_pipeline.render.sets.filming import film
from studio_pipeline.render.sets.places import WITHOUT_GROUND, build_set
from studio_pipeline.render.surface import SRGB_8BIT
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.takes.drawn import effects_of, strength_of
from studio_pipeline.stages.takes.effects.optical import focused_set, swept
from studio_pipeline.stages.takes.effects.scene import Effect, Scene
from studio_pipeline.stages.takes.looks import asked, asks, look_of
from studio_pipeline.stages.takes.moments import Moments

__all__ = ["Pictures", "draw"]

Colour = tuple[int, int, int]

_FISHEYE = 0.34  # how far the borders are pulled in
_BETWEEN = np.linspace(-0.45, 0.45, 8)
"""Moments within a frame that motion blur adds up, in frames."""

_STANDING = {
    "camera.move": "fix", "camera.framing": "full", "camera.angle": "eye_level", "camera.lens": "normal",
    "camera.focus": "deep", "camera.transition": "cut",
}  # fmt: skip
"""What a camera does that needs no set behind the character."""

_SHADOW = 0.42  # share of the ground's light that is lost under the feet


@dataclass(frozen=True)
class Pictures:
    """Frames [T, H, W, 3] uint8 sRGB and the character's coverage [T, H, W] uint8."""

    rgb: np.ndarray
    alpha: np.ndarray


def draw(
    posed: np.ndarray, character: Character, camera: CameraPath, moments: Moments, directives: Directives, *,
    fps: float, seed: int, supersample: int, background: Colour | None = None,
) -> Pictures:  # fmt: skip
    """Draw every frame as directed.

    Args:
        posed: The surface [T, V, 3] m.
        character: Its faces and colours.
        camera: That sees it, T frames.
        moments: Where what happens.
        directives: What to do.
        fps: Frames a second.
        seed: What chance depends on.
        supersample: Samples along a pixel's side.
        background: One sRGB colour instead of a place.
    """
    effects = effects_of(directives)
    place = directives.get("environment.place") or "studio"
    scene = Scene(
        camera=camera, moments=moments, fps=fps, seed=seed, strength=strength_of(directives),
        ground=place not in WITHOUT_GROUND, dark=_is_dark(directives), behind=np.zeros((0, 0, 0, 3), np.uint8),
    )  # fmt: skip
    look = look_of(directives, camera.height)
    if background is None and _needs_set(camera, directives):
        scene = _on_set(scene, character, directives, place)
        if scene.ground:
            look = replace(look, contact_shadow=_SHADOW)
    else:
        scene = replace(scene, behind=_plain(camera, directives, background))
    scene = _painted_behind(scene, effects)
    blurs = asks(directives, "vfx.optical", "motion_blur")
    rendered = (_blurred if blurs else _rendered)(posed, character, scene, look, supersample)
    scene = replace(scene, rgb=rendered.rgb, alpha=rendered.alpha, depth=rendered.depth)
    return _finished(scene, effects, directives)


def _is_dark(directives: Directives) -> bool:
    return (
        directives.get("environment.time") == "night"
        or directives.get("environment.place") in ("space", "underwater")
        or asked(directives, "lighting.source") == "low_key"
    )


def _needs_set(camera: CameraPath, directives: Directives) -> bool:
    """A plain backdrop does for a camera that stands still before a studio, and shows nothing of any other."""
    moves = bool(np.ptp(camera.world_to_camera, axis=0).max() > 0.0 or np.ptp(camera.focal) > 0.0)
    return (
        moves
        or (directives.get("environment.place") or "studio") != "studio"
        or (directives.get("environment.weather") or "clear") not in ("clear", "windy")
        or any((directives.get(field) or default) != default for field, default in _STANDING.items())
    )  # fmt: skip


def _plain(camera: CameraPath, directives: Directives, background: Colour | None) -> np.ndarray:
    """The same backdrop for all frames. [1, H, W, 3] uint8"""
    if background is not None:
        colour = np.array(background, np.uint8)
        return np.broadcast_to(colour, (1, camera.height, camera.width, 3))
    top, bottom = STUDIO[directives.get("environment.time") or "day"]
    return backdrop(camera.width, camera.height, top=top, bottom=bottom)[None]


def _on_set(scene: Scene, character: Character, directives: Directives, place: str) -> Scene:
    """The scene with every frame's set, out of focus where the lens asks for it."""
    camera, focus = scene.camera, directives.get("camera.focus") or "deep"
    hour, weather = (
        directives.get("environment.time") or "day",
        directives.get("environment.weather") or "clear",
    )
    stage = build_set(place, hour, weather, vertices=character.vertices, camera=camera, seed=scene.seed)
    count = scene.frames
    behind = np.empty((count, scene.height, scene.width, 3), np.uint8)
    distance = np.empty((count, scene.height, scene.width), np.float32)
    still = not (np.ptp(camera.world_to_camera, axis=0).max() > 0.0 or np.ptp(camera.focal) > 0.0)

    def work(part: slice) -> None:
        for frame in range(part.start, part.stop):
            picture, depth = film(stage, camera.at([frame]))
            picture = focused_set(scene, frame, picture, depth, focus)
            behind[frame], distance[frame] = encoded(picture), depth

    if still and focus != "rack":
        work(slice(0, 1))
        behind[1:], distance[1:] = behind[:1], distance[:1]
    else:
        over_frames(count, work)
    return replace(scene, behind=behind, distance=distance)


def encoded(picture: np.ndarray) -> np.ndarray:
    """Linear light [H, W, 3] as 8-bit sRGB."""
    return (linear_to_srgb(picture) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _painted_behind(scene: Scene, effects: list[Effect]) -> Scene:
    painters = [effect.behind for effect in effects if effect.behind is not None]
    if not painters:
        return scene
    count = scene.frames
    behind = np.empty((count, scene.height, scene.width, 3), np.uint8)

    def work(part: slice) -> None:
        for frame in range(part.start, part.stop):
            picture = SRGB_8BIT[scene.behind[min(frame, len(scene.behind) - 1)]]
            for paint in painters:
                result = paint(scene, frame, picture)
                picture = picture if result is None else result
            behind[frame] = encoded(picture)

    over_frames(count, work)
    return replace(scene, behind=behind)


def _rendered(
    posed: np.ndarray, character: Character, scene: Scene, look: Look, supersample: int
) -> RenderedFrames:  # fmt: skip
    return render_frames(
        posed, character, scene.camera, look=look, supersample=supersample, background=scene.behind
    )  # fmt: skip


def _blurred(posed: np.ndarray, character: Character, scene: Scene, look: Look, supersample: int) -> RenderedFrames:
    """Moments within each frame added up; coverage and depth stay those of the middle one."""
    sharp = _rendered(posed, character, scene, look, supersample)
    total = np.zeros(sharp.rgb.shape, np.float32)
    last = len(posed) - 1
    index = np.arange(len(posed), dtype=np.float64)
    for share in _BETWEEN:
        at = np.clip(index + share, 0.0, last)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, last)
        mix = (at - low)[:, None, None].astype(np.float32)
        between = posed[low] * (1.0 - mix) + posed[high] * mix
        total += SRGB_8BIT[_rendered(between, character, scene, look, 1).rgb]
    rgb = np.empty_like(sharp.rgb)
    for frame in range(len(posed)):
        picture = total[frame] / np.float32(len(_BETWEEN))
        carried = swept(scene, frame, picture)
        rgb[frame] = encoded(picture if carried is None else carried)
    rgb[0] = sharp.rgb[0]
    return replace(sharp, rgb=rgb)


def _finished(scene: Scene, effects: list[Effect], directives: Directives) -> Pictures:
    """What is drawn before the character, light, manner, palette, optics and the cut."""
    assert scene.rgb is not None and scene.alpha is not None
    painters = [effect.front for effect in effects if effect.front is not None and effect.order < 6]
    cuts = [effect.front for effect in effects if effect.front is not None and effect.order >= 6]
    if directives.get("camera.move") == "whip_pan":
        painters.append(swept)
    fisheye = directives.get("camera.lens") == "fisheye"
    if not painters and not cuts and not fisheye:
        return Pictures(scene.rgb, scene.alpha)
    rgb, alpha = np.empty_like(scene.rgb), scene.alpha.copy()

    def work(part: slice) -> None:
        for frame in range(part.start, part.stop):
            picture = SRGB_8BIT[scene.rgb[frame]]  # pyright: ignore[reportOptionalSubscript]
            for paint in painters:
                result = paint(scene, frame, picture)
                picture = picture if result is None else result
            if fisheye:
                picture = warped(picture, _FISHEYE)
                alpha[frame] = np.round(np.clip(warped(alpha[frame].astype(np.float32), _FISHEYE), 0, 255))
            for paint in cuts:
                paint(scene, frame, picture)
            rgb[frame] = encoded(picture)

    over_frames(scene.frames, work)
    return Pictures(rgb, alpha)
