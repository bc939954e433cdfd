"""Props that bend or swing: lamps, boxes with lids, scissors, levers, chains, cranes, plants, and lone hands."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, frame_along, spline
from studio_pipeline.training.rig_data.posing import turn

__all__ = ["plant", "prop", "single_hand"]


def prop(rng: np.random.Generator, plan: str = "prop") -> Body:
    """A prop of two to seven joints, most with one hinge."""
    kit = Kit(plan, rng, blend=0.004, symmetric=False, rigid=True)
    make = kit.pick(_lamp, _lidded, _scissors, _lever, _bar, _swing, weights=(0.25, 0.2, 0.12, 0.13, 0.2, 0.1))
    make(kit)
    return kit.build()


def _turned(angle: float, axis: str) -> np.ndarray:
    """Rows of a frame turned about one axis."""
    return Rotation.from_euler(axis, angle).as_matrix().T


def _lamp(kit: Kit) -> None:
    """A desk lamp, crane or robot arm: a base, one to four arms, a head."""
    base = kit.u(0.12, 0.3)
    thick = kit.u(0.015, 0.06)
    root = kit.joint("base", (0, 0, 0), tail=(0, 0.1, 0))
    if kit.chance(0.5):
        kit.box(root, (0, 0.04, 0), (base, 0.04, base), rounding=0.3)
    else:
        kit.ball(root, (0, 0.03, 0), (base, 0.05, base))
    kit.cone(root, (0, 0.03, 0), (0, 0.1, 0), 1.6 * thick)
    at, parent = np.array([0, 0.1, 0.0]), root
    arms = kit.count(1, 4)
    for i in range(arms):
        tilt = np.radians(kit.u(-35, 35) + (0 if i == 0 else (45 if i % 2 else -20)) + 25 * i * (arms > 2))
        end = at + kit.u(0.25, 0.45) * np.array([0, np.cos(tilt), np.sin(tilt)])
        parent = kit.joint(f"arm_{i + 1:02d}", at, parent, end)
        kit.begin(f"arm_{i}", None, 0.003)
        if kit.chance(0.5):
            length = float(np.linalg.norm(end - at))
            kit.box(parent, 0.5 * (at + end), (thick, 0.5 * length, thick), frame_along(end - at), 0.3)
        else:
            kit.cone(parent, at, end, thick)
        kit.ball(parent, at, 1.5 * thick)
        at = end
    way = np.array([0, -kit.u(0.2, 0.9), 0.8])
    tip = at + kit.u(0.12, 0.3) * way / np.linalg.norm(way)
    kit.begin("head", None, 0.003)
    head = kit.joint("head", at, parent, tip)
    kit.cone(head, at, tip, (1.5 * thick, kit.u(0.06, 0.16)))


def _lidded(kit: Kit) -> None:
    """A chest, book, laptop or bin: the lid turns about the back edge."""
    half = np.array([kit.u(0.25, 0.6), kit.u(0.05, 0.35), kit.u(0.2, 0.45)])
    thin = kit.u(0.015, 0.1)
    centre = np.array([0, half[1], 0])
    root = kit.joint("base", centre if kit.chance(0.5) else (0, 0.02, 0), tail=centre + [0, half[1], 0])
    kit.box(root, centre, half, rounding=kit.u(0.05, 0.5))
    hinge = np.array([0, 2.0 * half[1] + thin, -half[2]])
    angle = kit.pick(0.0, kit.u(0.3, 1.9))
    frame = _turned(-angle, "X")
    reach = 2.0 * half[2] * frame[2]
    lid = kit.joint("lid", hinge, root, hinge + reach)
    kit.begin("lid", None, 0.003)
    kit.box(lid, hinge + 0.5 * reach, (half[0] * 1.02, thin, half[2]), frame, kit.u(0.1, 0.8))
    if kit.chance(0.2):
        handle = hinge + reach + thin * frame[1]
        kit.ball(lid, handle, 0.04)


def _scissors(kit: Kit) -> None:
    """Scissors, pliers or a pair of compasses: two bars that cross or meet at a joint."""
    angle, length = kit.u(0.15, 0.7), kit.u(0.4, 0.7)
    handles = kit.u(0.25, 0.5) if kit.chance(0.75) else 0.0
    thin = kit.u(0.02, 0.06)
    root = kit.joint("base", (0, 0, 0), tail=(0, 0.3, 0))
    for i, sign in enumerate((1.0, -1.0)):
        way = np.array([np.sin(0.5 * angle) * sign, np.cos(0.5 * angle), 0])
        z = np.array([0, 0, sign * 0.5 * thin])
        if i:
            kit.begin("blade", None, 0.003)
            owner = kit.joint("blade", z * 1.0 + 0.02 * way, root, length * way + z)
        else:
            owner = root
            kit.joints[root].tail = length * way + z
        kit.cone(owner, z, length * way + z, (1.6 * thin, 0.3 * thin), flat=(1.0, 0.3))
        if handles:
            kit.cone(owner, z, -handles * way + z, thin, flat=(1.0, 0.5))
            kit.ball(owner, -(handles + 0.08) * way + z, (0.1, 0.12, thin))


def _lever(kit: Kit) -> None:
    """A switch, door, gate or valve: a fixed part and one that turns."""
    root = kit.joint("base", (0, 0, 0), tail=(0, 0.15, 0))
    if kit.chance(0.5):
        kit.box(root, (0, 0.08, 0), (kit.u(0.15, 0.4), 0.08, kit.u(0.1, 0.3)), rounding=0.3)
        tilt = kit.u(-0.8, 0.8)
        end = np.array([0, 0.16, 0]) + kit.u(0.3, 0.8) * np.array([0, np.cos(tilt), np.sin(tilt)])
        lever = kit.joint("lever", (0, 0.13, 0), root, end)
        kit.begin("lever", None, 0.003)
        kit.cone(lever, (0, 0.12, 0), end, kit.u(0.02, 0.05))
        kit.ball(lever, end, kit.u(0.05, 0.1))
        return
    height, wide, angle = kit.u(0.8, 1.2), kit.u(0.3, 0.8), kit.u(0.0, 1.4)
    kit.box(root, (0, 0.5 * height, 0), (0.05, 0.5 * height, 0.06), rounding=0.2)
    frame = _turned(angle, "Y")
    hinge = np.array([0.05, 0.5 * height, 0.0])
    door = kit.joint("door", hinge, root, hinge + wide * frame[0])
    kit.begin("door", None, 0.003)
    kit.box(door, hinge + 0.5 * wide * frame[0], (0.5 * wide, 0.48 * height, kit.u(0.015, 0.05)), frame, 0.2)


def _bar(kit: Kit) -> None:
    """A bendy bar: a smooth chain of two to seven joints."""
    kit.rigid = False
    bones = kit.pick(2, 3, 4, 7, weights=(0.5, 0.2, 0.15, 0.15))
    thick = kit.u(0.04, 0.16)
    boxy = kit.chance(0.4)
    points = np.stack([np.zeros(bones + 1), np.linspace(0.08, 1.0, bones + 1), np.zeros(bones + 1)], axis=1)
    if kit.chance(0.3):
        points = points[:, [0, 2, 1]]
    parent, made = -1, []
    for i in range(bones):
        parent = kit.joint("root" if i == 0 else f"bone_{i:02d}", points[i], parent, points[i + 1])
        made.append(parent)
        if not boxy:
            kit.cone(parent, points[i], points[i + 1], thick)
    if boxy:
        middle = 0.5 * (points[0] + points[-1])
        half = np.abs(0.5 * (points[-1] - points[0])) + thick * 0.9
        kit.box(made, middle, half, rounding=kit.u(0.05, 0.6))


def _swing(kit: Kit) -> None:
    """A lantern, pendulum or sign that hangs from a post."""
    root = kit.joint("post", (0, 0.02, 0), tail=(0, 1.0, 0))
    kit.cone(root, (0, 0, 0), (0, 1.0, 0), 0.03)
    kit.cone(root, (0, 1.0, 0), (0, 1.0, 0.4), 0.025)
    if kit.chance(0.5):
        kit.box(root, (0, 0.02, 0), (0.15, 0.02, 0.15), rounding=0.3)
    at, parent = np.array([0, 1.0, 0.38]), root
    for i in range(kit.count(0, 3)):
        parent = kit.joint(f"chain_{i + 1:02d}", at, parent, at - [0, 0.12, 0])
        kit.begin(f"chain_{i}", None, 0.003)
        kit.cone(parent, at, at - [0, 0.12, 0], 0.018)
        at = at - [0, 0.12, 0]
    size = kit.u(0.07, 0.14)
    kit.begin("load", None, 0.003)
    load = kit.joint("load", at, parent, at - [0, 2.0 * size, 0])
    kit.box(load, at - [0, size, 0], (size, size, size * kit.u(0.2, 1.0)), rounding=kit.u(0.1, 1.0))


def plant(rng: np.random.Generator, plan: str = "plant") -> Body:
    """A plant with a bending stem, leaves, and a flower or a biting head."""
    kit = Kit(plan, rng, blend=0.008, symmetric=False)
    bones = kit.count(2, 7)
    lean = kit.u(-0.2, 0.3)
    points = spline([(0, 0, 0), (kit.u(-0.05, 0.05), 0.5, lean), (0, 1.0, kit.u(-0.1, 0.3))], bones + 1)
    thick = kit.u(0.03, 0.08)
    names = ["root", *[f"stem_{i:02d}" for i in range(1, bones)]]
    stem = kit.chain(names, list(points), list(np.linspace(thick, 0.6 * thick, bones + 1)), -1)
    if kit.chance(0.4):
        kit.begin("pot", None, 0.004)
        kit.cone(stem[0], (0, -0.25, 0), (0, -0.02, 0), (0.14, 0.2))
    for i in range(kit.count(0, 5)):
        angle, share = kit.u(0, 6.28), kit.u(0.1, 0.8)
        k = min(int(share * bones), bones - 1)
        base = points[k] + (share * bones - k) * (points[k + 1] - points[k])
        out = np.array([np.cos(angle), kit.u(0.0, 0.8), np.sin(angle)])
        length, wide = kit.u(0.2, 0.5), kit.u(0.05, 0.12)
        kit.begin(f"leaf_{i}", "body", 0.003)
        joints = kit.pick(0, 1, 2, weights=(0.15, 0.45, 0.4))
        path = spline(
            [base, base + 0.5 * length * out + [0, 0.04, 0], base + length * out * [1, 0.6, 1]], max(joints, 1) + 1
        )
        flat, hint = (1.0, 0.012 / wide), np.array([0, 1.0, 0])
        radii = list(np.linspace(wide, 0.6 * wide, len(path)))
        if joints:
            path[0] = path[0] + 0.02 * out
            kit.chain(
                [f"leaf_{i + 1}_{m + 1:02d}" for m in range(joints)], list(path), radii, stem[k], flat=flat, hint=hint
            )
        else:
            kit.cone(stem[k], path[0], path[-1], (radii[0], radii[-1]), flat=flat, hint=hint)
    _blossom(kit, stem[-1], points[-1], thick)
    return kit.build()


def _blossom(kit: Kit, stem: int, top: np.ndarray, thick: float) -> None:
    size = kit.u(0.08, 0.25)
    kit.begin("blossom", "body", 0.006)
    way = np.array([0, kit.u(0.2, 1.0), kit.u(0.0, 1.0)])
    way /= np.linalg.norm(way)
    head = kit.joint("head", top, stem, top + 2.0 * size * way) if kit.chance(0.8) else stem
    centre = top + 0.8 * size * way
    kit.ball(head, centre, size)
    petals = kit.pick(0, kit.count(4, 8))
    side = frame_along(way)
    for i in range(petals):
        angle = 2.0 * np.pi * i / petals
        out = np.cos(angle) * side[0] + np.sin(angle) * side[2] + 0.3 * way
        start, end = centre + 0.7 * size * out, centre + 2.0 * size * out
        kit.begin(f"petal_{i}", "blossom", 0.003)
        kit.cone(head, start, end, 0.4 * size, flat=(1.0, 0.15), hint=way)


def single_hand(rng: np.random.Generator, plan: str = "hand") -> Body:
    """A hand with three to five fingers of two or three joints, in one of several directions."""
    kit = Kit(plan, rng, blend=0.02, symmetric=False)
    size = np.array([kit.u(0.3, 0.42), kit.u(0.1, 0.16), kit.u(0.35, 0.5)])
    parent = -1
    wrist = np.array([0, 0, -size[2]])
    if kit.chance(0.3):
        back = wrist - [0, 0, kit.u(0.3, 0.9)]
        parent = kit.joint("lower_arm", back, -1, wrist)
        kit.cone(parent, back, wrist, (0.6 * size[0], 0.55 * size[0]), flat=(1, 0.75))
    palm = kit.joint("hand", wrist + [0, 0, kit.u(0.0, 0.15)], parent, (0, 0, size[2]))
    if kit.chance(0.5):
        kit.box(palm, (0, 0, 0), size, rounding=0.9)
    else:
        kit.ball(palm, (0, 0, 0), size * 1.12)
    fingers, joints = kit.pick(2, 3, 4, weights=(0.1, 0.25, 0.65)), kit.pick(2, 3, weights=(0.25, 0.75))
    curl, thick = kit.u(0.0, 0.45), 0.085 * kit.u(0.9, 1.25) * (4 / fingers) ** 0.7
    for i, name in enumerate(("index", "middle", "ring", "pinky")[:fingers]):
        across = (0.5 - (i + 0.5) / fingers) * 1.9 * size[0]
        start = np.array([across, kit.u(0.0, 0.3) * size[1], size[2] * 0.92 - 0.3 * abs(across) ** 2])
        length = kit.u(0.7, 0.85) * (0.78 if name == "pinky" else 1.0)
        _digit(kit, palm, name, (start, np.array([0.25 * across, 0, 1.0]), length), (joints, curl, thick))
    start = np.array([0.75 * size[0], -0.1 * size[1], -0.35 * size[2]])
    _digit(kit, palm, "thumb", (start, np.array([0.9, -0.2, 0.75]), 0.55), (joints, 0.6 * curl, 1.15 * thick))
    # Fingers to +Z, up, away or aside: hands come in every direction.
    turns = kit.pick(
        (0, 0), (-90, 0), (0, 180), (-90, 180), (0, 90), (90, 0), weights=(0.25, 0.25, 0.25, 0.1, 0.1, 0.05)
    )
    return turn(kit.build(), Rotation.from_euler("XY", turns, degrees=True).as_matrix())


def _digit(kit: Kit, palm: int, name: str, path: tuple, habit: tuple) -> None:
    start, way, length = path
    joints, curl, thick = habit
    way = way / np.linalg.norm(way)
    kit.begin(name, "body", 0.012)
    points, angle = [start], 0.3 * curl
    for k in range(joints):
        step = length * (0.44, 0.32, 0.24)[k] if joints == 3 else 0.5 * length
        points.append(points[-1] + step * (np.cos(angle) * way - np.sin(angle) * np.array([0, 1.0, 0])))
        angle += curl
    radii = np.linspace(thick, 0.75 * thick, joints + 1)
    kit.chain([f"{name}_{k + 1:02d}" for k in range(joints)], points, list(radii), palm)
    kit.cone(palm, start - 0.3 * length * way * [1, 1, 1], start, thick)
