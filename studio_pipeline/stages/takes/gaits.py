"""Gaits and springs: legs in opposite phase, take-off and landing."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bodyparts import Limb
from studio_pipeline.stages.takes.beats import DEG, cycles, folded_wings, phase_of, swish
from studio_pipeline.stages.takes.posing import Actor, keyed

__all__ = ["gait_cycle", "spring"]


def _leg_phase(actor: Actor, pair: int, limb: Limb, gait: str) -> float:
    """Where in the cycle a leg is: 0 leads [rad]."""
    count = len(actor.plan.legs)
    opposite = np.pi if limb.side < 0 else 0.0
    if count == 1:
        return opposite
    behind = count - 1 - pair  # 0 is the hindmost pair
    if count > 2:
        return opposite + np.pi * (behind % 2)
    if gait == "walk":
        return opposite - 0.5 * np.pi * behind
    if gait == "trot":
        return opposite + np.pi * behind
    return (0.0 if limb.side > 0 else 0.75) + behind * (np.pi + 0.2)


def gait_cycle(
    actor: Actor, gait: str, *, period: float, swing: float, flex: float, lean: float, flight: float
) -> None:
    """Legs in opposite phase, arms and shoulders against them, the rest follows."""
    plan, e = actor.plan, actor.energy
    amount = swing * DEG * min(e, 1.3)
    phase = phase_of(actor, period)
    several = len(plan.legs) > 1
    for index, pair in enumerate(plan.legs):
        for limb in pair:
            own = phase + _leg_phase(actor, index, limb, gait)
            lifted = np.maximum(0.0, np.cos(own + 0.25)) ** 1.4
            actor.leg(limb, amount * np.sin(own), flex * DEG * min(e, 1.3) * lifted + 4.0 * DEG, lift=0.3)
    if not plan.legs:
        _waddle(actor, phase)
    step = np.sin(phase)
    upright = 0.5 if several else 1.0
    actor.lower_arms()
    for pair in plan.arms:
        for limb in pair:
            swung = -limb.side * step
            bent = 12.0 + 1.2 * lean + (8.0 + lean) * np.maximum(0.0, swung)
            actor.arm(limb, swing=0.85 * amount * swung + 0.1 * amount, elbow=bent * DEG)
    actor.whole(yaw=-5.0 * DEG * e * step * upright, roll=2.2 * DEG * e * np.cos(phase) * upright)
    actor.bend(yaw=8.0 * DEG * e * step * upright, roll=-3.0 * DEG * e * np.cos(phase) * upright)
    if several:
        actor.bend(pitch=lean * 0.5 * DEG * e * np.sin(2.0 * phase if gait != "run" else phase))
    else:
        actor.bend(pitch=lean * DEG + 1.5 * DEG * e * np.cos(2.0 * phase))
    nodding = 2.5 * np.sin(2.0 * phase - 0.8) - (0.0 if several else 0.8 * lean)
    actor.nod(pitch=nodding * DEG, yaw=-3.0 * DEG * e * step * upright)
    if flight > 0.0:
        actor.air = (
            actor.air
            + flight
            * plan.height
            * e
            * np.maximum(0.0, np.sin(2.0 * phase if gait != "run" or not several else phase)) ** 1.5
        )
    swish(actor, phase)
    folded_wings(actor, 2.0 * phase)


def _waddle(actor: Actor, phase: np.ndarray) -> None:
    """A body without legs rocks from side to side in small hops."""
    e = min(actor.energy, 1.3)
    up = np.abs(np.sin(phase))
    actor.whole(roll=9.0 * DEG * e * np.cos(phase), yaw=6.0 * DEG * e * np.sin(phase))
    actor.air = actor.air + 0.035 * actor.plan.height * e * up
    actor.stretch = actor.stretch * (1.0 + 0.06 * e * (2.0 * up - 1.0))


def spring(actor: Actor, *, period: float, height: float, arms: float) -> None:
    """Crouch, take off, fly, land, recover."""
    u, plan, e = cycles(actor, period), actor.plan, min(actor.energy, 1.4)
    crouch = keyed(u, [(0.0, 0.0), (0.2, 1.0), (0.32, -0.15), (0.5, 0.35), (0.7, 0.0), (0.8, 0.9), (1.0, 0.0)])
    flight = np.clip((u - 0.3) / 0.42, 0.0, 1.0)
    actor.lower_arms()
    actor.crouch(30.0 * DEG * e * np.maximum(crouch, 0.0))
    actor.air = actor.air + 4.0 * height * plan.height * e * flight * (1.0 - flight)
    fold = 16.0 if plan.upright and plan.legs else 5.0
    actor.bend(pitch=fold * DEG * crouch)
    actor.nod(pitch=-0.6 * fold * DEG * crouch)
    for pair in plan.arms:
        for limb in pair:
            reach = keyed(u, [(0.0, 0.0), (0.2, -0.45), (0.38, 1.0), (0.62, 0.8), (0.82, -0.1), (1.0, 0.0)])
            actor.arm(
                limb,
                swing=arms * 60.0 * DEG * reach,
                rise=arms * 22.0 * DEG * np.maximum(reach, 0.0),
                elbow=18.0 * DEG,
            )
    if not plan.legs:
        actor.stretch = actor.stretch * (
            1.0
            + 0.24
            * e
            * keyed(
                u,
                [(0.0, 0.0), (0.2, -0.2), (0.36, 1.0), (0.52, 0.1), (0.7, 0.7), (0.79, -0.4), (0.9, 0.25), (1.0, 0.0)],
            )
        )
    for limb in (*plan.loose, *plan.tails):
        actor.turn(
            limb.joints[0],
            plan.left,
            14.0 * DEG * e * keyed(u, [(0.0, 0.0), (0.25, -0.6), (0.42, 0.8), (0.72, -0.8), (0.88, 0.6), (1.0, 0.0)]),
        )
    for pair in plan.wings:
        for limb in pair:
            actor.turn(limb.joints[0], plan.front, limb.side * 25.0 * DEG * e * np.sin(np.pi * flight))
