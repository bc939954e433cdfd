"""Backend `camera` of the stage `canonical_view`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.render.ground import backdrop
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.canonical_view.path import framed_path, keyed_path

__all__ = ["in_frame_fractions", "run", "winding_numbers"]

ENOUGH_IN_FRAME = 0.9
_CHECK_SIZE = 160  # longest side of the pictures in which coverage is counted [px]
_MOST_CHECKED = 24  # frames of a moving camera that are checked, evenly spread


def run(context: StageContext) -> StageResult:
    """Lay out the camera, draw the first picture, judge both."""
    character = Character.load(context.inputs["character"])
    shot = context.shot
    width, height = shot.resolution
    if shot.camera is None:
        camera = framed_path(
            character.vertices, shot.frame_count, width=width, height=height, **context.settings.model_dump()
        )
    else:
        camera = keyed_path(shot.camera, shot.frame_numbers(), width=width, height=height)
    camera.save(context.out)
    _write_picture(character, camera, context.out / "canonical.png")
    context.progress(0.8, "drawn")
    fractions = in_frame_fractions(character, _thinned(camera))
    figures = {
        **_first_frame_figures(character, camera),
        "in_frame_fraction": round(float(fractions[0]), 4),
        "in_frame_least": round(float(fractions.min()), 4),
        "keys": 0 if shot.camera is None else len(shot.camera.views()),
        "framed": shot.camera is None,
    }
    return StageResult(
        figures=figures, previews=("canonical.png",), verdicts=_verdicts(character, camera, float(fractions[0]))
    )


def in_frame_fractions(character: Character, camera: CameraPath) -> np.ndarray:
    """How much of the rest silhouette lies inside the picture; 0 when nothing of it is seen. [T] float64

    Counted in a picture three times as wide and high around the shot's.
    """
    scale = _CHECK_SIZE / max(camera.width, camera.height)
    small = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
    wide = CameraPath(
        world_to_camera=small.world_to_camera, focal=small.focal, width=3 * small.width, height=3 * small.height
    )
    covered = rasterize(character.vertices, character.faces, wide).face_ids >= 0
    inside = covered[:, small.height : 2 * small.height, small.width : 2 * small.width]
    return inside.sum((1, 2)) / np.maximum(covered.sum((1, 2)), 1)


def winding_numbers(character: Character, points: np.ndarray) -> np.ndarray:
    """How often the surface wraps around each of ``points`` [N, 3]: near 1 inside, near 0 outside. [N] float64

    Sum of the faces' solid angles (Van Oosterom and Strackee 1983) over 4 pi.
    """
    corners = character.vertices[character.faces].astype(np.float64)
    result = np.empty(len(points))
    for index, point in enumerate(points):
        a, b, c = np.moveaxis(corners - point, 1, 0)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        volume = np.einsum("fi,fi->f", a, np.cross(b, c))
        dots = [np.einsum("fi,fi->f", u, v) for u, v in ((a, b), (b, c), (c, a))]
        below = la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb
        result[index] = np.arctan2(volume, below).sum() / (2.0 * np.pi)
    return result


def _verdicts(character: Character, camera: CameraPath, fraction: float) -> tuple[Verdict, ...]:
    eyes = np.unique(_eyes(_thinned(camera)), axis=0)
    wrapped = float(np.abs(winding_numbers(character, eyes)).max())
    return (
        Verdict(
            "character_in_frame",
            fraction >= ENOUGH_IN_FRAME,
            f"{fraction:.1%} of the rest silhouette lies in the first frame, {ENOUGH_IN_FRAME:.0%} wanted",
            blocking=fraction == 0.0,
        ),
        Verdict(
            "camera_outside",
            wrapped < 0.5,
            f"the surface wraps the camera {wrapped:.2f} times at most, under 0.5 wanted",
        ),
    )


def _first_frame_figures(character: Character, camera: CameraPath) -> dict[str, float]:
    first = camera.at([0])
    middle = (character.vertices.min(0) + character.vertices.max(0)) / 2.0
    pixels, depth = project(first, character.vertices[None])
    seen = pixels[0, depth[0] > 0.0, 1]
    focal = float(camera.focal[0])
    return {
        "fov_y_deg": round(float(np.degrees(2.0 * np.arctan(camera.height / 2.0 / focal))), 4),
        "focal_px": round(focal, 4),
        "distance_m": round(float(np.linalg.norm(_eyes(first)[0] - middle)), 4),
        "fill_height": round(float(np.ptp(seen)) / camera.height, 4) if len(seen) else 0.0,
    }


def _eyes(camera: CameraPath) -> np.ndarray:
    """Camera positions in the world. [T, 3]"""
    return -np.einsum("tba,tb->ta", camera.world_to_camera[:, :3, :3], camera.world_to_camera[:, :3, 3])


def _thinned(camera: CameraPath) -> CameraPath:
    """At most `_MOST_CHECKED` frames of the camera, the first among them; one when it stands still."""
    still = np.all(camera.world_to_camera == camera.world_to_camera[0]) and np.all(camera.focal == camera.focal[0])
    count = 1 if still else min(camera.frame_count, _MOST_CHECKED)
    return camera.at(np.unique(np.linspace(0, camera.frame_count - 1, count).round().astype(int)))


def _write_picture(character: Character, camera: CameraPath, path: Path) -> None:
    import cv2

    behind = backdrop(camera.width, camera.height)
    look = Look(contact_shadow=0.5)
    picture = render_frames(
        character.vertices[None], character, camera.at([0]), look=look, supersample=3, background=behind
    )
    if not cv2.imwrite(str(path), np.ascontiguousarray(picture.rgb[0][..., ::-1])):
        raise OSError(f"could not write {path}")
