"""Frogs, turtles, two-legged dinosaurs, and animals with tentacles. Unit: about the hips' height."""
# ruff: noqa: RUF005 - a point plus an offset is a sum here, not a longer list

from __future__ import annotations

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.kit import Kit, mix, spline
from studio_pipeline.training.rig_data.plans.animal_parts import animal_head, animal_tail

__all__ = ["frog", "octopus", "theropod", "turtle"]


def frog(rng: np.random.Generator, plan: str = "frog") -> Body:
    """A sitting frog: folded hind legs at the sides, short front legs."""
    kit = Kit(plan, rng, blend=0.02)
    fat, rise = kit.u(0.3, 0.45), kit.u(0.0, 0.55)
    rear = np.array([0, fat * kit.u(0.75, 1.0), -0.45])
    front = rear + 0.8 * np.array([0, np.sin(rise), np.cos(rise)])
    hips = kit.joint("hips", rear, kit.ground())
    bones = kit.count(1, 3)
    parent = hips
    for i in range(bones):
        parent = kit.joint(f"spine_{i + 1:02d}", mix(rear, front, (i + 1) / (bones + 0.6)), parent)
    spine = list(range(hips, parent + 1))
    kit.cone(spine, rear, 0.25 * rear + 0.75 * front, (0.75 * fat, fat), flat=(kit.u(1.0, 1.3), 1.0), hint=(0, 1, 0))
    if kit.chance(0.6):
        parent = kit.joint("neck", 0.1 * rear + 0.9 * front, parent)
    head = kit.joint("head", front, parent, front + [0, 0, 1.2 * fat])
    kit.ball(head, front + [0, 0.1 * fat, 0.35 * fat], fat * np.array([kit.u(0.9, 1.2), 0.65, 0.9]))
    kit.begin("eye.L", None, 0.01)
    kit.ball(head, front + fat * np.array([0.55, 0.65, 0.45]), fat * kit.u(0.2, 0.32))
    if kit.chance(0.25):
        kit.begin("jaw", "body", 0.01)
        hinge = front + [0, -0.3 * fat, -0.1 * fat]
        jaw = kit.joint("jaw", hinge, head, hinge + [0, 0, 1.2 * fat])
        kit.ball(jaw, hinge + [0, 0, 0.5 * fat], fat * np.array([0.85, 0.25, 0.8]))
    _frog_legs(kit, hips, spine[-1], (rear, front), fat)
    return kit.build()


def _frog_legs(kit: Kit, hips: int, chest: int, trunk: tuple, fat: float) -> None:
    rear, front = trunk
    thick = fat * kit.u(0.25, 0.36)
    kit.begin("hind_leg.L", "body", 0.015)
    top = rear + [0.7 * fat, -0.05 * fat, 0.0]
    knee = np.array([fat * kit.u(1.6, 2.1), rear[1] * kit.u(0.9, 1.3), rear[2] + kit.u(0.3, 0.5)])
    ankle = np.array([fat * kit.u(1.5, 1.9), 0.12, rear[2] - kit.u(0.05, 0.25)])
    toe = ankle * [1.1, 0, 1] + [0, 0.06, kit.u(0.3, 0.5)]
    parent = kit.joint("pelvis_side.L", rear + [0.3 * fat, 0, 0], hips, top) if kit.chance(0.3) else hips
    made = kit.chain(["thigh.L", "shin.L"], [top, knee, ankle], [1.2 * thick, 0.9 * thick, 0.5 * thick], parent)
    foot = kit.joint("hind_foot.L", ankle, made[-1], toe) if kit.chance(0.9) else made[-1]
    kit.cone(foot, ankle * [1, 0.6, 1], toe, (0.07, 0.1), flat=(1.4, 0.5), hint=(0, 1, 0))
    kit.begin("front_leg.L", "body", 0.012)
    top = mix(rear, front, kit.u(0.75, 0.9)) + np.array([0.75 * fat, -0.35 * fat, 0])
    elbow = top + [fat * kit.u(0.3, 0.7), -0.4 * top[1], -0.1]
    wrist = np.array([elbow[0] + kit.u(-0.1, 0.1), 0.09, elbow[2] + kit.u(0.05, 0.25)])
    if kit.chance(0.4):
        chest = kit.joint("clavicle.L", top * [0.5, 1, 1], chest, top)
    made = kit.chain(
        ["upper_arm.L", "lower_arm.L"], [top, elbow, wrist], [0.7 * thick, 0.6 * thick, 0.45 * thick], chest
    )
    tip = wrist * [1, 0, 1] + [0, 0.05, 0.2]
    hand = kit.joint("hand.L", wrist, made[-1], tip) if kit.chance(0.75) else made[-1]
    kit.cone(hand, wrist * [1, 0.6, 1], tip, (0.06, 0.08), flat=(1.4, 0.5), hint=(0, 1, 0))


def turtle(rng: np.random.Generator, plan: str = "turtle") -> Body:
    """A turtle or tortoise: a shell, four legs or flippers, a neck, a stub of a tail."""
    kit = Kit(plan, rng, blend=0.015)
    legs, flippers = kit.u(0.15, 0.35), kit.chance(0.35)
    half = np.array([kit.u(0.38, 0.5), kit.u(0.16, 0.34), 0.5])
    centre = np.array([0, legs + 0.4 * half[1], 0])
    body = kit.joint("body", centre, kit.ground())
    kit.ball(body, centre, half * [0.92, 0.6, 0.95])
    kit.begin("shell", None, 0.006)
    kit.ball(body, centre + [0, 0.3 * half[1], 0], half)
    kit.begin("neck", "body", 0.015)
    base = centre + [0, 0, 0.85 * half[2]]
    bones = kit.count(1, 2)
    end = base + kit.u(0.12, 0.35) * np.array([0, kit.u(0.1, 0.9), 1.0])
    names = ["neck"] if bones == 1 else ["neck_01", "neck_02"]
    neck = kit.chain(names, list(np.linspace(base, end, bones + 1)), [0.12] * (bones + 1), body)
    kit.cone(body, base - [0, 0, 0.15], base, 0.12)
    animal_head(kit, neck[-1], end, kit.u(0.22, 0.36), 0.11, pitch=kit.u(-0.4, 0.1))
    for name, z in (("front", 0.62), ("hind", -0.62)):
        kit.begin(f"{name}_leg.L", "body", 0.012)
        top = centre + [0.62 * half[0], -0.25 * half[1], z * half[2]]
        reach = kit.u(0.2, 0.5) * (1.8 if flippers and name == "front" else 0.8)
        foot = np.array([top[0] + reach, 0.07, top[2] + (kit.u(-0.3, 0.1) if flippers else kit.u(-0.05, 0.1)) * reach])
        middle = 0.5 * (top + foot) + [0.1 * reach, 0.05, 0]
        thick = kit.u(0.07, 0.11)
        flat = (1.5, 0.4) if flippers else (1.0, 1.0)
        upper, lower = ("upper_arm", "lower_arm") if name == "front" else ("thigh", "shin")
        made = kit.chain(
            [f"{upper}.L", f"{lower}.L"],
            [top, middle, foot],
            [thick, thick, 0.9 * thick],
            body,
            flat=flat,
            hint=(0, 1, 0),
        )
        if not flippers and kit.chance(0.6):
            foot_joint = kit.joint(f"{name}_foot.L", foot, made[-1], foot + [0.05, 0, 0.12])
            kit.cone(foot_joint, foot, foot + [0.02, 0, 0.07], 0.8 * thick)
    if kit.chance(0.6):
        kit.begin("tail", "body", 0.01)
        animal_tail(
            kit, body, centre - [0, 0.1 * half[1], 0.85 * half[2]], kit.u(0.15, 0.4), 0.05, kit.count(1, 3), ground=0.02
        )
    return kit.build()


def theropod(rng: np.random.Generator, plan: str = "theropod") -> Body:
    """A two-legged dinosaur or kangaroo: level or leaning trunk, long tail, small arms."""
    kit = Kit(plan, rng, blend=0.025)
    lean = np.radians(kit.u(5, 60))
    way = np.array([0, np.sin(lean), np.cos(lean)])
    fat, length = kit.u(0.2, 0.32), kit.u(0.6, 0.95)
    rear = np.array([0, 1.0, 0.0])
    front = rear + length * way
    hips = kit.joint("hips", rear, kit.ground())
    bones, parent = kit.count(1, 3), hips
    for i in range(bones):
        parent = kit.joint(f"spine_{i + 1:02d}", mix(rear, front, (i + 1) / (bones + 0.4)), parent)
    spine = list(range(hips, parent + 1))
    kit.cone(spine, rear, front, (fat * 1.1, fat * kit.u(0.75, 1.05)), flat=(0.8, 1.0), hint=(0, 1, 0), bulge=0.1 * fat)
    neck_bones, neck = kit.count(1, 3), kit.u(0.25, 0.6)
    rise = lean + kit.u(0.2, 0.9)
    end = front + neck * np.array([0, np.sin(min(rise, 1.5)), np.cos(min(rise, 1.5))])
    kit.begin("neck", "body", 0.025)
    names = ["neck"] if neck_bones == 1 else [f"neck_{i + 1:02d}" for i in range(neck_bones)]
    start = front - 0.05 * way
    necks = kit.chain(
        names, list(np.linspace(start, end, neck_bones + 1)), list(np.linspace(0.7, 0.5, neck_bones + 1) * fat), parent
    )
    animal_head(kit, necks[-1], end, kit.u(0.3, 0.65), 0.5 * fat, pitch=kit.u(-0.4, 0.1))
    kit.begin("tail", "body", 0.025)
    animal_tail(kit, hips, rear - 0.6 * fat * way, kit.u(0.9, 1.8), 0.7 * fat, kit.count(3, 7), ground=0.1)
    _two_legs(kit, hips, rear, fat)
    kit.begin("arm.L", "body", 0.012)
    top = front - 0.15 * length * way + [0.7 * fat, -0.3 * fat, 0]
    size, thick = kit.u(0.14, 0.45), kit.u(0.03, 0.06)
    elbow = top + size * np.array([0.25, -0.45, -0.15])
    wrist = elbow + size * np.array([0.0, -0.15, 0.45])
    arms = kit.chain(["upper_arm.L", "lower_arm.L"], [top, elbow, wrist], [1.3 * thick, thick, 0.8 * thick], parent)
    tip = wrist + size * np.array([0, -0.15, 0.2])
    hand = kit.joint("hand.L", wrist, arms[-1], tip) if kit.chance(0.75) else arms[-1]
    kit.cone(hand, wrist, tip, (thick, 0.5 * thick), flat=(1.3, 0.8))
    return kit.build()


def _two_legs(kit: Kit, hips: int, rear: np.ndarray, fat: float) -> None:
    kit.begin("leg.L", "body", 0.02)
    x, bend = fat * kit.u(0.6, 0.8), kit.u(0.08, 0.22)
    top = rear + [x, -0.1 * fat, 0]
    knee = np.array([x, 0.6, bend])
    hock = np.array([x, kit.u(0.25, 0.34), -1.1 * bend])
    foot = np.array([x, 0.09, hock[2] + kit.u(0.08, 0.2)])
    toe = foot + [0, -0.03, kit.u(0.15, 0.3)]
    radii = fat * np.array([0.62, 0.42, 0.24, 0.22])
    made = kit.chain(["thigh.L", "shin.L", "hock.L"], [top, knee, hock, foot], list(radii), hips, bulge=0.05)
    owner = kit.joint("foot.L", foot, made[-1], toe) if kit.chance(0.85) else made[-1]
    for aside in (-0.09, 0.0, 0.09):
        kit.cone(owner, foot * [1, 0.7, 1], toe + [aside, 0, 0], (0.055, 0.045))


def octopus(rng: np.random.Generator, plan: str = "octopus") -> Body:
    """An octopus, squid or jellyfish: a head and four to eight arms of two to five joints."""
    kit = Kit(plan, rng, blend=0.015, symmetric=False)
    arms = kit.count(4, 8)
    bones = kit.count(2, 5 if arms > 6 else 6)
    fat = kit.u(0.22, 0.4)
    lift = kit.u(0.15, 0.7)
    head_at = np.array([0, lift + 0.3 * fat, 0])
    root = kit.joint("body", head_at)
    tall = kit.u(0.8, 1.8)
    top = head_at + [0, tall * fat, -0.2 * fat * kit.u(0, 1)]
    owners = [root]
    if kit.chance(0.6):
        owners.append(kit.joint("head", head_at + [0, 0.5 * fat * tall, 0], root, top))
    kit.cone(owners, head_at + [0, 0.1 * fat, 0], top, (0.8 * fat, fat * kit.u(0.6, 1.1)))
    spread, drop = kit.u(0.3, 1.0), kit.chance(0.5)
    thick = kit.u(0.3, 0.45) * fat * (6 / arms) ** 0.5 * 0.8
    for i in range(arms):
        angle = 2.0 * np.pi * (i + 0.5) / arms
        out = np.array([np.sin(angle), 0, np.cos(angle)])
        start = head_at + 0.55 * fat * out - [0, 0.2 * fat, 0]
        low = 0.04 if not drop else lift - kit.u(0.4, 1.0)
        middle = start + 0.5 * spread * out + [0, 0.5 * (low - start[1]) + kit.u(0.0, 0.12), 0]
        end = start * [1, 0, 1] + spread * out * (1.0 if not drop else 0.5) + [0, low, 0]
        points = spline([start, middle, end], bones + 1)
        kit.begin(f"arm_{i}", "body", 0.012)
        kit.chain(
            [f"arm_{i + 1}_{k + 1:02d}" for k in range(bones)],
            list(points),
            list(np.linspace(thick, 0.25 * thick, bones + 1)),
            root,
        )
    if kit.chance(0.5):
        for sign in (1.0, -1.0):
            kit.begin(f"eye_{sign:.0f}", None, 0.004)
            kit.ball(owners[-1], head_at + fat * np.array([0.5 * sign, 0.5, 0.7]), 0.16 * fat)
    return kit.build()
