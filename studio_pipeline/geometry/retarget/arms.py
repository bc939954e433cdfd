"""Arms beside the body rather than in it: a wide body, or a large head, pushes them outwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from studio_pipeline.geometry.retarget.figure import SIDES, Figure
from studio_pipeline.geometry.retarget.transfer import Pose
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.schema.records import Rig

__all__ = ["Obstacle", "clear_arms", "obstacles_of"]

_ANGLES = np.radians(np.arange(0.0, 60.0, 3.0))  # by which an arm may be pushed outwards
_ALONG = {"upper_arm": (0.8,), "forearm": (0.0, 0.33, 0.67), "hand": (0.0, 0.6)}  # where an arm is looked at
_TOUCH = 0.06  # how deep an arm may press into the body: 1 is its middle
_SOFT = 0.12  # [s]: how softly an arm is pushed
_ROUND = 90.0  # percentile of a piece's skin that its ellipsoid holds


@dataclass(frozen=True)
class Obstacle:
    """An ellipsoid that goes with a joint."""

    joint: int
    centre: np.ndarray  # [3] at rest
    half: np.ndarray  # [3] half axes along the trunk's frame


def obstacles_of(figure: Figure, rig: Rig, vertices: np.ndarray) -> list[Obstacle]:
    """The body's pieces that arms shall keep out of: hips, spine, neck and head, each with what hangs on it rigidly."""
    trunk = [figure.hips, *figure.spine, *figure.neck, *([figure.parts["head"]] if "head" in figure.parts else [])]
    limbs = {j for p, j in figure.parts.items() if p != "head"}
    owner = np.full(len(figure.parents), -1)
    for joint in figure.order:
        parent = figure.parents[joint]
        if joint in trunk:
            owner[joint] = joint
        elif joint not in limbs and parent >= 0:
            owner[joint] = owner[parent]
    mass = np.zeros((len(vertices), len(figure.parents)))
    for joint in np.flatnonzero(owner >= 0):
        mass[:, owner[joint]] += rig.weights[:, joint]
    axes = figure.frame()
    found = []
    for joint in trunk:
        skin = vertices[mass[:, joint] > 0.5].astype(np.float64)
        if len(skin) >= 8:
            local = skin @ axes
            low, high = np.percentile(local, [100.0 - _ROUND, _ROUND], axis=0)
            reach = (local - (low + high) / 2.0) / np.maximum((high - low) / 2.0, 1e-9)
            grow = np.percentile(np.linalg.norm(reach, axis=1), _ROUND)
            found.append(Obstacle(joint, axes @ (low + high) / 2.0, (high - low) / 2.0 * min(float(grow), 1.2)))
    return found


def clear_arms(pose: Pose, obstacles: list[Obstacle], rig: Rig, vertices: np.ndarray, fps: float) -> float:
    """Push arms out of the body where they are in it, softly over time; what touches at rest may touch.

    Returns:
        The largest angle by which an arm was pushed [rad].
    """
    figure = pose.figure
    if not obstacles or not figure.has("upper_arm"):
        return 0.0
    most = 0.0
    rest = Pose(figure, 1)
    for side in SIDES:
        arm = [figure.parts[p + side] for p in ("upper_arm", "forearm", "hand") if p + side in figure.parts]
        radius = _radius(figure, rig, vertices, arm)
        allowed = _depth(rest, obstacles, arm, radius, np.zeros(1))
        front = pose.turns[:, figure.carrier] @ figure.frame()[:, 2]
        places = pose.places()
        tip = places[:, arm[-1]] - places[:, arm[0]]
        left = pose.turns[:, figure.carrier] @ figure.frame()[:, 0]
        up = np.cross(front, left)
        outward = 1.0 if side == SIDES[0] else -1.0
        # About the front, a hanging arm goes outwards one way and a raised one the other.
        sign = outward * np.where((tip * up).sum(1) > 0.0, -1.0, 1.0)
        depth = np.stack([_depth(pose, obstacles, arm, radius, sign * a, front) for a in _ANGLES])  # [A, T, N]
        # What lies in the body at rest is the shoulder: only what can come free is looked at.
        shoulder = (allowed[0] > 0.0) & (np.arange(allowed.shape[1]) < len(_ALONG["upper_arm"]))
        over = np.where(shoulder, 0.0, np.maximum(depth - allowed, 0.0)).max(-1)
        free = over < _TOUCH
        choice = np.where(free.any(0), free.argmax(0), over.argmin(0))
        angle = _ANGLES[choice] * sign
        size = max(1, round(_SOFT * fps))
        grown = np.where(sign > 0.0, 1.0, -1.0) * maximum_filter1d(np.abs(angle), 2 * size + 1)
        angle = gaussian_filter1d(grown, 0.6 * size, mode="nearest")
        turn = axis_angle_to_matrix(angle[:, None] * front)
        for joint in _below(figure, arm[0]):
            pose.turns[:, joint] = turn @ pose.turns[:, joint]
        most = max(most, float(np.abs(angle).max()))
    return most


def _below(figure: Figure, top: int) -> list[int]:
    found = {top}
    for joint in figure.order:
        if figure.parents[joint] in found:
            found.add(joint)
    return sorted(found)


def _radius(figure: Figure, rig: Rig, vertices: np.ndarray, arm: list[int]) -> float:
    """How thick an arm is around the middle of its bones."""
    sizes = []
    for joint, after in zip(arm, [*arm[1:], None], strict=True):
        start = figure.heads[joint]
        stop = figure.heads[after] if after is not None else figure.tails[joint]
        skin = vertices[rig.weights[:, joint] > 0.7].astype(np.float64)
        along = stop - start
        length = float(np.linalg.norm(along))
        if len(skin) and length > 0.0:
            share = (skin - start) @ along / length**2
            off = np.linalg.norm(skin - start - share[:, None] * along, axis=1)[(share > 0.2) & (share < 0.9)]
            sizes += [float(np.median(off))] if len(off) else []
    return min(sizes) if sizes else 0.0


def _depth(
    pose: Pose,
    obstacles: list[Obstacle],
    arm: list[int],
    radius: float,
    angle: np.ndarray,
    front: np.ndarray | None = None,
) -> np.ndarray:
    """How deep points of the arm turned by ``angle`` [T] lie in the body: 1 at a centre, 0 outside. [T, N]"""
    figure, places = pose.figure, pose.places()
    turn = np.eye(3)[None] if front is None else axis_angle_to_matrix(angle[:, None] * front)
    shoulder = places[:, arm[0]]
    points = []
    for index, joint in enumerate(arm):
        end = figure.heads[arm[index + 1]] if index + 1 < len(arm) else figure.tails[joint]
        name = ("upper_arm", "forearm", "hand")[index]
        bone = pose.turns[:, joint] @ (end - figure.heads[joint])
        points += [places[:, joint] + share * bone for share in _ALONG[name]]
    cloud = np.stack(points, axis=1)  # [T, N, 3]
    cloud = shoulder[:, None] + np.einsum("tab,tnb->tna", turn, cloud - shoulder[:, None])
    axes = figure.frame()
    depth = np.zeros(cloud.shape[:2])
    for obstacle in obstacles:
        frame = pose.turns[:, obstacle.joint]
        centre = places[:, obstacle.joint] + frame @ (obstacle.centre - figure.heads[obstacle.joint])
        local = np.einsum("tba,tnb->tna", frame @ axes, cloud - centre[:, None]) / (obstacle.half + radius)
        depth = np.maximum(depth, 1.0 - np.linalg.norm(local, axis=-1))
    return np.maximum(depth, 0.0)
