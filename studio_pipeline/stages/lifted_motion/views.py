"""Several clips of one shot, from known cameras, fitted together.

The setting ``views`` names a folder with a folder for each further view, in the order of their names::

    views/
      left/
        camera.json
        clip.mp4          or frames/0001.png ...

``camera.json`` is a pinhole camera as `schema.records.CameraPath` has it, in metres of the shot's world (Y up)::

    {"width": 640, "height": 360,
     "focal": [610.0],
     "world_to_camera": [[[1, 0, 0, 0], [0, 1, 0, -0.9], [0, 0, 1, -4.0], [0, 0, 0, 1]]]}

``focal`` [px] and ``world_to_camera`` have one entry for a still camera or one a frame. All clips show the same frames
of the same motion: index 0 the rest pose, as many frames as the shot. What is observed in them comes from the
classical observations at their defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.media.reading import read_clip
from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.schema.arrays import load_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Observations

__all__ = ["View", "load_views", "read_camera"]

RIGID = 1e-4  # how far a rotation's columns may be from orthonormal
KINDS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")


@dataclass(frozen=True, kw_only=True)
class View:
    """One camera's clip and what was observed in it."""

    camera: CameraPath
    clip: Clip
    observations: Observations
    name: str = ""


def load_views(folder: Path, character: Character, clip: Clip) -> list[View]:
    """Read and observe the further views of a shot whose own clip is ``clip``.

    Raises:
        InputError: The folder holds no views, or one of them is incomplete or doesn't fit the shot.
    """
    from studio_pipeline.stages.observations import ClassicalSettings
    from studio_pipeline.stages.observations.classical import observe

    places = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not places:
        raise InputError(
            "holds no views", where=folder, do="give a folder with a folder a view: camera.json and clip.mp4 or frames/"
        )
    views = []
    for place in places:
        camera = read_camera(place / "camera.json", clip.frame_count)
        pixels = read_clip(_clip_of(place), expect_frames=clip.frame_count, expect_size=(camera.width, camera.height))
        frames = pixels.frames
        if pixels.alpha is not None:
            cover = pixels.alpha[..., None] / np.float32(255.0)
            frames = np.round(255.0 * linear_to_srgb(cover * srgb_to_linear(frames / 255.0))).astype(np.uint8)
        seen = Clip(frames=frames, alpha=pixels.alpha, fps=clip.fps, first_frame=clip.first_frame, source=place.name)
        observations, _ = observe(character, camera, seen, ClassicalSettings())
        views.append(View(camera=camera, clip=seen, observations=observations, name=place.name))
    return views


def _clip_of(place: Path) -> Path:
    if (place / "frames").is_dir():
        return place / "frames"
    for kind in KINDS:
        if (place / f"clip{kind}").is_file():
            return place / f"clip{kind}"
    raise InputError("lacks its clip", where=place, do="give clip.mp4, or a folder frames/ of numbered pictures")


def read_camera(path: Path, frames: int) -> CameraPath:
    """A camera of ``frames`` frames from JSON (see this module).

    Raises:
        InputError: Something is missing, of the wrong shape, or no rigid transform.
    """
    value = load_json(path)
    if not isinstance(value, dict) or set(value) != {"width", "height", "focal", "world_to_camera"}:
        raise InputError("is no camera", where=path, do="give width, height, focal and world_to_camera, nothing else")
    width, height = (_whole(value[name], name, path) for name in ("width", "height"))
    matrices = _numbers(value["world_to_camera"], "world_to_camera", (4, 4), path)
    focal = _numbers(value["focal"], "focal", (), path)
    for name, array in (("world_to_camera", matrices), ("focal", focal)):
        if len(array) not in (1, frames):
            raise InputError(
                f"has {len(array)} entries of {name}, the shot {frames} frames",
                where=path,
                do="give one, or one a frame",
            )
    turn = matrices[:, :3, :3]
    off = np.abs(turn @ np.swapaxes(turn, 1, 2) - np.eye(3)).max()
    if off > RIGID or (np.linalg.det(turn) < 0.0).any() or np.abs(matrices[:, 3] - [0.0, 0.0, 0.0, 1.0]).max() > RIGID:
        raise InputError("world_to_camera is no rigid transform", where=path, do="give rotation and translation only")
    if (focal <= 0.0).any():
        raise InputError("focal must be positive", where=path)
    return CameraPath(
        world_to_camera=np.broadcast_to(matrices, (frames, 4, 4)).copy(),
        focal=np.broadcast_to(focal, frames).copy(),
        width=width,
        height=height,
    )


def _whole(value: Any, name: str, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 16384:
        raise InputError(f"{name} must be a number of pixels, not {value!r}", where=path)
    return value


def _numbers(value: Any, name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """A list of arrays of ``shape`` as float64 [n, *shape]."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(())
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array) or not np.isfinite(array).all():
        wanted = "a list of numbers" if not shape else f"a list of {shape[0]} x {shape[1]} matrices"
        raise InputError(f"{name} must be {wanted}", where=path)
    return array
