"""Hands of bipeds: a stump, a mitten, or fingers with joints where fingers are modelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.training.rig_data.kit import Kit, mix

if TYPE_CHECKING:
    from studio_pipeline.training.rig_data.plans.bipeds import Figure

__all__ = ["hand"]

_NAMES = {1: ("middle",), 2: ("index", "ring"), 3: ("index", "middle", "ring"), 4: ("index", "middle", "ring", "pinky")}


def hand(kit: Kit, f: Figure, arm: int, wrist: np.ndarray, along: np.ndarray, radius: float) -> None:
    """Add the left hand at the wrist, pointing ``along`` [3]; ``radius`` is the wrist's."""
    fingers = kit.chance(mix(-0.1, 1.0, f.detail)) and not (f.boxy and kit.chance(0.5))
    size = mix(0.06, 0.047, f.realism) * f.limb**0.7 * kit.u(0.85, 1.25)
    size = max(size, 1.25 * radius)
    thumb = np.array([0.0, 0.0, 1.0]) - along[2] * along
    thumb /= np.linalg.norm(thumb)
    flat = np.cross(along, thumb)  # the palm's normal
    if kit.chance(0.06):  # the arm ends without a hand joint
        kit.joints[arm].tail = wrist + 0.8 * radius * along
        kit.ball(arm, wrist + 0.3 * radius * along, 1.15 * radius)
        return
    palm_end = wrist + along * size * (kit.u(0.85, 1.05) if fingers else kit.u(0.6, 0.8))
    joint = kit.joint("hand.L", wrist, arm, palm_end)
    frame = np.stack([flat, along, thumb])
    middle = 0.5 * (wrist + palm_end)
    half = 0.5 * float(np.linalg.norm(palm_end - wrist))
    if f.boxy:
        kit.box(joint, middle, (0.45 * size, half, 0.5 * size), frame, 0.3)
    else:
        thick = 0.3 if fingers else kit.u(0.42, 0.62)
        kit.ball(
            joint, middle + 0.1 * half * along, (thick * size, 1.35 * half, (0.5 if fingers else thick) * size), frame
        )
    if fingers:
        _fingers(kit, f, joint, palm_end, (along, thumb, flat), size)
    elif kit.chance(0.5):
        _mitten(kit, joint, wrist, palm_end, (along, thumb), size)


def _fingers(kit: Kit, f: Figure, joint: int, palm: np.ndarray, frame: tuple, size: float) -> None:
    along, thumb, flat = frame
    count = kit.pick(2, 3, 4, weights=(0.1, 0.3, 0.6))
    joints = kit.pick(1, 2, 3, weights=(0.2, 0.35, 0.45) if f.detail > 0.5 else (0.45, 0.4, 0.15))
    rigged = kit.chance(0.85)  # else they are only modelled
    curl = np.radians(kit.u(0, 14))
    thickness = 0.12 * size * kit.u(0.9, 1.2) * (4 / count) ** 0.6
    for i, name in enumerate(_NAMES[count]):
        across = (0.5 - (i + 0.5) / count) * 0.95 * size
        length = size * kit.u(0.75, 0.95) * (0.8 if name == "pinky" else 1.0)
        start = palm - 0.06 * size * along + across * thumb
        spread = along + 0.25 * across / size * thumb
        _finger(kit, joint, name, start, (spread, flat), (length, thickness, curl), joints if rigged else 0)
    start = palm - along * size * kit.u(0.55, 0.75) + 0.36 * size * thumb
    way = 0.75 * along + kit.u(0.5, 0.9) * thumb
    _finger(
        kit,
        joint,
        "thumb",
        start,
        (way, flat),
        (0.7 * size, 1.2 * thickness, 0.3 * curl),
        min(joints, 3) if rigged else 0,
    )


def _finger(kit: Kit, joint: int, name: str, start: np.ndarray, frame: tuple, shape: tuple, joints: int) -> None:
    way, flat = frame
    length, thickness, curl = shape
    way = way / np.linalg.norm(way)
    kit.begin(f"{name}.L", "arm.L", 0.25 * thickness)
    steps, angle, points = max(joints, 2), 0.0, [start]
    sign = -1.0 if flat[1] > 0 else 1.0
    for _ in range(steps):
        points.append(points[-1] + (np.cos(angle) * way + sign * np.sin(angle) * flat) * length / steps)
        angle += curl
    radii = np.linspace(thickness, 0.75 * thickness, steps + 1)
    parent = joint
    for i in range(steps):
        if i < joints:
            parent = kit.joint(
                f"{name}_{i + 1:02d}.L", points[i], parent, points[i + 1] if i + 1 < joints else points[-1]
            )
        kit.cone(parent, points[i], points[i + 1], (radii[i], radii[i + 1]))
    kit.section = "arm.L"


def _mitten(kit: Kit, joint: int, wrist: np.ndarray, palm: np.ndarray, frame: tuple, size: float) -> None:
    """A block of fingers, sometimes with a joint, and a thumb."""
    along, thumb = frame
    end = palm + along * size * kit.u(0.4, 0.8)
    bones = kit.pick(0, 1, 2, weights=(0.35, 0.4, 0.25))
    owner, points = joint, np.linspace(palm, end, max(bones, 1) + 1)
    radii = np.linspace(0.3 * size, 0.22 * size, len(points))
    for i in range(len(points) - 1):
        owner = kit.joint(f"fingers_{i + 1:02d}.L", points[i], owner, points[i + 1]) if bones else joint
        kit.cone(owner, points[i], points[i + 1], (radii[i], radii[i + 1]), flat=(1.0, 1.4), hint=thumb)
    if kit.chance(0.7):
        start = wrist + 0.3 * size * along + 0.3 * size * thumb
        tip = start + size * (0.5 * along + 0.4 * thumb)
        own = kit.joint("thumb_01.L", start, joint, tip) if owner != joint and kit.chance(0.5) else joint
        kit.begin("thumb.L", "arm.L", 0.1 * size)
        kit.cone(own, start, tip, (0.17 * size, 0.13 * size))
        kit.section = "arm.L"
