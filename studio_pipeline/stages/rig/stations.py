"""Where on a trunk things are: its legs, its head, which end is which."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bodytree import BodyTree, Limb, Line
from studio_pipeline.geometry.branches import cut_near

__all__ = ["faces_rear", "hangs_at", "head_of", "legs_of", "sticks_out"]

_ON_FLOOR = 0.08  # of the diagonal: a limb that ends this low may be a leg ...
_DROP = 0.35  # ... when it goes down by this share of its length ...
_FOOT = 0.1  # ... and ends thinner than this share of the diagonal
_LIFTED = 0.1  # of a leg's height: the only pair of legs lifts the belly by more
_BELLY = 0.7  # of a limb's largest radius: as thick it still is belly
_STEEP = 0.6  # rise over length: a leg steeper than this is drawn on upwards
_NECK = 0.85  # of a head's radius: what is thinner before it is its neck


def legs_of(tree: BodyTree, diagonal: float, floor: float) -> list[Limb]:
    """Limbs that stand: low, thin at their ends, going down. The only pair of a body that lies on its belly are fins.

    Args:
        tree: Trunk and limbs.
        diagonal: Of the body's bounding box.
        floor: Its lowest height (y).
    """
    legs = []
    for limb in [limb for limb in tree.limbs if limb.paired or not tree.mirrored]:
        start, tip = limb.line.points[0], limb.line.points[-1]
        low = tip[1] - limb.line.radius[-1] < floor + _ON_FLOOR * diagonal
        if low and start[1] - tip[1] > _DROP * limb.line.length and limb.line.radius[-1] < _FOOT * diagonal:
            legs.append(limb)
    count = sum(limb.count for limb in legs)
    if count == 2 and tree.trunk is not None:
        limb = legs[0]
        belly = float(tree.trunk.place(limb.at)[1]) - tree.trunk.thickness(limb.at) - floor
        return legs if belly >= _LIFTED * (float(limb.line.points[0, 1]) - floor) else []
    return legs if count >= 2 else []


def hangs_at(leg: Line, trunk: Line, at: float) -> float:
    """Where on the trunk a leg hangs: its own axis drawn on upwards, not where medial axes meet. Arc length.

    Args:
        leg: From the trunk's middle to its tip.
        trunk: The trunk.
        at: Where the medial axes meet.
    """
    gaps = np.linalg.norm(leg.points[:, None] - trunk.points[None], axis=2)
    nearest = np.argmin(gaps, axis=1)
    outside = np.flatnonzero(gaps.min(1) > np.maximum(trunk.radius[nearest], 0.7 * trunk.thickness(at)))
    if not len(outside):
        return at
    left = float(trunk.along[nearest[outside[0]]])
    at = left if abs(left - at) > 2.0 * trunk.thickness(at) else at  # it ran along inside the trunk
    radius, start = trunk.thickness(at), leg.points[outside[0]]
    way = start - leg.place(min(leg.along[outside[0]] + 0.6 * radius, leg.length))
    rise = trunk.place(at)[1] - start[1]
    if way[1] <= _STEEP * np.linalg.norm(way) or rise <= 0.0:
        return at
    top = start + way / way[1] * rise
    found = trunk.nearest(np.array([trunk.place(at)[0], top[1], top[2]]))
    return float(np.clip(found, at - radius, at + radius))


def faces_rear(trunk: Line, limbs: list[Limb], legs: list[Limb]) -> bool:
    """Whether the trunk's first point is the head's end: thicker, higher, and nearer to arms or wings."""
    rise = float(trunk.points[-1, 1] - trunk.points[0, 1])
    if not legs and abs(rise) < 0.5 * trunk.length:
        half = len(trunk.radius) // 2
        return bool(trunk.radius[:half].mean() > trunk.radius[half:].mean())
    height = max(float(np.ptp(trunk.points[:, 1])), 0.5 * trunk.length, 1e-12)
    others = [limb for limb in limbs if limb not in legs and limb.paired]
    scores = []
    for back in (False, True):
        along = (trunk.length - trunk.along) if back else trunk.along
        places = [trunk.length - leg.at if back else leg.at for leg in legs]
        last = max(places, default=0.5 * trunk.length)
        beyond = along >= min(last + 0.5 * (trunk.length - last), 0.8 * trunk.length)
        bulk = float(trunk.radius[beyond].max() / trunk.radius.max())
        ahead = [limb for limb in others if (trunk.length - limb.at if back else limb.at) > last]
        whole = sum(limb.line.length for limb in others)
        share = sum(limb.line.length for limb in ahead) / whole if whole else 0.0
        scores.append(bulk + (-rise if back else rise) / height + 0.5 * share)
    return scores[1] > scores[0]


def head_of(trunk: Line, chest: float) -> float:
    """Where the head begins: below the last bulge of the trunk beyond ``chest``, else at a bend. Arc length."""
    start = min(chest + 0.4 * trunk.thickness(chest), 0.9 * trunk.length)
    along, radius = trunk.along, trunk.radius
    beyond = np.flatnonzero(along >= start)
    bulges = np.minimum.accumulate(radius[beyond]) < _NECK * radius[beyond]
    if bulges.any():
        bulge = beyond[np.argmax(np.where(bulges, radius[beyond], 0.0))]
        before = beyond[beyond <= bulge]
        return max(float(along[before[np.argmin(radius[before])]]), float(along[bulge] - radius[bulge]))
    rest = trunk.piece(start, trunk.length)
    return start + float(rest.along[cut_near(rest.points, rest.radius, (0.6,))[1]])


def sticks_out(line: Line) -> float:
    """How far a limb sticks out of the belly that its path comes through."""
    thin = line.radius < _BELLY * line.radius.max()
    if thin.mean() < 0.25:  # as thick as what it hangs on
        return max(line.length - float(line.radius[0]), 0.0)
    belly = (line.along + line.radius)[: int(np.argmax(thin))]
    return max(line.length - float(belly.max(initial=0.0)), 0.0)
