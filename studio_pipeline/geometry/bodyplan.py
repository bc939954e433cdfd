"""What kind of body a rig has, found from joint positions and weights, never from names.

A body has a left and a right, a front, a trunk of central joints that ends in a head, tails, and limbs: mirrored pairs
that reach the ground (legs), flat pairs that don't (wings), other long pairs (arms), and loose appendages.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb, LimbKind
from studio_pipeline.schema.records import Rig

__all__ = ["body_plan"]

_CENTRAL = 0.03  # of the diagonal: subtrees this near to the mirror plane are central ...
_NARROW = (
    0.3  # ... unless two of them, beyond this share of that, are each other's mirror image: legs that nearly touch
)
# What tells a head's way from a tail's, in units of the rise over the height:
_CARRIES = {"arm": 0.8, "leg": 0.4}  # each pair of limbs on the way
_FORWARD = 0.6  # a diagonal towards +Z: files face it, as glTF asks
_BULK, _MASS = 10.0, 1.0  # a diagonal of spread at the tip, all of the body's vertices at the tip
_FACING = 0.035  # of the diagonal: what +Z counts for a front against feet, knees and elbows that say otherwise
_NEAR_END = 0.06  # of the diagonal: how far from the end of a limb a piece of the root that belongs to it may begin
_TILTED = 0.12  # of the diagonal: how far from the middle a lone continuation of the trunk may lie
_TAPER = (
    0.3  # a limbless lying body whose further half moves less than this share of the nearer half's vertices is a tail
)
_FLAT = 0.35  # thickness over width of a bone's piece of skin: below, it is a sheet
_PAIR = 0.12  # of the diagonal: how far a limb may lie from the mirror image of its partner
_BELLY = 0.4  # of the hips' height: the only legs of a lying body lift its belly by more
_GROUND = 0.07  # of the height: limbs that come this near to the lowest point stand on it


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
        self.reach = np.ones(count, dtype=int)  # joints from each to the end of its longest chain
        for joint in reversed(range(count)):
            self.reach[joint] += max((self.reach[c] for c in self.children[joint]), default=0)
        self.left = self._lateral_axis()
        self.forward = np.array([0.0, 0.0, 1.0]) if self.left[0] else np.array([1.0, 0.0, 0.0])
        self.middle = float(((self.low + self.high) / 2.0) @ self.left)

    def _lateral_axis(self) -> np.ndarray:
        """+X or +Z, across which more joints have a partner; a body with no sides lies across it."""
        scores = []
        related = np.eye(self.rig.joint_count, dtype=bool)
        for joint, members in enumerate(self.below):
            related[joint, members] = related[members, joint] = True
        for axis in (0, 2):
            off = self.rig.heads[:, axis] - (self.low[axis] + self.high[axis]) / 2.0
            mirrored = self.rig.heads.copy()
            mirrored[:, axis] -= 2.0 * off
            gaps = np.linalg.norm(mirrored[:, None] - self.rig.heads[None], axis=-1)
            # What lies in the plane mirrors onto itself, a chain's joints onto their own line: both say nothing.
            near = np.where(related, np.inf, gaps).min(1)
            paired = near < np.minimum(0.05 * self.diagonal, np.abs(off))
            scores.append(float((paired & (np.abs(off) > 0.02 * self.diagonal)).mean()))
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
            joints.append(max(self.children[joints[-1]], key=lambda c: (self.reach[c], self.weight[c])))
        return self._limb(joints, side, attach)

    def _limb(self, joints: list[int], side: int, attach: int) -> Limb:
        points = np.concatenate([self.rig.heads[joints], [self._tip(joints[-1], joints[0])]])
        members = tuple(self.below[joints[0]])
        return Limb(joints=tuple(joints), members=members, side=side, points=points, kind="loose", attach=attach)

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
        for child in self.children[joint]:
            members = self.below[child]
            points = np.concatenate([self.rig.heads[members], self.rig.tails[members].astype(np.float64)])
            aside[child] = (float(self._aside(points).mean()), points.mean(0))
        central = _CENTRAL * self.diagonal
        narrow = _NARROW * central
        pairs = []
        options = []
        for a in aside:
            for b in aside:
                if aside[a][0] > narrow and aside[b][0] < -narrow:
                    mirrored = aside[b][1] - 2.0 * aside[b][0] * self.left
                    options.append((float(np.linalg.norm(mirrored - aside[a][1])), a, b))
        for distance, a, b in sorted(options):
            # Two that lie near the middle are only a pair when they mirror each other well.
            near = min(aside[a][0], -aside[b][0]) if a in aside and b in aside else 0.0
            if near > 0.0 and distance < (_PAIR * self.diagonal if near > central else near):
                pairs.append((a, b))
                del aside[a], aside[b]
        # What alone goes on from the middle is the middle too: a head that is tilted in the rest pose.
        reach = _TILTED * self.diagonal if len(self.children[joint]) == 1 else central
        middle = [child for child in aside if abs(aside[child][0]) < reach]
        return middle, pairs, sorted(set(aside) - set(middle))

    def plan(self) -> BodyPlan:
        body = self._body()
        pairs, single, paths = self._walk(body)
        pairs, single, followed = self._with_followers(body, pairs, single)
        best, others = self._best_path(body, paths, pairs)
        pairs = self._kinds(pairs, best[-1])
        single = [self._kinded(limb, best[-1]) for limb in single]
        carried = [pair[0].attach for pair in pairs if pair[0].kind != "loose"]
        trunk, head = _trunk_and_head(best[1:], [set(self.below[j]) & set(carried) != set() for j in best[1:]])
        if not pairs and len(paths) == 1 and self._is_tail(best):
            trunk, head, others = [], [], [best[1:]]
        front, upright = self._front(body, trunk + head, pairs)
        if not upright:
            pairs = self._without_flippers(pairs)
        standing = {limb.joints[-1] for pair in pairs for limb in pair if limb.kind == "leg"}
        followers = tuple((joint, leader, leader in standing) for joint, leader in followed)
        rear, ends = self._behind(others, pairs)
        tails = [limb for limb in ends if limb.length > 0.1 * self.diagonal]
        loose = [*single, *(limb for limb in ends if limb.length <= 0.1 * self.diagonal)]

        def chosen(kind: str) -> tuple[tuple[Limb, Limb], ...]:
            found = [pair for pair in pairs if pair[0].kind == kind]
            return tuple(sorted(found, key=lambda pair: -float(pair[0].points[0] @ front)))

        loose += [limb for pair in pairs for limb in pair if pair[0].kind == "loose"]
        # A left seen by the body itself: up x front.
        left = np.cross([0.0, 1.0, 0.0], front)
        swap = float(left @ self.left) < 0.0
        plan = BodyPlan(
            left=left, up=np.array([0.0, 1.0, 0.0]), front=front, body=body,
            spine=tuple(trunk), rear=tuple(rear), head=tuple(head),
            tails=tuple(tails), legs=chosen("leg"), arms=chosen("arm"), wings=chosen("wing"), loose=tuple(loose),
            followers=followers, height=self.height, diagonal=self.diagonal, upright=upright,
        )  # fmt: skip
        return plan.swapped() if swap else plan

    def _body(self) -> int:
        """The joint that moves everything: roots that only carry one other are passed over."""
        body = 0
        while True:
            heavy = [c for c in self.children[body] if self.weight[c] > 0.995 * self.mass.sum()]
            if not heavy or len(self.children[heavy[0]]) == 0:
                return body
            body = heavy[0]

    def _behind(self, paths: list[list[int]], pairs: list[tuple[Limb, Limb]]) -> tuple[list[int], list[Limb]]:
        """A second piece of trunk, whose limbs are found already, and what ends the central paths beside the head's."""
        carrying = {pair[0].attach for pair in pairs if pair[0].kind != "loose"}
        rear: list[int] = []
        ends = []
        for path in paths:
            cut = 1 + max((index for index, joint in enumerate(path) if joint in carrying), default=-1)
            rear += path[:cut]
            if path[cut:]:
                ends.append(self._limb(path[cut:], 0, int(self.rig.parents[path[cut]])))
        return rear, ends

    def _is_tail(self, path: list[int]) -> bool:
        """Whether a limbless body is a tail rather than a trunk: lying, and thin beyond its middle."""
        mass = self.mass[path]
        lies = float((self.high - self.low) @ self.forward) > self.high[1] - self.low[1]
        return len(path) > 2 and lies and mass[len(path) // 2 :].sum() < _TAPER * mass[: len(path) // 2].sum()

    def _walk(self, body: int) -> tuple[list[tuple[Limb, Limb]], list[Limb], list[list[int]]]:
        """Pairs of limbs, single ones, and the central paths from the body to each end; chains may be of any length."""
        pairs: list[tuple[Limb, Limb]] = []
        single: list[Limb] = []
        paths: list[list[int]] = []
        todo = [[body]]
        while todo:
            path = todo.pop()
            joint = path[-1]
            central, mirrored, aside = self._split(joint)
            pairs += [(self._chain(a, 1, joint), self._chain(b, -1, joint)) for a, b in mirrored]
            for child in aside:
                side = 1 if self._aside(self.rig.heads[child]) > 0.0 else -1
                single.append(self._chain(child, side, joint))
            if not central:
                paths.append(path)
            todo += [[*path, child] for child in reversed(central)]
        return pairs, single, paths

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
                    near = end < _NEAR_END * self.diagonal and piece.attach in (0, body)
                    if near and limb.joints[0] != piece.joints[0] and limb.length > piece.length:
                        found[piece.joints[0]] = limb

        def grown(limb: Limb) -> Limb:
            more = [m for piece in limbs if found.get(piece.joints[0]) is limb for m in piece.members]
            return replace(limb, members=(*limb.members, *more))

        kept = [(grown(a), grown(b)) for a, b in pairs if not {a.joints[0], b.joints[0]} & set(found)]
        rest = [grown(limb) for limb in single if limb.joints[0] not in found]
        return kept, rest, [(joint, limb.joints[-1]) for joint, limb in found.items()]

    def _best_path(
        self, body: int, paths: list[list[int]], pairs: list[tuple[Limb, Limb]]
    ) -> tuple[list[int], list[list[int]]]:
        """The central path that ends in the head, and the other central branches without what they share with it."""
        # Wings and fins sit anywhere along a body: only legs and arms tell the way to the head.
        carried = {pair[0].attach: _CARRIES.get(self._kinded(pair[0], -1).kind, 0.0) for pair in pairs}

        def score(path: list[int]) -> float:
            tip = self._tip(path[-1], path[0]) - self.rig.heads[body]
            region = self._region(self.below[path[-1]])
            bulk = float(region.std(0).mean()) / self.diagonal if len(region) > 3 else 0.0
            limbs = sum(value for attach, value in carried.items() if attach in path and attach != body)
            rise, ahead = float(tip[1]) / max(self.height, 1e-9), float(tip @ self.forward) / self.diagonal
            mass = float(self.weight[path[-1]] / self.mass.sum())
            return limbs + rise + _BULK * bulk + _MASS * mass + 0.02 * len(path) + _FORWARD * ahead

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
            a, b = (replace(limb, kind=kind) for limb in pair)
            result.append((a, b))
        longest = max((pair[0].length for pair in result if pair[0].kind in ("arm", "wing")), default=0.0)
        for index, (a, b) in enumerate(result):
            along = a.points[-1] - a.points[0]
            rise = float(along[1] / max(np.linalg.norm(along), 1e-9))
            small = a.length < (0.8 if rise > 0.3 else 0.45) * longest
            topmost = rise > 0.6 and a.points[0, 1] > self.low[1] + 0.65 * self.height
            if a.kind in ("arm", "wing") and (small or (topmost and a.kind == "arm")):
                result[index] = (replace(a, kind="loose"), replace(b, kind="loose"))
        return result

    def _kinded(self, limb: Limb, last: int) -> Limb:
        region = self._region(limb.members)
        kind: LimbKind = "loose"
        reach = float(np.linalg.norm(limb.points[-1] - limb.points[0]))
        if len(region) >= 3:
            drop = limb.points[0, 1] - region[:, 1].min()
            stands = region[:, 1].min() < self.low[1] + _GROUND * self.height
            flat = self._flat(limb)
            if stands and drop > 0.06 * self.height and not flat:
                kind = "leg"
            elif limb.attach == last and limb.points[-1, 1] > limb.points[0, 1] - 0.2 * reach:
                kind = "loose"
            elif flat and reach > 0.1 * self.diagonal:
                kind = "wing"
            elif limb.length > 0.12 * self.diagonal:
                kind = "arm"
        return replace(limb, kind=kind)

    def _without_flippers(self, pairs: list[tuple[Limb, Limb]]) -> list[tuple[Limb, Limb]]:
        """The only legs of a lying body are fins when they don't lift its belly, or reach aside more than down."""
        legs = [pair for pair in pairs if pair[0].kind == "leg"]
        if len(legs) != 1 or any(pair[0].kind == "arm" for pair in pairs):
            return pairs
        trunk = self.vertices[self.rig.weights[:, [j for limb in legs[0] for j in limb.members]].sum(1) < 0.1]
        if not len(trunk):
            return pairs
        clear = float(trunk[:, 1].min() - self.low[1]) / max(float(legs[0][0].points[0, 1] - self.low[1]), 1e-9)
        limb = legs[0][0]
        reach = limb.points[-1] - limb.points[0]
        if clear > _BELLY and abs(float(reach @ self.left)) < -reach[1]:
            return pairs
        return [tuple(replace(limb, kind="wing") for limb in p) if p is legs[0] else p for p in pairs]  # pyright: ignore

    def _flat(self, limb: Limb) -> bool:
        """Whether a limb is a sheet, as wings and fins are: as a whole, and most of its bones' pieces of skin."""
        spread = _spread(self._region(limb.members))
        if not (spread[2] < 0.22 * spread[1] and spread[1] > 0.25 * spread[0]):
            return False
        pieces = [self.vertices[self.rig.weights[:, joint] > 0.4] for joint in limb.joints]
        thin = [s[2] < _FLAT * s[1] for s in (_spread(piece) for piece in pieces if len(piece) >= 6)]
        return sum(thin) >= 0.5 * len(thin)

    def _front(self, body: int, chain: list[int], pairs: list[tuple[Limb, Limb]]) -> tuple[np.ndarray, bool]:
        axis = self.forward
        size = self.high - self.low
        tip = self._tip(chain[-1], body) if chain else self.rig.heads[body]
        along = float((tip - (self.low + self.high) / 2.0) @ axis)
        rise = float(tip[1] - self.rig.heads[body][1])
        reach = float(abs((tip - self.rig.heads[body]) @ axis))
        upright = rise > reach or float(size @ axis) < size[1]
        if abs(along) > 0.1 * self.diagonal:
            return axis * np.sign(along), upright
        votes = [self._pointing(limb) @ axis for pair in pairs for limb in pair]
        return (-axis if sum(votes) < -_FACING * self.diagonal else axis), upright

    def _pointing(self, limb: Limb) -> np.ndarray:
        """Which way a limb says the front is: where a foot points, and where an elbow doesn't. [3] [m]"""
        if limb.kind == "leg":
            region = self._region(limb.members)
            height = (region[:, 1] - self.low[1]) / max(self.height, 1e-9)
            above = height[height > 0.12]
            if not len(above) or not (height < 0.04).any():
                return np.zeros(3)
            shin = region[(height > 0.12) & (height < above.min() + 0.1)]
            return region[height < 0.04].mean(0) - shin.mean(0)
        if limb.kind != "arm" or len(limb.joints) < 2:
            return np.zeros(3)
        chord = limb.points[-1] - limb.points[0]
        inner = limb.points[1:-1] - limb.points[0]
        off = inner - (inner @ chord / max(float(chord @ chord), 1e-12))[:, None] * chord
        # A palm that is turned forward, or fingers, look like a bend too: an elbow counts for less than feet.
        return -0.3 * off[np.argmax(np.linalg.norm(off, axis=1))]


def _spread(points: np.ndarray) -> np.ndarray:
    """Standard deviations of points [N, 3] along their principal axes, the largest first. [3]"""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0.0))[::-1]


def _trunk_and_head(chain: list[int], carries: list[bool]) -> tuple[list[int], list[int]]:
    """Central joints up to the last that carries limbs, itself or further on, and those beyond: neck and head."""
    last = max((index for index, carrying in enumerate(carries) if carrying), default=-1)
    if last + 1 >= len(chain):  # limbs hang on the very end: arms on a neckless chest
        last = len(chain) - 2
    if last < 0 and len(chain) > 2:
        last = len(chain) - 1 - max(1, len(chain) // 4)
    return chain[: last + 1], chain[last + 1 :]
