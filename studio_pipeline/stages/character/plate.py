"""The evaluation protocol: a file's own animation as the frames of a plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.geometry.gltf import Clip, read_clip_names
from studio_pipeline.geometry.gltf.samplers import slerp
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.animation import Animated, JointMotion, Locals, joint_motion, open_animated

__all__ = ["EASE_FRAMES", "protocol_joints", "protocol_vertices"]

EASE_FRAMES = 6  # indices 1 to 6 ease from the rest pose into the clip


def protocol_vertices(
    path: Path,
    clip_name: str | None = None,
    frames: int = 24,
    fps: float = 24.0,
    height_m: float | None = None,
) -> np.ndarray:
    """Vertices of a plate: index 0 rests, 1-6 ease into the clip's start pose, then its liveliest stretch plays.

    A clip shorter than the plate loops when its ends meet, else plays back and forth.

    Args:
        path: GLB or glTF with animations.
        clip_name: Which one; None: the first that moves anything.
        frames: Number of frames T of the plate.
        fps: Frames a second.
        height_m: As in `load_character`.

    Returns:
        [T, V, 3] float32, metres, order and frame of `load_character`.

    Raises:
        InputError: The file has no such animation, or none that moves.
    """
    opened = open_animated(path, height_m=height_m)
    eased, played = _states(opened, clip_name, frames, fps)
    return np.concatenate([opened.vertices(eased), opened.vertices(played)])[:frames]


def protocol_joints(
    path: Path, clip_name: str | None = None, frames: int = 24, fps: float = 24.0, height_m: float | None = None
) -> JointMotion:
    """What `protocol_vertices` plays, as rigid motion of the file's own rig.

    Raises:
        InputError: As `protocol_vertices`, or the file has no rig.
    """
    opened = open_animated(path, height_m=height_m)
    eased, played = (joint_motion(opened, state) for state in _states(opened, clip_name, frames, fps))
    return JointMotion(
        rotations=np.concatenate([eased.rotations, played.rotations])[:frames],
        translations=np.concatenate([eased.translations, played.translations])[:frames],
        rig=eased.rig,
        residual_m=max(eased.residual_m, played.residual_m),
    )


def _states(opened: Animated, clip_name: str | None, frames: int, fps: float) -> tuple[Locals, Locals]:
    """Local transforms of the eased part, index 0 included, and of the liveliest stretch after it."""
    clip = opened.clip(clip_name) if clip_name is not None else _first_moving(opened)
    playing = max(frames - EASE_FRAMES - 1, 1)
    times = _liveliest(opened, clip, playing, fps)
    start = opened.locals(clip, times[:1])
    ease = np.arange(EASE_FRAMES + 1) / (EASE_FRAMES + 1.0)
    return blend(opened.rest_locals(1), start, ease * ease * (3.0 - 2.0 * ease)), opened.locals(clip, times)


def _first_moving(opened: Animated) -> Clip:
    names = read_clip_names(opened.document)
    for name in names:
        clip = opened.clip(name)
        if clip.duration > 0.0 and _speeds(opened, clip, np.linspace(0.0, clip.duration, 13)).max() > 1e-4:
            return clip
    raise InputError("has no animation that moves it", where=opened.path, do="choose a file with an animation")


def _sampled(opened: Animated, clip: Clip, times: np.ndarray) -> np.ndarray:
    """A few hundred of the posed vertices, enough to measure motion. [T, n, 3]"""
    posed = opened.vertices(opened.locals(clip, times))
    return posed[:, :: max(1, posed.shape[1] // 400)]


def _speeds(opened: Animated, clip: Clip, times: np.ndarray) -> np.ndarray:
    """Root mean square step between consecutive times, relative to the character's size. [T - 1]"""
    posed = _sampled(opened, clip, times)
    size = float(np.ptp(opened.rest * opened.scale, axis=0).max())
    return np.sqrt((np.diff(posed, axis=0) ** 2).sum(-1).mean(-1)) / size


def _liveliest(opened: Animated, clip: Clip, count: int, fps: float) -> np.ndarray:
    """Times [count] of the stretch of ``clip`` with the most motion. [s]"""
    steps = np.arange(count) / fps
    spare = clip.duration - steps[-1]
    if spare >= 0.0:
        grid = np.arange(0.0, clip.duration + 0.5 / fps, 1.0 / fps)[:4096]
        energy = np.concatenate([[0.0], np.cumsum(_speeds(opened, clip, grid) ** 2)])
        starts = np.arange(max(len(grid) - count, 0) + 1)
        gained = energy[np.minimum(starts + count - 1, len(energy) - 1)] - energy[starts]
        # The first of equals: round-off must not choose between the periods of a loop.
        return min(float(grid[starts[gained >= gained.max() * (1.0 - 1e-6)][0]]), spare) + steps
    if clip.duration <= 0.0:
        return np.zeros(count)
    ends = _sampled(opened, clip, np.array([0.0, clip.duration]))
    if np.abs(ends[1] - ends[0]).max() < 0.02 * float(np.ptp(ends[0], axis=0).max()):
        return np.mod(steps, clip.duration)
    return clip.duration - np.abs(np.mod(steps, 2.0 * clip.duration) - clip.duration)


def blend(first: Locals, second: Locals, amount: np.ndarray) -> Locals:
    """Joint-local transforms between two poses (one frame each), at ``amount`` [T] from 0 to 1."""
    u = amount[:, None, None]
    count = len(amount)
    nodes = first.rotations.shape[1]
    a, b = (np.repeat(pose.rotations, count, axis=0).reshape(-1, 4) for pose in (first, second))
    turned = slerp(a, b, np.repeat(amount, nodes)[:, None])
    return Locals(
        translations=first.translations * (1.0 - u) + second.translations * u,
        rotations=(turned / np.linalg.norm(turned, axis=-1, keepdims=True)).reshape(count, nodes, 4),
        scales=first.scales * (1.0 - u) + second.scales * u,
        morphs={
            node: weights * (1.0 - amount[:, None]) + second.morphs[node] * amount[:, None]
            for node, weights in first.morphs.items()
        },
    )
