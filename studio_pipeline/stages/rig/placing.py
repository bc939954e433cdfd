"""Joints for the parts of a body: at bends, else where bodies of that kind have them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from studio_pipeline.geometry.bodytree import Line
from studio_pipeline.geometry.branches import cut_near
from studio_pipeline.stages.rig.anatomy import Anatomy, Part
from studio_pipeline.stages.rig.joints import Skeleton
from studio_pipeline.stages.rig.legs import hip_of, leg_joints

__all__ = ["place_joints"]

_ARM = (0.42, 0.76, 0.91)  # of the way from the shoulder to the tip: elbow, wrist, knuckles
_STEP, _PLAIN_STEP, _CURVED = 0.14, 0.2, 1.08  # of the diagonal: bones of a trunk without legs, straight and bare; ...
_MOST, _MISS = 14, 0.8  # bones of a trunk without legs; radii by which they may leave its middle before
_SHORT = 0.12  # of the diagonal: shorter arms and legs have no elbow, no knee
_LIMB = (0.33, 0.64)  # of any other limb
_BESIDE = 0.15  # of a bone: a joint this far from another is not in the same place
_COLLAR = 0.35  # of the way from the trunk's middle to the shoulder
_LIFT = 0.2  # radii: how far above its middle the spine of a lying trunk runs
_NECK_STEP, _TAIL_STEP = 0.11, 0.09  # of the diagonal
_UPRIGHT_SPINE = ((2.6, (0.15, 0.42, 0.7)), (1.2, (0.2, 0.68)), (0.0, (0.5,)))  # from radii of length: places from
_LYING_SPINE = ((4.0, (0.3, 0.62, 0.95)), (1.0, (0.35, 0.95)), (0.0, (0.8,)))  # the hips to the chest


def place_joints(body: Anatomy, diagonal: float) -> Skeleton:
    """The skeleton of a body.

    Args:
        body: Its parts.
        diagonal: Of its bounding box.
    """
    return _Placer(body, diagonal).place()


class _Placer:
    def __init__(self, body: Anatomy, diagonal: float) -> None:
        self.body, self.diagonal = body, diagonal
        self.skeleton = Skeleton()
        self.stations: list[tuple[float, int]] = []  # arc length and joint on the trunk
        self.chain = 0

    def place(self) -> Skeleton:
        """All of it."""
        body = self.body
        if body.trunk is None:
            self._hub()
        elif body.hips is None or body.many:
            self._plain_trunk(body.trunk)
        else:
            self._legged_trunk(body.trunk, body.hips)
        for part in sorted(body.parts, key=lambda p: tuple(-p.limb.line.points[-1])):
            self._part(part)
        return self.skeleton

    # ------------------------------------------------------------------ the trunk

    def _hub(self) -> None:
        reach = max(0.5 * self.body.hub_radius, 0.02 * self.diagonal)
        self.skeleton.add(self.body.hub, self.body.hub + np.array([0.0, reach, 0.0]), -1, 0)
        self.stations = [(0.0, 0)]

    def _row(self, trunk: Line, places: list[float], parent: int, end: float) -> None:
        """Joints on the trunk at ``places``, one on the other; the last one's bone ends at ``end``."""
        points = [trunk.place(place) + self._lift(trunk, place) for place in [*places, end]]
        for place, head, tail in zip(places, points[:-1], points[1:], strict=True):
            parent = self.skeleton.add(head, tail, parent, self.chain)
            self.stations.append((place, parent))

    def _lift(self, trunk: Line, place: float) -> np.ndarray:
        """Spines of lying bodies run along the back."""
        body = self.body
        lies = not (body.upright or body.many) and body.hips is not None and body.chest is not None
        if not lies or not body.hips - 1e-9 <= place <= body.chest + 1e-9:  # pyright: ignore[reportOptionalOperand]
            return np.zeros(3)
        return np.array([0.0, _LIFT * trunk.thickness(place), 0.0])

    def _plain_trunk(self, trunk: Line) -> None:
        """Even bones along a trunk without legs, or with many; the root is the joint nearest to its middle."""
        chord = float(np.linalg.norm(trunk.points[-1] - trunk.points[0]))
        step = _STEP if self.body.parts or trunk.length > _CURVED * chord else _PLAIN_STEP
        bones = int(np.clip(round(trunk.length / (step * self.diagonal)), 3, _MOST))
        if self.body.many:
            bones = min(bones, 4)
        places = self._even(trunk, bones)
        while self._misses(trunk, places) and len(places) < _MOST and not self.body.many:
            places = self._even(trunk, len(places) + 1)
        root = int(np.argmin(np.abs(np.array(places) - self._root_place(trunk))))
        self._row(trunk, places[root:], -1, trunk.length)
        first = self.stations[0][1]
        self.chain += 1
        if root:
            # The bone that runs the other way begins beside the root, not a bone away from it.
            away = [places[root] + _BESIDE * (places[root - 1] - places[root]), *places[1:root][::-1]]
            self._row(trunk, away, first, 0.0)

    def _even(self, trunk: Line, bones: int) -> list[float]:
        """Places of joints on a trunk: even, but at its bends."""
        shares = tuple(np.linspace(0.6 / bones, 1.0 - 0.6 / bones, bones))
        return list(trunk.along[cut_near(trunk.points, trunk.radius, shares)[1:-1]])

    def _misses(self, trunk: Line, places: list[float]) -> bool:
        """Whether bones between places leave the trunk's middle by a radius."""
        knots = np.array([0.0, *places, trunk.length])
        straight = np.stack([np.interp(trunk.along, knots, trunk.place(knots)[:, axis]) for axis in range(3)], axis=1)
        return bool(np.any(np.linalg.norm(trunk.points - straight, axis=1) > _MISS * trunk.radius.mean()))

    def _root_place(self, trunk: Line) -> float:
        if self.body.upright and not self.body.many:
            return 0.0  # it stands on its root
        if self.body.many and self.body.parts:
            return float(np.mean([part.limb.at for part in self.body.parts if part.kind == "leg"]))
        return float(np.average(trunk.along, weights=trunk.radius**2))

    def _legged_trunk(self, trunk: Line, hips: float) -> None:
        body = self.body
        chest = body.chest if body.chest is not None else hips + 0.6 * max(body.head - hips, 0.0)
        span = chest - hips
        radius = trunk.thickness(hips + 0.5 * span)
        spine = _UPRIGHT_SPINE if body.upright else _LYING_SPINE
        shares = next(shares for radii, shares in spine if span >= radii * radius or not radii)
        places = [hips, *(hips + share * span for share in shares)]
        neck = min(chest + (0.35 if body.upright else 0.8) * trunk.thickness(chest), body.head)
        gap = body.head - neck
        if gap > 0.02 * self.diagonal:
            necks = int(np.clip(round(gap / (_NECK_STEP * self.diagonal)), 1, 4))
            places += [neck + gap * i / necks for i in range(necks)]
        places.append(body.head)
        self._row(trunk, places, -1, trunk.length)
        self._tail(trunk, hips)

    def _tail(self, trunk: Line, hips: float) -> None:
        length = start = hips - 0.8 * trunk.thickness(hips)
        if length < 0.05 * self.diagonal + (hips - start if self.body.upright else 0.0):
            return
        bones = int(np.clip(round(length / (_TAIL_STEP * self.diagonal)), 1, 6))
        self.chain += 1
        places = [start * (1.0 - i / bones) for i in range(bones)]
        root = self.stations[0][1]
        self.skeleton.reach[root].append(np.stack([trunk.place(hips), trunk.place(start)]))
        self._row(trunk, places, root, 0.0)

    # ------------------------------------------------------------------ limbs

    def _part(self, part: Part) -> None:
        line, hub = part.limb.line, self._station(part)
        points = self._standing(part) if self._stands(part) else self._reaching(part)
        sides = [np.ones(3), np.array([-1.0, 1.0, 1.0])] if part.limb.paired else [np.ones(3)]
        for side in sides:
            self.chain += 1
            parent = hub
            self.skeleton.reach[hub].append(np.stack([line.points[0], points[0]]) * side)
            for head, tail in pairwise(points):
                parent = self.skeleton.add(head * side, tail * side, parent, self.chain)

    def _station(self, part: Part) -> int:
        body = self.body
        if part.kind == "leg" and body.hips is not None and not body.many:
            chest = body.chest if body.chest is not None and not body.upright else np.inf
            if abs(part.limb.at - body.hips) < abs(part.limb.at - chest):
                return 0
        return min(self.stations, key=lambda s: abs(s[0] - part.limb.at))[1]

    def _stands(self, part: Part) -> bool:
        return part.kind == "leg" and not self.body.many and self.body.trunk is not None

    def _radius(self, part: Part) -> float:
        body = self.body
        return body.hub_radius if body.trunk is None else body.trunk.thickness(part.limb.at)

    def _standing(self, part: Part) -> np.ndarray:
        """Joints of a leg, and the tip of its foot. [N, 3]"""
        body, line = self.body, part.limb.line
        begin = line.place(min(0.25 * self._radius(part), 0.2 * line.length))
        lies = body.chest is not None and not body.upright
        assert body.trunk is not None
        hip = hip_of(line, begin, body.trunk.place(part.limb.at) if lies else begin)
        return leg_joints(line, begin, hip, beast=lies, shortest=_SHORT * self.diagonal)

    def _reaching(self, part: Part) -> np.ndarray:
        """Joints of any other limb, and its tip. [N, 3]"""
        line, radius = part.limb.line, self._radius(part)
        begin, shares = min(0.9 * radius, 0.45 * line.length), _LIMB
        if part.kind == "arm":
            thick = float(np.median(line.radius[len(line.radius) // 2 :]))
            begin = self._shoulder(line, radius)
            reach = line.length - begin
            shares = _ARM if reach > 14.0 * thick else _ARM[:2] if reach > _SHORT * self.diagonal else (0.6,)
        elif part.kind == "ornament":
            shares = ()
        elif part.kind == "fin":
            reach = (line.length - begin) / self.diagonal
            shares = _LIMB if reach > 0.34 else (0.5,) if reach > 0.2 else ()
        elif line.length - begin < 0.14 * self.diagonal:
            shares = ()
        elif line.length - begin < 0.22 * self.diagonal:
            shares = (0.5,)
        rest = line.piece(begin, line.length)
        points = rest.points[cut_near(rest.points, rest.radius, shares)]
        if part.kind == "arm" and line.length > 10.0 * float(np.median(line.radius)):
            points = np.concatenate([[line.points[0] + _COLLAR * (points[0] - line.points[0])], points])
        return points

    def _shoulder(self, line: Line, radius: float) -> float:
        """Where an arm leaves the trunk: inwards from its middle until it is thicker than an arm."""
        arm = float(np.median(line.radius[len(line.radius) // 3 : -len(line.radius) // 6]))
        thick = np.flatnonzero(line.radius[: len(line.radius) // 2] > 1.3 * arm)
        begin = float(line.along[thick[-1]]) if len(thick) else 0.0
        return float(np.clip(begin, min(0.5 * radius, 0.3 * line.length), 0.45 * line.length))
