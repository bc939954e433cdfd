"""Fish, dolphins, rays and puffers. Unit: the body's length."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

from itertools import pairwise

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, mix

__all__ = ["fish"]


def fish(rng: np.random.Generator, plan: str = "fish") -> Body:
    """A fish with a vertical tail fin, a dolphin with a horizontal one, a puffer, or a ray."""
    kit = Kit(plan, rng, blend=0.012)
    kind = kit.pick("fish", "dolphin", "puffer", "ray", "long", weights=(0.42, 0.2, 0.14, 0.12, 0.12))
    height = {"fish": 0.16, "dolphin": 0.12, "puffer": 0.32, "ray": 0.07, "long": 0.07}[kind] * float(
        np.exp(0.2 * rng.standard_normal())
    )
    width = (
        height
        * {
            "fish": kit.u(0.35, 0.75),
            "dolphin": kit.u(0.85, 1.05),
            "puffer": kit.u(0.85, 1.15),
            "ray": kit.u(1.2, 2.2),
            "long": kit.u(0.7, 1.0),
        }[kind]
    )
    spine = _spine(kit, kind)
    _flesh(kit, spine, height, width, kind)
    _tail_fin(kit, spine[-1], kind in ("dolphin", "ray"), height)
    if kind == "ray":
        _ray_wing(kit, spine, height)
    else:
        _side_fins(kit, spine, height, width, kind)
    _back_fin(kit, spine, height)
    if kit.chance(0.3):
        kit.begin("eye.L", None, 0.002)
        kit.ball(_nearest(kit, spine, 0.38), (0.75 * width, 0.3 * height, 0.36), 0.12 * height)
    return kit.build()


def _nearest(kit: Kit, spine: list[int], z: float) -> int:
    """The spine joint whose bone a point of this z follows."""
    ahead = [j for j in spine if kit.at(j)[2] >= z - 1e-6]
    return (
        min(spine, key=lambda j: abs(float(0.5 * (kit.at(j) + kit.joints[j].tail)[2]) - z))
        if len(ahead) < 99
        else spine[0]
    )


def _spine(kit: Kit, kind: str) -> list[int]:
    """Joints from head to tail; the root is at the nose end or in the middle. Gives them front to back."""
    bones = kit.pick(3, 4, 5, 6, 7, weights=(0.15, 0.25, 0.3, 0.2, 0.1)) + (2 if kind == "long" else 0)
    tail_z = -kit.u(0.28, 0.42)
    if kit.chance(0.45):  # one chain from the front
        front = kit.u(0.3, 0.49)
        z = np.linspace(front, tail_z, bones)
        end = -0.46
        parent, spine = -1, []
        for i, value in enumerate(z):
            tail = (0, 0, z[i + 1] if i + 1 < bones else end)
            parent = kit.joint(
                "root" if i == 0 else f"spine_{i:02d}" if i < bones - 1 else "tail", (0, 0, value), parent, tail
            )
            spine.append(parent)
        return spine
    middle = kit.u(-0.05, 0.2)
    root = kit.joint("root", (0, 0, middle), tail=(0, 0, middle - 0.1))
    head_z = kit.u(max(middle + 0.08, 0.18), 0.34)
    head = kit.joint("head", (0, 0, head_z), root, (0, 0, 0.49))
    back, parent = [], root
    z = np.linspace(middle, tail_z, max(bones - 1, 2))
    for i, value in enumerate(z[1:]):
        tail = (0, 0, z[i + 2] if i + 2 < len(z) else -0.46)
        parent = kit.joint(f"spine_{i + 1:02d}" if i < len(z) - 2 else "tail", (0, 0, value), parent, tail)
        back.append(parent)
    kit.joints[root].tail = kit.at(back[0]).copy()
    return [head, root, *back]


def _flesh(kit: Kit, spine: list[int], height: float, width: float, kind: str) -> None:
    """Slices of a spindle along z, each moved by the joints it spans."""
    peak = kit.u(0.05, 0.2)
    slices = 7
    z = np.linspace(0.46, -0.42, slices + 1)

    def girth(value: float) -> float:
        ahead = (value - peak) / (0.5 - peak) if value > peak else (peak - value) / (0.5 + peak)
        if kind == "puffer":
            return max(np.sqrt(max(1 - (abs(value - 0.05) / 0.48) ** 2.2, 0.0)), 0.16 if value < 0 else 0.1)
        return max((1.0 - ahead**2.0) ** 0.8 if value > peak else (1.0 - ahead) ** kit_power, 0.1)

    kit_power = kit.u(0.7, 1.1)
    bend = width / height
    for start, end in pairwise(z):
        owners = sorted(
            {_nearest(kit, spine, start), _nearest(kit, spine, 0.5 * (start + end)), _nearest(kit, spine, end)}
        )
        radii = (height * girth(start), height * girth(end))
        kit.cone(owners, (0, 0, start), (0, 0, end), radii, flat=(bend, 1.0), hint=(0, 1, 0))


def _tail_fin(kit: Kit, tail: int, horizontal: bool, height: float) -> None:
    kit.begin("tail_fin.L" if horizontal else "tail_fin", "body", 0.006)
    size, thick = kit.u(0.12, 0.24), 0.012
    base = np.array([0, 0, -0.4])
    joint = tail
    if kit.chance(0.3) and not horizontal:
        joint = kit.joint("tail_fin", base, tail, (0, 0, -0.5 - 0.4 * size))
    for sign in (1.0,) if horizontal else (1.0, -1.0):
        way = np.array([sign, 0, -1.0]) if horizontal else np.array([0, sign, -1.0])
        tip = base + size * way * [1, kit.u(0.7, 1.0) if sign > 0 else 0.8, 1]
        wide = 0.34 * size
        kit.cone(joint, base, tip, (0.6 * wide, wide), flat=(thick / wide, 1.0), hint=(0, 0, 1))
    if not horizontal and kit.chance(0.5):
        kit.cone(
            joint, base, base - [0, 0, 0.6 * size], (0.02, 0.3 * size), flat=(thick / (0.3 * size), 1.0), hint=(0, 1, 0)
        )


def _side_fins(kit: Kit, spine: list[int], height: float, width: float, kind: str) -> None:
    """Pectoral fins with up to three joints, and a smaller pair behind now and then."""
    for name, z, size in (
        ("fin", kit.u(0.12, 0.26), kit.u(0.1, 0.28)),
        ("pelvic_fin", kit.u(-0.12, 0.0), kit.u(0.05, 0.1)),
    ):
        if name == "pelvic_fin" and not kit.chance(0.25):
            continue
        kit.begin(f"{name}.L", "body", 0.004)
        parent = _nearest(kit, spine, z)
        base = np.array([0.75 * width, -kit.u(0.1, 0.5) * height, z])
        tip = base + size * np.array([kit.u(0.5, 1.0), kit.u(-0.6, 0.1), -kit.u(0.3, 0.9)])
        bones = (kit.count(1, 3) if size > 0.16 else 1) if size > 0.12 and kit.chance(0.75) else 0
        points = np.linspace(base, tip, max(bones, 1) + 1)
        wide = size * kit.u(0.2, 0.32)
        radii = np.linspace(wide, 0.6 * wide, len(points))
        flat = (1.0, 0.011 / wide)
        if bones:
            kit.chain(
                [f"{name}_{i + 1:02d}.L" for i in range(bones)],
                list(points),
                list(radii),
                parent,
                flat=flat,
                hint=(0, 1, 0),
            )
        else:
            kit.cone(parent, points[0], points[-1], (radii[0], radii[-1]), flat=flat, hint=(0, 1, 0))


def _back_fin(kit: Kit, spine: list[int], height: float) -> None:
    if kit.chance(0.25):
        return
    kit.begin("back_fin", "body", 0.004)
    z = kit.u(-0.1, 0.12)
    size = kit.u(0.06, 0.2)
    base = np.array([0, 0.75 * height, z])
    wide = kit.u(0.05, 0.14)
    tip = base + [0, size, -0.6 * size]
    owner = _nearest(kit, spine, z)
    if size > 0.14 and kit.chance(0.25):
        owner = kit.joint("back_fin", base, owner, tip)
    kit.cone(owner, base, tip, (wide, 0.35 * wide), flat=(0.011 / wide, 1.0))


def _ray_wing(kit: Kit, spine: list[int], height: float) -> None:
    """A ray's wing: flat, wide, two or three joints along its span."""
    kit.begin("wing.L", "body", 0.012)
    span, bones = kit.u(0.3, 0.65), kit.count(1, 3)
    z = kit.u(0.05, 0.2)
    base = np.array([0.5 * height, 0, z])
    tip = np.array([span, kit.u(-0.06, 0.06), z - kit.u(0.0, 0.15)])
    points = np.linspace(base, tip, bones + 1)
    radii = np.linspace(mix(0.2, 0.3, kit.u(0, 1)), 0.05, bones + 1)
    thick = kit.u(0.06, 0.12)
    kit.chain(
        [f"wing_{i + 1:02d}.L" for i in range(bones)],
        list(points),
        list(radii),
        _nearest(kit, spine, z),
        flat=(1.0, thick),
        hint=(0, 1, 0),
    )
