"""From a performance to world rotations of another biped's joints, and to where its hips go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.retarget.figure import SIDES, Figure
from studio_pipeline.geometry.retarget.source import Performance
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, rotation_between

__all__ = ["Pose", "stretch_ratio", "transferred"]

_UP = np.array([0.0, 1.0, 0.0])


class Pose:
    """A figure over time: a world rotation from rest per joint, and where its body joint is. T frames."""

    def __init__(self, figure: Figure, frames: int) -> None:
        self.figure = figure
        self.turns = np.tile(np.eye(3), (frames, len(figure.parents), 1, 1))  # [T, J, 3, 3]
        self.body = np.tile(figure.heads[figure.body], (frames, 1))  # [T, 3]

    def places(self) -> np.ndarray:
        """World places of the joints. [T, J, 3]"""
        figure = self.figure
        places = np.empty((*self.turns.shape[:2], 3))
        # What is above the body does not turn but goes with it.
        places[:] = figure.heads + (self.body - figure.heads[figure.body])[:, None]
        above = self.above()
        for joint in figure.order:
            parent = figure.parents[joint]
            if joint not in above and joint != figure.body and parent >= 0:
                offset = figure.heads[joint] - figure.heads[parent]
                places[:, joint] = places[:, parent] + self.turns[:, parent] @ offset
        return places

    def above(self) -> set[int]:
        """The joints between the root and the body."""
        found, joint = set(), int(self.figure.parents[self.figure.body])
        while joint >= 0:
            found.add(joint)
            joint = int(self.figure.parents[joint])
        return found

    def inherit(self, mapped: Sequence[int]) -> None:
        """Let every joint that is not in ``mapped`` turn with its parent; joints above the body stay as they are."""
        fixed, above = set(mapped), self.above()
        for joint in self.figure.order:
            parent = self.figure.parents[joint]
            if joint not in fixed and joint not in above and parent >= 0:
                self.turns[:, joint] = self.turns[:, parent]


def stretch_ratio(target: Figure, source: Figure) -> float:
    """How many times as long the target's legs are as the source's."""
    return target.leg_length / source.leg_length


def transferred(source: Performance, target: Figure) -> tuple[Pose, set[int]]:
    """The target in the source's motion, and the joints that a part of the source told how to turn.

    Limbs: every bone points where the source's does, and twists as it does from the rest pose in which both point the
    same way. Trunk: the line from hips to shoulders leans as the source's does; its turns are shared out along the
    length of the chain, so that curves of the target's rest pose stay. Head: level where the source's is level. Hips:
    the source's path, scaled by the length of the legs.
    """
    pose = Pose(target, source.frame_count)
    stand = target.frame() @ source.figure.frame().T  # turns the source's rest trunk into the target's
    told = _trunk(source, target, pose, stand)
    for side in SIDES:
        told |= _limb(source, target, pose, stand, ("thigh", "shin"), side)
        told |= _foot(source, target, pose, side)
        told |= _clavicle(source, target, pose, stand, side)
        told |= _limb(source, target, pose, stand, ("upper_arm", "forearm", "hand"), side)
    pose.inherit(sorted(told))
    _travel(source, target, pose)
    return pose, told


def _trunk(source: Performance, target: Figure, pose: Pose, stand: np.ndarray) -> set[int]:
    figure = source.figure
    head = figure.parts.get("head", figure.neck[-1] if figure.neck else figure.carrier)

    def turn(joint: int) -> np.ndarray:
        plain = joint == head and head != figure.carrier
        return source.turns[:, joint] if plain else source.turns[:, joint] @ stand.T

    told = {target.hips, target.body}
    pose.turns[:, target.hips] = pose.turns[:, target.body] = turn(figure.hips)
    keys = _keys([figure.hips, *figure.spine], figure)
    for joint, share in zip(target.spine, _shares([target.hips, *target.spine], target)[1:], strict=True):
        pose.turns[:, joint] = _between(keys, share, turn)
        told.add(joint)
    if "head" in target.parts:
        keys = _keys(
            [figure.carrier, *figure.neck, *([head] if head not in (figure.carrier, *figure.neck) else [])], figure
        )
        chain = [target.carrier, *target.neck, target.parts["head"]]
        for joint, share in zip(chain[1:], _shares(chain, target)[1:], strict=True):
            pose.turns[:, joint] = _between(keys, share, turn)
            told.add(joint)
    return told


def _shares(chain: Sequence[int], figure: Figure) -> np.ndarray:
    """Where along a chain its joints lie, 0 to 1."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(figure.heads[list(chain)], axis=0), axis=1))])
    return along / along[-1] if along[-1] > 1e-9 * figure.leg_length else np.linspace(0.0, 1.0, len(chain))


def _keys(chain: Sequence[int], figure: Figure) -> list[tuple[float, int]]:
    """(share, joint) along a chain; of joints in the same place the last, which moves what follows."""
    keys: dict[float, int] = {}
    for share, joint in zip(_shares(chain, figure), chain, strict=True):
        near = next((known for known in keys if abs(known - share) < 1e-4), float(share))
        keys[near] = joint
    return sorted(keys.items())


def _between(keys: list[tuple[float, int]], share: float, turn: Callable[[int], np.ndarray]) -> np.ndarray:
    """The turn [T, 3, 3] at ``share`` of the chain: between the keys on both sides, on great arcs."""
    places = [place for place, _ in keys]
    after = int(np.searchsorted(places, share - 1e-6))
    if after == 0 or after == len(keys):
        return turn(keys[min(after, len(keys) - 1)][1])
    low, high = keys[after - 1], keys[after]
    amount = (share - low[0]) / (high[0] - low[0])
    first, second = turn(low[1]), turn(high[1])
    step = Rotation.from_matrix(np.einsum("tba,tbc->tac", first, second)).as_rotvec()
    return first @ axis_angle_to_matrix(amount * step)


def _aligned(d_source: np.ndarray, d_target: np.ndarray, start: np.ndarray) -> np.ndarray:
    """What turns the source's upright rest into the target's: ``start``, then the smallest swing that aligns a bone."""
    if not d_source.any() or not d_target.any():
        return start
    return rotation_between(start @ d_source, d_target) @ start


def _limb(
    source: Performance, target: Figure, pose: Pose, stand: np.ndarray, parts: tuple[str, ...], side: str
) -> set[int]:
    told: set[int] = set()
    rest = stand
    for part in parts:
        name = part + side
        if name not in target.parts or name not in source.figure.parts:
            continue
        rest = _aligned(source.figure.bone(part, side), target.bone(part, side), rest)
        joint = target.parts[name]
        pose.turns[:, joint] = source.turns[:, source.figure.parts[name]] @ rest.T
        told.add(joint)
    return told


def _clavicle(source: Performance, target: Figure, pose: Pose, stand: np.ndarray, side: str) -> set[int]:
    name = "clavicle" + side
    if name not in target.parts or name not in source.figure.parts:
        return set()
    joint = target.parts[name]
    pose.turns[:, joint] = source.turns[:, source.figure.parts[name]] @ stand.T
    return {joint}


def _foot(source: Performance, target: Figure, pose: Pose, side: str) -> set[int]:
    """Feet: flat where the source's stand flat, whatever the slope of their bones."""
    if "foot" + side not in target.parts or "foot" + side not in source.figure.parts:
        return set()
    told: set[int] = set()
    flat = source.feet[side].flat
    turned = _yaw(flat @ source.figure.bone("foot", side)) - _yaw(target.bone("foot", side))
    rest = flat.T @ axis_angle_to_matrix(turned * _UP)
    for part in ("foot", "toe"):
        joint, own = target.parts.get(part + side), source.figure.parts.get(part + side)
        if joint is not None and own is not None:
            pose.turns[:, joint] = source.turns[:, own] @ rest
            told.add(joint)
    return told


def _yaw(direction: np.ndarray) -> float:
    """Angle of a direction [3] about +Y from +Z [rad], zero when it points nowhere."""
    return float(np.arctan2(direction[0], direction[2])) if np.hypot(direction[0], direction[2]) > 1e-3 else 0.0


def _travel(source: Performance, target: Figure, pose: Pose) -> None:
    """Hips go the source's way, scaled by the length of the legs; they begin where the target rests."""
    figure, ratio = source.figure, stretch_ratio(target, source.figure)
    middle = (source.places[:, figure.parts["thigh.L"]] + source.places[:, figure.parts["thigh.R"]]) / 2.0
    path = ratio * (middle - middle[:1] * np.array([1.0, 0.0, 1.0]))
    ankles = [target.at("foot" + side)[1] for side in SIDES if "foot" + side in target.parts]
    if ankles and source.feet:
        path[:, 1] += float(np.mean(ankles)) - ratio * source.ankle
    else:
        path[:, 1] += target.middle[1] - path[0, 1]
    path[:, [0, 2]] += target.middle[[0, 2]]
    now = pose.places()
    held = (now[:, target.parts["thigh.L"]] + now[:, target.parts["thigh.R"]]) / 2.0
    pose.body = pose.body + path - held
