"""Heads and necks of bipeds."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.training.rig_data.kit import Kit, mix

if TYPE_CHECKING:
    from studio_pipeline.training.rig_data.plans.bipeds import Figure

__all__ = ["head"]


def head(kit: Kit, f: Figure, top: int) -> None:
    """Neck, head, and now and then hair, ears, a hat, a snout with a jaw, eyes."""
    height = 1.0 - f.head_y
    z = kit.u(-0.02, 0.01)
    neck_at = np.array([0.0, f.neck_y, z])
    head_at = np.array([0.0, f.head_y, z + kit.u(0.0, 0.012)])
    parent = top
    neck_radius = min(mix(0.045, 0.03, f.realism) * f.limb**0.5, 0.5 * f.head)
    if kit.chance(mix(0.35, 0.97, f.realism)):
        necks = 2 if f.detail > 0.75 and f.head_y - f.neck_y > 0.045 and kit.chance(0.4) else 1
        for i in range(necks):
            at = mix(neck_at, head_at, i / necks)
            parent = kit.joint(f"neck_{i + 1:02d}" if necks > 1 else "neck", at, parent)
    kit.cone(parent, neck_at - [0, 0.02, 0], head_at + [0, 0.02, 0], neck_radius, flat=(1.1, 1.0))
    joint = kit.joint("head", head_at, parent, (0.0, 1.0, head_at[2]))
    kit.begin("head", None if f.boxy else "body", kit.blend)
    _skull(kit, f, joint, head_at, height)
    kit.begin("face", None, 0.002)
    _face(kit, f, joint, head_at, height)
    _hair(kit, f, joint, head_at, height)


def _skull(kit: Kit, f: Figure, joint: int, at: np.ndarray, height: float) -> None:
    low = 1.0 - f.head
    middle = np.array([0.0, 0.5 * (1.0 + low), at[2] + 0.12 * f.head])
    wide = f.head * mix(kit.u(0.46, 0.62), kit.u(0.33, 0.42), f.realism)
    deep = f.head * mix(kit.u(0.42, 0.55), kit.u(0.38, 0.46), f.realism)
    if (f.boxy and kit.chance(0.7)) or kit.chance(0.06):
        kit.box(joint, middle, (wide, 0.5 * f.head, deep), rounding=kit.u(0.1, 0.8))
    elif kit.chance(0.5):
        kit.ball(joint, middle, (wide, 0.5 * f.head, deep))
    else:
        kit.ball(joint, middle + [0, 0.12 * f.head, -0.03 * f.head], (wide, 0.38 * f.head, deep))
        kit.ball(joint, middle - [0, 0.16 * f.head, -0.08 * f.head], (0.8 * wide, 0.34 * f.head, 0.75 * deep))
    if kit.chance(0.14) and not f.boxy:
        _snout(kit, f, joint, middle, (wide, deep))


def _snout(kit: Kit, f: Figure, joint: int, middle: np.ndarray, size: tuple[float, float]) -> None:
    """An animal's muzzle; a large one may open."""
    wide, deep = size
    start = middle + [0, -0.15 * f.head, 0.4 * deep]
    tip = start + np.array([0, -0.05, 1.0]) * deep * kit.u(0.8, 1.7)
    kit.cone(joint, start, tip, (0.5 * wide, 0.3 * wide), flat=(1.2, 1.0))
    if kit.chance(0.35):
        below = np.array([0, -0.25 * wide, -0.1 * deep])
        jaw = kit.joint("jaw", start + 0.5 * below, joint, tip + below)
        kit.cone(jaw, start + below, tip + below, (0.4 * wide, 0.2 * wide), flat=(1.1, 0.6))


def _face(kit: Kit, f: Figure, joint: int, at: np.ndarray, height: float) -> None:
    middle = np.array([0.0, 1.0 - 0.5 * f.head, at[2] + 0.12 * f.head])
    if kit.chance(0.35):  # eyes as their own balls
        x, size = f.head * kit.u(0.12, 0.2), f.head * kit.u(0.05, 0.11)
        kit.begin("eye.L", None, 0.001)
        spot = middle + [x, kit.u(-0.02, 0.08) * f.head, 0.36 * f.head]
        if f.detail > 0.7 and kit.chance(0.3):
            kit.ball(kit.joint("eye.L", spot, joint, spot + [0, 0, 1.5 * size]), spot, size)
        else:
            kit.ball(joint, spot, size)
    if kit.chance(0.3):
        kit.begin("nose", "head", 0.02 * f.head)
        kit.ball(joint, middle + [0, -0.05 * f.head, 0.44 * f.head], f.head * np.array([0.05, 0.07, 0.08]))
    if kit.chance(0.3):
        kit.begin("ear.L", "head", 0.01 * f.head)
        kit.ball(joint, middle + [0.4 * f.head, 0, -0.05 * f.head], f.head * np.array([0.06, 0.12, 0.08]))
    elif kit.chance(0.18):
        _long_ear(kit, f, joint, middle)


def _long_ear(kit: Kit, f: Figure, joint: int, middle: np.ndarray) -> None:
    """An animal's ears, with joints when they are long; horns and antennas look alike but have none."""
    kit.begin("ear.L", "head", 0.01 * f.head)
    base = middle + [f.head * kit.u(0.15, 0.35), 0.36 * f.head, -0.05 * f.head]
    way = np.array([kit.u(0.1, 0.9), 1.0, kit.u(-0.3, 0.1)])
    length = f.head * kit.u(0.25, 0.9)
    tip = base + length * way / np.linalg.norm(way)
    wide = f.head * kit.u(0.06, 0.14)
    if length > 0.45 * f.head and wide > 0.08 * f.head and kit.chance(0.6):
        points = np.linspace(base, tip, kit.count(1, 2) + 1)
        names = [f"ear_{i + 1:02d}.L" for i in range(len(points) - 1)]
        kit.chain(names, list(points), list(np.linspace(wide, 0.5 * wide, len(points))), joint, flat=(1.0, 0.4))
    else:
        kit.cone(joint, base, tip, (wide, 0.4 * wide), flat=(1.0, 0.45))


def _hair(kit: Kit, f: Figure, joint: int, at: np.ndarray, height: float) -> None:
    """Hair, a hat or a helmet: geometry that follows the head; long tails of hair have joints now and then."""
    middle = np.array([0.0, 1.0 - 0.5 * f.head, at[2] + 0.1 * f.head])
    what = kit.pick("none", "cap", "long", "spikes", "hat", "helmet", weights=(0.4, 0.2, 0.12, 0.08, 0.14, 0.06))
    if what == "none":
        return
    kit.begin("hair", None, 0.04 * f.head)
    if what in ("cap", "long", "spikes"):
        grow = kit.u(1.03, 1.15)
        wide = f.head * mix(0.56, 0.42, f.realism) * grow
        kit.ball(joint, middle + [0, 0.1 * f.head, -0.06 * f.head], (wide, 0.44 * f.head * grow, wide))
    if what == "long":
        low = mix(f.shoulder_y, 1.0 - f.head, kit.u(0, 1))
        back = middle[2] - 0.42 * f.head
        top = np.array([0, middle[1], back])
        end = np.array([0, low - kit.u(0.0, 0.1), back - kit.u(0.0, 0.08)])
        wide = f.head * kit.u(0.12, 0.3)
        if kit.chance(0.35) and np.linalg.norm(top - end) > 0.12:
            points = list(np.linspace(top, end, kit.count(2, 3) + 1))
            names = [f"hair_{i + 1:02d}" for i in range(len(points) - 1)]
            kit.chain(names, points, list(np.linspace(wide, 0.5 * wide, len(points))), joint, flat=(1.2, 0.7))
        else:
            kit.cone(joint, top, end, (wide, 0.6 * wide), flat=(1.6, 0.6))
    if what == "spikes":
        for _ in range(kit.count(4, 9)):
            way = kit.rng.standard_normal(3) * [0.6, 0.5, 0.6] + [0, 0.5, -0.3]
            way /= np.linalg.norm(way)
            kit.cone(
                joint,
                middle + 0.3 * f.head * way,
                middle + f.head * kit.u(0.55, 0.8) * way,
                (0.14 * f.head, 0.01 * f.head),
            )
    if what == "hat":
        brim, crown = f.head * kit.u(0.5, 1.0), f.head * kit.u(0.2, 0.7)
        base = middle + [0, 0.3 * f.head, 0]
        kit.ball(joint, base, (brim, 0.04 * f.head, brim))
        kit.cone(joint, base, base + [0, crown, kit.u(-0.2, 0.1) * crown], (0.42 * f.head, f.head * kit.u(0.02, 0.4)))
    if what == "helmet":
        wide = f.head * mix(0.6, 0.46, f.realism)
        kit.ball(joint, middle + [0, 0.05 * f.head, -0.02 * f.head], (wide, 0.5 * f.head, wide))
        if kit.chance(0.5):
            kit.ball(joint, middle + [0, 0.5 * f.head, -0.1 * f.head], f.head * np.array([0.05, 0.2, 0.4]))
