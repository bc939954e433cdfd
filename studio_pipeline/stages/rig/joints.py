"""From the branches of a body to joints and bones: where the root is, which way chains run, where limbs begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.branches import Branch, BranchTree, cut, resample
from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["Skeleton", "axis_skeleton", "skeleton_of"]

_BONE_RADII, _BONE_SHARE = 2.4, 0.085  # a bone is at least this many radii and this share of the diagonal long
_MOST_BONES = 6  # on one branch
_STRAY = 0.012  # of a diagonal of one: how far joints may lie off the body's cells
_ROOT_OFF_MIDDLE = 0.15  # of the diagonal: a junction farther from the middle is no place for the root
_THICK = 0.1  # of the diagonal: an end with this radius is a body, not the tip of a limb
_LONGEST_BONE = 0.13  # of the diagonal, however thick the body is
_LIMB_START = 0.75  # a limb begins this many radii of the junction away from it


@dataclass(kw_only=True)
class Skeleton:
    """Joints in the order parents first; a joint moves the bone from its head to its tail."""

    heads: list[np.ndarray] = field(default_factory=list)  # [3] each
    tails: list[np.ndarray] = field(default_factory=list)  # [3] each
    parents: list[int] = field(default_factory=list)
    chains: list[int] = field(default_factory=list)  # which chain; 0 is the root's
    reach: list[list[np.ndarray]] = field(default_factory=list)  # segments [2, 3] to its limbs

    def add(self, head: np.ndarray, tail: np.ndarray, parent: int, chain: int) -> int:
        """Append a joint and return its index."""
        self.heads.append(head)
        self.tails.append(tail)
        self.parents.append(parent)
        self.chains.append(chain)
        self.reach.append([])
        return len(self.heads) - 1

    def into(self, body: VoxelBody) -> Skeleton:
        """The same skeleton with joints that hang between parts moved into the nearest part.

        Bones that shrink to nothing by that are left out; what hung on them hangs on their parents.
        """
        places = body.points(np.argwhere(body.real))
        joints = np.stack(self.heads)
        distance, nearest = cKDTree(places).query(joints)
        lost = distance > min(1.2 * body.spacing, _STRAY)
        moved = np.where(lost[:, None], places[nearest], joints)
        tails = list(self.tails)
        for joint in np.flatnonzero(lost):
            tails = [moved[joint] if np.array_equal(joints[joint], tail) else tail for tail in tails]
        result, number = Skeleton(), {-1: -1}
        for joint, parent in enumerate(self.parents):
            short = np.linalg.norm(tails[joint] - moved[joint]) < 0.5 * body.spacing
            if short and number[parent] >= 0:
                number[joint] = number[parent]
                continue
            tail = tails[joint] if not short else moved[joint] + np.array([0.0, body.spacing, 0.0])
            number[joint] = result.add(moved[joint], tail, number[parent], self.chains[joint])
            result.reach[-1] = self.reach[joint]
        return result


def skeleton_of(
    tree: BranchTree, diagonal: float, floor: float, *, mirrored: bool = False, coarseness: float = 1.0
) -> Skeleton:
    """Joints for a tree of branches.

    Args:
        tree: At least one branch.
        diagonal: Length of the body's bounding box diagonal.
        floor: Lowest height of the body (y).
        mirrored: The body mirrors itself at x = 0, and so must the skeleton.
        coarseness: Above one gives longer, fewer bones.
    """
    return _Builder(_into_thick_ends(tree, diagonal), diagonal, floor, mirrored, coarseness).build()


class _Builder:
    def __init__(self, tree: BranchTree, diagonal: float, floor: float, mirrored: bool, coarseness: float) -> None:
        self.tree, self.diagonal, self.floor = tree, diagonal, floor
        self.mirrored, self.coarseness = mirrored, coarseness
        self.skeleton = Skeleton()
        self.chain = 0
        self._connect()

    def _connect(self) -> None:
        self.at: list[list[int]] = [[] for _ in self.tree.positions]  # branches at each node
        for index, branch in enumerate(self.tree.branches):
            for end in branch.ends:
                self.at[end].append(index)

    def build(self) -> Skeleton:
        self._node(self._root(), parent=-1, arrived=None, chain=0)
        return self.skeleton

    # ------------------------------------------------------------------ the root

    def _root(self) -> int:
        """A junction with a pair of legs, else one near the middle, else the middle itself; upright chains stand."""
        positions, degree = self.tree.positions, self.tree.degree()
        middle = self._middle()
        distance = np.linalg.norm(positions - middle, axis=1) / self.diagonal
        if not (degree > 2).any():
            ends = np.flatnonzero(degree == 1)
            span = positions[ends[1]] - positions[ends[0]]
            if abs(span[1]) > 0.8 * np.linalg.norm(span):
                return int(ends[np.argmin(positions[ends, 1])])
        stands = (degree == 1) & (self.tree.radius > _THICK * self.diagonal)
        stands &= positions[:, 1] - self.tree.radius < self.floor + 0.08 * self.diagonal
        if stands.any() and not self._legs().any():
            return int(np.argmax(np.where(stands, self.tree.radius, -1.0)))
        score = distance + 10.0 * (degree < 3) - 0.25 * np.minimum(self._legs(), 2)
        best = int(np.argmin(score))
        if distance[best] - 0.05 * min(self._legs()[best], 2) < _ROOT_OFF_MIDDLE and degree[best] > 2:
            return best
        return self._split(middle)

    def _middle(self) -> np.ndarray:
        """Centre of the branches by volume."""
        mass = [b.radius**2 * b.length / len(b.radius) for b in self.tree.branches]
        points = np.concatenate([b.points for b in self.tree.branches])
        return np.average(points, axis=0, weights=np.concatenate(mass))

    def _legs(self) -> np.ndarray:
        """How many branches end on the floor, per node. [N]"""
        degree, count = self.tree.degree(), np.zeros(len(self.tree.positions))
        for branch in self.tree.branches:
            for inner, outer in (branch.ends, branch.ends[::-1]):
                low = self.tree.positions[outer, 1] < self.floor + 0.08 * self.diagonal
                if degree[outer] == 1 and low and self.tree.radius[outer] < _THICK * self.diagonal:
                    count[inner] += 1
        return count

    def _split(self, place: np.ndarray) -> int:
        """Put a node where a branch comes nearest to ``place`` [3], or take the node that is there."""
        gaps = [np.linalg.norm(branch.points - place, axis=1) for branch in self.tree.branches]
        index = int(np.argmin([gap.min() for gap in gaps]))
        branch, cell = self.tree.branches[index], int(np.argmin(gaps[index]))
        count = len(branch.points)
        if cell < count // 6 or cell > count - 1 - count // 6:
            return branch.ends[0 if cell < count // 2 else 1]
        node = len(self.tree.positions)
        self.tree.positions = np.vstack([self.tree.positions, branch.points[cell]])
        self.tree.radius = np.r_[self.tree.radius, branch.radius[cell]]
        parts = []
        for end, piece in ((branch.ends[0], slice(cell, None, -1)), (branch.ends[1], slice(cell, None))):
            points, radius = resample(branch.points[piece], branch.radius[piece], count)
            parts.append(Branch(ends=(node, end), points=points, radius=radius))
        self.tree.branches[index : index + 1] = parts
        self._connect()
        return node

    # ------------------------------------------------------------------ chains

    def _node(self, node: int, parent: int, arrived: Branch | None, chain: int) -> None:
        """Joints of everything beyond ``node``; ``arrived`` is the branch that led here, ending at the node."""
        out = [self.tree.branches[i] for i in self.at[node]]
        away = [b if b.ends[0] == node else b.reverse() for b in out]
        away = [b for b in away if arrived is None or b.ends[1] != arrived.ends[0]]
        if not away:
            return
        main = self._main(node, away, arrived)
        ends = []
        if main is not None:
            first = self._chain(main, parent, 0.0, chain)
            hub = first[0]
            ends.append((main, first[-1], chain))
        else:
            hub = self._hub(node) if parent < 0 else parent
        for branch in sorted((b for b in away if b is not main), key=lambda b: tuple(-b.points[-1])):
            self.chain += 1
            start = min(_LIMB_START * self.tree.radius[node] / branch.length, 0.45)
            joints = self._chain(branch, hub, start, self.chain)
            self.skeleton.reach[hub].append(np.stack([branch.points[0], self.skeleton.heads[joints[0]]]))
            ends.append((branch, joints[-1], self.chain))
        for branch, last, of_chain in ends:
            self._node(branch.ends[1], last, branch, of_chain)

    def _main(self, node: int, away: list[Branch], arrived: Branch | None) -> Branch | None:
        """The branch that continues the chain; on the mirror plane only one that stays there, or none."""
        if self.mirrored and self._on_plane(self.tree.positions[node]):
            away = [branch for branch in away if self._on_plane(branch.points)]
        return max(away, key=lambda branch: self._continues(branch, arrived)) if away else None

    def _on_plane(self, points: np.ndarray) -> bool:
        return bool(np.abs(points[..., 0]).max() < 1e-6 * self.diagonal)

    def _hub(self, node: int) -> int:
        """A root whose limbs all come in pairs: an upright bone half a radius long."""
        head = self.tree.positions[node]
        reach = max(0.5 * float(self.tree.radius[node]), 0.02 * self.diagonal)
        return self.skeleton.add(head, head + np.array([0.0, reach, 0.0]), -1, 0)

    def _continues(self, branch: Branch, arrived: Branch | None) -> tuple[float, float]:
        """How well a branch continues the chain: straight on, along the mirror plane, thick and long."""
        ahead = branch.points[len(branch.points) // 3] - branch.points[0]
        ahead = ahead / (np.linalg.norm(ahead) + 1e-12)
        if arrived is None:
            onward = 0.7 * ahead[1]
        else:
            before = arrived.points[-1] - arrived.points[len(arrived.points) // 2]
            onward = float(ahead @ before / (np.linalg.norm(before) + 1e-12))
        on_plane = 1.0 if self._on_plane(branch.points) else 0.0
        thick = float(np.median(branch.radius)) / float(self.tree.radius.max())
        inner = 0.5 if len(self.at[branch.ends[1]]) > 1 else 0.0
        return onward + on_plane + thick + inner, branch.length

    def _chain(self, branch: Branch, parent: int, start: float, chain: int) -> list[int]:
        """Joints along a branch from ``start`` (share of its length) to its end."""
        keep = max(round(start * (len(branch.points) - 1)), 0)
        points, radius = resample(branch.points[keep:], branch.radius[keep:], len(branch.points))
        length = Branch(ends=branch.ends, points=points, radius=radius).length
        thickness = min(_BONE_RADII * float(np.mean(radius)), _LONGEST_BONE * self.diagonal)
        shortest = self.coarseness * max(thickness, _BONE_SHARE * self.diagonal)
        bones = int(np.clip(round(length / shortest), 1, _MOST_BONES))
        if (
            bones == 1
            and length > 1.2 * _BONE_SHARE * self.diagonal * self.coarseness
            and len(self.at[branch.ends[1]]) == 1
        ):
            bones = 2
        cuts = points[cut(points, radius, bones)]
        joints = []
        for head, tail in pairwise(cuts):
            parent = self.skeleton.add(head, tail, parent, chain)
            joints.append(parent)
        return joints


def _into_thick_ends(tree: BranchTree, diagonal: float) -> BranchTree:
    """Lengthen branches that end in the middle of a thick part, so that bones reach through it."""
    degree = tree.degree()
    for branch in tree.branches:
        for flip in (False, True):
            path = branch.reverse() if flip else branch
            node = path.ends[1]
            radius = float(tree.radius[node])
            if degree[node] != 1 or radius < _THICK * diagonal:
                continue
            before = np.linalg.norm(path.points - path.points[-1], axis=1) > min(radius, 0.5 * path.length)
            onward = path.points[-1] - path.points[np.flatnonzero(before)[-1]]
            end = path.points[-1] + 0.7 * radius * onward / np.linalg.norm(onward)
            points, radii = np.vstack([path.points, end]), np.r_[path.radius, 0.3 * radius]
            points, radii = resample(points, radii, len(path.points))
            branch.points, branch.radius = (points[::-1], radii[::-1]) if flip else (points, radii)
            tree.positions[node] = end
    return tree


def axis_skeleton(points: np.ndarray, depth: np.ndarray, *, bones: int = 4) -> Skeleton:
    """A straight chain through a body without limbs, along its longest axis or upright when it has none.

    Args:
        points: Centres of the body's cells [N, 3].
        depth: Their distances to the outside [N].
        bones: Number of bones.
    """
    centre = points.mean(0)
    values, axes = np.linalg.eigh(np.cov((points - centre).T) + 1e-30 * np.eye(3))
    axis = axes[:, 2]
    up = np.array([0.0, 1.0, 0.0])
    spread_up = float(up @ np.cov((points - centre).T) @ up)
    if spread_up > 0.5 * values[2]:
        axis = up
    axis = axis * (np.sign(axis[np.argmax(np.abs(axis))]) or 1.0)
    along = (points - centre) @ axis
    aside = np.linalg.norm(points - centre - along[:, None] * axis, axis=1)
    step = np.ptp(along) / 40.0 + 1e-12
    core = along[aside <= aside.min() + 2.0 * step]
    margin = 0.12 * np.ptp(core)
    heads = np.linspace(core.min() + margin, core.max() - margin, bones + 1)
    # Each head goes to the deepest cell of its slice near the axis, so that it lies inside whatever the shape.
    knots = []
    for height in heads:
        near = np.abs(along - height) <= np.abs(along - height).min() + step
        candidates = np.flatnonzero(near)
        pick = candidates[np.argmax(depth[candidates] - 0.5 * aside[candidates])]
        target = centre + height * axis
        inside = np.linalg.norm(points - target, axis=1).min() <= depth.min() * 1.8
        knots.append(target if inside else points[pick])
    skeleton = Skeleton()
    parent = -1
    for head, tail in pairwise(knots):
        parent = skeleton.add(head, tail, parent, 0)
    return skeleton
