"""Feet on the ground: planted where the source's are planted, flat where they are flat, never below the floor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.retarget.figure import SIDES, Figure
from studio_pipeline.geometry.retarget.legs import REACH, Leg, legs_of, reach_ankle
from studio_pipeline.geometry.retarget.source import FootTrack, Performance
from studio_pipeline.geometry.retarget.transfer import Pose
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.schema.records import Rig

__all__ = ["Contact", "Sole", "keep_proportions", "plant_feet", "rest_on_floor", "soles_of"]

_WIDER = 0.35  # of a leg: how much wider than the source a body may step
_LOW = 0.25  # of a foot's height: its sole is what lies lower
_ON_TOES = 0.2  # frames with a heel down over those with a toe down: with fewer it is the toes that carry
_CARRY = 0.1  # [s]: how softly hips follow the height of the foot that carries them
_SOFT = 0.04  # [s]: how softly a foot becomes flat


@dataclass(frozen=True)
class Sole:
    """Where a foot meets the ground at rest."""

    heel: np.ndarray  # [3]
    toe: np.ndarray  # [3]
    corners: np.ndarray  # [6, 3] of the sole: two at the heel, two at the ball, two at the toes
    inner: float = 0.0  # how far the foot and the shin reach from the ankle towards the other leg


@dataclass(frozen=True)
class Contact:
    """A stretch of frames in which a foot stands on one point."""

    side: str
    start: int
    stop: int  # first index after it
    point: str  # "heel" or "toe"


def soles_of(figure: Figure, rig: Rig, vertices: np.ndarray) -> dict[str, Sole]:
    """Heel and toe of each foot, from the skin that it moves."""
    floor = float(vertices[:, 1].min())
    front = figure.frame()[:, 2] * [1.0, 0.0, 1.0]
    found = {}
    for side in legs_of(figure):
        foot = figure.parts["foot" + side]
        members = [j for j in range(len(figure.parents)) if _under(j, foot, figure.parents)]
        skin = vertices[rig.weights[:, members].sum(1) > 0.5].astype(np.float64)
        ankle = figure.heads[foot]
        if len(skin) >= 4:
            low = skin[skin[:, 1] < skin[:, 1].min() + _LOW * max(ankle[1] - skin[:, 1].min(), 1e-6)]
            along = low @ front
            # Heel and toe are as far back and forth as the sole goes: what rolls over them must not sink in.
            ends = (low[np.argmin(along)], low[np.argmax(along)])
            heel, toe = (np.array([end[0], low[:, 1].min(), end[2]]) for end in ends)
            aside = (skin - ankle) @ figure.frame()[:, 0] * (-1.0 if side == SIDES[0] else 1.0)
            ball = figure.heads[figure.parts["toe" + side]] if "toe" + side in figure.parts else toe
            corners = _corners(low, figure.frame()[:, 0] * [1.0, 0.0, 1.0], (heel, ball, toe))
            found[side] = Sole(heel, toe, corners, max(float(np.percentile(aside, 98)), 0.0))
        else:
            tip = figure.tails[figure.parts.get("toe" + side, foot)]
            heel, toe = np.array([ankle[0], floor, ankle[2]]), np.array([tip[0], floor, tip[2]])
            found[side] = Sole(heel, toe, np.stack([heel, heel, toe, toe, toe, toe]))
    return found


def _corners(low: np.ndarray, left: np.ndarray, ends: tuple[np.ndarray, ...]) -> np.ndarray:
    """Both sides of a sole [N, 3] at the places [3] of ``ends``. [2 * ends, 3]"""
    aside = low @ left
    middle, half = (aside.min() + aside.max()) / 2.0, (aside.max() - aside.min()) / 2.0
    level = [np.array([end[0], low[:, 1].min(), end[2]]) for end in ends]
    return np.stack([end + (middle - end @ left + way * half) * left for end in level for way in (-1.0, 1.0)])


def _under(joint: int, top: int, parents: np.ndarray) -> bool:
    while joint >= 0:
        if joint == top:
            return True
        joint = int(parents[joint])
    return False


def keep_proportions(source: Performance, pose: Pose, soles: dict[str, Sole]) -> None:
    """Ankles as far and in the same direction from the hip as the source's, in leg lengths; thick legs step wider."""
    figure, places = source.figure, pose.places()
    goals: dict[str, np.ndarray] = {}
    legs = legs_of(pose.figure)
    for side, leg in legs.items():
        if all(part + side in figure.parts for part in ("thigh", "shin", "foot")):
            own = Leg(figure, side)
            reach = source.places[:, own.foot] - source.places[:, own.thigh]
            goals[side] = places[:, leg.thigh] + reach * leg.length / own.length
    if len(goals) == 2 and set(goals) <= set(soles):
        _step_wider(pose, goals, soles)
    for side, goal in goals.items():
        reach_ankle(pose, legs[side], goal, places)


def _step_wider(pose: Pose, goals: dict[str, np.ndarray], soles: dict[str, Sole]) -> None:
    """Move both ankles' goals apart, all the time by the same, until the legs pass each other without touching."""
    left = pose.turns[:, pose.figure.hips] @ pose.figure.frame()[:, 0] * [1.0, 0.0, 1.0]
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-9)
    between = goals[SIDES[0]] - goals[SIDES[1]]
    aside = (between * left).sum(1)
    ahead = np.abs((between * np.cross(left, [0.0, 1.0, 0.0])).sum(1))
    length = max(float(np.linalg.norm(sole.toe - sole.heel)) for sole in soles.values())
    passing = ahead < length
    if passing.any():
        need = sum(sole.inner for sole in soles.values()) - float(np.percentile(aside[passing], 10))
        move = 0.5 * np.clip(need, 0.0, _WIDER * pose.figure.leg_length) * left
        goals[SIDES[0]] += move
        goals[SIDES[1]] -= move


def rest_on_floor(source: Performance, pose: Pose, rig: Rig, vertices: np.ndarray) -> None:
    """A body whose legs have no feet: its lowest point on the floor, but where the source is in the air above it."""
    figure = pose.figure
    members = [
        j
        for j in range(len(figure.parents))
        if any(_under(j, figure.parts["thigh" + s], figure.parents) for s in SIDES)
    ]
    owner = rig.weights.argmax(1)
    skin = np.flatnonzero(np.isin(owner, members))
    if not len(skin):
        return
    places, floor = pose.places(), float(vertices[:, 1].min())
    local = vertices[skin].astype(np.float64) - figure.heads[owner[skin]]
    lowest = np.full(source.frame_count, np.inf)
    for joint in np.unique(owner[skin]):
        points = places[:, joint, None] + np.einsum("tab,nb->tna", pose.turns[:, joint], local[owner[skin] == joint])
        lowest = np.minimum(lowest, points[..., 1].min(1))
    own = source.places[..., 1].min(1)
    air = np.maximum(own - np.percentile(own, 20) - 0.05 * source.figure.leg_length, 0.0)
    pose.body[:, 1] += floor - lowest + air * figure.leg_length / source.figure.leg_length


def plant_feet(source: Performance, pose: Pose, soles: dict[str, Sole], floor: float) -> list[Contact]:
    """Hold feet where they stand, by the legs and, where these don't reach, by lower hips.

    Args:
        source: Says when its feet stand.
        pose: Changed in place.
        soles: Heels and toes of the pose's figure.
        floor: Height of the ground.

    Returns:
        The contacts that were held.
    """
    legs = {side: leg for side, leg in legs_of(pose.figure).items() if side in source.feet and side in soles}
    if not legs:
        return []
    fps = float(source.fps)
    for side, leg in legs.items():
        _flatten(pose, leg, source.feet[side], fps)
    contacts = [c for side in legs for c in _contacts(side, source.feet[side])]
    moves = {side: _corrections(pose, leg, soles[side], contacts, floor) for side, leg in legs.items()}
    # A foot that only pushes off with its toe may stretch to reach the ground; who runs on toes has no other.
    heels = np.stack([source.feet[side].heel for side in legs])
    toes = np.stack([source.feet[side].toe for side in legs])
    held = heels if heels.sum() > _ON_TOES * toes.sum() else heels | toes
    goals = {side: pose.places()[:, leg.foot] + moves[side] for side, leg in legs.items()}
    _carry_hips(pose, np.stack([moves[side][:, 1] for side in legs]), held, fps)
    _lower_hips(pose, legs, goals, held, fps)
    for side, leg in legs.items():
        reach_ankle(pose, leg, goals[side], pose.places())
        _stretch_foot(pose, leg, soles[side], source.feet[side], floor, fps)
        # What the foot's own turns pushed below the floor comes up again.
        sunk = np.maximum(floor - _points(pose, leg, soles[side])["lowest"], 0.0)
        if sunk.any():
            places = pose.places()
            reach_ankle(pose, leg, places[:, leg.foot] + sunk[:, None] * [0.0, 1.0, 0.0], places)
    return contacts


def _carry_hips(pose: Pose, heights: np.ndarray, held: np.ndarray, fps: float) -> None:
    """Keep the hips' height above the feet that carry them: what lifts or lowers these takes the hips along.

    Args:
        pose: Changed in place.
        heights: By how much each foot is lifted [L, T].
        held: Which feet carry [L, T] bool.
        fps: Frames a second.
    """
    total = held.sum(0)
    if (total > 0.0).any():
        carried = np.flatnonzero(total > 0.0)
        level = np.interp(np.arange(len(total)), carried, ((heights * held).sum(0)[carried] / total[carried]))
        pose.body[:, 1] += gaussian_filter1d(level, _CARRY * fps, mode="nearest")


def _stretch_foot(pose: Pose, leg: Leg, sole: Sole, track: FootTrack, floor: float, fps: float) -> None:
    """Pitch a foot about its ankle until the toe that pushes off is on the floor."""
    toe = _points(pose, leg, sole)["toe"]
    arm = toe - pose.places()[:, leg.foot]
    length = np.linalg.norm(arm, axis=1)
    wanted = np.clip((arm[:, 1] + floor - toe[:, 1]) / length, -0.99, 0.99)
    level = np.hypot(arm[:, 0], arm[:, 2])
    angle = np.arcsin(wanted) - np.arctan2(arm[:, 1], level)
    pushes = track.toe & ~track.heel & (level > 0.1 * length)
    angle = gaussian_filter1d(np.where(pushes, angle, 0.0), _SOFT * fps, mode="nearest")
    axis = np.stack([-arm[:, 2], 0.0 * level, arm[:, 0]], axis=1) / np.maximum(level, 1e-9)[:, None]
    turn = axis_angle_to_matrix(angle[:, None] * axis)
    pose.turns[:, leg.foot] = turn @ pose.turns[:, leg.foot]
    if leg.toe is not None:
        pose.turns[:, leg.toe] = turn @ pose.turns[:, leg.toe]


def _flatten(pose: Pose, leg: Leg, track: FootTrack, fps: float) -> None:
    """Turn a foot flat, softly, while heel and toe are both on the ground; its turn about up stays."""
    flat = gaussian_filter1d((track.heel & track.toe).astype(float), _SOFT * fps, mode="nearest")
    for joint in (leg.foot, leg.toe):
        if joint is None:
            continue
        now = pose.turns[:, joint]
        yaw = np.arctan2(now[:, 0, 2], now[:, 2, 2])
        level = axis_angle_to_matrix(np.stack([0.0 * yaw, yaw, 0.0 * yaw], axis=1))
        step = Rotation.from_matrix(np.einsum("tba,tbc->tac", now, level)).as_rotvec()
        pose.turns[:, joint] = now @ axis_angle_to_matrix(step * flat[:, None])


def _contacts(side: str, track: FootTrack) -> list[Contact]:
    """Runs of frames on one point: the heel while it is down, then the toe."""
    state = np.where(track.heel, 1, np.where(track.toe, 2, 0))
    edges = np.flatnonzero(np.diff(state, prepend=-1, append=-1))
    runs = [(int(a), int(b)) for a, b in pairwise(edges)]
    return [Contact(side, a, b, "heel" if state[a] == 1 else "toe") for a, b in runs if state[a]]


def _points(pose: Pose, leg: Leg, sole: Sole) -> dict[str, np.ndarray]:
    """Heel and toe over time [T, 3] each, and the height of the sole's lowest corner, "lowest" [T]."""
    places, figure = pose.places(), pose.figure
    tip = leg.foot if leg.toe is None else leg.toe

    def carried(joint: int, points: np.ndarray) -> np.ndarray:
        return places[:, joint, None] + np.einsum("tab,nb->tna", pose.turns[:, joint], points - figure.heads[joint])

    back = carried(leg.foot, np.stack([sole.heel, *sole.corners[:4]]))
    front = carried(tip, np.stack([sole.toe, *sole.corners[4:]]))
    lowest = np.minimum(back[:, 1:, 1].min(1), front[:, 1:, 1].min(1))
    return {"heel": back[:, 0], "toe": front[:, 0], "lowest": lowest}


def _corrections(pose: Pose, leg: Leg, sole: Sole, contacts: list[Contact], floor: float) -> np.ndarray:
    """By how much the ankle must move [T, 3]: planted points stay, and what moves through the air goes along softly."""
    points = _points(pose, leg, sole)
    lowest = points["lowest"]
    moves = np.full((len(lowest), 3), np.nan)
    for chain in _chained([c for c in contacts if c.side == leg.side]):
        span = slice(chain[0].start, chain[-1].stop)
        before: np.ndarray | None = None
        for contact in chain:
            own = slice(contact.start, contact.stop)
            place = points[contact.point][own]
            # The point stays where it was when its turn began; where that is, the last point's end says.
            start = place[0] + before if before is not None else place[0]
            moves[own] = start - place
            if contact.stop < len(lowest):
                before = start - points[contact.point][contact.stop - 1]
        moves[span, 0] -= moves[span, 0].mean()
        moves[span, 2] -= moves[span, 2].mean()
        moves[span, 1] = floor - lowest[span]
    known = np.flatnonzero(~np.isnan(moves[:, 0]))
    if not len(known):
        moves[:] = 0.0
    else:
        for gap in np.split(np.flatnonzero(np.isnan(moves[:, 0])), _breaks(np.flatnonzero(np.isnan(moves[:, 0])))):
            if len(gap):
                moves[gap] = _across(moves, int(gap[0]), int(gap[-1]) + 1)
    moves[:, 1] = np.maximum(moves[:, 1], floor - lowest)
    return moves


def _breaks(index: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(index) > 1) + 1


def _chained(contacts: list[Contact]) -> list[list[Contact]]:
    """Contacts that follow each other without a gap, together."""
    chains: list[list[Contact]] = []
    for contact in sorted(contacts, key=lambda c: c.start):
        if chains and chains[-1][-1].stop == contact.start:
            chains[-1].append(contact)
        else:
            chains.append([contact])
    return chains


def _across(moves: np.ndarray, start: int, stop: int) -> np.ndarray:
    """From the move before a gap to the one after it, slow at both ends. [stop - start, 3]"""
    first = moves[start - 1] if start else moves[stop]
    last = moves[stop] if stop < len(moves) else first
    share = (np.arange(start, stop) - start + 1.0) / (stop - start + 1.0)
    share = share * share * (3.0 - 2.0 * share)
    return first + share[:, None] * (last - first)


def _lower_hips(pose: Pose, legs: dict[str, Leg], goals: dict[str, np.ndarray], held: np.ndarray, fps: float) -> None:
    """Lower the body, softly, where a planted foot is farther than its leg is long."""
    places = pose.places()
    drop = np.zeros(len(places))
    for row, (side, leg) in enumerate(legs.items()):
        way = goals[side] - places[:, leg.thigh]
        level = np.hypot(way[:, 0], way[:, 2])
        deep = np.sqrt(np.maximum((REACH * leg.length) ** 2 - level**2, 0.0))
        drop = np.maximum(drop, np.where(held[row], -way[:, 1] - deep, 0.0))
    size = max(1, round(0.1 * fps))
    pose.body[:, 1] -= gaussian_filter1d(
        maximum_filter1d(np.maximum(drop, 0.0), 2 * size + 1), 0.5 * size, mode="nearest"
    )
