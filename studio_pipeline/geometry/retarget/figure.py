"""A biped's skeleton as retargeting sees it: hips, trunk, neck and head, two legs, perhaps two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.bone_names import semantic_names
from studio_pipeline.geometry.bvh import Bvh
from studio_pipeline.geometry.retarget.words import parts_from_words
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig

__all__ = ["SIDES", "Figure", "figure_of_bvh", "figure_of_rig"]

SIDES = (".L", ".R")
_LEG, _ARM = ("thigh", "shin", "foot", "toe"), ("clavicle", "upper_arm", "forearm", "hand")
_MOST = 256  # joints of a skeleton that is told by shape; larger ones have names
_TUBE = 0.02  # of a skeleton's height: radius of the bones that stand in for a body where there is none


@dataclass(frozen=True)
class Figure:
    """A biped at rest. J joints."""

    names: tuple[str, ...]
    parents: np.ndarray  # [J] int; a foot that hangs on the root of an IK rig hangs on its shin here
    order: tuple[int, ...]  # joints, parents first
    heads: np.ndarray  # [J, 3] float64, rest
    tails: np.ndarray  # [J, 3] float64, rest
    parts: Mapping[str, int]  # "thigh.L" ... -> joint; always both thighs
    hips: int  # deepest joint that carries both legs
    body: int  # deepest joint that carries hips and trunk: what moves it moves everything
    spine: tuple[int, ...]  # beyond the hips up to the joint that carries the arms, or the neck
    neck: tuple[int, ...]  # beyond the spine, up to before the head

    @property
    def carrier(self) -> int:
        """The joint that carries the arms, or the neck of a body without."""
        return self.spine[-1] if self.spine else self.hips

    def has(self, part: str) -> bool:
        """Whether both sides have ``part``, such as "forearm"."""
        return all(part + side in self.parts for side in SIDES)

    def at(self, part: str) -> np.ndarray:
        """Rest place of a part's joint. [3]"""
        return self.heads[self.parts[part]]

    def bone(self, part: str, side: str) -> np.ndarray:
        """Rest direction of a limb's part: to the next part that the limb has, else to its tail. [3] unit, or zeros."""
        chain = _LEG if part in _LEG else _ARM
        start = self.parts[part + side]
        following = [p + side for p in chain[chain.index(part) + 1 :] if p + side in self.parts]
        end = self.heads[self.parts[following[0]]] if following else self.tails[start]
        along = end - self.heads[start]
        length = float(np.linalg.norm(along))
        return along / length if length > 1e-4 * self.leg_length else np.zeros(3)

    @property
    def middle(self) -> np.ndarray:
        """Middle between the hip joints at rest. [3]"""
        return (self.at("thigh.L") + self.at("thigh.R")) / 2.0

    @property
    def leg_length(self) -> float:
        """Thigh and shin, mean of both sides."""
        total = 0.0
        for side in SIDES:
            chain = [self.parts[p + side] for p in _LEG[:3] if p + side in self.parts]
            points = [*self.heads[chain], *([] if "foot" + side in self.parts else [self.tails[chain[-1]]])]
            total += float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        return total / 2.0

    def frame(self, heads: np.ndarray | None = None) -> np.ndarray:
        """The trunk's frame: left, up and front as columns, of the rest pose or of given places [..., J, 3].

        Returns:
            [..., 3, 3] rotations.
        """
        heads = self.heads if heads is None else heads
        pairs = [("thigh.L", "thigh.R")] + ([("upper_arm.L", "upper_arm.R")] if self.has("upper_arm") else [])
        left = sum(_unit(heads[..., self.parts[a], :] - heads[..., self.parts[b], :]) for a, b in pairs)
        top = self.neck[0] if self.neck else self.parts.get("head", self.carrier)
        if self.has("upper_arm"):
            above = (heads[..., self.parts["upper_arm.L"], :] + heads[..., self.parts["upper_arm.R"], :]) / 2.0
        elif top == self.hips:
            above = heads[..., top, :] + self.tails[top] - self.heads[top]
        else:
            above = heads[..., top, :]
        middle = (heads[..., self.parts["thigh.L"], :] + heads[..., self.parts["thigh.R"], :]) / 2.0
        up = _unit(above - middle)
        left = _unit(left - (left * up).sum(-1, keepdims=True) * up)
        return np.stack([left, up, np.cross(left, up)], axis=-1)


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector / np.where(length > 1e-12, length, 1.0)


def _ancestors(joint: int, parents: Sequence[int] | np.ndarray) -> list[int]:
    found = [int(joint)]
    while parents[found[-1]] >= 0:
        found.append(int(parents[found[-1]]))
    return found


def _meeting(joints: Sequence[int], parents: np.ndarray) -> int:
    """The deepest joint at or above all of ``joints``."""
    common = [set(_ancestors(joint, parents)) for joint in joints]
    return next(joint for joint in _ancestors(joints[0], parents) if all(joint in above for above in common))


def _build(
    names: tuple[str, ...], parents: np.ndarray, heads: np.ndarray, tails: np.ndarray, parts: Mapping[str, int]
) -> Figure | None:
    """The figure of known parts; None when they make no biped."""
    parts = {p: j for p, j in parts.items() if p == "head" or p.partition(".")[0] in (*_LEG, *_ARM)}
    # An IK rig's feet hang on its root: here on their shins.
    parents = np.array(parents, dtype=int)
    for side in SIDES:
        above = parts.get("shin" + side, parts.get("thigh" + side))
        for part in ("foot", "toe"):
            joint = parts.get(part + side)
            if joint is not None and above is not None and above not in _ancestors(joint, parents):
                parents[joint] = above
            above = joint if joint is not None else above
    if not all("thigh" + side in parts for side in SIDES):
        return None
    order = sorted(range(len(parents)), key=lambda joint: len(_ancestors(joint, parents)))
    hips = _meeting([parts["thigh.L"], parts["thigh.R"]], parents)
    arms = [parts[p] for p in ("clavicle.L", "clavicle.R", "upper_arm.L", "upper_arm.R") if p in parts]
    arms = arms if all("upper_arm" + side in parts for side in SIDES) else []
    if not arms:
        parts = {p: j for p, j in parts.items() if p.partition(".")[0] not in _ARM}
    top = int(parents[parts["head"]]) if "head" in parts else hips
    carrier = _meeting(arms, parents) if arms else top
    body = _meeting([hips, carrier], parents)
    trunk = _ancestors(carrier, parents)
    spine = [joint for joint in trunk[: trunk.index(body)] if joint != hips][::-1]
    neck: list[int] = []
    if "head" in parts:
        above = _ancestors(parts["head"], parents)[1:]
        neck = above[: above.index(carrier)][::-1] if carrier in above else []
    return Figure(names, parents, tuple(order), heads, tails, parts, hips, body, tuple(spine), tuple(neck))


def figure_of_rig(rig: Rig, vertices: np.ndarray, *, what: object = "the character") -> Figure:
    """The biped that a rig is, told by its shape and, failing that, by its joints' names.

    Raises:
        InputError: It is none.
    """
    named = semantic_names(rig, vertices)
    parts = {name: joint for joint, name in enumerate(named)}
    heads, tails = rig.heads.astype(np.float64), rig.tails.astype(np.float64)
    found = _build(rig.names, rig.parents, heads, tails, parts)
    legs = 2 * len({name.split("_")[1] for name in named if name.startswith("leg_")})
    legs = legs or 2 * sum(f"{end}thigh.L" in parts for end in ("front_", "hind_", ""))
    if found is None and not legs:
        found = _build(rig.names, rig.parents, heads, tails, parts_from_words(rig.names, list(rig.parents)))
    if found is None or found.leg_length <= 0.0:
        seen = f"{legs} legs" if legs else "no legs"
        raise InputError(f"is no biped ({seen} found): a motion of two legs does not fit it", where=what)
    return found


def figure_of_bvh(bvh: Bvh, *, what: object = "the motion") -> Figure:
    """The biped that a motion file's skeleton is, told by its joints' names and, failing that, by its shape.

    Raises:
        InputError: It is none.
    """
    heads = bvh.rest()
    tails = _tails(bvh, heads)
    found = _build(bvh.names, bvh.parents, heads, tails, parts_from_words(bvh.names, list(bvh.parents)))
    if found is None or "shin.L" not in found.parts:
        found = _by_shape(bvh, heads, tails) or found
    if found is None or found.leg_length <= 0.0:
        raise InputError("moves no biped: two legs and a trunk can't be found in its skeleton", where=what)
    return found


def _tails(bvh: Bvh, heads: np.ndarray) -> np.ndarray:
    """Ends of bones: at the end site, else the mean of the children that lie elsewhere, else straight on. [J, 3]"""
    size = float(np.ptp(heads, axis=0).max())
    tails = heads.copy()
    for joint, parent in enumerate(bvh.parents):
        below = [c for c in np.flatnonzero(bvh.parents == joint) if np.linalg.norm(bvh.offsets[c]) > 1e-6 * size]
        if not np.isnan(bvh.ends[joint]).any():
            tails[joint] += bvh.ends[joint]
        elif below:
            tails[joint] = heads[below].mean(0)
        elif parent >= 0:
            tails[joint] += 0.5 * bvh.offsets[joint]
    return tails


def _by_shape(bvh: Bvh, heads: np.ndarray, tails: np.ndarray) -> Figure | None:
    """The figure as its bones show it when they are taken for tubes, standing on either up axis."""
    size = float(np.ptp(np.concatenate([heads, tails]), axis=0).max())
    if size <= 0.0 or len(heads) > _MOST:
        return None
    ring = np.linspace(0.0, 2.0 * np.pi, 6, endpoint=False)
    circle = np.stack([np.cos(ring), np.sin(ring), 0.0 * ring], axis=1)
    circle = np.concatenate([circle, circle[:, [2, 0, 1]], circle[:, [1, 2, 0]]]) * _TUBE * size
    share = np.linspace(0.05, 0.95, 7)
    best: Figure | None = None
    for turn in (np.eye(3), np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])):
        start, stop = heads @ turn.T, tails @ turn.T
        points = start[:, None] + share[None, :, None] * (stop - start)[:, None]
        vertices = (points[:, :, None] + circle).reshape(-1, 3)
        weights = np.repeat(np.eye(len(heads), dtype=np.float32), len(share) * len(circle), axis=0)
        rest = np.tile(np.eye(4), (len(heads), 1, 1))
        rest[:, :3, 3] = start
        rig = Rig(names=bvh.names, parents=bvh.parents, rest_world=rest, tails=stop.astype(np.float32), weights=weights)
        named = semantic_names(rig, vertices)
        parts = {name: joint for joint, name in enumerate(named)}
        built = _build(bvh.names, bvh.parents, heads, tails, parts)
        if built is not None and (best is None or len(built.parts) > len(best.parts)):
            best = built
    return best
