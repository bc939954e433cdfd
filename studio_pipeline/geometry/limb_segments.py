"""Which joints of a leg or an arm are its thigh, shin, foot, upper arm, forearm and hand, told by where they lie."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from studio_pipeline.geometry.bodyparts import Limb

__all__ = ["arm_parts", "biped_leg_parts", "quadruped_leg_parts"]

_KNEE, _ANKLE_BELOW = 0.53, 0.33  # of the hip's height: where a knee is looked for, and below which a joint is a foot's
_ELBOW, _WRIST = 0.42, 0.76  # of the way from the shoulder to the finger tips
_NO_ELBOW, _NO_WRIST, _SPARE, _NO_COLLAR = 0.3, 0.15, 0.2, 0.3  # what an arm's reading costs, as shares of its length
_LEVEL = 0.1  # of the hip's height: a first bone that drops by less is a scapula or a hip plate
_LEG = ("thigh", "shin", "foot", "toe")


def biped_leg_parts(limb: Limb, floor: float) -> list[str]:
    """A part for each of a standing leg's joints: pelvis, thigh, shin, foot, toe; a part may repeat.

    Args:
        limb: The leg.
        floor: Height of the ground [m].
    """
    count = len(limb.joints)
    height = (limb.points[:-1, 1] - floor) / max(float(limb.points[0, 1] - floor), 1e-9)
    low = [j for j in range(1, count) if height[j] < _ANKLE_BELOW]
    foot = low[0] if low else count
    knee = min(range(1, foot), key=lambda j: abs(height[j] - _KNEE), default=0)
    parts = ["thigh"] * max(knee, 1)
    if knee > 1:
        parts[0] = "pelvis"
    parts += ["shin"] * (foot - len(parts)) + ["foot"] * (count - foot)
    if count > foot + 1:
        parts[-1] = "toe"
    return parts


def quadruped_leg_parts(limb: Limb, floor: float, *, has_foot: bool) -> list[str]:
    """A part for each of the joints of one of four legs: pelvis, thigh, shin, foot, toe; a part may repeat.

    Args:
        limb: The leg.
        floor: Height of the ground [m].
        has_foot: The leg's last piece hangs elsewhere on the rig (see `BodyPlan.followers`).
    """
    count = len(limb.joints)
    height = (limb.points[:2, 1] - floor) / max(float(limb.points[0, 1] - floor), 1e-9)
    level = count + has_foot > 3 and abs(height[1] - height[0]) < _LEVEL
    parts = ["pelvis"] if level or count > 4 else []
    left = count - len(parts)
    spare = max(0, left - 4)
    return parts + list(_LEG[: min(left, 2)]) + ["shin"] * spare + list(_LEG[2 : left - spare])


def arm_parts(limb: Limb, middle: float, left: np.ndarray) -> list[str]:
    """A part for each of an arm's joints: clavicle, upper_arm, forearm, hand, finger; a part may repeat.

    All readings are tried; the one whose elbow and wrist lie nearest to where arms have them wins.

    Args:
        limb: The arm, its longest finger included.
        middle: Place of the body's middle along ``left`` [m].
        left: The body's left [3].
    """
    steps = np.linalg.norm(np.diff(limb.points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / max(float(steps.sum()), 1e-12)
    aside = np.abs(limb.points @ left - middle)
    count = len(limb.joints)
    best, chosen = np.inf, (0, count, count)
    for first in (0, 1) if count > 1 else (0,):
        cost = 0.0
        if first and along[1] > 0.1 and not (along[1] < 0.3 and aside[0] < 0.65 * aside[1]):
            cost += _NO_COLLAR
        share = (along - along[first]) / (1.0 - along[first])
        inner = range(first + 1, count)
        for elbow, wrist in [(count, count), *((e, count) for e in inner), *combinations(inner, 2)]:
            total = cost + (abs(share[elbow] - _ELBOW) if elbow < count else _NO_ELBOW)
            total += abs(share[wrist] - _WRIST) if wrist < count else _NO_WRIST
            total += _SPARE * (min(elbow, count) - first - 1)
            total += _SPARE * max(0, (wrist if wrist < count else count) - elbow - 1)
            if total < best - 1e-9:
                best, chosen = total, (first, elbow, wrist)
    first, elbow, wrist = chosen
    parts = ["clavicle"] * first + ["upper_arm"] * (min(elbow, count) - first) + ["forearm"] * (wrist - elbow)
    return parts + ["hand"] * (wrist < count) + ["finger"] * (count - wrist - 1)
