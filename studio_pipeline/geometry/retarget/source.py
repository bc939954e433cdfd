"""A motion file made plain: upright, facing +Z, at the wanted frame rate, with what its feet do on the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.ndimage import binary_closing, binary_opening, gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from studio_pipeline.geometry.bvh import Bvh
from studio_pipeline.geometry.retarget.figure import SIDES, Figure, figure_of_bvh
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, rotation_between

__all__ = ["FootTrack", "Performance", "motion_fps", "perform", "resampled", "without_calibration_pose"]

_SLOW, _STILL = 0.5, 0.3  # leg lengths a second: a planted foot stays below the first, and falls below the second
_HEEL_NEAR, _TOE_NEAR = 0.035, 0.06  # leg lengths above its lowest: where a planted heel's ankle, a planted toe is
_SHORTEST = 0.07  # [s] of a contact; shorter gaps between contacts are closed
_JUMP = 8.0  # times the usual change between frames: a first frame that differs by more is a calibration pose


@dataclass(frozen=True)
class FootTrack:
    """One foot over time: what of it is on the ground."""

    heel: np.ndarray  # [T] bool
    toe: np.ndarray  # [T] bool
    flat: np.ndarray  # [3, 3] rotation from rest of the foot when it stands flat, its turn about up left out


@dataclass(frozen=True)
class Performance:
    """A motion in its own units, +Y up, facing one way on the whole. T frames, J joints."""

    figure: Figure  # its rest pose, +Y up and facing the same way
    turns: np.ndarray  # [T, J, 3, 3] world rotations from rest
    places: np.ndarray  # [T, J, 3] world
    feet: dict[str, FootTrack]  # by side, where the figure has feet
    ankle: float  # height of the ankles of a standing foot
    fps: Fraction

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.turns)


def motion_fps(bvh: Bvh) -> Fraction:
    """The file's frame rate as a rational: whole, or a whole number over 1.001, when it nearly is."""
    rate = 1.0 / bvh.frame_time
    for exact in (Fraction(round(rate)), Fraction(round(rate * 1.001) * 1000, 1001)):
        if exact > 0 and abs(float(exact) - rate) < 2e-3 * rate:
            return exact
    return Fraction(rate).limit_denominator(1000)


def without_calibration_pose(bvh: Bvh) -> tuple[Bvh, bool]:
    """The motion without a first frame that has nothing to do with the second, and whether it had one."""
    if bvh.frame_count < 8:
        return bvh, False
    step = np.einsum("tjab,tjac->tjbc", bvh.rotations[:-1], bvh.rotations[1:])
    angle = np.arccos(np.clip((np.trace(step, axis1=-2, axis2=-1) - 1.0) / 2.0, -1.0, 1.0)).mean(1)
    if angle[0] < np.radians(3.0) or angle[0] < _JUMP * np.median(angle[1:]):
        return bvh, False
    return replace(bvh, rotations=bvh.rotations[1:], positions=bvh.positions[1:]), True


def resampled(bvh: Bvh, fps: Fraction) -> Bvh:
    """The motion at ``fps``: rotations on great arcs, positions on straight lines; its last frame may fall away."""
    own = motion_fps(bvh)  # a frame time of .0333 means 30 a second
    if bvh.frame_count == 1 or own == fps:
        return replace(bvh, frame_time=1.0 / float(fps))
    times = np.arange(bvh.frame_count) / float(own)
    count = int(np.floor(times[-1] * float(fps) + 1e-6)) + 1
    wanted = np.minimum(np.arange(count) / float(fps), times[-1])
    rotations = np.empty((count, *bvh.rotations.shape[1:]))
    for joint in range(bvh.rotations.shape[1]):
        rotations[:, joint] = Slerp(times, Rotation.from_matrix(bvh.rotations[:, joint]))(wanted).as_matrix()
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    share = ((wanted - times[before]) / np.diff(times)[before])[:, None, None]
    positions = (1.0 - share) * bvh.positions[before] + share * bvh.positions[before + 1]
    return replace(bvh, rotations=rotations, positions=positions, frame_time=1.0 / float(fps))


def perform(
    bvh: Bvh, fps: Fraction, *, front: np.ndarray, keep_heading: bool = False, what: object = "the motion"
) -> Performance:
    """Read a motion file's skeleton and bring its motion upright.

    Args:
        bvh: The motion, at its final frame rate (see `resampled`).
        fps: That rate.
        front: Where it shall face [3], level.
        keep_heading: Leave the way it faces as the file has it, once it is upright.
        what: How errors call the motion.

    Raises:
        InputError: It moves no biped.
    """
    figure = figure_of_bvh(bvh, what=what)
    turns, places = bvh.world()
    ahead = _yaw_to(front)
    top = figure.parts.get("head", figure.carrier)
    low = [figure.parts[p + s] for s in SIDES for p in ("foot", "shin", "thigh") if p + s in figure.parts][:1]
    world = _upright(np.median(places[:, top] - places[:, low[0]], axis=0))
    facing = np.eye(3) if keep_heading else ahead @ _heading(figure, places @ world.T)
    turns, places = facing @ world @ turns, places @ (facing @ world).T
    # The rest pose is turned to stand and face as the motion does.
    rest = figure.frame()
    stand = _upright(rest[:, 1])
    stand = ahead @ _yaw_to((stand @ rest[:, 2]) * [1.0, 0.0, 1.0]).T @ stand
    figure = replace(figure, heads=figure.heads @ stand.T, tails=figure.tails @ stand.T)
    turns = turns @ stand.T
    feet, ankle = _feet(figure, turns, places, float(fps))
    return Performance(figure, turns, places, feet, ankle, fps)


def _upright(up: np.ndarray) -> np.ndarray:
    """The rotation that turns the coordinate axis nearest to ``up`` [3] to +Y. [3, 3]"""
    axis = np.zeros(3)
    largest = int(np.argmax(np.abs(up)))
    axis[largest] = np.sign(up[largest]) or 1.0
    return rotation_between(axis, np.array([0.0, 1.0, 0.0]))


def _yaw_to(front: np.ndarray) -> np.ndarray:
    """The turn about +Y from +Z to a level direction [3]. [3, 3]"""
    return axis_angle_to_matrix(np.array([0.0, np.arctan2(front[0], front[2]), 0.0]))


def _heading(figure: Figure, places: np.ndarray) -> np.ndarray:
    """The turn about +Y that makes the figure face +Z: on the whole, or at the start when it turns much. [3, 3]"""
    front = figure.frame(places)[..., 2] * np.array([1.0, 0.0, 1.0])
    front /= np.maximum(np.linalg.norm(front, axis=-1, keepdims=True), 1e-9)
    mean = front.mean(0)
    return _yaw_to(mean if np.linalg.norm(mean) > 0.9 else front[0]).T


def _feet(figure: Figure, turns: np.ndarray, places: np.ndarray, fps: float) -> tuple[dict[str, FootTrack], float]:
    """What the feet do on the ground, and the height of their ankles when they stand."""
    unit = figure.leg_length
    found: dict[str, FootTrack] = {}
    ankles: list[np.ndarray] = []
    for side in SIDES:
        if "foot" + side not in figure.parts:
            continue
        foot = figure.parts["foot" + side]
        toe = figure.parts.get("toe" + side, foot)
        tip = places[:, toe] + np.einsum("tab,b->ta", turns[:, toe], figure.tails[toe] - figure.heads[toe])
        ball = places[:, toe] if toe != foot else tip
        heel = _planted(places[:, foot], unit, fps, _HEEL_NEAR)
        front = _planted(ball, unit, fps, _TOE_NEAR)
        both = heel & front
        flat = np.eye(3)
        if both.any():
            flat = _pitch(turns[both, foot])
            ankles.append(places[both, foot, 1])
        found[side] = FootTrack(heel=heel, toe=front, flat=flat)
    if ankles:
        return found, float(np.median(np.concatenate(ankles)))
    feet = [figure.parts["foot" + s] for s in SIDES if "foot" + s in figure.parts]
    return found, float(np.percentile(places[:, feet, 1], 5)) if feet else 0.0


def _planted(point: np.ndarray, unit: float, fps: float, near: float) -> np.ndarray:
    """Frames [T] where a point [T, 3] of a foot stands on the ground."""
    if len(point) < 3:
        return np.ones(len(point), dtype=bool)
    steps = np.asarray(np.gradient(gaussian_filter1d(point, 0.6, axis=0, mode="nearest"), axis=0))
    speed = np.linalg.norm(steps, axis=1) * fps / unit
    low = np.asarray(point[:, 1] - np.percentile(point[:, 1], 5) < near * unit)
    slow, still = (speed < _SLOW) & low, (speed < _STILL) & low
    size = max(1, round(_SHORTEST * fps))
    slow = binary_opening(binary_closing(np.pad(slow, size, mode="edge"), np.ones(size)), np.ones(size))[size:-size]
    marks = np.cumsum(np.diff(slow.astype(int), prepend=0) == 1) * slow
    return np.logical_and(np.isin(marks, np.unique(marks[np.logical_and(still, slow)])), slow)


def _pitch(turns: np.ndarray) -> np.ndarray:
    """The typical turn of a standing foot [N, 3, 3] with its turn about up left out. [3, 3]"""
    front = turns[:, :, 2] * np.array([1.0, 0.0, 1.0])
    yaw = -np.arctan2(front[:, 0], front[:, 2])
    level = axis_angle_to_matrix(np.stack([0.0 * yaw, yaw, 0.0 * yaw], axis=1)) @ turns
    return Rotation.from_matrix(level).mean().as_matrix()
