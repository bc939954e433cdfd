"""What kind of body a rig has, found from joint positions and weights, never from names.

A body has a left and a right, a front, a trunk of central joints that ends in a head, tails, and limbs: mirrored pairs
that reach the ground (legs), flat pairs that don't (wings), other long pairs (arms), and loose appendages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from studio_pipeline.schema.records import Rig

__all__ = ["BodyPlan", "Limb", "body_plan"]

LimbKind = Literal["leg", "arm", "wing", "loose"]

_CENTRAL = 0.03  # of the diagonal: subtrees this near to the mirror plane are central
_PAIR = 0.12  # of the diagonal: how far a limb may lie from the mirror image of its partner
_GROUND = 0.07  # of the height: limbs that come this near to the lowest point stand on it


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
    head: tuple[int, ...]  # central joints beyond them: neck and head
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


def body_plan(rig: Rig, vertices: np.ndarray) -> BodyPlan:
    """Find the body plan of a rig.

    Args:
        rig: Any skeleton tree.
        vertices: Rest surface [V, 3], metres.
    """
    return _Finder(rig, vertices.astype(np.float64)).plan()


class _Finder:
    def __init__(self, rig: Rig, vertices: np.ndarray) -> None:
        self.rig, self.vertices = rig, vertices
        self.low, self.high = vertices.min(0), vertices.max(0)
        self.diagonal = float(np.linalg.norm(self.high - self.low))
        self.height = float(self.high[1] - self.low[1])
        count = rig.joint_count
        self.mass = rig.weights.astype(np.float64).sum(0)
        self.below: list[list[int]] = [[j] for j in range(count)]
        for joint in reversed(range(count)):
            if rig.parents[joint] >= 0:
                self.below[rig.parents[joint]] += self.below[joint]
        self.weight = np.array([self.mass[members].sum() for members in self.below])
        alive = self.weight > 1e-4 * self.mass.sum()
        self.children = [[c for c in range(count) if rig.parents[c] == j and alive[c]] for j in range(count)]
        self.left = self._lateral_axis()
        self.middle = float(((self.low + self.high) / 2.0) @ self.left)

    def _lateral_axis(self) -> np.ndarray:
        """+X or +Z, whichever mirrors the joints better; a body with no sides lies across it."""
        scores = []
        for axis in (0, 2):
            centre = (self.low[axis] + self.high[axis]) / 2.0
            mirrored = self.rig.heads.copy()
            mirrored[:, axis] = 2.0 * centre - mirrored[:, axis]
            near = np.linalg.norm(mirrored[:, None] - self.rig.heads[None], axis=-1).min(1)
            scores.append(float((near < 0.05 * self.diagonal).mean()))
        size = self.high - self.low
        turned = scores[1] > scores[0] + 0.2 or (
            scores[1] >= scores[0] - 0.05 and size[0] > 2.0 * size[2] and size[0] > 1.5 * size[1]
        )
        return np.array([0.0, 0.0, 1.0]) if turned else np.array([1.0, 0.0, 0.0])

    def _aside(self, points: np.ndarray) -> np.ndarray:
        return points @ self.left - self.middle

    def _chain(self, root: int, side: int, attach: int) -> Limb:
        joints = [root]
        while self.children[joints[-1]]:
            joints.append(max(self.children[joints[-1]], key=lambda c: (self._reach(c), self.weight[c])))
        return self._limb(joints, side, attach)

    def _limb(self, joints: list[int], side: int, attach: int) -> Limb:
        points = np.concatenate([self.rig.heads[joints], [self._tip(joints[-1], joints[0])]])
        members = tuple(self.below[joints[0]])
        return Limb(joints=tuple(joints), members=members, side=side, points=points, kind="loose", attach=attach)

    def _reach(self, joint: int) -> int:
        return 1 + max((self._reach(c) for c in self.children[joint]), default=0)

    def _region(self, joints: list[int] | tuple[int, ...]) -> np.ndarray:
        return self.vertices[self.rig.weights[:, list(joints)].sum(1) > 0.5]

    def _tip(self, last: int, first: int) -> np.ndarray:
        tail = self.rig.tails[last].astype(np.float64)
        region = self._region(self.below[last])
        if len(region):
            along = tail - self.rig.heads[last]
            along = (
                along / np.linalg.norm(along)
                if np.linalg.norm(along) > 1e-6
                else self.rig.heads[last] - self.rig.heads[first]
            )
            return region[np.argmax(region @ along)] * 0.5 + tail * 0.5
        return tail

    def _split(self, joint: int) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Children of a central joint: central ones, mirrored pairs (left, right), single ones aside."""
        aside: dict[int, tuple[float, np.ndarray]] = {}
        central = []
        for child in self.children[joint]:
            members = self.below[child]
            points = np.concatenate([self.rig.heads[members], self.rig.tails[members].astype(np.float64)])
            off = float(self._aside(points).mean())
            if abs(off) < _CENTRAL * self.diagonal:
                central.append(child)
            else:
                aside[child] = (off, points.mean(0))
        pairs = []
        options = []
        for a in aside:
            for b in aside:
                if aside[a][0] > 0.0 > aside[b][0]:
                    mirrored = aside[b][1] - 2.0 * aside[b][0] * self.left
                    options.append((float(np.linalg.norm(mirrored - aside[a][1])), a, b))
        for distance, a, b in sorted(options):
            if distance < _PAIR * self.diagonal and a in aside and b in aside:
                pairs.append((a, b))
                del aside[a], aside[b]
        return central, pairs, sorted(aside)

    def plan(self) -> BodyPlan:
        body = 0
        while True:
            heavy = [c for c in self.children[body] if self.weight[c] > 0.995 * self.mass.sum()]
            if not heavy or len(self.children[heavy[0]]) == 0:
                break
            body = heavy[0]
        pairs: list[tuple[Limb, Limb]] = []
        single: list[Limb] = []
        paths: list[list[int]] = []
        self._walk(body, [body], pairs, single, paths)
        pairs, single, followed = self._with_followers(body, pairs, single)
        best, others = self._best_path(body, paths, pairs)
        pairs = self._kinds(pairs, best[-1])
        single = [self._kinded(limb, best[-1]) for limb in single]
        carried = [pair[0].attach for pair in pairs if pair[0].kind != "loose"]
        trunk, head = _trunk_and_head(best[1:], [set(self.below[j]) & set(carried) != set() for j in best[1:]])
        front, upright = self._front(body, trunk + head, pairs)
        standing = {limb.joints[-1] for pair in pairs for limb in pair if limb.kind == "leg"}
        followers = tuple((joint, leader, leader in standing) for joint, leader in followed)
        tails, loose = [], list(single)
        carrying = {pair[0].attach for pair in pairs}
        for path in others:
            if carrying & set(path):
                continue  # a second piece of trunk, whose limbs are found already
            limb = self._limb(path, 0, int(self.rig.parents[path[0]]))
            (tails if limb.length > 0.1 * self.diagonal else loose).append(limb)

        def chosen(kind: str) -> tuple[tuple[Limb, Limb], ...]:
            found = [pair for pair in pairs if pair[0].kind == kind]
            return tuple(sorted(found, key=lambda pair: -float(pair[0].points[0] @ front)))

        loose += [limb for pair in pairs for limb in pair if pair[0].kind == "loose"]
        # A left seen by the body itself: up x front.
        left = np.cross([0.0, 1.0, 0.0], front)
        swap = float(left @ self.left) < 0.0
        plan = BodyPlan(
            left=left, up=np.array([0.0, 1.0, 0.0]), front=front, body=body, spine=tuple(trunk), head=tuple(head),
            tails=tuple(tails), legs=chosen("leg"), arms=chosen("arm"), wings=chosen("wing"), loose=tuple(loose),
            followers=followers, height=self.height, diagonal=self.diagonal, upright=upright,
        )  # fmt: skip
        return _swapped(plan) if swap else plan

    def _walk(
        self, joint: int, path: list[int], pairs: list[tuple[Limb, Limb]], single: list[Limb], paths: list[list[int]]
    ) -> None:
        central, mirrored, aside = self._split(joint)
        for a, b in mirrored:
            pairs.append((self._chain(a, 1, joint), self._chain(b, -1, joint)))
        for child in aside:
            side = 1 if self._aside(self.rig.heads[child]) > 0.0 else -1
            single.append(self._chain(child, side, joint))
        if not central:
            paths.append(path)
        for child in central:
            self._walk(child, [*path, child], pairs, single, paths)

    def _with_followers(
        self, body: int, pairs: list[tuple[Limb, Limb]], single: list[Limb]
    ) -> tuple[list[tuple[Limb, Limb]], list[Limb], list[tuple[int, int]]]:
        """Pieces that hang on the root though they belong to a limb's end, as feet of an IK rig do.

        Returns:
            Pairs and single limbs without those pieces, which are members of their limbs now; (joint, leader) of each.
        """
        limbs = [limb for pair in pairs for limb in pair] + single
        found: dict[int, Limb] = {}
        for piece in limbs:
            for limb in limbs:
                end = np.linalg.norm(self.rig.tails[limb.joints[-1]] - piece.points[0])
                if limb.attach != piece.attach or limb.length > 2.0 * piece.length:
                    near = end < 0.06 * self.diagonal and piece.attach in (0, body)
                    if near and limb.joints[0] != piece.joints[0] and limb.length > piece.length:
                        found[piece.joints[0]] = limb

        def grown(limb: Limb) -> Limb:
            more = [m for piece in limbs if found.get(piece.joints[0]) is limb for m in piece.members]
            return Limb(**{**vars(limb), "members": (*limb.members, *more)})

        kept = [(grown(a), grown(b)) for a, b in pairs if not {a.joints[0], b.joints[0]} & set(found)]
        rest = [grown(limb) for limb in single if limb.joints[0] not in found]
        return kept, rest, [(joint, limb.joints[-1]) for joint, limb in found.items()]

    def _best_path(
        self, body: int, paths: list[list[int]], pairs: list[tuple[Limb, Limb]]
    ) -> tuple[list[int], list[list[int]]]:
        """The central path that ends in the head, and the other central branches without what they share with it."""
        carried = [pair[0].attach for pair in pairs]

        def score(path: list[int]) -> float:
            tip = self._tip(path[-1], path[0])
            region = self._region(self.below[path[-1]])
            bulk = float(region.std(0).mean()) / self.diagonal if len(region) > 3 else 0.0
            rise = float(tip[1] - self.rig.heads[body][1]) / max(self.height, 1e-9)
            return sum(a in path and a != body for a in carried) + rise + 4.0 * bulk + 0.02 * len(path)

        best = max(paths, key=score)
        others, seen = [], set(best)
        for path in sorted(paths, key=score, reverse=True):
            rest = [j for j in path if j not in seen]
            if rest:
                others.append(rest)
                seen |= set(rest)
        return best, others

    def _kinds(self, pairs: list[tuple[Limb, Limb]], last: int) -> list[tuple[Limb, Limb]]:
        """Both sides of a pair are of one kind; ears and horns are no arms."""
        order: tuple[LimbKind, ...] = ("leg", "wing", "arm", "loose")
        result: list[tuple[Limb, Limb]] = []
        for pair in pairs:
            kind = min((self._kinded(limb, last).kind for limb in pair), key=order.index)
            a, b = (Limb(**{**vars(limb), "kind": kind}) for limb in pair)
            result.append((a, b))
        longest = max((pair[0].length for pair in result if pair[0].kind in ("arm", "wing")), default=0.0)
        for index, (a, b) in enumerate(result):
            along = a.points[-1] - a.points[0]
            rise = float(along[1] / max(np.linalg.norm(along), 1e-9))
            small = a.length < (0.8 if rise > 0.3 else 0.45) * longest
            topmost = rise > 0.6 and a.points[0, 1] > self.low[1] + 0.65 * self.height
            if a.kind in ("arm", "wing") and (small or (topmost and a.kind == "arm")):
                result[index] = (Limb(**{**vars(a), "kind": "loose"}), Limb(**{**vars(b), "kind": "loose"}))
        return result

    def _kinded(self, limb: Limb, last: int) -> Limb:
        region = self._region(limb.members)
        kind: LimbKind = "loose"
        reach = float(np.linalg.norm(limb.points[-1] - limb.points[0]))
        if len(region) >= 3:
            drop = limb.points[0, 1] - region[:, 1].min()
            stands = region[:, 1].min() < self.low[1] + _GROUND * self.height
            spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(region.T)), 0.0))[::-1]
            flat = spread[2] < 0.22 * spread[1] and spread[1] > 0.25 * spread[0]
            if stands and drop > 0.06 * self.height:
                kind = "leg"
            elif limb.attach == last and limb.points[-1, 1] > limb.points[0, 1] - 0.2 * reach:
                kind = "loose"
            elif flat and reach > 0.1 * self.diagonal:
                kind = "wing"
            elif limb.length > 0.12 * self.diagonal:
                kind = "arm"
        return Limb(**{**vars(limb), "kind": kind})

    def _front(self, body: int, chain: list[int], pairs: list[tuple[Limb, Limb]]) -> tuple[np.ndarray, bool]:
        axis = np.array([0.0, 0.0, 1.0]) if self.left[0] else np.array([1.0, 0.0, 0.0])
        size = self.high - self.low
        tip = self._tip(chain[-1], body) if chain else self.rig.heads[body]
        along = float((tip - (self.low + self.high) / 2.0) @ axis)
        rise = float(tip[1] - self.rig.heads[body][1])
        reach = float(abs((tip - self.rig.heads[body]) @ axis))
        upright = rise > reach or float(size @ axis) < size[1]
        if abs(along) > 0.1 * self.diagonal:
            return axis * np.sign(along), upright
        toes = 0.0
        for pair in pairs:
            for limb in pair:
                if limb.kind == "leg":
                    region = self._region(limb.members)
                    feet = region[region[:, 1] < self.low[1] + 0.04 * self.height]
                    shin = region[region[:, 1] > self.low[1] + 0.12 * self.height]
                    if len(feet) and len(shin):
                        toes += float((feet.mean(0) - shin[shin[:, 1].argmin()]) @ axis)
        return (-axis if toes < -0.02 * self.diagonal else axis), upright


def _trunk_and_head(chain: list[int], carries: list[bool]) -> tuple[list[int], list[int]]:
    """Central joints up to the last that carries limbs, itself or further on, and those beyond: neck and head."""
    last = max((index for index, carrying in enumerate(carries) if carrying), default=-1)
    if last + 1 >= len(chain):  # limbs hang on the very end: arms on a neckless chest
        last = len(chain) - 2
    if last < 0 and len(chain) > 2:
        last = len(chain) - 1 - max(1, len(chain) // 4)
    return chain[: last + 1], chain[last + 1 :]


def _swapped(plan: BodyPlan) -> BodyPlan:
    """Left and right exchanged: the body faces away from the axis that the pairs were found on."""

    def other(limb: Limb) -> Limb:
        return Limb(**{**vars(limb), "side": -limb.side})

    def turned(pairs: tuple[tuple[Limb, Limb], ...]) -> tuple[tuple[Limb, Limb], ...]:
        return tuple((other(right), other(left)) for left, right in pairs)

    changed = {
        "legs": turned(plan.legs), "arms": turned(plan.arms), "wings": turned(plan.wings),
        "loose": tuple(other(limb) for limb in plan.loose),
    }  # fmt: skip
    return BodyPlan(**{**vars(plan), **changed})
