"""The steps of retargeting, one after the other, and what came of them in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d

from studio_pipeline.geometry.bvh import Bvh
from studio_pipeline.geometry.retarget.arms import clear_arms, obstacles_of
from studio_pipeline.geometry.retarget.figure import Figure, figure_of_rig
from studio_pipeline.geometry.retarget.ground import keep_proportions, plant_feet, rest_on_floor, soles_of
from studio_pipeline.geometry.retarget.looping import lengthened
from studio_pipeline.geometry.retarget.source import (
    Performance,
    motion_fps,
    perform,
    resampled,
    without_calibration_pose,
)
from studio_pipeline.geometry.retarget.transfer import Pose, stretch_ratio, transferred
from studio_pipeline.geometry.rotations import matrix_to_sixd
from studio_pipeline.geometry.skinning import rest_local
from studio_pipeline.schema.records import Motion, Rig

__all__ = ["Retargeted", "retarget"]

_PATH_S = 0.4  # [s] over which a path is smoothed before it is taken away


@dataclass(frozen=True)
class Retargeted:
    """A motion on a rig and its account."""

    motion: Motion
    figures: dict[str, float | int | bool] = field(default_factory=dict)
    parts: tuple[str, ...] = ()  # parts of the target that the source told how to move


def retarget(
    rig: Rig,
    vertices: np.ndarray,
    bvh: Bvh,
    *,
    fps: Fraction | None = None,
    frames: int | None = None,
    in_place: bool = False,
    keep_heading: bool = False,
    contacts: bool = True,
    first_frame: int = 0,
    what: object = "the motion",
    whom: object = "the character",
) -> Retargeted:
    """Put a BVH motion on a biped's rig.

    Args:
        rig: The target.
        vertices: Its rest surface [V, 3] [m].
        bvh: The motion, in any units and axes.
        fps: Frames a second of the result; None: the file's own.
        frames: Length of the result: a loop goes on, another motion can only be cut; None: the file's own.
        in_place: Take the path away along which the body travels.
        keep_heading: Don't turn the motion to the character's front.
        contacts: Hold feet on the ground and arms out of the body; without, the plain transfer of directions.
        first_frame: Frame number of index 0.
        what: How errors call the motion.
        whom: How errors call the character.

    Raises:
        InputError: The character or the motion's skeleton is no biped, or the motion is too short for ``frames``.
    """
    target = figure_of_rig(rig, vertices, what=whom)
    bvh, dropped = without_calibration_pose(bvh)
    fps = fps or motion_fps(bvh)
    bvh = resampled(bvh, fps)
    if frames is not None:
        bvh = lengthened(bvh, frames, what=what)
    source = perform(bvh, fps, front=_level_front(target), keep_heading=keep_heading, what=what)
    pose, told = transferred(source, target)
    figures: dict[str, float | int | bool] = {
        "frames": source.frame_count,
        "leg_ratio": round(stretch_ratio(target, source.figure), 6),
        "first_frame_dropped": dropped,
    }
    if contacts:
        figures |= _in_the_world(source, pose, told, rig, vertices)
    if in_place:
        _stay(pose, float(fps))
    motion = _motion(rig, pose, fps, first_frame)
    names = tuple(sorted(part for part, joint in target.parts.items() if joint in told))
    return Retargeted(motion, figures, names)


def _in_the_world(
    source: Performance, pose: Pose, told: set[int], rig: Rig, vertices: np.ndarray
) -> dict[str, float | int | bool]:
    """Let the pose respect the target's own body and the floor, and say what that took."""
    target, fps = pose.figure, float(source.fps)
    soles = soles_of(target, rig, vertices)
    keep_proportions(source, pose, soles)
    pose.inherit(sorted(told))
    pushed = clear_arms(pose, obstacles_of(target, rig, vertices), rig, vertices, fps)
    held = plant_feet(source, pose, soles, float(vertices[:, 1].min()))
    pose.inherit(sorted(told))
    if not soles:
        rest_on_floor(source, pose, rig, vertices)
    return {"arms_pushed_deg": round(float(np.degrees(pushed)), 1), "contacts": len(held)}


def _level_front(figure: Figure) -> np.ndarray:
    """Where the figure faces [3], level; an axis of the world when it nearly is one."""
    front = figure.frame()[:, 2] * [1.0, 0.0, 1.0]
    front /= max(float(np.linalg.norm(front)), 1e-9)
    axis = np.round(front)
    return axis if np.abs(axis).sum() == 1.0 and front @ axis > np.cos(np.radians(15.0)) else front


def _stay(pose: Pose, fps: float) -> None:
    """Take the smooth part of the body's level path away; its sway stays."""
    path = pose.body[:, [0, 2]]
    size = max(1, round(4.0 * _PATH_S * fps))
    if len(path) < 3:
        return
    ends = min(len(path) - 1, size)
    before = path[:1] - (path[ends] - path[0]) / ends * np.arange(size, 0, -1)[:, None]
    after = path[-1:] + (path[-1] - path[-1 - ends]) / ends * np.arange(1, size + 1)[:, None]
    smooth = gaussian_filter1d(np.concatenate([before, path, after]), _PATH_S * fps, axis=0)[size:-size]
    pose.body[:, [0, 2]] -= smooth - pose.figure.heads[pose.figure.body][[0, 2]]


def _motion(rig: Rig, pose: Pose, fps: Fraction, first_frame: int) -> Motion:
    """World rotations and places as deltas in the joints' own rest frames (see `schema.records.Rig`)."""
    figure, rest = pose.figure, rig.rest_world.astype(np.float64)
    local = rest_local(rig.parents, rest)
    places = pose.places()
    above = pose.above()
    # What hangs above the body stays; where the body's place differs, its own translation says so.
    posed = np.tile(rest, (len(places), 1, 1, 1))
    rotations = np.tile(np.eye(3), (*places.shape[:2], 1, 1))
    translations = np.zeros_like(places)
    # What else hangs above the body, as props on a root do, goes along with it; and so do feet that hang there.
    joints = range(len(rig.parents))
    moved = {j for j in joints if figure.parents[j] != rig.parents[j] or (rig.parents[j] in above and j not in above)}
    moved.add(figure.body)
    for joint, parent in enumerate(rig.parents):
        base = posed[:, parent] @ local[joint] if parent >= 0 else np.tile(local[joint], (len(places), 1, 1))
        if joint not in above:
            turn = pose.turns[:, joint] @ rest[joint, :3, :3]
            rotations[:, joint] = np.einsum("tba,tbc->tac", base[:, :3, :3], turn)
            base[:, :3, :3] = turn
            if joint in moved:
                shift = places[:, joint] - base[:, :3, 3]
                frame = base[:, :3, :3] @ np.swapaxes(rotations[:, joint], 1, 2)
                translations[:, joint] = np.einsum("tba,tb->ta", frame, shift)
                base[:, :3, 3] = places[:, joint]
        posed[:, joint] = base
    return Motion(
        rotations=matrix_to_sixd(rotations).astype(np.float32),
        translations=translations.astype(np.float32),
        fps=fps,
        first_frame=first_frame,
    )
