"""Birds with folded or spread wings, standing or flying, and bats. Unit: about the body's height."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

from itertools import pairwise

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, mix, spline
from studio_pipeline.training.rig_data.plans.animal_parts import membrane_wing

__all__ = ["bird"]


def bird(rng: np.random.Generator, plan: str = "bird") -> Body:
    """A bird, or a bat for the plan "bat"."""
    kit = Kit(plan, rng, blend=0.02)
    bat = plan == "bat"
    upright = np.radians(kit.pick(kit.u(0, 30), kit.u(30, 60), kit.u(65, 90), weights=(0.45, 0.35, 0.2)))
    length, fat = kit.u(0.5, 0.8), kit.u(0.16, 0.3)
    legs = 0.12 if bat else kit.pick(kit.u(0.12, 0.25), kit.u(0.25, 0.5), kit.u(0.6, 1.1), weights=(0.4, 0.4, 0.2))
    way = np.array([0, np.sin(upright), np.cos(upright)])
    middle = np.array([0, legs + 0.5 * length * way[1] + 0.6 * fat, 0.0])
    rear, front = middle - 0.5 * length * way, middle + 0.5 * length * way
    hips, chest = _trunk(kit, rear, front, fat, way)
    _neck_head(kit, chest, front, way, fat, bat)
    _tail(kit, hips, rear, way, fat, bat)
    shoulder = 0.25 * rear + 0.75 * front + np.array([0.75 * fat, 0.3 * fat, 0])
    kit.begin("wing.L", "body", 0.006)
    if bat:
        membrane_wing(kit, chest, shoulder, kit.u(0.7, 1.3))
    else:
        _feathers(kit, chest, shoulder, length, fat, -way)
    _leg(kit, hips, mix(rear, front, kit.u(0.3, 0.45)), fat, legs)
    return kit.build()


def _trunk(kit: Kit, rear: np.ndarray, front: np.ndarray, fat: float, way: np.ndarray) -> tuple[int, int]:
    start = rear + 0.3 * (front - rear)
    hips = kit.joint("hips", start, kit.ground(start[2]))
    bones = kit.pick(1, 2, weights=(0.6, 0.4))
    parent = hips
    for i in range(bones):
        parent = kit.joint(f"spine_{i + 1:02d}", rear + (0.45 + 0.3 * (i + 1) / bones) * (front - rear), parent)
    spine = list(range(hips, parent + 1))
    frame = np.stack([[1, 0, 0], np.cross(way, [1, 0, 0]), way])
    half = 0.5 * float(np.linalg.norm(front - rear))
    centre = 0.5 * (rear + front)
    kit.ball(spine, centre, (fat * kit.u(0.85, 1.05), fat, half * 1.02), frame)
    if kit.chance(0.6):
        kit.ball(
            spine[1:] if len(spine) > 1 else spine,
            centre + 0.35 * half * way - 0.1 * fat * frame[1],
            fat * kit.u(0.85, 1.0),
        )
    return hips, parent


def _neck_head(kit: Kit, chest: int, front: np.ndarray, way: np.ndarray, fat: float, bat: bool) -> None:
    long = 0.05 if bat else kit.pick(kit.u(0.03, 0.15), kit.u(0.2, 0.7), weights=(0.65, 0.35))
    rise = np.radians(kit.u(45, 90))
    up = np.array([0, np.sin(rise), np.cos(rise)])
    base = front - 0.25 * fat * way + [0, 0.2 * fat, 0]
    head_at = base + (long + 0.1 * fat) * up
    size = fat * kit.u(0.45, 0.85) if long < 0.2 else fat * kit.u(0.35, 0.55)
    thick = min(kit.u(0.35, 0.6) * fat, 0.8 * size) if long > 0.2 else 0.7 * size
    kit.begin("neck", "body", 0.02)
    bones = int(np.clip(round(long / 0.16), 0 if kit.chance(0.3) else 1, 4))
    parent = chest
    if bones:
        bow = 0.12 * long * np.array([0, -up[2], up[1]])
        points = spline([base, 0.5 * (base + head_at) + bow, head_at], bones + 1)
        names = [f"neck_{i + 1:02d}" if bones > 1 else "neck" for i in range(bones)]
        radii = np.linspace(thick * 1.2, thick * 0.85, bones + 1)
        parent = kit.chain(names, list(points), list(radii), chest)[-1]
    kit.begin("head", "neck" if bones else "body", 0.02)
    beak = size * kit.u(0.4, 1.6)
    centre = head_at + 0.45 * size * up + [0, 0, 0.15 * size]
    tip = centre + [0, -0.2 * size, size + beak]
    head = kit.joint("head", head_at, parent, centre + [0, 0, size])
    kit.ball(head, centre, (0.85 * size, size * 0.92, size))
    _bird_face(kit, head, (centre, tip), size, bat)


def _bird_face(kit: Kit, head: int, line: tuple, size: float, bat: bool) -> None:
    """A bat's ears, or a beak with or without a jaw, and a crest; ``line`` is the skull's middle and the beak's tip."""
    centre, tip = line
    if bat:
        kit.begin("ear.L", "head", 0.006)
        kit.cone(
            head,
            centre + [0.4 * size, 0.5 * size, 0],
            centre + np.array([0.7, 1.7, 0]) * size,
            (0.35 * size, 0.08 * size),
            flat=(1, 0.4),
        )
        return
    kit.begin("beak", "head", 0.004)
    root = centre + [0, -0.1 * size, 0.75 * size]
    kit.cone(head, root, tip, (0.32 * size, 0.06 * size), flat=(kit.u(0.7, 1.6), 1.0))
    if kit.chance(0.3):
        jaw = kit.joint("jaw", root - [0, 0.22 * size, 0.1 * size], head, tip - [0, 0.3 * size, 0.1 * size])
        kit.cone(jaw, root - [0, 0.22 * size, 0], tip - [0, 0.25 * size, 0.1 * size], (0.22 * size, 0.05 * size))
    if kit.chance(0.2):
        kit.cone(
            head,
            centre + [0, 0.7 * size, 0],
            centre + [0, 1.5 * size, -0.4 * size],
            (0.2 * size, 0.05 * size),
            flat=(0.4, 1),
        )


def _tail(kit: Kit, hips: int, rear: np.ndarray, way: np.ndarray, fat: float, bat: bool) -> None:
    if bat and kit.chance(0.6):
        return
    kit.begin("tail", "body", 0.01)
    length = fat * kit.u(0.6, 2.5)
    start = rear + 0.35 * fat * way
    drop = np.array([0, kit.u(-0.4, 0.4), 0])
    bones = (2 if length > 1.5 * fat and kit.chance(0.5) else 1) if kit.chance(0.8) else 0
    points = np.linspace(start, start - length * (way - drop), max(bones, 1) + 1)
    wide = fat * kit.u(0.3, 0.6)
    radii = np.linspace(0.8 * wide, wide, len(points))
    flat, hint = (1.0, 0.05 / wide * fat), np.cross(way, [1, 0, 0])
    if bones:
        kit.chain([f"tail_{i + 1:02d}" for i in range(bones)], list(points), list(radii), hips, flat=flat, hint=hint)
    else:
        kit.cone(hips, points[0], points[-1], (radii[0], radii[-1]), flat=flat, hint=hint)


def _feathers(kit: Kit, chest: int, shoulder: np.ndarray, length: float, fat: float, back: np.ndarray) -> None:
    """A feathered wing: folded along the body, hanging (penguins), or spread."""
    how = kit.pick("spread", "folded", "hanging", weights=(0.55, 0.33, 0.12))
    thick = 0.035 * fat / 0.2 * kit.u(0.8, 1.2)
    if how == "spread":
        span = length * kit.u(0.8, 2.0)
        rise = kit.u(-0.1, 0.6)
        bend = kit.u(0.0, 0.25)
        points = [
            shoulder,
            shoulder + span * np.array([0.32, 0.35 * rise + 0.5 * bend, -0.05]),
            shoulder + span * np.array([0.62, 0.6 * rise + 0.5 * bend, 0.05]),
            shoulder + span * np.array([1.0, rise, -0.15]),
        ]
        chord, trail = span * kit.u(0.14, 0.26), np.array([0, -0.15, -1.0])
    elif how == "folded":
        ends = shoulder + 0.9 * length * back + [0.12 * fat, 0, 0]
        points = [shoulder, 0.6 * shoulder + 0.4 * ends + [0.12 * fat, 0, 0], 0.3 * shoulder + 0.7 * ends, ends]
        chord, trail = fat * kit.u(0.3, 0.5), np.array([0.05, -1.0, 0.2])
    else:
        tip = shoulder + length * kit.u(0.5, 0.8) * np.array([0.35, -1.0, -0.1])
        points = [shoulder, mix(0, 1, 0.4) * tip + 0.6 * shoulder, 0.3 * shoulder + 0.7 * tip, tip]
        chord, trail = fat * kit.u(0.25, 0.45), np.array([0, 0, -1.0])
    _wing_bones(kit, chest, points, (chord, thick), trail)


def _wing_bones(kit: Kit, chest: int, points: list, size: tuple[float, float], trail: np.ndarray) -> None:
    """One to three bones along a wing's line of four points, with feathers of length ``size[0]`` along ``trail``."""
    chord, thick = size
    bones = kit.pick(1, 2, 3, weights=(0.15, 0.35, 0.5))
    path = (
        np.array(points)
        if bones == 3
        else np.array([points[0], points[1], points[3]])
        if bones == 2
        else np.array([points[0], points[3]])
    )
    names = ["wing_upper.L", "wing_lower.L", "wing_hand.L"][:bones]
    parent = chest
    for i, (start, end) in enumerate(pairwise(path)):
        parent = kit.joint(names[i], start, parent, end)
        kit.cone(parent, start, end, (1.2 * thick, thick))
        wide = chord * (1.0 - 0.2 * i)
        kit.cone(
            parent,
            start + 0.55 * wide * trail,
            end + 0.5 * wide * trail,
            (wide, 0.75 * wide),
            flat=(0.6 * thick / wide, 1.0),
            hint=trail,
        )


def _leg(kit: Kit, hips: int, at: np.ndarray, fat: float, legs: float) -> None:
    """Thigh in the body, a backward ankle, and toes on the ground; short legs have fewer joints."""
    kit.begin("leg.L", "body", 0.008)
    x = fat * kit.u(0.35, 0.55)
    top = np.array([x, at[1] - 0.35 * fat, at[2]])
    thin = kit.u(0.02, 0.05) * (1.0 if legs < 0.5 else 1.4)
    foot_y = 0.7 * thin + 0.01
    long = top[1] > 0.35 and kit.chance(0.75)
    if long:
        bend = 0.2 * top[1]
        points = [
            top,
            np.array([x, 0.68 * top[1], at[2] + 0.6 * bend]),
            np.array([x, 0.38 * top[1], at[2] - bend]),
            np.array([x, foot_y, at[2] - 0.3 * bend]),
        ]
        radii, names = [0.4 * fat, 1.5 * thin, thin, thin], ["thigh.L", "shin.L", "ankle.L"]
    else:
        points = [top, np.array([x, 0.5 * top[1], at[2] - 0.03]), np.array([x, foot_y, at[2]])]
        radii, names = [0.35 * fat, 1.2 * thin, thin], ["thigh.L", "shin.L"]
    made = kit.chain(names, points, radii, hips)
    toe = points[-1] + [0, 0, kit.u(0.1, 0.2) * (0.4 + legs)]
    foot = kit.joint("foot.L", points[-1], made[-1], toe) if kit.chance(0.85) else made[-1]
    if kit.chance(0.5):
        for aside in (-0.4, 0.0, 0.4):
            kit.cone(foot, points[-1], toe + [aside * (toe[2] - points[-1][2]), 0, 0], (thin, 0.7 * thin))
        kit.cone(foot, points[-1], 1.4 * points[-1] - 0.4 * toe, (thin, 0.6 * thin))
    else:
        wide = kit.u(0.04, 0.07)
        kit.cone(foot, points[-1], toe, (0.6 * wide, wide), flat=(1.0, 0.7 * thin / wide), hint=(0, 1, 0))
