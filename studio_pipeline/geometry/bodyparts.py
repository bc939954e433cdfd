"""The parts of a body as `bodyplan.body_plan` finds them on a rig."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

__all__ = ["BodyPlan", "Limb", "LimbKind"]

LimbKind = Literal["leg", "arm", "wing", "loose"]


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A chain of joints from the trunk to a tip."""

    joints: tuple[int, ...]  # from the trunk outwards
    members: tuple[int, ...]  # all joints of the limb, fingers too
    side: int  # +1 left, -1 right, 0 central
    points: np.ndarray  # [len(joints) + 1, 3] heads and the tip, rest, world
    kind: LimbKind
    attach: int  # trunk joint that carries it

    @property
    def length(self) -> float:
        """Length along the chain [m]."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    def joint_at(self, share: float, *, after: int = -1) -> int:
        """Index in ``joints`` of the joint nearest to ``share`` of the length, beyond index ``after``; -1: none."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        where = np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / max(steps.sum(), 1e-9)
        if after + 1 >= len(self.joints):
            return -1
        return after + 1 + int(np.argmin(np.abs(where[after + 1 :] - share)))


@dataclass(frozen=True, kw_only=True)
class BodyPlan:
    """The parts of a body; pairs are (left, right), front pairs first."""

    left: np.ndarray  # [3] unit
    up: np.ndarray  # [3] unit
    front: np.ndarray  # [3] unit
    body: int  # joint that moves everything
    spine: tuple[int, ...]  # central joints after ``body`` up to the last limbs
    rear: tuple[int, ...]  # central joints behind ``body`` that carry limbs, from the body backwards
    head: tuple[int, ...]  # central joints beyond the spine: neck and head
    tails: tuple[Limb, ...]
    legs: tuple[tuple[Limb, Limb], ...]
    arms: tuple[tuple[Limb, Limb], ...]
    wings: tuple[tuple[Limb, Limb], ...]
    loose: tuple[Limb, ...]
    followers: tuple[tuple[int, int, bool], ...]  # joint, the limb's last joint that it goes with, whether it's a foot
    height: float  # [m]
    diagonal: float  # [m]
    upright: bool  # the trunk stands rather than lies

    def describe(self) -> dict[str, int | bool]:
        """How many of which parts, for the record."""
        return {
            "leg_pairs": len(self.legs), "arm_pairs": len(self.arms), "wing_pairs": len(self.wings),
            "tails": len(self.tails), "loose": len(self.loose), "spine_joints": len(self.spine),
            "head_joints": len(self.head), "upright": self.upright,
        }  # fmt: skip

    def swapped(self) -> BodyPlan:
        """Left and right exchanged: the body faces away from the axis that the pairs were found on."""

        def other(limb: Limb) -> Limb:
            return replace(limb, side=-limb.side)

        def turned(pairs: tuple[tuple[Limb, Limb], ...]) -> tuple[tuple[Limb, Limb], ...]:
            return tuple((other(right), other(left)) for left, right in pairs)

        return replace(
            self,
            legs=turned(self.legs),
            arms=turned(self.arms),
            wings=turned(self.wings),
            loose=tuple(other(limb) for limb in self.loose),
        )
