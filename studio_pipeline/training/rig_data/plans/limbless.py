"""Snakes, worms, caterpillars and tentacles. Unit: the body's length."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, spline

__all__ = ["snake"]


def snake(rng: np.random.Generator, plan: str = "snake") -> Body:
    """A snake, worm or tube: straight, winding, coiled, or with its front raised."""
    kit = Kit(plan, rng, blend=0.004, symmetric=False)
    shape = kit.pick("straight", "winding", "raised", "coiled", "upright", weights=(0.25, 0.3, 0.22, 0.11, 0.12))
    radius = float(np.exp(kit.u(np.log(0.012), np.log(0.07)))) if shape != "upright" else kit.u(0.05, 0.13)
    radius = min(radius, 0.03) if shape == "winding" else radius
    knots = _course(kit, shape, radius)
    bones = kit.pick(kit.count(2, 6), kit.count(6, 12), kit.count(12, 20), weights=(0.3, 0.45, 0.25))
    if shape in ("coiled", "winding", "raised"):
        bones = max(bones, 7)
    if shape == "upright":
        bones = kit.count(2, 6)
    fine = spline(list(knots), 6 * bones + 1)  # tail first
    points = fine[::6]
    share = np.linspace(0.0, 1.0, len(fine))
    taper = kit.u(0.15, 1.0)
    girth = radius * np.minimum(1.0, taper + (1.0 - taper) * share / 0.4)
    girth = girth * (1.0 + kit.u(-0.1, 0.35) * np.sin(np.pi * share))
    joints = _joints(kit, points, standing=shape in ("raised", "coiled"))
    for i, joint in enumerate(joints):
        for k in range(3):
            a = 6 * i + 2 * k
            kit.cone(joint, fine[a], fine[a + 2], (girth[a], girth[a + 2]))
    _head(kit, joints, fine, float(girth[-1]))
    return kit.build()


def _course(kit: Kit, shape: str, radius: float) -> np.ndarray:
    """Points from the tail's tip to the neck, the head towards +Z or up."""
    t = np.linspace(0.0, 1.0, 25)
    if shape == "upright":
        lean = kit.u(-0.1, 0.1)
        return np.stack([np.zeros(25), radius + t, lean * np.sin(np.pi * t)], axis=1)
    y = np.full(25, radius)
    if shape == "straight":
        return np.stack([np.zeros(25), y, t - 0.5], axis=1)
    if shape == "coiled":
        turns = kit.u(1.0, 2.2)
        angle = 2.0 * np.pi * turns * t
        ring = 0.28 - 0.12 * t
        lift = radius + 2.2 * radius * turns * t
        points = np.stack([ring * np.sin(angle), lift, ring * np.cos(angle)], axis=1)
        end = points[-1] + [[0, 2.5 * radius, 0.02], [0, 5.0 * radius, 0.06]]
        return np.concatenate([points, end])
    waves, swing = kit.u(0.7, 1.8), kit.u(0.06, 0.14)
    x = swing * np.sin(2.0 * np.pi * waves * t + kit.u(0, 6.28)) * np.minimum(1.0, 4.0 * (1.0 - t))
    z = (t - 0.5) * kit.u(0.6, 0.9)
    if shape == "raised":
        foot = int(kit.count(6, 14))  # where the body leaves the ground
        rise = np.clip((t - t[foot]) / (1.0 - t[foot]), 0.0, 1.0)
        height = kit.u(0.6, 1.6) * (1.0 - t[foot])
        y = radius + height * rise ** kit.u(1.0, 1.4)
        sway = kit.u(0.05, 0.16) * np.sin(np.pi * rise * kit.u(1.0, 2.0))
        z = np.where(rise > 0.0, z[foot] + sway, z)
        x = x * (1.0 - rise)
        points = np.stack([x, y, z], axis=1)
        return np.concatenate([points, points[-1:] + [0, 0.02, 0.06]])
    return np.stack([x, y, z], axis=1)


def _joints(kit: Kit, points: np.ndarray, *, standing: bool) -> list[int]:
    """A joint per bone, given tail to head: the root is at the tail's end, the head's end or between."""
    parent = kit.ground() if standing else -1
    bones = len(points) - 1
    where = kit.pick("tail", "head", "middle", weights=(0.45, 0.2, 0.35))
    names = [f"spine_{i + 1:02d}" for i in range(bones)]
    made: dict[int, int] = {}
    if where == "head":  # heads of bones are at their front ends
        for i in reversed(range(bones)):
            parent = made[i] = kit.joint(names[i], points[i + 1], parent, points[i])
        return [made[i] for i in range(bones)]
    start = 0 if where == "tail" else bones // 2
    for i in range(start, bones):
        parent = made[i] = kit.joint(names[i], points[i], parent, points[i + 1])
    parent = made[start]
    for i in reversed(range(start)):
        at = points[i + 1] if i + 1 < start else points[i + 1] - 0.15 * (points[i + 1] - points[i])
        parent = made[i] = kit.joint(f"tail_{start - i:02d}", at, parent, points[i])
    return [made[i] for i in range(bones)]


def _head(kit: Kit, joints: list[int], fine: np.ndarray, girth: float) -> None:
    """A head beyond the last bone, sometimes with a jaw; worms and tubes have none."""
    if kit.chance(0.25):
        return
    last = fine[-1]
    way = last - fine[-4]
    way = way / np.linalg.norm(way)
    flat_way = way * [1, 0.15, 1] if abs(way[1]) > 0.5 and kit.chance(0.7) else way
    flat_way = flat_way + [0, 0, 0.3] if flat_way is not way else way
    flat_way = flat_way / np.linalg.norm(flat_way)
    size = girth * kit.u(2.2, 4.0)
    tip = last + size * flat_way
    tops = [j for j in joints if np.allclose(np.asarray(kit.joints[j].tail), last)]
    parent = tops[-1] if tops else joints[-1]
    head = kit.joint("head", last, parent, tip) if tops and kit.chance(0.85) else parent
    wide = girth * kit.u(1.0, 1.7)
    up = np.array([0, 1.0, 0]) if abs(flat_way[1]) < 0.8 else np.array([0, 0, 1.0])
    kit.cone(
        head, last + 0.15 * size * flat_way, tip - 0.3 * size * flat_way, (wide, 0.65 * wide), flat=(1.15, 0.8), hint=up
    )
    if kit.chance(0.25) and head != parent:
        below = -0.5 * wide * up
        hinge = last + 0.2 * size * flat_way + below
        jaw = kit.joint("jaw", hinge, head, tip + 1.5 * below)
        kit.cone(
            jaw, hinge, tip - 0.2 * size * flat_way + 1.3 * below, (0.6 * wide, 0.4 * wide), flat=(1.3, 0.5), hint=up
        )
