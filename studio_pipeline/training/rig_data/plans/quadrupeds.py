"""Four-legged animals from dogs to sauropods, low reptiles, frogs, turtles, and dragons. Unit: height of the hips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, mix, spline
from studio_pipeline.training.rig_data.plans.animal_parts import animal_head, animal_tail, leg_chain, membrane_wing

__all__ = ["quadruped"]


@dataclass
class Beast:
    """The measures of one four-legged animal."""

    kind: str
    hip_y: float  # of the hind legs' joints
    shoulder_y: float
    length: float  # shoulders to hips
    depth: float  # radius of the chest
    lean: float  # width over height of the trunk
    leg: float  # radius of a leg at its top
    straddle: float  # half distance of the legs
    neck: float
    neck_rise: float  # [rad] above the horizontal
    neck_radius: float
    head: float
    tail: float
    tail_radius: float


def _draw(kit: Kit) -> Beast:
    u = kit.u
    kind = kit.pick(
        "dog",
        "horse",
        "deer",
        "cow",
        "short",
        "sauropod",
        "reptile",
        "toy",
        "stout",
        weights=(0.26, 0.12, 0.1, 0.1, 0.1, 0.1, 0.1, 0.08, 0.04),
    )
    table = {  # shoulder, length, depth, lean, leg, neck, rise, neck radius, head, tail, tail radius
        "dog": (1.0, 1.05, 0.25, 0.72, 0.13, 0.42, 48, 0.14, 0.42, 0.8, 0.06),
        "horse": (1.03, 1.1, 0.27, 0.7, 0.14, 0.75, 54, 0.15, 0.5, 0.7, 0.05),
        "deer": (1.03, 0.95, 0.22, 0.7, 0.1, 0.6, 60, 0.11, 0.36, 0.25, 0.05),
        "cow": (1.0, 1.2, 0.36, 0.78, 0.14, 0.4, 28, 0.2, 0.48, 0.7, 0.04),
        "short": (0.95, 1.7, 0.45, 0.95, 0.2, 0.3, 28, 0.26, 0.6, 0.5, 0.08),
        "sauropod": (1.0, 1.2, 0.38, 0.85, 0.19, 1.9, 35, 0.17, 0.35, 2.0, 0.2),
        "reptile": (0.95, 2.2, 0.42, 1.25, 0.2, 0.6, 5, 0.3, 0.9, 2.4, 0.25),
        "toy": (1.0, 0.9, 0.36, 0.95, 0.18, 0.22, 62, 0.22, 0.7, 0.5, 0.1),
        "stout": (1.0, 1.25, 0.42, 0.85, 0.22, 0.25, 25, 0.26, 0.55, 0.6, 0.05),
    }
    shoulder, length, depth, lean, leg, neck, rise, neck_radius, head, tail, tail_radius = table[kind]
    s = lambda spread=0.15: float(np.exp(spread * np.clip(kit.rng.standard_normal(), -2, 2)))  # noqa: E731
    depth *= s()
    return Beast(
        kind=kind,
        hip_y=1.0,
        shoulder_y=shoulder * s(0.06),
        length=length * s(0.14),
        depth=depth,
        lean=lean * s(0.08),
        leg=leg * s(0.2),
        straddle=depth * lean * u(0.5, 0.8),
        neck=neck * s(0.25),
        neck_rise=np.radians(rise + u(-18, 18)),
        neck_radius=min(neck_radius * s(), 0.8 * depth),
        head=head * s(),
        tail=tail * s(0.4),
        tail_radius=tail_radius * s(0.3),
    )


def quadruped(rng: np.random.Generator, plan: str = "quadruped") -> Body:
    """A four-legged animal: plan "quadruped" or "dragon" (the same with wings)."""
    kit = Kit(plan, rng, blend=0.03)
    b = _draw(kit)
    kit.blend *= kit.u(0.6, 1.6)
    kit.sections["body"].blend = kit.blend
    sprawl = b.kind == "reptile"
    hips, chest = _trunk(kit, b)
    neck_at = np.array([0, b.shoulder_y + 0.35 * b.depth, 0.5 * b.length + 0.3 * b.depth])
    _neck_and_head(kit, b, chest, neck_at)
    kit.begin("tail", "body", kit.blend)
    base = np.array([0, b.hip_y + 0.2 * b.depth, -0.5 * b.length - 0.35 * b.depth])
    joints = kit.count(3, 8) if b.tail > 1.2 else kit.count(1, 6) if b.tail > 0.3 else kit.count(0, 1)
    animal_tail(kit, hips, base, b.tail, b.tail_radius, joints, ground=0.05)
    kit.begin("hind_leg.L", "body", kit.blend)
    at = np.array([b.straddle, b.hip_y, -0.5 * b.length + kit.u(-0.1, 0.1) * b.depth])
    inner = kit.chance(0.2)
    digit = 0.0 if b.kind in ("sauropod", "stout", "short", "toy") else 1.0
    leg_chain(kit, hips, at, "hind", radius=b.leg, sprawl=sprawl, zigzag=digit, inner="pelvis_side" if inner else None)
    kit.begin("front_leg.L", "body", kit.blend)
    at = np.array(
        [b.straddle * kit.u(0.9, 1.1), b.shoulder_y - 0.2 * b.depth, 0.5 * b.length - kit.u(0.0, 0.2) * b.depth]
    )
    scapula = kit.chance(0.4)
    leg_chain(
        kit, chest, at, "front", radius=0.85 * b.leg, sprawl=sprawl, zigzag=digit, inner="scapula" if scapula else None
    )
    if plan == "dragon":
        kit.begin("wing.L", "body", 0.4 * kit.blend)
        membrane_wing(
            kit,
            chest,
            np.array([0.5 * b.depth * b.lean, b.shoulder_y + 0.7 * b.depth, 0.3 * b.length]),
            kit.u(1.0, 2.2),
        )
    _trappings(kit, b, chest)
    return kit.build()


def _trunk(kit: Kit, b: Beast) -> tuple[int, int]:
    """Root at the hips, spine forward; gives hips and the joint that carries neck and front legs."""
    back = np.array([0, b.hip_y + kit.u(-0.1, 0.35) * b.depth, -0.5 * b.length])
    front = np.array([0, b.shoulder_y + kit.u(-0.1, 0.35) * b.depth, 0.5 * b.length - kit.u(0.0, 0.25) * b.depth])
    start = back if kit.chance(0.75) else back + 0.25 * (front - back)
    hips = kit.joint("hips", start, kit.ground(mix(back[2], front[2], kit.u(0.2, 0.6))))
    bones = kit.pick(1, 2, 3, 4, weights=(0.2, 0.35, 0.35, 0.1))
    if b.kind == "toy":
        bones = kit.pick(1, 2)
    first = kit.u(0.15, 0.4)
    sag = kit.u(-0.08, 0.06) * b.length
    spine = []
    parent = hips
    for i in range(bones):
        share = first + (1.0 - first) * (i / (bones - 1) if bones > 1 else kit.u(0.4, 1.0))
        at = mix(kit.at(hips), front, share) + np.array([0, sag * np.sin(np.pi * share), 0])
        parent = kit.joint(f"spine_{i + 1:02d}", at, parent)
        spine.append(parent)
    waist = b.depth * kit.u(0.72, 1.0)
    low = np.array([0, b.hip_y - 0.05 * b.depth, -0.5 * b.length])
    high = np.array([0, b.shoulder_y - 0.05 * b.depth, 0.45 * b.length])
    middle = 0.5 * (low + high) + [0, sag - (b.depth - waist) * -0.2, 0]
    flat = (b.lean, 1.0)
    kit.cone(
        [hips, *spine[:-1]] if bones > 1 else [hips, spine[0]],
        low,
        middle,
        (0.88 * b.depth * kit.u(0.85, 1.1), waist),
        flat=flat,
        hint=(0, 1, 0),
    )
    kit.cone(spine if bones > 1 else [hips, spine[0]], middle, high, (waist, b.depth), flat=flat, hint=(0, 1, 0))
    return hips, spine[-1]


def _neck_and_head(kit: Kit, b: Beast, chest: int, base: np.ndarray) -> None:
    kit.begin("neck", "body", kit.blend)
    way = np.array([0, np.sin(b.neck_rise), np.cos(b.neck_rise)])
    end = base + b.neck * way
    bow = mix(-0.12, 0.2, kit.u(0, 1)) * b.neck * np.array([0, way[2], -way[1]])
    fine = b.neck / 0.35 if kit.chance(0.75) else 0.5 * b.neck / 0.35  # a few artists bend even a long neck once
    bones = int(np.clip(round(fine + kit.u(-0.6, 0.8)), 1, 6 if b.neck > 1.2 else 3))
    points = spline([base, 0.5 * (base + end) + bow, end], bones + 1)
    radii = np.linspace(
        b.neck_radius * 1.15, max(0.55 * b.neck_radius, 0.25 * b.head if b.neck < 1.0 else 0.0), bones + 1
    )
    names = ["neck"] if bones == 1 else [f"neck_{i + 1:02d}" for i in range(bones)]
    root = 0.8 * base + 0.2 * kit.at(chest) - [0, 0.1 * b.depth, 0]
    necks = kit.chain(names, list(points), list(radii), chest)
    kit.cone(necks[0], root, points[0], (b.neck_radius * 1.25, b.neck_radius * 1.15))
    pitch = {"reptile": 0.0, "toy": kit.u(-0.25, 0.2)}.get(b.kind, kit.u(-0.7, 0.1))
    animal_head(kit, necks[-1], points[-1], b.head, float(radii[-1]), pitch=pitch, round_skull=b.kind == "toy")


def _trappings(kit: Kit, b: Beast, chest: int) -> None:
    """Shells, saddles, plates: geometry without joints."""
    if kit.chance(0.06):
        kit.begin("saddle", None, 0.01)
        kit.box(
            chest,
            (0, b.shoulder_y + b.depth, 0.05 * b.length),
            (0.6 * b.depth, 0.15 * b.depth, 0.2 * b.length),
            rounding=0.6,
        )
    if kit.chance(0.08):
        kit.begin("plates", None, 0.01)
        for share in np.linspace(0.0, 1.0, kit.count(4, 8)):
            y = mix(b.hip_y, b.shoulder_y, share) + 0.95 * b.depth
            z = mix(-0.45, 0.4, share) * b.length
            owner = chest if share > 0.5 else kit.find("hips")
            size = b.depth * kit.u(0.3, 0.5)
            kit.cone(owner, (0, y - 0.3 * size, z), (0, y + 0.8 * size, z), (0.6 * size, 0.15 * size), flat=(0.25, 1.0))
