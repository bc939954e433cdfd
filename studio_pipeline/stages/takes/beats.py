"""What performances share: cycles within the clip, and the parts that follow late."""

from __future__ import annotations

import numpy as np

from studio_pipeline.stages.takes.posing import Actor

__all__ = ["DEG", "TAU", "cycles", "folded_wings", "phase_of", "stand", "swish"]

DEG = np.pi / 180.0
TAU = 2.0 * np.pi


def cycles(actor: Actor, period: float) -> np.ndarray:
    """Position 0..1 in an action that is repeated a whole number of times within the clip; 0 while easing in. [T]"""
    start = min(0.12, actor.seconds[-1] / 8.0)
    length = max(actor.seconds[-1] - start, 1e-6)
    count = max(1, round(length / period))
    position = np.clip((actor.seconds - start) / length, 0.0, 1.0) * count
    return np.where(position >= count, 1.0, position % 1.0)


def phase_of(actor: Actor, period: float) -> np.ndarray:
    """Angle [T] rad of something that repeats every ``period`` seconds of performance time."""
    return TAU * actor.seconds / period


def swish(actor: Actor, phase: np.ndarray, *, amplitude: float = 14.0) -> None:
    """Tails, ears and the rest follow the body late."""
    size = amplitude * DEG * min(actor.energy, 1.3)
    for tail in actor.plan.tails:
        actor.wave_along(tail.joints, actor.plan.up, size, phase - 0.6)
        actor.wave_along(tail.joints, actor.plan.left, 0.3 * size, 2.0 * phase - 1.0)
    for limb in actor.plan.loose:
        side = float(limb.side or 1)
        actor.turn(limb.joints[0], actor.plan.left, 0.35 * size * np.sin(2.0 * phase - 1.2))
        actor.turn(limb.joints[0], actor.plan.front, 0.2 * side * size * np.sin(2.0 * phase - 1.8))


def folded_wings(actor: Actor, phase: np.ndarray, amplitude: float = 4.0) -> None:
    """Wings at rest, stirring by ``amplitude`` degrees."""
    for left, right in actor.plan.wings:
        for limb in (left, right):
            actor.turn(limb.joints[0], actor.plan.front, limb.side * amplitude * DEG * np.sin(phase))


def stand(actor: Actor) -> None:
    """Arms down, a little breath."""
    actor.lower_arms()
    breath = np.sin(phase_of(actor, 2.4))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=1.2 * DEG * breath, elbow=9.0 * DEG)
