"""Performances: what each value of ``motion.performance`` does with the parts that a body has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.stages.takes.beats import DEG, TAU, cycles, folded_wings, phase_of, stand, swish
from studio_pipeline.stages.takes.gaits import gait_cycle, spring
from studio_pipeline.stages.takes.posing import Actor, keyed

__all__ = ["PERFORMANCES", "perform"]


def perform(name: str, actor: Actor) -> None:
    """Let ``actor`` play the performance ``name``."""
    PERFORMANCES[name](actor)


def _hold(actor: Actor) -> None:
    """The rest pose, nothing moves."""


def _idle(actor: Actor) -> None:
    phase, e = phase_of(actor, 2.4), actor.energy
    actor.lower_arms()
    breath = np.sin(phase)
    actor.bend(pitch=-2.2 * DEG * e * breath, roll=1.2 * DEG * e * np.sin(0.5 * phase))
    actor.nod(pitch=2.0 * DEG * e * np.sin(phase - 0.6), yaw=3.0 * DEG * e * np.sin(0.5 * phase - 0.8))
    actor.crouch(2.0 * DEG * e * (1.0 - breath) / 2.0)
    if not actor.plan.legs:
        actor.stretch = 1.0 + 0.035 * e * breath
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=2.0 * DEG * e * breath, swing=1.5 * DEG * e * breath, elbow=(8 + 2 * breath) * DEG)
    swish(actor, phase * 0.5, amplitude=9.0)
    folded_wings(actor, phase)


def _look_around(actor: Actor) -> None:
    u, e = cycles(actor, 2.0), min(actor.energy, 1.25)
    side = keyed(
        u, [(0.0, 0.0), (0.06, -0.12), (0.28, 1.06), (0.36, 1.0), (0.48, 0.97), (0.74, -1.05), (0.82, -1.0), (1.0, 0.0)]
    )
    rise = keyed(u, [(0.0, 0.0), (0.16, 1.0), (0.3, 0.0), (0.48, 0.0), (0.6, 1.0), (0.76, 0.0), (1.0, 0.0)])
    stand(actor)
    actor.nod(yaw=46.0 * DEG * e * side, pitch=7.0 * DEG * rise)
    actor.bend(yaw=14.0 * DEG * e * side)
    swish(actor, phase_of(actor, 1.6), amplitude=8.0)


def _nod(actor: Actor) -> None:
    u, e = cycles(actor, 0.9), min(actor.energy, 1.3)
    dip = keyed(u, [(0.0, 0.0), (0.18, -0.25), (0.45, 1.0), (0.72, 0.15), (1.0, 0.0)])
    stand(actor)
    actor.nod(pitch=24.0 * DEG * e * dip)
    actor.bend(pitch=5.0 * DEG * e * dip)
    swish(actor, phase_of(actor, 1.2), amplitude=7.0)


def _tremble(actor: Actor) -> None:
    t, e = actor.seconds, actor.energy
    shiver = np.sin(TAU * 7.3 * t) * (0.7 + 0.3 * np.sin(TAU * 1.7 * t))
    stand(actor)
    actor.crouch(9.0 * DEG * e + 0.8 * DEG * shiver)
    actor.bend(pitch=9.0 * DEG * e, roll=1.6 * DEG * e * shiver, yaw=0.9 * DEG * e * np.sin(TAU * 6.1 * t))
    actor.nod(pitch=7.0 * DEG * e, yaw=2.6 * DEG * e * np.sin(TAU * 6.7 * t + 1.0))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, swing=(22.0 + 2.0 * shiver) * DEG, elbow=(50.0 + 3.0 * shiver) * DEG)


def _walk(actor: Actor) -> None:
    gait_cycle(actor, "walk", period=1.0, swing=25.0, flex=46.0, lean=3.0, flight=0.0)


def _sneak(actor: Actor) -> None:
    actor.crouch(13.0 * DEG)
    actor.bend(pitch=14.0 * DEG if actor.plan.upright else 0.0)
    gait_cycle(actor, "walk", period=1.6, swing=21.0, flex=62.0, lean=4.0, flight=0.0)


def _trot(actor: Actor) -> None:
    gait_cycle(actor, "trot", period=0.68, swing=26.0, flex=52.0, lean=6.0, flight=0.014)


def _run(actor: Actor) -> None:
    gait_cycle(actor, "run", period=0.58, swing=37.0, flex=82.0, lean=12.0, flight=0.03)


def _jump(actor: Actor) -> None:
    spring(actor, period=1.1, height=0.2, arms=1.0)


def _hop(actor: Actor) -> None:
    spring(actor, period=0.6, height=0.1, arms=0.35)
    actor.whole(roll=3.0 * DEG * np.sin(phase_of(actor, 1.2)))


def _cheer(actor: Actor) -> None:
    spring(actor, period=0.7, height=0.07, arms=0.0)
    shake = np.sin(phase_of(actor, 0.35))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=(118.0 + 9.0 * shake) * DEG, elbow=10.0 * DEG)
    actor.nod(pitch=-9.0 * DEG)
    if not actor.plan.arms:
        actor.whole(roll=8.0 * DEG * np.sin(phase_of(actor, 0.7)))


def _wave(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.25)
    beat = np.sin(phase_of(actor, 0.55))
    pick = int(actor.rng.integers(2))
    stand(actor)
    if plan.arms:
        limb = plan.arms[0][pick]
        actor.arm(limb, rise=(112.0 + 6.0 * beat) * DEG)
        fore = limb.joint_at(0.5, after=0)
        actor.turn(limb.joints[max(fore, 0)], plan.front, limb.side * (18.0 + 26.0 * e * beat) * DEG)
        lean = float(limb.side)
    elif plan.legs and len(plan.legs) > 1:
        limb = plan.legs[0][pick]
        actor.leg(limb, 55.0 * DEG, (-12.0 + 24.0 * e * beat) * DEG, level=0.0)
        lean = float(limb.side)
    elif plan.wings:
        limb = plan.wings[0][pick]
        actor.turn(limb.joints[0], plan.front, limb.side * (35.0 + 25.0 * e * beat) * DEG)
        lean = float(limb.side)
    else:
        actor.whole(roll=12.0 * DEG * e * beat)
        lean = 1.0
    actor.bend(roll=-lean * 4.0 * DEG)
    actor.nod(roll=lean * 7.0 * DEG + 2.0 * DEG * beat)
    swish(actor, phase_of(actor, 1.1))


def _dance(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.35)
    phase = phase_of(actor, 1.0)
    side, beat = np.sin(phase), np.cos(2.0 * phase)
    actor.lower_arms()
    actor.crouch(7.0 * DEG * e * (1.0 + beat))
    actor.whole(roll=7.0 * DEG * e * side, yaw=8.0 * DEG * e * np.sin(phase + 0.6))
    actor.bend(roll=-12.0 * DEG * e * side, yaw=-7.0 * DEG * e * np.sin(phase + 0.6))
    actor.nod(roll=9.0 * DEG * e * side, pitch=5.0 * DEG * e * beat)
    actor.offset += (0.03 * plan.height * e * side)[:, None] * plan.left
    for pair in plan.arms:
        for limb in pair:
            lifted = 0.5 + 0.5 * np.sin(phase + (0.0 if limb.side > 0 else np.pi))
            actor.arm(limb, rise=(18.0 + 75.0 * e * lifted) * DEG, swing=18.0 * DEG, elbow=(35.0 + 25.0 * beat) * DEG)
    if not plan.legs:
        actor.stretch = actor.stretch * (1.0 + 0.08 * e * beat)
        actor.air = actor.air + 0.03 * plan.height * e * np.abs(side)
    swish(actor, phase, amplitude=22.0)
    folded_wings(actor, 2.0 * phase, 16.0)


def _attack(actor: Actor) -> None:
    u, plan, e = cycles(actor, 1.1), actor.plan, min(actor.energy, 1.35)
    strike = keyed(u, [(0.0, 0.0), (0.3, -1.0), (0.38, -1.05), (0.5, 1.12), (0.6, 1.0), (0.74, 0.95), (1.0, 0.0)])
    ahead, back = np.maximum(strike, 0.0), np.maximum(-strike, 0.0)
    stand(actor)
    pick = int(actor.rng.integers(2))
    if plan.arms:
        limb = plan.arms[0][pick]
        other = plan.arms[0][1 - pick]
        actor.arm(
            limb,
            swing=(88.0 * ahead - 42.0 * back) * e * DEG,
            rise=28.0 * DEG * back,
            elbow=(80.0 * back + 8.0 * ahead) * DEG,
        )
        actor.arm(other, swing=-26.0 * DEG * strike, elbow=40.0 * DEG * np.abs(strike))
        actor.bend(yaw=limb.side * -30.0 * DEG * e * strike, pitch=9.0 * DEG * e * strike)
        actor.nod(yaw=limb.side * 22.0 * DEG * e * strike)
    else:
        actor.whole(pitch=10.0 * DEG * e * strike if plan.legs else 16.0 * DEG * e * strike)
        actor.bend(pitch=6.0 * DEG * e * strike)
        actor.nod(pitch=(-14.0 * back + 16.0 * ahead) * DEG * e)
        if len(plan.legs) > 1:
            actor.leg(plan.legs[0][pick], 55.0 * DEG * ahead - 12.0 * DEG * back, 50.0 * DEG * back, level=0.3)
        else:
            actor.stretch = actor.stretch * (1.0 + 0.1 * e * strike)
    actor.crouch(9.0 * DEG * np.abs(strike))
    actor.offset += (0.07 * plan.height * e * strike)[:, None] * plan.front
    swish(actor, phase_of(actor, 0.9), amplitude=18.0)


def _fall(actor: Actor) -> None:
    span = max(actor.seconds[-1], 1e-6)
    u, plan = actor.seconds / span, actor.plan
    side = 1.0 if actor.rng.integers(2) else -1.0
    tip = keyed(u, [(0.0, 0.0), (0.22, -0.09), (0.35, 0.06), (0.68, 1.0), (0.77, 0.93), (0.86, 1.0), (1.0, 1.0)])
    loose = keyed(u, [(0.0, 0.0), (0.35, 0.2), (0.6, 1.0), (0.8, 0.55), (1.0, 0.6)])
    actor.lower_arms()
    actor.whole(roll=side * 84.0 * DEG * tip)
    actor.bend(roll=side * 8.0 * DEG * loose, pitch=9.0 * DEG * loose)
    actor.nod(roll=-side * 12.0 * DEG * loose)
    for pair in plan.arms:
        for limb in pair:
            actor.arm(limb, swing=30.0 * DEG * loose, rise=20.0 * DEG * loose, elbow=35.0 * DEG * loose)
    for pair in plan.legs:
        for limb in pair:
            actor.leg(limb, limb.side * side * 12.0 * DEG * loose, 26.0 * DEG * loose, level=0.2)


def _fly(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = phase_of(actor, 0.5)
    flapping = plan.wings or plan.arms
    if not plan.wings:
        actor.spread_arms(0.1)
    for pair in flapping:
        for limb in pair:
            for index, joint in enumerate(limb.joints[:3]):
                size = (34.0, 14.0, 9.0)[index]
                actor.turn(joint, plan.front, limb.side * size * DEG * e * np.sin(phase - 0.7 * index))
    if not flapping:
        actor.stretch = actor.stretch * (1.0 + 0.06 * e * np.sin(phase))
        actor.whole(roll=5.0 * DEG * e * np.sin(0.5 * phase))
    if plan.wings:
        actor.lower_arms()
    for pair in plan.legs:
        for limb in pair:
            actor.leg(limb, (-6.0 + 4.0 * np.sin(phase - 1.5)) * DEG, 22.0 * DEG, level=-0.25)
    actor.air = actor.air + plan.height * (0.07 + 0.025 * e * np.sin(phase + 2.4))
    actor.bend(pitch=6.0 * DEG * plan.upright + 2.0 * DEG * np.sin(phase))
    actor.nod(pitch=-6.0 * DEG * plan.upright)
    swish(actor, 0.5 * phase)


def _undulate(actor: Actor, *, period: float, amplitude: float, bob: float) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = phase_of(actor, period)
    chain = (*reversed(plan.head), *reversed(plan.spine))
    for index, joint in enumerate(chain):
        actor.turn(
            joint, plan.up, 0.35 * amplitude * DEG * e * np.sin(phase + 0.6 * index) * min(1.0, 4.0 / len(chain))
        )
    for tail in plan.tails:
        actor.wave_along(tail.joints, plan.up, amplitude * DEG * e, phase - 1.0)
    actor.whole(yaw=0.3 * amplitude * DEG * e * np.sin(phase - 0.5))
    if not plan.tails and not chain:
        actor.whole(roll=8.0 * DEG * e * np.sin(phase))
    if bob > 0.0:
        actor.air = actor.air + plan.height * bob * (1.2 + np.sin(0.5 * phase))
    for pair in plan.wings:
        for limb in pair:
            actor.turn(limb.joints[0], plan.front, limb.side * 16.0 * DEG * e * np.sin(phase - 0.8))


def _swim(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = phase_of(actor, 0.9)
    _undulate(actor, period=0.9, amplitude=24.0, bob=0.03)
    actor.spread_arms(-0.2)
    for pair in plan.arms:
        for limb in pair:
            actor.arm(limb, swing=38.0 * DEG * e * np.sin(phase), rise=22.0 * DEG * np.cos(phase), elbow=25.0 * DEG)
    for index, pair in enumerate(plan.legs):
        for limb in pair:
            own = 1.5 * phase + (np.pi if limb.side < 0 else 0.0) + index
            actor.leg(limb, 16.0 * DEG * e * np.sin(own), (14.0 + 10.0 * np.cos(own)) * DEG, level=-0.2)
    for limb in plan.loose:
        actor.turn(limb.joints[0], plan.front, (limb.side or 1) * 12.0 * DEG * e * np.sin(phase - 0.5))


def _slither(actor: Actor) -> None:
    actor.lower_arms()
    _undulate(actor, period=1.1, amplitude=30.0, bob=0.0)
    swish(actor, phase_of(actor, 1.1), amplitude=6.0)


PERFORMANCES: dict[str, Callable[[Actor], None]] = {
    "hold": _hold, "idle": _idle, "walk": _walk, "sneak": _sneak, "trot": _trot, "run": _run, "jump": _jump,
    "hop": _hop, "wave": _wave, "cheer": _cheer, "dance": _dance, "attack": _attack, "fly": _fly, "swim": _swim,
    "slither": _slither, "look_around": _look_around, "nod": _nod, "fall": _fall, "tremble": _tremble,
}  # fmt: skip
"""By value of the taxonomy's field ``motion.performance``."""
