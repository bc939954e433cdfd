"""Names that tell what a joint is, from where it lies and what it moves: hips, spine_01, upper_arm.L, tail_03.

The convention is Blender's: ``.L`` and ``.R`` end the names of what comes in pairs, ``.L`` being the character's own
left (+X when it faces +Z). What cannot be told gets an honest name: ``limb_01_02.L``, ``crest_01``, ``helper_01``.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan, Limb
from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.geometry.limb_segments import arm_parts, biped_leg_parts, quadruped_leg_parts
from studio_pipeline.schema.records import Rig

__all__ = ["semantic_names"]

_HEAD_MASS = 0.1  # of the heaviest joint beyond the spine: the last joint that moves as much is the head
_MIDDLE = 0.02  # of the diagonal: what lies nearer to the middle has no side
_PAIR = 0.12  # of the diagonal: how far a limb may lie from its partner's mirror image
_SLENDER = 0.09  # thickness over length: thinner things on a head are antennae


def semantic_names(rig: Rig, vertices: np.ndarray) -> tuple[str, ...]:
    """A unique name for each joint; the rig's own names are not looked at.

    Args:
        rig: Any skeleton tree with weights.
        vertices: Rest surface [V, 3].
    """
    return _Namer(rig, vertices.astype(np.float64)).names()


class _Namer:
    def __init__(self, rig: Rig, vertices: np.ndarray) -> None:
        self.rig, self.vertices = rig, vertices
        self.plan: BodyPlan = body_plan(rig, vertices)
        self.found: dict[int, str] = {}
        self.floor = float(vertices[:, 1].min())
        self.middle = float((vertices.min(0) + vertices.max(0)) @ self.plan.left) / 2.0
        self.mass = rig.weights.astype(np.float64).sum(0)
        self.children: list[list[int]] = [[] for _ in rig.parents]
        for joint, parent in enumerate(rig.parents):
            if parent >= 0:
                self.children[parent].append(joint)

    def names(self) -> tuple[str, ...]:
        """All joints' names."""
        self._trunk()
        self._head()
        self._legs()
        for left, right in self.plan.arms:
            self._arm(left, right)
        plan = self.plan
        swimmer = not plan.legs and not plan.arms and not plan.upright
        self._chains("fin" if swimmer else "wing", [list(pair) for pair in plan.wings])
        self._chains("tail", [[tail] for tail in plan.tails])
        self._loose()
        self._rest()
        taken: set[str] = set()
        return tuple(_unique(self.found[joint], taken) for joint in range(len(self.rig.parents)))

    def _set(self, joint: int, name: str) -> None:
        self.found.setdefault(int(joint), name)

    # -- trunk and head

    def _trunk(self) -> None:
        plan = self.plan
        above, joint = [], int(self.rig.parents[plan.body])
        while joint >= 0:
            above.insert(0, joint)
            joint = int(self.rig.parents[joint])
        chain = [*reversed(plan.rear), plan.body, *plan.spine]
        hips = plan.legs[-1][0].attach if plan.legs else -1
        start = chain.index(hips) if hips in chain else -1
        for number, joint in enumerate([*above, *chain[: max(start, 0)]]):
            self._set(joint, "root" if number == 0 else f"root_{number + 1:02d}")
        if start >= 0:
            self._set(hips, "hips")
        elif not above:
            self._set(plan.body, "root")
        fore = plan.arms[:1] or (plan.legs[:1] if len(plan.legs) != 1 else plan.wings[:1])
        chest = fore[0][0].attach if fore else -1
        self.neck = self._neck(fore[0][0] if fore else None)
        chain += plan.head[: self.neck]
        spine = [joint for joint in chain[max(start, 0) :] if joint not in self.found and joint != chest]
        self._set(chest, "chest") if chest in chain else None
        for number, joint in enumerate(spine, start=1):
            self._set(joint, f"spine_{number:02d}")

    def _neck(self, fore: Limb | None) -> int:
        """How many of the joints beyond the last that carries limbs are trunk still: those behind the fore legs."""
        plan = self.plan
        limbless = not (plan.legs or plan.arms or plan.wings or plan.tails)
        if limbless and plan.upright:
            return len(plan.head)  # a stick or a blob: nothing says which end is a head
        if fore is None or plan.upright:
            return 0
        ahead = (self.rig.heads[list(plan.head)] - fore.points[0]) @ plan.front
        return min(int((ahead < _MIDDLE * plan.diagonal).sum()), max(len(plan.head) - 1, 0))

    def _head(self) -> None:
        chain = self.plan.head[self.neck :]
        if not chain:
            return
        mass = self.mass[list(chain)]
        head = int(np.flatnonzero(mass >= _HEAD_MASS * mass.max())[-1])
        for number, joint in enumerate(chain[:head], start=1):
            self._set(joint, f"neck_{number:02d}")
        self._set(chain[head], "head")
        for number, joint in enumerate(chain[head + 1 :], start=1):
            self._set(joint, f"crest_{number:02d}")

    # -- legs, arms and fingers

    def _legs(self) -> None:
        legs = self.plan.legs
        if len(legs) > 2:
            self._chains("leg", [list(pair) for pair in legs])
        for pair, prefix in zip(legs, ("front_", "hind_") if len(legs) == 2 else ("",), strict=False):
            feet = [self._follower(limb) for limb in pair]
            if prefix:
                parts = [quadruped_leg_parts(limb, self.floor, has_foot=bool(feet[0])) for limb in pair]
            else:
                parts = [biped_leg_parts(limb, self.floor) for limb in pair]
            for limb, own, foot in zip(pair, _both(parts), feet, strict=True):
                self._parts(limb, own, prefix)
                part = "toe" if "foot" in own else "foot"
                for number, joint in enumerate(foot):
                    self._set(joint, f"{prefix}{part if number == 0 else 'toe'}{_side(limb.side)}")
                last = max((index for index, name in enumerate(own) if name == "foot"), default=len(own) - 1)
                self._digits([limb.joints[last]], f"{prefix}toe", limb)

    def _follower(self, limb: Limb) -> list[int]:
        """The foot that hangs elsewhere on the rig, and the chain beyond it."""
        start = [joint for joint, leader, _ in self.plan.followers if leader == limb.joints[-1]]
        chain = [j for j in start if limb.side * (self.rig.heads[j] @ self.plan.left - self.middle) >= 0.0][:1]
        while chain and len(self.children[chain[-1]]) == 1:
            chain.append(self.children[chain[-1]][0])
        return chain

    def _arm(self, left: Limb, right: Limb) -> None:
        parts = _both([arm_parts(limb, self.middle, self.plan.left) for limb in (left, right)])
        for limb, own in zip((left, right), parts, strict=True):
            kept = [index for index, part in enumerate(own) if part != "finger"]
            self._parts(limb, own[: len(kept)], "")
            # Palms of several bones hang on the forearm beside the one that is the hand.
            bases = [limb.joints[index] for index in kept if own[index] == "hand"] or [limb.joints[kept[-1]]]
            above = [limb.joints[index] for index in kept if own[index] == "forearm"][-1:]
            self._digits([*bases, *above], "finger", limb)

    def _parts(self, limb: Limb, parts: list[str], prefix: str) -> None:
        seen: dict[str, int] = {}
        for joint, part in zip(limb.joints, parts, strict=False):
            number = seen[part] = seen.get(part, 0) + 1
            self._set(joint, f"{prefix}{part}{'' if number == 1 else f'_{number:02d}'}{_side(limb.side)}")

    def _digits(self, bases: list[int], stem: str, limb: Limb) -> None:
        """Fingers or toes beyond ``bases``, numbered from the body's front backwards: thumbs first."""
        starts = [c for base in bases for c in self.children[base] if c not in self.found]
        starts = [c for c in starts if self.mass[self._below(c)].sum() > 0.0]
        axes = (self.plan.front, self.plan.up)
        starts.sort(key=lambda c: tuple(-np.round(self.rig.tails[c] @ axis, 5) for axis in axes))
        for number, start in enumerate(starts, start=1):
            for index, joint in enumerate(self._below(start), start=1):
                self._set(joint, f"{stem}_{number}_{index:02d}{_side(limb.side)}")

    # -- everything else

    def _chains(self, stem: str, groups: list[list[Limb]]) -> None:
        """Name chains one group (a pair or a single) after the other: tail_01, or tail_2_01 where there are several."""
        for number, group in enumerate(groups, start=1):
            several = f"_{number}" if len(groups) > 1 or stem == "leg" else ""
            for limb in group:
                for index, joint in enumerate(limb.joints, start=1):
                    self._set(joint, f"{stem}{several}_{index:02d}{_side(limb.side)}")

    def _loose(self) -> None:
        kinds: dict[str, list[list[Limb]]] = {}
        for group in self._paired([limb for limb in self.plan.loose if limb.joints[0] not in self.found]):
            kinds.setdefault(self._kind(group), []).append(group)
        if len(kinds.get("ear", ())) > 1:  # ears, horns or hair: which is which cannot be told
            kinds["crest"] = kinds.get("crest", []) + kinds.pop("ear")
        for kind in sorted(kinds):
            groups = sorted(kinds[kind], key=lambda g: tuple(np.round(g[0].points[0][[1, 2]] / self.plan.diagonal, 3)))
            if kind == "jaw" and len(groups) == 1 and len(groups[0][0].joints) == 1:
                self._set(groups[0][0].joints[0], "jaw")
            elif kind == "limb" or len(groups) > 1:
                for number, group in enumerate(groups, start=1):
                    self._chains(f"{kind}_{number:02d}", [group])
            else:
                self._chains(kind, groups)

    def _paired(self, limbs: list[Limb]) -> list[list[Limb]]:
        """Limbs with their mirror images, left first, and single ones."""
        groups, left = [], list(limbs)
        while left:
            limb = left.pop(0)
            image = (
                limb.points[[0, -1]]
                - 2.0 * ((limb.points[[0, -1]] @ self.plan.left) - self.middle)[:, None] * self.plan.left
            )
            gaps = [
                np.abs(image - other.points[[0, -1]]).max() if other.side == -limb.side else np.inf for other in left
            ]
            if limb.side and gaps and min(gaps) < _PAIR * self.plan.diagonal:
                other = left.pop(int(np.argmin(gaps)))
                groups.append(sorted([limb, other], key=lambda item: -item.side))
            else:
                groups.append([limb])
        return groups

    def _kind(self, group: list[Limb]) -> str:
        limb, head = (
            group[0],
            {j for j, name in self.found.items() if name == "head" or name.startswith(("neck", "crest"))},
        )
        on_head = limb.attach in head
        along = limb.points[-1] - limb.points[0]
        limbed = bool(self.plan.legs or self.plan.arms or self.plan.wings)
        plain = "crest" if limbed or self.plan.upright else "fin"
        if len(group) == 2 and on_head and along[1] > -0.3 * np.linalg.norm(along):
            slender = self._thickness(limb) < _SLENDER and len(self.plan.legs) > 2
            return "antenna" if slender else "ear" if limbed else "crest"
        if len(group) == 2:
            return "limb" if plain == "crest" else "fin"
        if limb.side:
            return "limb"
        if on_head and along @ self.plan.front > 0.5 * np.linalg.norm(along) and along[1] < 0.3 * np.linalg.norm(along):
            return "jaw"
        return plain

    def _thickness(self, limb: Limb) -> float:
        region = self.vertices[self.rig.weights[:, list(limb.members)].sum(1) > 0.5]
        if len(region) < 3:
            return 1.0
        spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(region.T)), 0.0))
        return float(spread[1] / max(spread[2], 1e-12))

    def _rest(self) -> None:
        """What no part of the body claims: chains of limbs, and helpers that move nothing."""
        numbers: dict[str, int] = {}
        for joint in range(len(self.rig.parents)):
            if joint in self.found:
                continue
            chain = [joint]
            while more := [c for c in self.children[chain[-1]] if c not in self.found]:
                chain.append(more[0])
            moves = self.mass[chain].sum() > 1e-4 * self.mass.sum()
            off = float(self.rig.tails[chain].mean(0) @ self.plan.left) - self.middle
            side = 0 if abs(off) < _MIDDLE * self.plan.diagonal else int(np.sign(off))
            stem = ("limb" if side else "crest") if moves else "helper"
            numbers.setdefault(stem, sum(name.startswith(f"{stem}_") for name in self.found.values()))
            numbers[stem] += 1
            for index, member in enumerate(chain, start=1):
                self._set(member, f"{stem}_{numbers[stem]:02d}_{index:02d}{_side(side)}")

    def _below(self, joint: int) -> list[int]:
        found = [joint]
        for member in found:
            found += self.children[member]
        return found


def _side(side: int) -> str:
    return ".L" if side > 0 else ".R" if side < 0 else ""


def _both(parts: list[list[str]]) -> list[list[str]]:
    """The same reading for both sides when they have as many joints."""
    return [parts[0], parts[0]] if len(parts[0]) == len(parts[1]) else parts


def _unique(name: str, taken: set[str]) -> str:
    stem, dot, side = name.partition(".")
    number = 2
    while name in taken:
        name = f"{stem}_{number:02d}{dot}{side}"
        number += 1
    taken.add(name)
    return name
