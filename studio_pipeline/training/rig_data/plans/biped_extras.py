"""What bipeds wear and carry; joints only where it moves by itself (tails, wings, capes now and then)."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.training.rig_data.kit import Kit, spline

if TYPE_CHECKING:
    from studio_pipeline.training.rig_data.plans.bipeds import Figure

__all__ = ["extras"]


def extras(kit: Kit, f: Figure, *, winged: bool) -> None:
    """Add some of: skirt, cape, backpack, shoulder pads, belt, boots' cuffs, weapon, tail, wings."""
    if kit.chance(0.13):
        _skirt(kit, f)
    if kit.chance(0.07):
        _cape(kit, f)
    if kit.chance(0.12):
        _backpack(kit, f)
    if kit.chance(0.12) and kit.has("upper_arm.L"):
        kit.begin("pad.L", None, 0.004)
        arm = kit.find("upper_arm.L")
        size = 0.05 * f.limb * kit.u(0.9, 1.5)
        kit.ball(arm, kit.at(arm) + [0.01, 0.01, 0], (size, 0.7 * size, 0.9 * size))
    if kit.chance(0.12):
        kit.begin("belt", None, 0.003)
        kit.ball(
            kit.find("hips"), (0, f.crotch + 0.05, 0), (1.12 * f.pelvis[0] + 0.01, 0.018, 1.12 * f.pelvis[1] + 0.01)
        )
    if kit.chance(0.12) and kit.has("hand.L"):
        _weapon(kit, f)
    if kit.chance(0.09):
        _tail(kit, f)
    if winged:
        _wing(kit, f)


def _skirt(kit: Kit, f: Figure) -> None:
    """A skirt or robe: it follows hips and thighs."""
    kit.begin("skirt", None, 0.006)
    length = f.crotch * kit.u(0.25, 0.85)
    owners = [kit.find("hips"), kit.find("thigh.L")] + (
        [kit.find("shin.L")] if length > 0.55 * f.crotch and not f.stubs else []
    )
    top = f.crotch + 0.04
    hem = max(f.pelvis) * kit.u(1.1, 1.9)
    kit.cone(
        owners, (0, top, 0), (0, top - length, 0), (1.05 * f.pelvis[1], hem), flat=(f.pelvis[0] / f.pelvis[1], 1.0)
    )


def _cape(kit: Kit, f: Figure) -> None:
    kit.begin("cape", None, 0.004)
    top = kit.joints[kit.find("head")].parent
    low = f.shoulder_y - (f.shoulder_y - 0.08) * kit.u(0.4, 1.0)
    back = -f.chest[1] * 1.1
    count = kit.count(2, 3)
    points = spline(
        [(0, f.shoulder_y, back), (0, 0.5 * (f.shoulder_y + low), back - 0.02), (0, low, back - 0.06)], count + 1
    )
    if kit.chance(0.4):
        names = [f"cape_{i + 1:02d}" for i in range(count)]
        kit.chain(names, list(points), [0.05] * (count + 1), top, flat=(2.0 * f.shoulder / 0.1, 0.12))
    else:
        owners = [top, kit.find("hips")] if top != kit.find("hips") else top
        for start, end in pairwise(points):
            kit.cone(owners, start, end, 0.05, flat=(2.0 * f.shoulder / 0.1, 0.12))


def _backpack(kit: Kit, f: Figure) -> None:
    kit.begin("backpack", None, 0.004)
    owner = max(i for i, j in enumerate(kit.joints) if j.name.startswith("spine"))
    size = np.array(
        [f.chest[0] * kit.u(0.5, 0.9), 0.4 * (f.shoulder_y - f.crotch) * kit.u(0.6, 1.1), f.chest[1] * kit.u(0.4, 1.0)]
    )
    centre = np.array([0, f.shoulder_y - 0.9 * size[1], -f.chest[1] - 0.7 * size[2]])
    if kit.chance(0.6):
        kit.box(owner, centre, size, rounding=kit.u(0.2, 0.9))
    else:
        kit.ball(owner, centre, size)


def _weapon(kit: Kit, f: Figure) -> None:
    """A sword, staff, gun or shield in the left hand; bodies are flipped at random later."""
    kit.begin("weapon", None, 0.002)
    joint = kit.find("hand.L")
    grip = 0.5 * (kit.at(joint) + kit.joints[joint].tail)  # pyright: ignore[reportOperatorIssue]
    if kit.chance(0.2):
        kit.ball(joint, grip + [0.03, 0, 0.02], (0.02, kit.u(0.1, 0.18), kit.u(0.08, 0.14)))
        return
    way = np.array([kit.u(-0.2, 0.2), kit.u(-0.3, 1.0), 1.0])
    way /= np.linalg.norm(way)
    length, thick = kit.u(0.2, 0.7), kit.u(0.008, 0.02)
    kit.cone(joint, grip - 0.25 * length * way, grip + 0.75 * length * way, (thick, thick * kit.u(0.4, 1.4)))
    if kit.chance(0.5):
        kit.ball(joint, grip + 0.7 * length * way, np.array([kit.u(1, 4), kit.u(1, 6), kit.u(1, 4)]) * thick)


def _tail(kit: Kit, f: Figure) -> None:
    kit.begin("tail", "body", kit.blend)
    start = np.array([0, f.crotch + 0.03, -0.8 * f.pelvis[1]])
    length, rise = kit.u(0.15, 0.6), kit.u(-0.6, 0.8)
    middle = start + length * np.array([0, 0.4 * rise - 0.15, -0.55])
    end = start + length * np.array([0, rise, -kit.u(0.5, 1.0)])
    end[1] = max(end[1], 0.04)
    count = kit.count(2, 5)
    points = spline([start, middle, end], count + 1)
    thick = kit.u(0.014, 0.045)
    names = [f"tail_{i + 1:02d}" for i in range(count)]
    kit.chain(names, list(points), list(np.linspace(thick, thick * kit.u(0.3, 1.0), count + 1)), kit.find("hips"))


def _wing(kit: Kit, f: Figure) -> None:
    """A fairy's, angel's or demon's wings behind the shoulders."""
    kit.begin("wing.L", None, 0.004)
    top = max(i for i, j in enumerate(kit.joints) if j.name.startswith("spine"))
    base = np.array([0.25 * f.chest[0], f.shoulder_y - 0.04, -0.9 * f.chest[1]])
    span, rise = kit.u(0.25, 0.7), kit.u(-0.3, 0.9)
    tip = base + span * np.array([0.85, rise, -0.25])
    middle = base + span * np.array([0.4, 0.5 * rise + kit.u(0.0, 0.35), -0.2])
    count = kit.count(1, 3)
    points = spline([base, middle, tip], count + 1)
    chord, thick = span * kit.u(0.15, 0.35), kit.u(0.008, 0.015)
    parent = top
    for i in range(count):
        parent = kit.joint(f"wing_{i + 1:02d}.L", points[i], parent, points[i + 1])
        kit.cone(parent, points[i], points[i + 1], (thick * 1.5, thick * 1.2))
        low = chord * (1.0 - 0.35 * i / count) * np.array([0.1, -1.0, -0.1])
        a, b = points[i] + 0.5 * low, points[i + 1] + 0.5 * low
        half = 0.5 * float(np.linalg.norm(low))
        kit.cone(parent, a, b, (half, 0.8 * half), flat=(thick / half, 1.0), hint=low)
