"""Blobs, ghosts, slimes and mushrooms with or without limbs, and creatures that are a head on feet. Unit: height."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, frame_along, spline

__all__ = ["blob", "critter"]


def blob(rng: np.random.Generator, plan: str = "blob") -> Body:
    """A round body with a chain of one to four joints, and perhaps stubby arms, legs, ears, a tail or a stalk."""
    kit = Kit(plan, rng, blend=0.02)
    legs = kit.chance(0.6)
    lift = kit.u(0.1, 0.3) if legs else 0.0
    wide, deep = kit.u(0.26, 0.6), kit.u(0.9, 1.1)
    bones = _trunk(kit, lift, wide, deep)
    boxy = kit.chance(0.15)
    middle = np.array([0, 0.5 * (lift + 1.0), 0])
    half = np.array([wide, 0.5 * (1.0 - lift), wide * deep])
    shape = kit.pick("ball", "drop", "pear", "ghost", weights=(0.4, 0.2, 0.25, 0.15))
    if boxy:
        kit.box(bones, middle, half, rounding=kit.u(0.1, 0.9))
    elif shape == "ball":
        kit.ball(bones, middle, half)
    elif shape == "ghost":
        kit.cone(
            bones, (0, lift + 0.8 * wide, 0), (0, 1 - wide, 0), (0.8 * wide * kit.u(0.9, 1.2), wide), flat=(1, deep)
        )
    else:
        top = 0.35 * wide if shape == "pear" else 0.06
        r = 0.5 * (1 - lift) * kit.u(0.6, 0.85) if shape == "drop" else min(wide, 0.45 * (1 - lift))
        kit.cone(bones, (0, lift + r, 0), (0, 1 - top, 0), (r, top), flat=(wide / r if wide < r else 1.0, deep))
        half[0] = half[2] = min(wide, r)
    if legs:
        _limb(kit, bones[0], "leg", (half[0] * kit.u(0.35, 0.6), lift + 0.12 * half[1], 0), lift)
    if kit.chance(0.55):
        _arm(kit, bones[min(1, len(bones) - 1)], half, lift)
    _details(kit, bones, half, middle)
    return kit.build()


def _trunk(kit: Kit, lift: float, wide: float, deep: float) -> list[int]:
    """The joints inside, from the ground or the middle upwards."""
    low = lift + kit.u(0.04, 0.35) * (1.0 - lift)
    first = kit.joint("body_01", (0, max(low, 0.05), 0), kit.ground())
    bones = kit.pick(1, 2, 3, 4, weights=(0.25, 0.35, 0.28, 0.12))
    made, high = [first], kit.u(0.75, 0.9)
    for i in range(1, bones):
        name = "head" if i == bones - 1 and kit.chance(0.6) else f"body_{i + 1:02d}"
        made.append(kit.joint(name, (0, low + (high - low) * i / bones, 0), made[-1]))
    kit.joints[made[-1]].tail = np.array([0, 0.97, 0.0])
    return made


def _limb(kit: Kit, parent: int, name: str, start, lift: float) -> None:
    """A stubby leg with one to three joints, and a foot."""
    kit.begin(f"{name}.L", "body", 0.012)
    start = np.asarray(start, float)
    bones = kit.pick(1, 2, weights=(0.6, 0.4)) if lift < 0.15 else kit.pick(1, 2, weights=(0.25, 0.75))
    thick = kit.u(0.04, 0.1)
    foot = np.array([start[0] * kit.u(0.95, 1.3), 0.45 * thick, start[2]])
    points = np.linspace(start, foot, bones + 1)
    made = kit.chain(
        [f"{name}_{i + 1:02d}.L" for i in range(bones)], list(points), [thick] * bones + [0.85 * thick], parent
    )
    toe = foot + [0, 0, kit.u(0.06, 0.16)]
    owner = made[-1] if kit.chance(0.35) else kit.joint("foot.L", foot + [0, 0.25 * thick, 0], made[-1], toe)
    sole = 0.55 * thick + 0.02
    kit.cone(owner, foot * [1, 0, 1] + [0, sole, 0], toe * [1, 0, 1] + [0, sole, 0], sole, flat=(1.5, 1.0))


def _arm(kit: Kit, parent: int, half: np.ndarray, lift: float) -> None:
    kit.begin("arm.L", "body", 0.012)
    y = lift + (1 - lift) * kit.u(0.4, 0.65)
    start = np.array([0.82 * half[0], y, 0])
    reach = kit.u(0.15, 0.45)
    down = np.radians(kit.u(-30, 70))
    end = start + reach * np.array([np.cos(down), -np.sin(down), kit.u(0, 0.3)])
    end[1] = max(end[1], 0.05)
    bones = kit.pick(1, 2, 3, weights=(0.35, 0.45, 0.2))
    thick = kit.u(0.03, 0.08)
    points = np.linspace(start, end, bones + 1)
    names = ["upper_arm.L", "lower_arm.L", "hand.L"][:bones]
    kit.chain(names, list(points), list(np.linspace(thick, thick * kit.u(0.7, 1.4), bones + 1)), parent)
    if kit.chance(0.4):
        kit.ball(kit.find(names[-1]), end, thick * kit.u(1.2, 2.0))


def _details(kit: Kit, bones: list[int], half: np.ndarray, middle: np.ndarray) -> None:
    top = bones[-1]
    if kit.chance(0.4):
        kit.begin("eye.L", None, 0.003)
        kit.ball(top, middle + [0.35 * half[0], 0.35 * half[1], 0.75 * half[2]], kit.u(0.05, 0.12))
    if kit.chance(0.2):
        kit.begin("ear.L", "body", 0.01)
        start = np.array([0.4 * half[0], middle[1] + 0.75 * half[1], 0])
        end = start + kit.u(0.15, 0.5) * np.array([kit.u(0.2, 0.8), 1.0, 0])
        if end[1] - start[1] > 0.2 and kit.chance(0.6):
            kit.chain(["ear.L"], [start, end], [0.07, 0.04], top, flat=(1, 0.5))
        else:
            kit.cone(top, start, end, (0.07, 0.03), flat=(1, 0.5))
    elif kit.chance(0.2):  # a cap or a stalk
        kit.begin("cap", None, 0.006)
        if kit.chance(0.5):
            kit.ball(top, (0, 0.95, 0), (half[0] * kit.u(1.2, 1.9), kit.u(0.1, 0.25), half[0] * kit.u(1.2, 1.9)))
        else:
            end = np.array([0, 1.0 + kit.u(0.1, 0.35), kit.u(-0.1, 0.1)])
            owner = kit.joint("antenna", (0, 0.97, 0), top, end) if kit.chance(0.5) else top
            kit.cone(owner, (0, 0.93, 0), end, 0.025)
            kit.ball(owner, end, 0.05)
    if kit.chance(0.2):
        kit.begin("tail", "body", 0.012)
        start = np.array([0, middle[1] - 0.5 * half[1], -0.75 * half[2]])
        count = kit.count(1, 4)
        end = start + kit.u(0.2, 0.6) * np.array([0, kit.u(-0.1, 0.8), -1.0])
        points = spline([start, 0.5 * (start + end) - [0, 0.03, 0], end], count + 1)
        points[:, 1] = np.maximum(points[:, 1], 0.05)
        kit.chain(
            [f"tail_{i + 1:02d}" for i in range(count)],
            list(points),
            list(np.linspace(0.07, 0.02, count + 1)),
            bones[0],
        )


def critter(rng: np.random.Generator, plan: str = "critter") -> Body:
    """A round or boxy body on two to six legs of two joints, the usual small enemy; its legs stand at its sides."""
    kit = Kit(plan, rng, blend=0.01)
    kit.rigid = kit.chance(0.3)
    lift = kit.u(0.2, 0.6)
    half = np.array([kit.u(0.3, 0.6), kit.u(0.2, 0.4), kit.u(0.3, 0.6)])
    middle = np.array([0, lift + 0.6 * half[1], 0])
    body = kit.joint("body", middle - [0, kit.u(0, 0.5) * half[1], 0], kit.ground())
    if kit.chance(0.4):
        kit.box(body, middle, half, rounding=kit.u(0.1, 0.9))
    else:
        kit.ball(body, middle, half)
    if kit.chance(0.4):
        kit.begin("eyes", None, 0.003)
        at = middle + [0, 0.3 * half[1], 0.8 * half[2]]
        owner = kit.joint("eyes", at, body, at + [0, 0, 0.2]) if kit.chance(0.4) else body
        kit.ball(owner, at, kit.u(0.08, 0.18))
    pairs, thick = kit.pick(1, 2, 3, weights=(0.2, 0.6, 0.2)), kit.u(0.04, 0.1)
    bones = kit.pick(1, 2, 3, weights=(0.2, 0.6, 0.2))
    names = {1: ("leg",), 2: ("front_leg", "back_leg"), 3: ("front_leg", "middle_leg", "back_leg")}[pairs]
    tucked = kit.chance(0.5)  # the legs stand below the body instead of at its sides
    for i, name in enumerate(names):
        kit.begin(f"{name}.L", "body" if kit.chance(0.7) else None, 0.008)
        z = (0.0 if pairs == 1 else 0.75 - 1.5 * i / (pairs - 1)) * half[2]
        x = half[0] * kit.u(0.5, 1.05) * (np.sqrt(max(1 - (z / half[2]) ** 2, 0.4)) if tucked else 1.0)
        top = np.array([x, middle[1] - kit.u(0.0, 0.4) * half[1], z])
        _critter_leg(kit, body, name, top, bones, thick)
    return kit.build()


def _critter_leg(kit: Kit, body: int, name: str, top: np.ndarray, bones: int, thick: float) -> None:
    """A leg from ``top`` [3] to the ground, bowed outward, with a block for a foot now and then."""
    knots = [
        top,
        top * [1.0, 0.5, 1.0] + [kit.u(0.0, 0.25), kit.u(0, 0.1), 0],
        top * [1, 0, 1] + [kit.u(0, 0.15), thick, 0],
    ]
    points = spline([knots[0], knots[2]] if bones == 1 else knots, bones + 1)
    made = kit.chain(
        [f"{name}_{k + 1:02d}.L" for k in range(bones)],
        list(points),
        [thick] * bones + [thick * kit.u(0.6, 1.5)],
        body,
    )
    if kit.chance(0.4):
        kit.box(
            made[-1],
            points[-1] * [1, 0, 1] + [0, 0.5 * thick, 0.3 * thick],
            (1.3 * thick, 0.5 * thick, 1.7 * thick),
            frame_along((0, 1, 0)),
            0.5,
        )
