"""What a body can do: the performance that a shot gets when nobody says what to play."""

from __future__ import annotations

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb

__all__ = ["performance_of"]

_WING = 0.3  # of the diagonal: shorter wings on a body that lies are fins
_NUMBERS = {1: "two", 2: "four", 3: "six", 4: "eight"}  # legs, by pairs
_CHAIN, _CHAIN_UP = 3, 6  # joints along a body that bends like a snake, lying and with a raised head
_DEEP = 0.35  # of the diagonal: a lying body that is higher is a fish rather than a snake
_LIFTS = 1.3  # times the legs' length: a body with such wings flies rather than walks


def performance_of(plan: BodyPlan) -> tuple[str, str]:
    """A value of ``motion.performance`` that the body's parts can play, and why this one, for people.

    Args:
        plan: The body's parts; the same plan that previz plays with.
    """
    legs, wings = _longest(plan.legs), _longest(plan.wings)
    if wings > _LIFTS * legs and (wings >= _WING * plan.diagonal or plan.upright):
        return "fly", "its wings are longer than its legs" if legs else "it has wings and no legs"
    if len(plan.legs) == 2 and not plan.upright:
        return "trot", "its trunk lies on four legs"
    if plan.legs:
        return "walk", f"it goes on {_NUMBERS.get(len(plan.legs), 'many')} legs"
    if plan.wings and not plan.upright:
        return "swim", "it lies, and has fins and no legs"
    if plan.arms:
        return "wave", "it has arms and no legs"
    joints = len(plan.spine) + len(plan.head) + sum(len(tail.joints) for tail in plan.tails)
    if joints >= (_CHAIN_UP if plan.upright else _CHAIN):
        if not plan.upright and plan.height > _DEEP * plan.diagonal:
            return "swim", "it lies, is as deep as a fish and has no limbs"
        return "slither", f"it has no limbs but {joints} joints along its body"
    return "hop", "it has no limbs"


def _longest(pairs: tuple[tuple[Limb, Limb], ...]) -> float:
    return max((limb.length for pair in pairs for limb in pair), default=0.0)
