"""What happens in a motion, and where: the hit, the landing, steps, the fastest part. Effects sit there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.takes.filming.framing import head_of
from studio_pipeline.stages.takes.posing import EASE_FRAMES

__all__ = ["Moments", "moments"]

_SETTLED = EASE_FRAMES + 2  # index from which movements are the performance's own

_AIRBORNE = 0.015  # of the size: a body whose lowest vertex is higher has left the ground


@dataclass(frozen=True)
class Moments:
    """The action of a motion, T frames; places are in the world [m], speeds in sizes of the body a second."""

    size: float  # [m], the body's largest extent at rest
    ground: float  # [m]
    centre: np.ndarray  # [T, 3], of the surface
    head: np.ndarray  # [T, 3], middle of the head
    head_size: float  # [m]
    crown: np.ndarray  # [T, 3], its highest point
    face: np.ndarray  # [T, 3], where it looks from
    front: np.ndarray  # [T, 3], unit, where the face points
    left: np.ndarray  # [T, 3], unit, to the body's left at the face
    lead: np.ndarray  # [T, 3], the part that moves fastest over the whole motion
    lead_velocity: np.ndarray  # [T, 3]
    speed: np.ndarray  # [T], of the fastest twentieth of the surface
    impacts: tuple[int, ...]  # hits and landings; at least one
    struck: tuple[np.ndarray, ...]  # [3] each, where they hit
    steps: tuple[tuple[int, np.ndarray], ...]  # index and place of every time that something lands on the ground

    def peak(self) -> int:
        """The fastest frame."""
        return int(np.argmax(self.speed))

    def quickness(self) -> np.ndarray:
        """Speed of each frame against the fastest one, 0..1. [T]"""
        return self.speed / max(float(self.speed.max()), 1e-9)


def moments(posed: np.ndarray, rig: Rig, plan: BodyPlan, fps: float, *, performance: str) -> Moments:
    """Find what happens in posed vertices [T, V, 3]; the rest pose is index 0."""
    rest = posed[0].astype(np.float64)
    size, ground = float(np.ptp(rest, axis=0).max()), float(rest[:, 1].min())
    velocity = np.gradient(posed.astype(np.float64), axis=0) * fps / size if len(posed) > 1 else np.zeros(posed.shape)
    pace = np.linalg.norm(velocity, axis=-1)
    count = max(1, posed.shape[1] // 20)
    speed = np.sort(pace, axis=1)[:, -count:].mean(1)
    fastest = np.argsort(-pace.max(0), kind="stable")[:count]
    lead = posed[:, fastest].mean(1).astype(np.float64)
    head = posed[:, head_of(rig, rest, plan)].astype(np.float64)
    turns = _turns(head)
    middle = (head.min(1) + head.max(1)) / 2.0
    head_size = float(np.ptp(head[0], axis=0).max())
    reach = float(((head[0] - middle[0]) @ plan.front).max())
    front = turns @ plan.front
    # Whoever eases out of the rest pose is not yet acting.
    speed *= np.clip(np.arange(len(posed)) / min(_SETTLED, max(len(posed) / 2.0, 1.0)), 0.0, 1.0) ** 2
    steps = _steps(posed, plan, rig, ground, size)
    impacts = _impacts(posed, speed, ground, size, fps, performance)
    crown = np.take_along_axis(head, head[..., 1].argmax(1)[:, None, None], axis=1)[:, 0]
    return Moments(
        size=size, ground=ground, centre=(posed.min(1) + posed.max(1)).astype(np.float64) / 2.0, head=middle,
        head_size=head_size, crown=crown, face=middle + 0.85 * reach * front, front=front, left=turns @ plan.left,
        lead=lead, lead_velocity=velocity[:, fastest].mean(1), speed=speed, impacts=impacts,
        struck=tuple(_struck(index, posed, lead, ground, size) for index in impacts), steps=steps,
    )  # fmt: skip


def _turns(points: np.ndarray) -> np.ndarray:
    """How a nearly rigid part has turned since index 0 (Kabsch). [T, 3, 3]"""
    centred = points - points.mean(1, keepdims=True)
    covariance = np.einsum("tna,nb->tab", centred, centred[0])
    u, _, vt = np.linalg.svd(covariance)
    flip = np.sign(np.linalg.det(u @ vt))
    vt[:, 2] *= flip[:, None]
    return u @ vt


def _impacts(
    posed: np.ndarray, speed: np.ndarray, ground: float, size: float, fps: float, performance: str
) -> tuple[int, ...]:
    """Landings of what was in the air; else the frames at which the fastest part is stopped."""
    if len(posed) < 4:
        return (len(posed) // 2,)
    low = posed[..., 1].min(1) - ground
    landings = [t for t in range(2, len(low)) if low[t] <= _AIRBORNE * size < low[t - 1]]
    if landings and performance in ("jump", "hop", "cheer", "run"):
        return tuple(landings)
    drop = np.zeros(len(speed))
    drop[1:] = np.maximum(speed[:-1] - speed[1:], 0.0)
    gap = max(3, round(0.35 * fps))
    found: list[int] = []
    for t in np.argsort(-drop, kind="stable"):
        if drop[t] < 0.55 * drop.max() or drop[t] <= 0.0:
            break
        if t > 2 and all(abs(t - other) > gap for other in found):
            found.append(int(t))
    most = {"attack": 2, "fall": 1}.get(performance, 3)
    return tuple(sorted(found[:most])) or (len(posed) // 2,)


def _struck(index: int, posed: np.ndarray, lead: np.ndarray, ground: float, size: float) -> np.ndarray:
    """Where an impact hits: under the feet when something comes down there, else the fastest part."""
    low = posed[index, :, 1].min() - ground
    before = posed[max(index - 2, 0), :, 1].min() - ground
    if low < _AIRBORNE * size < before:
        return _foot(posed[index], ground, size)
    return lead[index]


def _foot(points: np.ndarray, ground: float, size: float) -> np.ndarray:
    near = points[points[:, 1] < points[:, 1].min() + 0.04 * size].astype(np.float64)
    middle = (near.min(0) + near.max(0)) / 2.0
    return np.array([middle[0], ground, middle[2]])


def _steps(
    posed: np.ndarray, plan: BodyPlan, rig: Rig, ground: float, size: float
) -> tuple[tuple[int, np.ndarray], ...]:  # fmt: skip
    """Every time that a foot, or the body of what has none, comes down."""
    limbs = [limb for pair in plan.legs for limb in pair]
    regions = []
    for limb in limbs:
        part = np.flatnonzero(rig.weights[:, list(limb.members)].sum(1) > 0.5)
        if len(part):
            regions.append(part[posed[0, part, 1] < posed[0, part, 1].min() + 0.06 * size])
    found: list[tuple[int, np.ndarray]] = []
    for part in regions or [np.arange(posed.shape[1])]:
        low = posed[:, part, 1].min(1) - ground
        for t in range(3, len(low)):
            if low[t] <= 0.012 * size < low[t - 1]:
                found.append((t, _foot(posed[t, part], ground, size)))
    return tuple(sorted(found, key=lambda item: item[0]))
