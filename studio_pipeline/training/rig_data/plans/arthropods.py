"""Insects, spiders, crabs and scorpions. Unit: about the body's length."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, spline

__all__ = ["arthropod"]


def arthropod(rng: np.random.Generator, plan: str = "insect") -> Body:
    """An animal with six to ten jointed legs: plan "insect", "spider" or "crab"."""
    kit = Kit(plan, rng, blend=0.01)
    lift = kit.u(0.15, 0.4)
    wide = kit.u(0.12, 0.2) if plan != "crab" else kit.u(0.28, 0.42)
    middle = np.array([0, lift, 0.0])
    thorax = kit.joint("body", middle, kit.ground())
    deep = kit.u(0.15, 0.25)
    kit.ball(thorax, middle, (wide, wide * kit.u(0.6, 1.0) if plan != "crab" else 0.4 * wide, deep))
    front = _head(kit, plan, thorax, middle, wide, deep)
    if plan != "crab":
        _abdomen(kit, plan, thorax, middle - [0, 0, 0.85 * deep])
    pairs = {"insect": 3, "spider": 4, "crab": kit.pick(3, 4)}[plan]
    flying = plan == "insect" and kit.chance(0.55)
    if plan == "insect" and kit.chance(0.15):
        pairs = 2
    _legs(kit, thorax, pairs, (middle, wide, deep), tucked=flying and kit.chance(0.6))
    if flying:
        _wings(kit, thorax, middle + [0.35 * wide, 0.6 * wide, 0])
    if plan == "crab" or (plan == "spider" and kit.chance(0.15)):
        _claw(kit, thorax, front, wide)
    return kit.build()


def _head(kit: Kit, plan: str, thorax: int, middle: np.ndarray, wide: float, deep: float) -> np.ndarray:
    """Head with antennas; gives the front of the body."""
    at = middle + [0, kit.u(0.0, 0.3) * wide, 0.8 * deep]
    if plan == "crab" or kit.chance(0.15):
        if kit.chance(0.7):
            kit.begin("eye.L", None, 0.004)
            top = at + [0.25 * wide, 0.6 * wide, 0]
            owner = kit.joint("eye.L", at + [0.25 * wide, 0.15 * wide, 0], thorax, top) if kit.chance(0.4) else thorax
            kit.cone(owner, at + [0.25 * wide, 0, -0.05], top, 0.08 * wide)
            kit.ball(owner, top, 0.18 * wide)
        return at
    size = kit.u(0.08, 0.2)
    kit.begin("head", "body", 0.008)
    centre = at + [0, 0.1 * size, 0.75 * size]
    head = kit.joint("head", at, thorax, centre + [0, 0, size])
    kit.ball(head, centre, (size * kit.u(0.9, 1.2), size * 0.9, size))
    if kit.chance(0.4):
        kit.begin("eye.L", None, 0.003)
        kit.ball(head, centre + np.array([0.6, 0.35, 0.4]) * size, 0.4 * size)
    if plan == "insect" and kit.chance(0.7):
        kit.begin("antenna.L", "head", 0.003)
        length = size * kit.u(0.8, 2.5)
        start = centre + np.array([0.3, 0.7, 0.5]) * size
        points = spline(
            [start, start + length * np.array([0.2, 0.5, 0.25]), start + length * np.array([0.4, 0.7, 0.7])], 3
        )
        thin = 0.08 * size + 0.004
        if kit.chance(0.5):
            bones = kit.count(1, 2)
            path = [points[0], points[2]] if bones == 1 else list(points)
            kit.chain([f"antenna_{i + 1:02d}.L" for i in range(bones)], path, [thin] * (bones + 1), head)
        else:
            kit.cone(head, points[0], points[1], thin)
            kit.cone(head, points[1], points[2], thin)
    if kit.chance(0.35):
        kit.begin("fang.L", "head", 0.003)
        start = centre + np.array([0.35, -0.4, 0.7]) * size
        tip = start + size * np.array([-0.1, -0.3, 0.7])
        owner = kit.joint("mandible.L", start, head, tip) if kit.chance(0.5) else head
        kit.cone(owner, start, tip, (0.2 * size, 0.06 * size))
    return at


def _abdomen(kit: Kit, plan: str, thorax: int, start: np.ndarray) -> None:
    kit.begin("abdomen", "body", 0.008)
    length, fat = kit.u(0.3, 0.8), kit.u(0.12, 0.3)
    curl = kit.u(-0.5, 0.6) if kit.chance(0.8) else 1.6  # a scorpion's tail
    bones = kit.pick(1, 2, 3, weights=(0.5, 0.25, 0.25)) if curl < 1 else kit.count(3, 5)
    angle, points = 0.0, [start]
    for _ in range(bones):
        angle += curl / bones
        points.append(points[-1] + length / bones * np.array([0, np.sin(angle), -np.cos(angle)]))
    names = [f"abdomen_{i + 1:02d}" for i in range(bones)]
    parent = thorax
    swell = (
        np.sin(np.pi * (np.arange(bones) + 0.6) / (bones + 0.3)) * fat
        if curl < 1
        else np.linspace(0.6, 0.35, bones) * fat
    )
    for i, name in enumerate(names):
        parent = kit.joint(name, points[i], parent, points[i + 1])
        centre = 0.5 * (points[i] + points[i + 1])
        along = points[i + 1] - points[i]
        half = 0.5 * float(np.linalg.norm(along)) * 1.3
        y = along / np.linalg.norm(along)
        frame = np.stack([[1, 0, 0], y, np.cross([1, 0, 0], y)])
        r = max(float(swell[i]), 0.3 * fat)
        kit.ball(parent, centre, (r, half, 0.9 * r), frame)
    if kit.chance(0.3):
        way = points[-1] - points[-2]
        way = way / np.linalg.norm(way)
        tip = points[-1] + 0.12 * way
        owner = kit.joint("stinger", points[-1] + 0.02 * way, parent, tip + 0.05 * way) if kit.chance(0.4) else parent
        kit.cone(owner, points[-1] - 0.05 * way, tip, (0.25 * fat, 0.02 * fat))


def _legs(kit: Kit, thorax: int, pairs: int, trunk: tuple, *, tucked: bool) -> None:
    middle, wide, deep = trunk
    bones = kit.pick(1, 2, 3, 4, weights=(0.08, 0.37, 0.4, 0.15)) if pairs < 4 else kit.pick(2, 3, weights=(0.5, 0.5))
    reach = kit.u(0.25, 0.7)
    knee_y = middle[1] * (kit.u(0.7, 1.9) if not tucked else 0.9)
    thin = kit.u(0.014, 0.035)
    foot_y = thin if not tucked else 0.35 * middle[1]
    for i in range(pairs):
        share = (i + 0.5) / pairs - 0.5
        name = f"leg_{i + 1}"
        kit.begin(f"{name}.L", "body", 0.005)
        fan = -share * kit.u(1.6, 2.2) * 0.9
        start = middle + [0.8 * wide * np.cos(fan * 0.6), -0.15 * wide, -share * 1.5 * deep]
        out = np.array([np.cos(fan), 0, np.sin(fan)])
        knots = [
            start,
            start + 0.45 * reach * out + [0, knee_y - start[1], 0],
            start * [1, 0, 1] + reach * out * (1.0 if not tucked else 0.5) + [0, foot_y, 0],
        ]
        if bones >= 3:
            knots.insert(1, start + 0.12 * reach * out + [0, 0.25 * (knee_y - start[1]), 0])
        if bones == 4:
            knots.insert(3, 0.45 * knots[2] + 0.55 * knots[3] + [0, 0.08 * middle[1], 0])
        if bones == 1:
            knots.pop(1)
        radii = np.linspace(1.3 * thin, 0.55 * thin, len(knots))
        kit.chain([f"{name}_{k + 1:02d}.L" for k in range(bones)], knots, list(radii), thorax)


def _wings(kit: Kit, thorax: int, base: np.ndarray) -> None:
    pairs = kit.pick(1, 2, weights=(0.55, 0.45))
    span = kit.u(0.35, 0.9)
    for i in range(pairs):
        name = f"wing_{i + 1}"
        kit.begin(f"{name}.L", None, 0.003)
        sweep = kit.u(-0.1, 0.5) + 0.5 * i
        tip = base + span * (1 - 0.25 * i) * np.array([np.cos(sweep), kit.u(0.0, 0.7), -np.sin(sweep)])
        start = base - [0, 0, 0.08 * i]
        bones = kit.pick(1, 2, 3, weights=(0.65, 0.25, 0.1))
        points = np.linspace(start, tip, bones + 1)
        wide = span * kit.u(0.14, 0.3)
        radii = np.linspace(0.55 * wide, wide, bones + 1)
        kit.chain(
            [f"{name}_{k + 1:02d}.L" for k in range(bones)],
            list(points),
            list(radii),
            thorax,
            flat=(1.0, 0.01 / wide),
            hint=(0, 1, 0),
        )


def _claw(kit: Kit, thorax: int, front: np.ndarray, wide: float) -> None:
    """An arm that ends in a pincer with one moving finger."""
    kit.begin("claw.L", "body", 0.008)
    start = front + [0.65 * wide, 0, -0.05]
    elbow = start + np.array([kit.u(0.15, 0.3), kit.u(-0.05, 0.1), kit.u(0.05, 0.15)])
    wrist = elbow + np.array([kit.u(-0.12, 0.05), kit.u(-0.05, 0.1), kit.u(0.12, 0.22)])
    thick = kit.u(0.03, 0.05)
    arm = kit.chain(["claw_upper.L", "claw_lower.L"], [start, elbow, wrist], [thick, thick, thick], thorax)
    size = kit.u(0.1, 0.22)
    way = np.array([-0.35, 0.1, 1.0]) / 1.065
    middle, tip = wrist + 0.5 * size * way, wrist + 1.3 * size * way
    hand = kit.joint("claw_hand.L", wrist, arm[-1], tip)
    aside = np.array([1.0, 0, 0.35]) / 1.06
    kit.cone(hand, wrist + 0.2 * size * way, middle, (0.25 * size, 0.4 * size), flat=(1, 0.6), hint=(0, 1, 0))
    kit.cone(hand, middle + 0.15 * size * aside, tip + 0.1 * size * aside, (0.2 * size, 0.05 * size))
    kit.begin("pincer.L", "claw.L", 0.004)
    root, end = middle - 0.2 * size * aside, tip - 0.25 * size * aside
    owner = kit.joint("claw_finger.L", root, hand, end) if kit.chance(0.7) else hand
    kit.cone(owner, root, end, (0.16 * size, 0.04 * size))
