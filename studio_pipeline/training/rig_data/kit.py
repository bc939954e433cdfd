"""A builder for bodies: joints and primitives are added on the left and in the middle, the right is mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from studio_pipeline.training.rig_data.body import Body
from studio_pipeline.training.rig_data.shape import Shape

__all__ = ["Kit", "frame_along", "mix", "spline"]

Vector = Sequence[float] | np.ndarray
GROUND_SHARE = 0.4
"""Share of standing bodies whose root is a joint on the ground; a matter of habit that the shape doesn't tell."""
_MIRROR = np.array([-1.0, 1.0, 1.0])


Value = TypeVar("Value", float, np.ndarray)


def mix(low: Value, high: Value, share: float) -> Value:
    """The number or point ``share`` of the way from ``low`` to ``high``."""
    return low + (high - low) * share


def frame_along(along: Vector, hint: Vector = (0.0, 0.0, 1.0)) -> np.ndarray:
    """Rows x, y, z of a frame whose y runs ``along`` and whose z is as near ``hint`` as can be. [3, 3]"""
    y = np.asarray(along, float)
    y = y / max(float(np.linalg.norm(y)), 1e-12)
    z = np.asarray(hint, float) - np.dot(hint, y) * y
    if np.linalg.norm(z) < 1e-3:
        z = np.array([1.0, 0.0, 0.0]) - y[0] * y if abs(y[0]) < 0.9 else np.array([0.0, 1.0, 0.0]) - y[1] * y
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z])


def spline(points: Sequence[Vector], count: int) -> np.ndarray:
    """``count`` points at equal arc length on a smooth curve through ``points``. [count, 3]"""
    from scipy.interpolate import PchipInterpolator

    knots = np.asarray(points, float)
    steps = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1)))
    fine = PchipInterpolator(steps, knots)(np.linspace(0.0, steps[-1], 16 * len(knots)))
    arc = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1)))
    want = np.linspace(0.0, arc[-1], count)
    return np.stack([np.interp(want, arc, fine[:, k]) for k in range(3)], axis=1)


@dataclass
class _Joint:
    name: str
    at: np.ndarray
    parent: int
    tail: np.ndarray | None


@dataclass
class _Primitive:
    center: np.ndarray
    axes: np.ndarray
    scale: np.ndarray
    length: float
    radii: tuple[float, float]
    bulge: float
    box: bool
    section: str
    owners: tuple[int, ...]


@dataclass
class _Section:
    parent: str | None
    blend: float


@dataclass
class Kit:
    """A body while it is being built.

    Names of joints and sections that end in ".L" stand for both sides unless the kit isn't ``symmetric``. A primitive
    of several joints in a middle section also follows their mirrored twins; one of a single left joint in a middle
    section stays on the left alone (what a hand holds).
    """

    plan: str
    rng: np.random.Generator
    blend: float  # blend radius of sections that say nothing else
    symmetric: bool = True
    rigid: bool = False
    grounded: bool = False
    joints: list[_Joint] = field(default_factory=list)
    primitives: list[_Primitive] = field(default_factory=list)
    sections: dict[str, _Section] = field(default_factory=dict)
    section: str = "body"

    def __post_init__(self) -> None:
        self.sections["body"] = _Section(None, self.blend)

    # Random draws, short because plans make hundreds of them.
    def u(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def pick(self, *options, weights: Sequence[float] | None = None):
        """One of the options."""
        share = None if weights is None else np.asarray(weights, float) / np.sum(weights)
        return options[int(self.rng.choice(len(options), p=share))]

    def count(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def begin(self, section: str, parent: str | None = "body", blend: float | None = None) -> None:
        """What follows belongs to ``section``, which melts into ``parent`` (None: only overlaps)."""
        self.section = section
        self.sections.setdefault(section, _Section(parent, self.blend if blend is None else blend))

    def joint(self, name: str, at: Vector, parent: int = -1, tail: Vector | None = None) -> int:
        """Add a joint; its bone ends at its first child unless ``tail`` says where."""
        assert (parent < 0) == (not self.joints), "one root, first"
        end = None if tail is None else np.asarray(tail, float)
        self.joints.append(_Joint(name, np.asarray(at, float), parent, end))
        return len(self.joints) - 1

    def ground(self, z: float = 0.0) -> int:
        """The joint on the ground that many artists put above the hips, on a share of bodies; -1 without it."""
        if not self.chance(GROUND_SHARE):
            return -1
        self.grounded = True
        return self.joint("root", (0.0, 0.0, z))

    def at(self, joint: int) -> np.ndarray:
        """Where a joint is. [3]"""
        return self.joints[joint].at

    def find(self, name: str) -> int:
        """Index of the joint of this name."""
        return next(i for i, j in enumerate(self.joints) if j.name == name)

    def has(self, name: str) -> bool:
        """Whether there is a joint of this name."""
        return any(j.name == name for j in self.joints)

    def cone(
        self,
        owner: int | Sequence[int],
        start: Vector,
        end: Vector,
        radii: float | tuple[float, float],
        *,
        flat: tuple[float, float] = (1.0, 1.0),
        hint: Vector = (0.0, 0.0, 1.0),
        bulge: float = 0.0,
    ) -> None:
        """Add a round cone from ``start`` to ``end``.

        Args:
            owner: The joint or joints that move it.
            start: Start of its axis. [3]
            end: End of its axis. [3]
            radii: Radius, or radii at both ends.
            flat: Stretch of the cross-section aside and along ``hint``.
            hint: Direction that the second stretch is along. [3]
            bulge: What the radius gains in the middle.
        """
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = float(np.linalg.norm(end - start))
        pair = (radii, radii) if isinstance(radii, int | float) else radii
        axes = frame_along(end - start, hint) if length > 1e-9 else np.eye(3)
        self._add(owner, start, axes, np.array([flat[0], 1.0, flat[1]]), length, pair, bulge, False)

    def ball(self, owner: int | Sequence[int], center: Vector, radii: float | Vector, axes: np.ndarray | None = None):
        """Add an ellipsoid with ``radii`` along ``axes`` (rows)."""
        scale = np.full(3, radii, float) if isinstance(radii, int | float) else np.asarray(radii, float)
        self._add(owner, center, np.eye(3) if axes is None else axes, scale, 0.0, (1.0, 1.0), 0.0, False)

    def box(
        self,
        owner: int | Sequence[int],
        center: Vector,
        half: Vector,
        axes: np.ndarray | None = None,
        rounding: float = 0.15,
    ) -> None:
        """Add a box of half sides ``half`` along ``axes`` (rows); ``rounding`` is relative to its thinnest side."""
        edge = rounding * float(np.min(half))
        frame = np.eye(3) if axes is None else axes
        self._add(owner, center, frame, np.asarray(half, float), 0.0, (edge, edge), 0.0, True)

    def _add(self, owner, center, axes, scale, length, radii, bulge, box) -> None:
        owners = (owner,) if isinstance(owner, int) else tuple(owner)
        center = np.asarray(center, float)
        pair = (float(radii[0]), float(radii[1]))
        self.primitives.append(
            _Primitive(center, axes, scale, float(length), pair, float(bulge), box, self.section, owners)
        )

    def chain(
        self,
        names: Sequence[str],
        points: Sequence[Vector],
        radii: Sequence[float],
        parent: int,
        *,
        flat: tuple[float, float] = (1.0, 1.0),
        hint: Vector = (0.0, 0.0, 1.0),
        bulge: float = 0.0,
    ) -> list[int]:
        """Joints at ``points`` but the last, each with a round cone to the next point.

        Args:
            names: A name per joint. [n]
            points: Heads and the end of the last bone. [n + 1, 3]
            radii: Radius at each point. [n + 1]
            parent: Parent of the first joint.
            flat: As `cone`.
            hint: As `cone`.
            bulge: As `cone`, times the mean radius.

        Returns:
            Indices of the joints.
        """
        made = []
        for name, start, end, r0, r1 in zip(names, points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            parent = self.joint(name, start, parent, end)
            swell = bulge * 0.5 * (r0 + r1)
            self.cone(parent, start, end, (float(r0), float(r1)), flat=flat, hint=hint, bulge=swell)
            made.append(parent)
        return made

    def build(self) -> Body:
        """The finished body."""
        joints, parents, tails, names, mirrored = self._all_joints()
        primitives, sections = self._all_primitives(mirrored)
        shape = _shape(primitives, sections, len(joints))
        return Body(
            plan=self.plan,
            joints=np.asarray(joints, np.float32),
            parents=np.asarray(parents, np.int32),
            tails=np.asarray(tails, np.float32),
            names=tuple(names),
            shape=shape,
            rigid=self.rigid,
            symmetric=self.symmetric and not self._one_sided(),
            grounded=self.grounded,
        )

    def _one_sided(self) -> bool:
        left = [j.name.endswith(".L") for j in self.joints]
        return any(left[p.owners[0]] and not p.section.endswith(".L") for p in self.primitives if len(p.owners) == 1)

    def _all_joints(self) -> tuple[list, list, list, list, dict[int, int]]:
        joints = [replace(j) for j in self.joints]
        mirrored: dict[int, int] = {}
        for index, joint in enumerate(self.joints if self.symmetric else ()):
            if joint.name.endswith(".L"):
                tail = None if joint.tail is None else joint.tail * _MIRROR
                parent = mirrored.get(joint.parent, joint.parent)
                mirrored[index] = len(joints)
                joints.append(_Joint(joint.name[:-1] + "R", joint.at * _MIRROR, parent, tail))
        for index, joint in enumerate(joints):
            if joint.tail is None:
                below = [j.at for j in joints if j.parent == index]
                joint.tail = below[0] if below else 2.0 * joint.at - joints[joint.parent].at
        return (
            [j.at for j in joints],
            [j.parent for j in joints],
            [j.tail for j in joints],
            [j.name for j in joints],
            mirrored,
        )

    def _all_primitives(self, mirrored: dict[int, int]) -> tuple[list[_Primitive], dict[str, _Section]]:
        sections = dict(self.sections)
        if not self.symmetric:
            return list(self.primitives), sections
        primitives = []
        for item in self.primitives:
            shared = len(item.owners) > 1 and not item.section.endswith(".L")
            twins = tuple(mirrored[o] for o in item.owners if o in mirrored) if shared else ()
            primitives.append(replace(item, owners=item.owners + twins))
        for name, section in self.sections.items():
            if name.endswith(".L"):
                parent = None if section.parent is None else _right(section.parent)
                sections[_right(name)] = _Section(parent, section.blend)
        for item in self.primitives:
            if item.section.endswith(".L"):
                twin = replace(
                    item,
                    center=item.center * _MIRROR,
                    axes=item.axes * _MIRROR,
                    section=_right(item.section),
                    owners=tuple(mirrored.get(o, o) for o in item.owners),
                )
                primitives.append(twin)
        return primitives, sections


def _right(name: str) -> str:
    return name[:-1] + "R" if name.endswith(".L") else name


def _shape(primitives: list[_Primitive], sections: dict[str, _Section], joint_count: int) -> Shape:
    ordered = [p for p in primitives if not p.box] + [p for p in primitives if p.box]
    index = {name: i for i, name in enumerate(sections)}
    place = np.array([index[p.section] for p in ordered], np.int32)
    members, starts, blends = [], [], []
    for name, section in sections.items():
        group = np.flatnonzero((place == index[name]) | (place == index.get(section.parent or "", -1)))
        if np.any(place == index[name]):
            starts.append(len(members))
            members.extend(group)
            blends.append(section.blend)
    owners = np.zeros((len(ordered), joint_count), bool)
    for row, primitive in enumerate(ordered):
        owners[row, list(primitive.owners)] = True
    as_float = np.float32
    return Shape(
        centers=np.array([p.center for p in ordered], as_float),
        axes=np.array([p.axes for p in ordered], as_float),
        scales=np.array([p.scale for p in ordered], as_float),
        lengths=np.array([p.length for p in ordered], as_float),
        radii=np.array([p.radii for p in ordered], as_float),
        bulges=np.array([p.bulge for p in ordered], as_float),
        cones=sum(not p.box for p in ordered),
        sections=place,
        members=np.array(members, np.int32),
        starts=np.array(starts, np.int32),
        blends=np.array(blends, as_float),
        owners=owners,
    )
