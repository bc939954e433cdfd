"""A tree of cells as smooth branches between junctions and tips, and the way to cut branches into bones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from studio_pipeline.geometry.skeletons import CORNER, CurveTree, is_limb

__all__ = ["Branch", "BranchTree", "branch_tree", "cut_near", "resample"]

_SAMPLES = 48  # points of a branch when it is cut
_ASTRAY = 14.0  # what a cut costs that is a share of one away from where it is looked for, against the same


@dataclass(kw_only=True)
class Branch:
    """A path between two nodes of a `BranchTree`."""

    ends: tuple[int, int]  # nodes
    points: np.ndarray  # [K, 3] float64, from the first node to the second
    radius: np.ndarray  # [K] float64, distance to the outside

    @property
    def length(self) -> float:
        """Length along the path."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    def reverse(self) -> Branch:
        """The same path walked the other way."""
        return Branch(ends=(self.ends[1], self.ends[0]), points=self.points[::-1], radius=self.radius[::-1])


@dataclass(kw_only=True)
class BranchTree:
    """Junctions, tips and the root as nodes, branches between them; an undirected tree."""

    positions: np.ndarray  # [N, 3] float64
    radius: np.ndarray  # [N] float64
    branches: list[Branch] = field(default_factory=list)

    def degree(self) -> np.ndarray:
        """Branches at each node. [N]"""
        return np.bincount(np.array([b.ends for b in self.branches], int).ravel(), minlength=len(self.positions))


def branch_tree(tree: CurveTree, points: np.ndarray, *, merge: float = 0.8) -> BranchTree:
    """Contract a tree of cells to its branches; junctions closer than ``merge`` radii become one.

    Args:
        tree: The tree of cells.
        points: Centres of the tree's cells [K, 3].
        merge: Part of a junction's radius within which another junction is the same.
    """
    children = np.bincount(tree.parents[1:], minlength=len(tree.parents))
    is_node = children != 1
    is_node[0] = True
    number = np.cumsum(is_node) - 1
    branches = []
    for tip in np.flatnonzero(is_node):
        if tip == 0:
            continue
        path = [int(tip)]
        while len(path) == 1 or not is_node[path[-1]]:
            path.append(int(tree.parents[path[-1]]))
        path = path[::-1]
        ends = (int(number[path[0]]), int(number[path[-1]]))
        branches.append(Branch(ends=ends, points=points[path].astype(np.float64), radius=tree.depth[path]))
    whole = BranchTree(positions=points[is_node].astype(np.float64), radius=tree.depth[is_node], branches=branches)
    return _smooth(_prune(_merge_junctions(whole, merge)))


def _merge_junctions(tree: BranchTree, merge: float) -> BranchTree:
    group = np.arange(len(tree.positions))
    inner = tree.degree() > 1
    for branch in tree.branches:
        a, b = branch.ends
        if inner[a] and inner[b] and branch.length < merge * max(tree.radius[a], tree.radius[b]):
            group[group == group[b]] = group[a]
    names, group = np.unique(group, return_inverse=True)
    # The middle of a cluster, each member counted by its thickness: the same for a cluster and its mirror image.
    share = np.bincount(group, tree.radius)
    positions = np.stack([np.bincount(group, tree.radius * tree.positions[:, axis]) / share for axis in range(3)], 1)
    radius = np.zeros(len(names))
    np.maximum.at(radius, group, tree.radius)
    branches = []
    for branch in tree.branches:
        ends = (int(group[branch.ends[0]]), int(group[branch.ends[1]]))
        if ends[0] != ends[1]:
            points = np.concatenate([positions[[ends[0]]], branch.points[1:-1], positions[[ends[1]]]])
            branches.append(Branch(ends=ends, points=points, radius=branch.radius))
    return BranchTree(positions=positions, radius=radius, branches=branches)


def _prune(tree: BranchTree) -> BranchTree:
    """Drop leaves that are mere corners; a fork of nothing but corners becomes one tip in their middle."""
    degree = tree.degree()
    corners: dict[int, list[Branch]] = {}
    for branch in tree.branches:
        for leaf in (branch, branch.reverse()):
            base, tip = leaf.ends
            is_tip = degree[tip] == 1 and degree[base] > 2
            depth = np.r_[leaf.radius[:0:-1], tree.radius[base]]
            if is_tip and not is_limb(leaf.points[::-1], depth, slender=CORNER):
                corners.setdefault(base, []).append(leaf)
    dropped: set[frozenset[int]] = set()
    branches = list(tree.branches)
    for base, leaves in corners.items():
        left = degree[base] - len(leaves)
        dropped |= {frozenset(leaf.ends) for leaf in leaves}
        if left == 1:
            tip = leaves[0].ends[1]
            tree.positions[tip] = np.mean([tree.positions[leaf.ends[1]] for leaf in leaves], axis=0)
            points = tree.positions[[base, tip]]
            branches.append(Branch(ends=(base, tip), points=points, radius=leaves[0].radius[[0, -1]]))
        elif left == 0:
            dropped -= {frozenset(leaf.ends) for leaf in leaves}
    fresh = branches[len(tree.branches) :]
    branches = [b for b in tree.branches if frozenset(b.ends) not in dropped] + fresh
    return _compact(BranchTree(positions=tree.positions, radius=tree.radius, branches=branches))


def _compact(tree: BranchTree) -> BranchTree:
    """Join the two branches at every node that no longer is a junction, and drop nodes without branches."""
    branches = list(tree.branches)
    for node in np.flatnonzero(tree.degree() == 2):
        first, second = (b if b.ends[0] == node else b.reverse() for b in branches if node in b.ends)
        branches = [b for b in branches if node not in b.ends]
        points = np.concatenate([first.points[::-1], second.points[1:]])
        radius = np.concatenate([first.radius[::-1], second.radius[1:]])
        branches.append(Branch(ends=(first.ends[1], second.ends[1]), points=points, radius=radius))
    used = np.unique(np.array([b.ends for b in branches], dtype=int))
    number = {int(node): index for index, node in enumerate(used)}
    for branch in branches:
        branch.ends = (number[branch.ends[0]], number[branch.ends[1]])
    return BranchTree(positions=tree.positions[used], radius=tree.radius[used], branches=branches)


def _smooth(tree: BranchTree) -> BranchTree:
    for branch in tree.branches:
        branch.points, branch.radius = resample(branch.points, branch.radius, _SAMPLES)
        for _ in range(24):
            inner = (branch.points[:-2] + branch.points[2:]) / 2.0
            branch.points[1:-1] = (branch.points[1:-1] + inner) / 2.0
    return tree


def resample(points: np.ndarray, radius: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` points at even steps along a path [K, 3] with radii [K]."""
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    steps = np.linspace(0.0, along[-1], count)
    even = np.stack([np.interp(steps, along, points[:, axis]) for axis in range(3)], axis=1)
    return even, np.interp(steps, along, radius)


def cut_near(points: np.ndarray, radius: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Cut an evenly sampled path [K, 3] at its bends, where it has none near given shares of its length.

    Args:
        points: The path.
        radius: Its thickness [K].
        shares: Where cuts are looked for, rising, between 0 and 1.

    Returns:
        Indices of the cuts, both ends included. [len(shares) + 2] int
    """
    count = len(points)
    step = max(count // _SAMPLES, 1)
    index = np.unique(np.r_[np.arange(0, count - 1, step), count - 1])
    knots, scale = points[index], float(np.mean(radius)) + 1e-12
    size = len(index)
    cost = np.full((size, size), np.inf)
    for i in range(size - 1):
        chord = knots[i + 1 :] - knots[i]  # [M, 3]
        offset = knots[i + 1 :] - knots[i]
        share = np.einsum("pc,mc->mp", offset, chord) / np.maximum(np.einsum("mc,mc->m", chord, chord), 1e-300)[:, None]
        miss = np.linalg.norm(offset[None] - np.clip(share, 0.0, 1.0)[..., None] * chord[:, None], axis=2)
        inner = np.tril(np.ones((size - 1 - i,) * 2))
        cost[i, i + 1 :] = (miss * inner).max(1) ** 2 / scale**2
    place = np.linspace(0.0, 1.0, size)
    best, steps = cost[0].copy(), []
    for wanted in shares:
        total = (best + _ASTRAY * (place - wanted) ** 2)[:, None] + cost
        steps.append(np.argmin(total, axis=0))
        best = np.min(total, axis=0)
    cuts = [size - 1]
    for before in reversed(steps):
        cuts.append(int(before[cuts[-1]]))
    return index[np.array([*cuts, 0][::-1])]
