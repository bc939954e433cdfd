"""Which part of a body is what: the trunk's stations, legs, arms, fins, and what is mere ornament."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from studio_pipeline.geometry.bodytree import BodyTree, Limb, Line
from studio_pipeline.stages.rig.stations import faces_rear, hangs_at, head_of, legs_of, sticks_out

__all__ = ["Anatomy", "Part", "PartKind", "anatomy_of"]

PartKind = Literal["leg", "arm", "limb", "fin", "ornament"]

_ARM = 0.12  # of the diagonal: shorter pairs are no arms
_APART = 0.11  # of the diagonal: legs that leave the trunk this far apart are front and hind legs
_LONG = 5.0  # radii: a trunk without legs that lies and is longer is a fish's, its limbs are fins
_STUB = 0.045  # of the diagonal: what sticks out by less gets no joint unless it stands on the ground
_CREST, _FIN = 0.08, 0.22  # of the diagonal: the same on a head (ears, horns), and along the middle (fins, plates)
_MANY, _SPIKE = 8, 0.4  # more limbs than this that stick out by less than this share of their length are spikes


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A limb and what it is."""

    limb: Limb
    kind: PartKind


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """The trunk from its rear to its head, and the parts on it. Places are arc lengths on the trunk."""

    trunk: Line | None
    hub: np.ndarray  # [3] where limbs meet that have no trunk
    hub_radius: float
    parts: list[Part]
    hips: float | None  # where the hind legs are, None without legs
    chest: float | None  # where front legs or arms are
    head: float  # where the head begins
    upright: bool  # the trunk rises rather than lies
    many: bool  # three pairs of legs or more


def anatomy_of(tree: BodyTree, diagonal: float, floor: float) -> Anatomy:
    """Name the parts of a body.

    Args:
        tree: Its trunk and limbs; places of limbs are changed where the trunk is turned around.
        diagonal: Of the body's bounding box.
        floor: Its lowest height (y).
    """
    spikes = [limb for limb in tree.limbs if sticks_out(limb.line) < _SPIKE * limb.line.length]
    if sum(limb.count for limb in spikes) > _MANY:
        tree.limbs = [limb for limb in tree.limbs if limb not in spikes]
    legs, trunk = legs_of(tree, diagonal, floor), tree.trunk
    if trunk is None:
        parts = [Part(limb=limb, kind="leg" if limb in legs else "limb") for limb in tree.limbs]
        return Anatomy(
            trunk=None, hub=tree.hub, hub_radius=tree.hub_radius, parts=_long_enough(parts, diagonal), hips=None,
            chest=None, head=0.0, upright=False, many=sum(leg.count for leg in legs) > 4,
        )  # fmt: skip
    for leg in legs:
        leg.at = hangs_at(leg.line, trunk, leg.at)
    if faces_rear(trunk, tree.limbs, legs):
        trunk = trunk.reverse()
        for limb in tree.limbs:
            limb.at = trunk.length - limb.at
    return _on_trunk(tree, trunk, legs, diagonal)


def _on_trunk(tree: BodyTree, trunk: Line, legs: list[Limb], diagonal: float) -> Anatomy:
    count = sum(leg.count for leg in legs)
    hips, chest = _stations(legs, diagonal)
    arms = _arms(tree, trunk, legs, hips, diagonal) if chest is None and hips is not None and count <= 3 else []
    chest = arms[0].at if arms else chest
    head = head_of(trunk, chest if chest is not None else hips if hips is not None else 0.5 * trunk.length)
    few = sum(limb.count for limb in tree.limbs) < 6
    rises = float(trunk.points[-1, 1] - trunk.points[0, 1]) > 0.6 * trunk.length
    fish = hips is None and few and not rises and trunk.length > _LONG * float(np.mean(trunk.radius))

    def kind(limb: Limb) -> PartKind:
        if limb in legs or limb in arms:
            return "leg" if limb in legs else "arm"
        if fish or (tree.mirrored and not limb.paired):
            return "fin"
        return "ornament" if chest is not None and limb.at > head - 0.3 * trunk.thickness(head) else "limb"

    parts = [Part(limb=limb, kind=kind(limb)) for limb in tree.limbs]
    start = hips if hips is not None else 0.0
    rise = float(trunk.place(head)[1] - trunk.place(start)[1])
    return Anatomy(
        trunk=trunk, hub=tree.hub, hub_radius=tree.hub_radius, parts=_long_enough(parts, diagonal), hips=hips,
        chest=chest, head=head, upright=rise > 0.6 * max(head - start, 1e-12), many=count >= 5,
    )  # fmt: skip


def _stations(legs: list[Limb], diagonal: float) -> tuple[float | None, float | None]:
    """Where the hind legs are, and the front legs."""
    if not legs:
        return None, None
    places = sorted(leg.at for leg in legs)
    middle = 0.5 * (places[0] + places[-1])
    hips = float(np.mean([place for place in places if place <= middle]))
    if places[-1] - places[0] > _APART * diagonal and sum(leg.count for leg in legs) > 2:
        return hips, float(np.mean([place for place in places if place > middle]))
    return hips, None


def _arms(tree: BodyTree, trunk: Line, legs: list[Limb], hips: float | None, diagonal: float) -> list[Limb]:
    """The bulkiest limbs beyond the hips: one that stands for a pair, or two that are alike; none if none is long."""
    hips = hips or 0.0
    able = [
        limb for limb in tree.limbs
        if limb not in legs and limb.paired == tree.mirrored
        and hips + 0.1 * (trunk.length - hips) < limb.at < 0.97 * trunk.length
        and limb.line.length - trunk.thickness(limb.at) > _ARM * diagonal
    ]  # fmt: skip
    if not able:
        return []
    arm = max(able, key=lambda limb: limb.line.length * float(np.median(limb.line.radius)))
    near = [
        limb for limb in able
        if limb is not arm and abs(limb.at - arm.at) < 2.0 * trunk.thickness(arm.at)
        and limb.line.length > 0.6 * arm.line.length
    ]  # fmt: skip
    if tree.mirrored or not near:
        return [arm]
    return [arm, min(near, key=lambda limb: abs(limb.line.length - arm.line.length))]


def _long_enough(parts: list[Part], diagonal: float) -> list[Part]:
    """Parts less what is too short for a joint: stubs and crests."""
    kept = []
    for part in parts:
        crest = _CREST if part.kind == "ornament" else _FIN if part.kind == "fin" and not part.limb.paired else _STUB
        if part.kind == "leg" or sticks_out(part.limb.line) > crest * diagonal:
            kept.append(part)
    return kept
