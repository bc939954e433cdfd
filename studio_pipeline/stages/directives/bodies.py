"""What a body can do: the performance that a shot gets when nobody says what to play."""

from __future__ import annotations

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb

__all__ = ["performance_of"]

_WING = 0.3  # of the diagonal: shorter wings on a body that lies are fins
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
        return "trot", "it goes on four legs"
    if plan.legs:
        count = 2 * len(plan.legs)
        return "walk", f"it goes on {'two' if count == 2 else count} legs"
    if plan.wings and not plan.upright:
        return "swim", "it lies, and has fins and no legs"
    if plan.arms:
        return "wave", "it has arms and no legs"
    joints = len(plan.spine) + len(plan.head) + sum(len(tail.joints) for tail in plan.tails)
    if not plan.upright and joints >= 3:
        return "slither", f"it lies and has no limbs but {joints} joints along its body"
    return "hop", "it has no limbs"


def _longest(pairs: tuple[tuple[Limb, Limb], ...]) -> float:
    return max((limb.length for pair in pairs for limb in pair), default=0.0)
