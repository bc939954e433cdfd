"""Performances: what each value of ``motion.performance`` does with the parts that a body has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.stages.takes.bodyplan import Limb
from studio_pipeline.stages.takes.posing import Actor, keyed

__all__ = ["PERFORMANCES", "perform"]

_DEG = np.pi / 180.0
_TAU = 2.0 * np.pi
Phase = np.ndarray


def perform(name: str, actor: Actor) -> None:
    """Let ``actor`` play the performance ``name``."""
    PERFORMANCES[name](actor)


def _cycles(actor: Actor, period: float) -> np.ndarray:
    """Position 0..1 in an action that is repeated a whole number of times within the clip; 0 while easing in. [T]"""
    start = min(0.12, actor.seconds[-1] / 8.0)
    length = max(actor.seconds[-1] - start, 1e-6)
    count = max(1, round(length / period))
    position = np.clip((actor.seconds - start) / length, 0.0, 1.0) * count
    return np.where(position >= count, 1.0, position % 1.0)


def _phase(actor: Actor, period: float) -> Phase:
    return _TAU * actor.seconds / period


def _swish(actor: Actor, phase: Phase, *, amplitude: float = 14.0) -> None:
    """Tails, ears and the rest follow the body late."""
    size = amplitude * _DEG * min(actor.energy, 1.3)
    for tail in actor.plan.tails:
        actor.wave_along(tail.joints, actor.plan.up, size, phase - 0.6)
        actor.wave_along(tail.joints, actor.plan.left, 0.3 * size, 2.0 * phase - 1.0)
    for limb in actor.plan.loose:
        side = float(limb.side or 1)
        actor.turn(limb.joints[0], actor.plan.left, 0.35 * size * np.sin(2.0 * phase - 1.2))
        actor.turn(limb.joints[0], actor.plan.front, 0.2 * side * size * np.sin(2.0 * phase - 1.8))


def _folded_wings(actor: Actor, phase: Phase, amplitude: float = 4.0) -> None:
    for left, right in actor.plan.wings:
        for limb in (left, right):
            actor.turn(limb.joints[0], actor.plan.front, limb.side * amplitude * _DEG * np.sin(phase))


# -- standing


def _hold(actor: Actor) -> None:
    """The rest pose, nothing moves."""


def _idle(actor: Actor) -> None:
    phase, e = _phase(actor, 2.4), actor.energy
    actor.lower_arms()
    breath = np.sin(phase)
    actor.bend(pitch=-2.2 * _DEG * e * breath, roll=1.2 * _DEG * e * np.sin(0.5 * phase))
    actor.nod(pitch=2.0 * _DEG * e * np.sin(phase - 0.6), yaw=3.0 * _DEG * e * np.sin(0.5 * phase - 0.8))
    actor.crouch(2.0 * _DEG * e * (1.0 - breath) / 2.0)
    if not actor.plan.legs:
        actor.stretch = 1.0 + 0.035 * e * breath
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=2.0 * _DEG * e * breath, swing=1.5 * _DEG * e * breath, elbow=(8 + 2 * breath) * _DEG)
    _swish(actor, phase * 0.5, amplitude=9.0)
    _folded_wings(actor, phase)


def _look_around(actor: Actor) -> None:
    u, e = _cycles(actor, 2.0), min(actor.energy, 1.25)
    side = keyed(
        u, [(0.0, 0.0), (0.06, -0.12), (0.28, 1.06), (0.36, 1.0), (0.48, 0.97), (0.74, -1.05), (0.82, -1.0), (1.0, 0.0)]
    )
    rise = keyed(u, [(0.0, 0.0), (0.16, 1.0), (0.3, 0.0), (0.48, 0.0), (0.6, 1.0), (0.76, 0.0), (1.0, 0.0)])
    _stand(actor)
    actor.nod(yaw=46.0 * _DEG * e * side, pitch=7.0 * _DEG * rise)
    actor.bend(yaw=14.0 * _DEG * e * side)
    _swish(actor, _phase(actor, 1.6), amplitude=8.0)


def _nod(actor: Actor) -> None:
    u, e = _cycles(actor, 0.9), min(actor.energy, 1.3)
    dip = keyed(u, [(0.0, 0.0), (0.18, -0.25), (0.45, 1.0), (0.72, 0.15), (1.0, 0.0)])
    _stand(actor)
    actor.nod(pitch=24.0 * _DEG * e * dip)
    actor.bend(pitch=5.0 * _DEG * e * dip)
    _swish(actor, _phase(actor, 1.2), amplitude=7.0)


def _tremble(actor: Actor) -> None:
    t, e = actor.seconds, actor.energy
    shiver = np.sin(_TAU * 7.3 * t) * (0.7 + 0.3 * np.sin(_TAU * 1.7 * t))
    _stand(actor)
    actor.crouch(9.0 * _DEG * e + 0.8 * _DEG * shiver)
    actor.bend(pitch=9.0 * _DEG * e, roll=1.6 * _DEG * e * shiver, yaw=0.9 * _DEG * e * np.sin(_TAU * 6.1 * t))
    actor.nod(pitch=7.0 * _DEG * e, yaw=2.6 * _DEG * e * np.sin(_TAU * 6.7 * t + 1.0))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, swing=(22.0 + 2.0 * shiver) * _DEG, elbow=(50.0 + 3.0 * shiver) * _DEG)


def _stand(actor: Actor) -> None:
    """Arms down, a little breath."""
    actor.lower_arms()
    breath = np.sin(_phase(actor, 2.4))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=1.2 * _DEG * breath, elbow=9.0 * _DEG)


# -- gaits


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


def _gait(actor: Actor, gait: str, *, period: float, swing: float, flex: float, lean: float, flight: float) -> None:
    """Legs in opposite phase, arms and shoulders against them, the rest follows."""
    plan, e = actor.plan, actor.energy
    amount = swing * _DEG * min(e, 1.3)
    phase = _phase(actor, period)
    several = len(plan.legs) > 1
    for index, pair in enumerate(plan.legs):
        for limb in pair:
            own = phase + _leg_phase(actor, index, limb, gait)
            lifted = np.maximum(0.0, np.cos(own + 0.25)) ** 1.4
            actor.leg(limb, amount * np.sin(own), flex * _DEG * min(e, 1.3) * lifted + 4.0 * _DEG, lift=0.3)
    if not plan.legs:
        _waddle(actor, phase)
    step = np.sin(phase)
    upright = 0.5 if several else 1.0
    actor.lower_arms()
    for pair in plan.arms:
        for limb in pair:
            swung = -limb.side * step
            bent = 12.0 + 1.2 * lean + (8.0 + lean) * np.maximum(0.0, swung)
            actor.arm(limb, swing=0.85 * amount * swung + 0.1 * amount, elbow=bent * _DEG)
    actor.whole(yaw=-5.0 * _DEG * e * step * upright, roll=2.2 * _DEG * e * np.cos(phase) * upright)
    actor.bend(yaw=8.0 * _DEG * e * step * upright, roll=-3.0 * _DEG * e * np.cos(phase) * upright)
    if several:
        actor.bend(pitch=lean * 0.5 * _DEG * e * np.sin(2.0 * phase if gait != "run" else phase))
    else:
        actor.bend(pitch=lean * _DEG + 1.5 * _DEG * e * np.cos(2.0 * phase))
    nodding = 2.5 * np.sin(2.0 * phase - 0.8) - (0.0 if several else 0.8 * lean)
    actor.nod(pitch=nodding * _DEG, yaw=-3.0 * _DEG * e * step * upright)
    if flight > 0.0:
        actor.air = (
            actor.air
            + flight
            * plan.height
            * e
            * np.maximum(0.0, np.sin(2.0 * phase if gait != "run" or not several else phase)) ** 1.5
        )
    _swish(actor, phase)
    _folded_wings(actor, 2.0 * phase)


def _waddle(actor: Actor, phase: Phase) -> None:
    """A body without legs rocks from side to side in small hops."""
    e = min(actor.energy, 1.3)
    up = np.abs(np.sin(phase))
    actor.whole(roll=9.0 * _DEG * e * np.cos(phase), yaw=6.0 * _DEG * e * np.sin(phase))
    actor.air = actor.air + 0.035 * actor.plan.height * e * up
    actor.stretch = actor.stretch * (1.0 + 0.06 * e * (2.0 * up - 1.0))


def _walk(actor: Actor) -> None:
    _gait(actor, "walk", period=1.0, swing=25.0, flex=46.0, lean=3.0, flight=0.0)


def _sneak(actor: Actor) -> None:
    actor.crouch(13.0 * _DEG)
    actor.bend(pitch=14.0 * _DEG if actor.plan.upright else 0.0)
    _gait(actor, "walk", period=1.6, swing=21.0, flex=62.0, lean=4.0, flight=0.0)


def _trot(actor: Actor) -> None:
    _gait(actor, "trot", period=0.68, swing=26.0, flex=52.0, lean=6.0, flight=0.014)


def _run(actor: Actor) -> None:
    _gait(actor, "run", period=0.58, swing=37.0, flex=82.0, lean=12.0, flight=0.03)


# -- springs


def _spring(actor: Actor, *, period: float, height: float, arms: float) -> None:
    """Crouch, take off, fly, land, recover."""
    u, plan, e = _cycles(actor, period), actor.plan, min(actor.energy, 1.4)
    crouch = keyed(u, [(0.0, 0.0), (0.2, 1.0), (0.32, -0.15), (0.5, 0.35), (0.7, 0.0), (0.8, 0.9), (1.0, 0.0)])
    flight = np.clip((u - 0.3) / 0.42, 0.0, 1.0)
    actor.lower_arms()
    actor.crouch(30.0 * _DEG * e * np.maximum(crouch, 0.0))
    actor.air = actor.air + 4.0 * height * plan.height * e * flight * (1.0 - flight)
    fold = 16.0 if plan.upright and plan.legs else 5.0
    actor.bend(pitch=fold * _DEG * crouch)
    actor.nod(pitch=-0.6 * fold * _DEG * crouch)
    for pair in plan.arms:
        for limb in pair:
            reach = keyed(u, [(0.0, 0.0), (0.2, -0.45), (0.38, 1.0), (0.62, 0.8), (0.82, -0.1), (1.0, 0.0)])
            actor.arm(
                limb,
                swing=arms * 60.0 * _DEG * reach,
                rise=arms * 22.0 * _DEG * np.maximum(reach, 0.0),
                elbow=18.0 * _DEG,
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
            14.0 * _DEG * e * keyed(u, [(0.0, 0.0), (0.25, -0.6), (0.42, 0.8), (0.72, -0.8), (0.88, 0.6), (1.0, 0.0)]),
        )
    for pair in plan.wings:
        for limb in pair:
            actor.turn(limb.joints[0], plan.front, limb.side * 25.0 * _DEG * e * np.sin(np.pi * flight))


def _jump(actor: Actor) -> None:
    _spring(actor, period=1.1, height=0.2, arms=1.0)


def _hop(actor: Actor) -> None:
    _spring(actor, period=0.6, height=0.1, arms=0.35)
    actor.whole(roll=3.0 * _DEG * np.sin(_phase(actor, 1.2)))


def _cheer(actor: Actor) -> None:
    _spring(actor, period=0.7, height=0.07, arms=0.0)
    shake = np.sin(_phase(actor, 0.35))
    for pair in actor.plan.arms:
        for limb in pair:
            actor.arm(limb, rise=(118.0 + 9.0 * shake) * _DEG, elbow=10.0 * _DEG)
    actor.nod(pitch=-9.0 * _DEG)
    if not actor.plan.arms:
        actor.whole(roll=8.0 * _DEG * np.sin(_phase(actor, 0.7)))


# -- gestures


def _wave(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.25)
    beat = np.sin(_phase(actor, 0.55))
    pick = int(actor.rng.integers(2))
    _stand(actor)
    if plan.arms:
        limb = plan.arms[0][pick]
        actor.arm(limb, rise=(112.0 + 6.0 * beat) * _DEG)
        fore = limb.joint_at(0.5, after=0)
        actor.turn(limb.joints[max(fore, 0)], plan.front, limb.side * (18.0 + 26.0 * e * beat) * _DEG)
        lean = float(limb.side)
    elif plan.legs and len(plan.legs) > 1:
        limb = plan.legs[0][pick]
        actor.leg(limb, 55.0 * _DEG, (-12.0 + 24.0 * e * beat) * _DEG, level=0.0)
        lean = float(limb.side)
    elif plan.wings:
        limb = plan.wings[0][pick]
        actor.turn(limb.joints[0], plan.front, limb.side * (35.0 + 25.0 * e * beat) * _DEG)
        lean = float(limb.side)
    else:
        actor.whole(roll=12.0 * _DEG * e * beat)
        lean = 1.0
    actor.bend(roll=-lean * 4.0 * _DEG)
    actor.nod(roll=lean * 7.0 * _DEG + 2.0 * _DEG * beat)
    _swish(actor, _phase(actor, 1.1))


def _dance(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.35)
    phase = _phase(actor, 1.0)
    side, beat = np.sin(phase), np.cos(2.0 * phase)
    actor.lower_arms()
    actor.crouch(7.0 * _DEG * e * (1.0 + beat))
    actor.whole(roll=7.0 * _DEG * e * side, yaw=8.0 * _DEG * e * np.sin(phase + 0.6))
    actor.bend(roll=-12.0 * _DEG * e * side, yaw=-7.0 * _DEG * e * np.sin(phase + 0.6))
    actor.nod(roll=9.0 * _DEG * e * side, pitch=5.0 * _DEG * e * beat)
    actor.offset += (0.03 * plan.height * e * side)[:, None] * plan.left
    for pair in plan.arms:
        for limb in pair:
            lifted = 0.5 + 0.5 * np.sin(phase + (0.0 if limb.side > 0 else np.pi))
            actor.arm(
                limb, rise=(18.0 + 75.0 * e * lifted) * _DEG, swing=18.0 * _DEG, elbow=(35.0 + 25.0 * beat) * _DEG
            )
    if not plan.legs:
        actor.stretch = actor.stretch * (1.0 + 0.08 * e * beat)
        actor.air = actor.air + 0.03 * plan.height * e * np.abs(side)
    _swish(actor, phase, amplitude=22.0)
    _folded_wings(actor, 2.0 * phase, 16.0)


def _attack(actor: Actor) -> None:
    u, plan, e = _cycles(actor, 1.1), actor.plan, min(actor.energy, 1.35)
    strike = keyed(u, [(0.0, 0.0), (0.3, -1.0), (0.38, -1.05), (0.5, 1.12), (0.6, 1.0), (0.74, 0.95), (1.0, 0.0)])
    ahead, back = np.maximum(strike, 0.0), np.maximum(-strike, 0.0)
    _stand(actor)
    pick = int(actor.rng.integers(2))
    if plan.arms:
        limb = plan.arms[0][pick]
        other = plan.arms[0][1 - pick]
        actor.arm(
            limb,
            swing=(88.0 * ahead - 42.0 * back) * e * _DEG,
            rise=28.0 * _DEG * back,
            elbow=(80.0 * back + 8.0 * ahead) * _DEG,
        )
        actor.arm(other, swing=-26.0 * _DEG * strike, elbow=40.0 * _DEG * np.abs(strike))
        actor.bend(yaw=limb.side * -30.0 * _DEG * e * strike, pitch=9.0 * _DEG * e * strike)
        actor.nod(yaw=limb.side * 22.0 * _DEG * e * strike)
    else:
        actor.whole(pitch=10.0 * _DEG * e * strike if plan.legs else 16.0 * _DEG * e * strike)
        actor.bend(pitch=6.0 * _DEG * e * strike)
        actor.nod(pitch=(-14.0 * back + 16.0 * ahead) * _DEG * e)
        if len(plan.legs) > 1:
            actor.leg(plan.legs[0][pick], 55.0 * _DEG * ahead - 12.0 * _DEG * back, 50.0 * _DEG * back, level=0.3)
        else:
            actor.stretch = actor.stretch * (1.0 + 0.1 * e * strike)
    actor.crouch(9.0 * _DEG * np.abs(strike))
    actor.offset += (0.07 * plan.height * e * strike)[:, None] * plan.front
    _swish(actor, _phase(actor, 0.9), amplitude=18.0)


def _fall(actor: Actor) -> None:
    span = max(actor.seconds[-1], 1e-6)
    u, plan = actor.seconds / span, actor.plan
    side = 1.0 if actor.rng.integers(2) else -1.0
    tip = keyed(u, [(0.0, 0.0), (0.22, -0.09), (0.35, 0.06), (0.68, 1.0), (0.77, 0.93), (0.86, 1.0), (1.0, 1.0)])
    loose = keyed(u, [(0.0, 0.0), (0.35, 0.2), (0.6, 1.0), (0.8, 0.55), (1.0, 0.6)])
    actor.lower_arms()
    actor.whole(roll=side * 84.0 * _DEG * tip)
    actor.bend(roll=side * 8.0 * _DEG * loose, pitch=9.0 * _DEG * loose)
    actor.nod(roll=-side * 12.0 * _DEG * loose)
    for pair in plan.arms:
        for limb in pair:
            actor.arm(limb, swing=30.0 * _DEG * loose, rise=20.0 * _DEG * loose, elbow=35.0 * _DEG * loose)
    for pair in plan.legs:
        for limb in pair:
            actor.leg(limb, limb.side * side * 12.0 * _DEG * loose, 26.0 * _DEG * loose, level=0.2)


# -- air and water


def _fly(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = _phase(actor, 0.5)
    flapping = plan.wings or plan.arms
    if not plan.wings:
        actor.spread_arms(0.1)
    for pair in flapping:
        for limb in pair:
            for index, joint in enumerate(limb.joints[:3]):
                size = (34.0, 14.0, 9.0)[index]
                actor.turn(joint, plan.front, limb.side * size * _DEG * e * np.sin(phase - 0.7 * index))
    if not flapping:
        actor.stretch = actor.stretch * (1.0 + 0.06 * e * np.sin(phase))
        actor.whole(roll=5.0 * _DEG * e * np.sin(0.5 * phase))
    if plan.wings:
        actor.lower_arms()
    for pair in plan.legs:
        for limb in pair:
            actor.leg(limb, (-6.0 + 4.0 * np.sin(phase - 1.5)) * _DEG, 22.0 * _DEG, level=-0.25)
    actor.air = actor.air + plan.height * (0.07 + 0.025 * e * np.sin(phase + 2.4))
    actor.bend(pitch=6.0 * _DEG * plan.upright + 2.0 * _DEG * np.sin(phase))
    actor.nod(pitch=-6.0 * _DEG * plan.upright)
    _swish(actor, 0.5 * phase)


def _undulate(actor: Actor, *, period: float, amplitude: float, bob: float) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = _phase(actor, period)
    chain = (*reversed(plan.head), *reversed(plan.spine))
    for index, joint in enumerate(chain):
        actor.turn(
            joint, plan.up, 0.35 * amplitude * _DEG * e * np.sin(phase + 0.6 * index) * min(1.0, 4.0 / len(chain))
        )
    for tail in plan.tails:
        actor.wave_along(tail.joints, plan.up, amplitude * _DEG * e, phase - 1.0)
    actor.whole(yaw=0.3 * amplitude * _DEG * e * np.sin(phase - 0.5))
    if not plan.tails and not chain:
        actor.whole(roll=8.0 * _DEG * e * np.sin(phase))
    if bob > 0.0:
        actor.air = actor.air + plan.height * bob * (1.2 + np.sin(0.5 * phase))
    for pair in plan.wings:
        for limb in pair:
            actor.turn(limb.joints[0], plan.front, limb.side * 16.0 * _DEG * e * np.sin(phase - 0.8))


def _swim(actor: Actor) -> None:
    plan, e = actor.plan, min(actor.energy, 1.3)
    phase = _phase(actor, 0.9)
    _undulate(actor, period=0.9, amplitude=24.0, bob=0.03)
    actor.spread_arms(-0.2)
    for pair in plan.arms:
        for limb in pair:
            actor.arm(limb, swing=38.0 * _DEG * e * np.sin(phase), rise=22.0 * _DEG * np.cos(phase), elbow=25.0 * _DEG)
    for index, pair in enumerate(plan.legs):
        for limb in pair:
            own = 1.5 * phase + (np.pi if limb.side < 0 else 0.0) + index
            actor.leg(limb, 16.0 * _DEG * e * np.sin(own), (14.0 + 10.0 * np.cos(own)) * _DEG, level=-0.2)
    for limb in plan.loose:
        actor.turn(limb.joints[0], plan.front, (limb.side or 1) * 12.0 * _DEG * e * np.sin(phase - 0.5))


def _slither(actor: Actor) -> None:
    actor.lower_arms()
    _undulate(actor, period=1.1, amplitude=30.0, bob=0.0)
    _swish(actor, _phase(actor, 1.1), amplitude=6.0)


PERFORMANCES: dict[str, Callable[[Actor], None]] = {
    "hold": _hold, "idle": _idle, "walk": _walk, "sneak": _sneak, "trot": _trot, "run": _run, "jump": _jump,
    "hop": _hop, "wave": _wave, "cheer": _cheer, "dance": _dance, "attack": _attack, "fly": _fly, "swim": _swim,
    "slither": _slither, "look_around": _look_around, "nod": _nod, "fall": _fall, "tremble": _tremble,
}  # fmt: skip
"""By value of the taxonomy's field ``motion.performance``."""
