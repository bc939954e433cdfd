"""A tree of branches read as a body: a trunk and the limbs that hang on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from studio_pipeline.geometry.branches import Branch, BranchTree, resample

__all__ = ["BodyTree", "Limb", "Line", "body_tree"]

_SAMPLES = 96  # points of a line
_ALIKE_LENGTH, _ALIKE_RADIUS = 0.7, 0.65  # smaller over larger of two limbs that may be a pair
_STEM, _SIBLING = 0.4, 0.5  # of a limb: a fork nearer to the trunk than that, and as long beyond it, is two limbs
_SMALL = 0.34  # of all branches' length: what is more than this is no limb of a pair
_NEAR = 1.5  # radii of the trunk: limbs that leave it nearer to each other than that may be a pair


@dataclass(frozen=True, kw_only=True)
class Line:
    """A smooth path with a thickness, measured by arc length."""

    points: np.ndarray  # [K, 3] float64
    radius: np.ndarray  # [K] float64, distance to the outside

    @property
    def along(self) -> np.ndarray:
        """Arc length at each point. [K]"""
        return np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))]

    @property
    def length(self) -> float:
        """Arc length of all of it."""
        return float(self.along[-1])

    def place(self, distance: float | np.ndarray) -> np.ndarray:
        """The point at an arc length. [..., 3]"""
        along = self.along
        return np.stack([np.interp(distance, along, self.points[:, axis]) for axis in range(3)], axis=-1)

    def thickness(self, distance: float) -> float:
        """The radius at an arc length."""
        return float(np.interp(distance, self.along, self.radius))

    def nearest(self, point: np.ndarray) -> float:
        """Arc length of the nearest point of the line to ``point`` [3]."""
        return float(self.along[np.argmin(np.linalg.norm(self.points - point, axis=1))])

    def piece(self, start: float, stop: float) -> Line:
        """The part between two arc lengths, sampled as finely."""
        steps = np.linspace(start, stop, len(self.points))
        return Line(points=self.place(steps), radius=np.interp(steps, self.along, self.radius))

    def reverse(self) -> Line:
        """The same line from its other end."""
        return Line(points=self.points[::-1], radius=self.radius[::-1])


@dataclass(kw_only=True, eq=False)
class Limb:
    """What leaves the trunk: the path to its farthest tip. Forks at its end (fingers) are part of it."""

    line: Line  # from the trunk's middle to the tip
    at: float  # arc length on the trunk where it leaves
    paired: bool  # its mirror image is a limb too

    @property
    def count(self) -> int:
        """How many it stands for."""
        return 2 if self.paired else 1


@dataclass(kw_only=True, eq=False)
class BodyTree:
    """A body's trunk and its limbs; of mirrored pairs only the one with positive x."""

    trunk: Line | None  # None: all limbs meet in one place
    hub: np.ndarray  # [3] that place, or the middle of the trunk
    hub_radius: float
    limbs: list[Limb]
    mirrored: bool  # about x = 0


def body_tree(tree: BranchTree, *, mirrored: bool) -> BodyTree:
    """Find the trunk and its limbs.

    With a mirror plane the trunk is the thickest path on it. Without one it is the thickest path through what has no
    like beside it.

    Args:
        tree: At least one branch.
        mirrored: The body mirrors itself at x = 0.
    """
    return _Reader(tree, mirrored).read()


class _Reader:
    def __init__(self, tree: BranchTree, mirrored: bool) -> None:
        self.tree, self.mirrored = tree, mirrored
        self.at: list[list[int]] = [[] for _ in tree.positions]
        for index, branch in enumerate(tree.branches):
            for end in branch.ends:
                self.at[end].append(index)
        self.flat = 1e-6 * float(np.linalg.norm(np.ptp(tree.positions, axis=0)) + 1e-12)

    def read(self) -> BodyTree:
        nodes = self._path(self._in_pairs())
        if len(nodes) < 2:
            hub = nodes[0]
            return BodyTree(
                trunk=None, hub=self.tree.positions[hub], hub_radius=float(self.tree.radius[hub]),
                limbs=self._limbs([hub], None), mirrored=self.mirrored,
            )  # fmt: skip
        trunk = self._line(nodes)
        middle = trunk.length / 2.0
        return BodyTree(
            trunk=trunk, hub=trunk.place(middle), hub_radius=trunk.thickness(middle),
            limbs=self._limbs(nodes, trunk), mirrored=self.mirrored,
        )  # fmt: skip

    # ------------------------------------------------------------------ paths

    def _branch(self, index: int, start: int) -> Branch:
        branch = self.tree.branches[index]
        return branch if branch.ends[0] == start else branch.reverse()

    def _on_plane(self, points: np.ndarray) -> bool:
        return bool(np.abs(points[..., 0]).max() <= self.flat)

    def _path(self, barred: set[int]) -> list[int]:
        """Nodes of the thickest path: the largest integral of the radius along it."""
        weight = [float(np.mean(b.radius)) * b.length for b in self.tree.branches]
        central = [not self.mirrored or self._on_plane(b.points) for b in self.tree.branches]
        nodes = [n for n, place in enumerate(self.tree.positions) if not self.mirrored or self._on_plane(place)]
        nodes = nodes or [int(np.argmin(np.abs(self.tree.positions[:, 0])))]
        best, chosen = -1.0, [max(nodes, key=lambda n: (len(self.at[n]), self.tree.radius[n]))]
        for start in nodes:
            stack = [(start, -1, 0.0, [start])]
            while stack:
                node, came, total, path = stack.pop()
                if total > best + 1e-12 and len(path) > 1:
                    best, chosen = total, path
                for index in self.at[node]:
                    if index != came and central[index] and index not in barred:
                        after = self._branch(index, node).ends[1]
                        stack.append((after, index, total + weight[index], [*path, after]))
        return chosen

    def _in_pairs(self) -> set[int]:
        """Branches of limbs that have their like beside them: two legs, fingers, an octopus's arms.

        With a mirror plane pairs are off it anyway; on it only what has several pairs like it is one of many.
        """
        ways = []
        whole = sum(branch.length for branch in self.tree.branches)
        for node in range(len(self.tree.positions)):
            for index in self.at[node] if len(self.at[node]) > 2 else []:
                members = self._subtree(node, index)
                if sum(self.tree.branches[m].length for m in members) < _SMALL * whole:
                    ways.append((node, self._main(node, index)[0], members))
        barred: set[int] = set()
        for node, line, members in ways:
            tips: set[tuple[float, ...]] = set()
            for other, theirs, those in ways:
                reach = _NEAR * float(max(self.tree.radius[node], self.tree.radius[other]))
                near = np.linalg.norm(self.tree.positions[node] - self.tree.positions[other]) <= reach
                if near and not members & those and self._alike(line, theirs):
                    tips.add(tuple(theirs.points[-1]))
            if len(tips) >= (4 if self.mirrored else 1):
                barred |= members
        return barred

    def _subtree(self, node: int, index: int) -> set[int]:
        """Branches beyond a node by one of its branches, that one included."""
        members, stack = {index}, [self._branch(index, node).ends[1]]
        while stack:
            here = stack.pop()
            for other in self.at[here]:
                if other not in members:
                    members.add(other)
                    stack.append(self._branch(other, here).ends[1])
        return members

    def _alike(self, one: Line, other: Line) -> bool:
        lengths = sorted((one.length, other.length))
        radii = sorted((float(np.median(one.radius)), float(np.median(other.radius))))
        return lengths[0] > _ALIKE_LENGTH * lengths[1] and radii[0] > _ALIKE_RADIUS * radii[1]

    def _line(self, nodes: list[int]) -> Line:
        points, radius = [self.tree.positions[nodes[:1]]], [self.tree.radius[nodes[:1]]]
        for start, stop in pairwise(nodes):
            index = next(i for i in self.at[start] if stop in self.tree.branches[i].ends)
            branch = self._branch(index, start)
            points.append(branch.points[1:])
            radius.append(branch.radius[1:])
        even = resample(np.concatenate(points), np.concatenate(radius), _SAMPLES)
        return Line(points=even[0], radius=even[1])

    # ------------------------------------------------------------------ limbs

    def _main(self, node: int, index: int) -> tuple[Line, list[int]]:
        """The longest path into what begins with a branch at a node, and its nodes."""
        best: tuple[float, list[int]] = (-1.0, [])
        stack = [(self._branch(index, node).ends[1], index, self.tree.branches[index].length, [node])]
        while stack:
            here, came, length, path = stack.pop()
            path = [*path, here]
            if length > best[0]:
                best = (length, path)
            for other in self.at[here]:
                if other != came:
                    branch = self._branch(other, here)
                    stack.append((branch.ends[1], other, length + branch.length, path))
        return self._line(best[1]), best[1]

    def _limbs(self, nodes: list[int], parent: Line | None) -> list[Limb]:
        found = []
        for node in nodes:
            at = 0.0 if parent is None else parent.nearest(self.tree.positions[node])
            for index in self.at[node]:
                if self._branch(index, node).ends[1] not in nodes:
                    found += self._hanging([node], index, at)
        return found

    def _hanging(self, way: list[int], index: int, at: float) -> list[Limb]:
        """Limbs beyond a branch; ``way`` are the nodes on the mirror plane that lead to it from the trunk."""
        node = way[-1]
        branch = self._branch(index, node)
        far = branch.ends[1]
        if self.mirrored and self._on_plane(branch.points):
            onward = [i for i in self.at[far] if i != index]
            if onward:
                return [limb for i in onward for limb in self._hanging([*way, far], i, at)]
            line = self._line([*way, far])
            return [Limb(line=line, at=at, paired=False)]
        main, path = self._main(node, index)
        line = self._line([*way, *path[1:]]) if len(way) > 1 else main
        if self.mirrored and self._on_plane(self.tree.positions[far]):  # one half of a ring about the plane
            folded = np.concatenate([np.abs(line.points[:, :1]), line.points[:, 1:]], axis=1)
            return [Limb(line=Line(points=folded, radius=line.radius), at=at, paired=True)]
        if self.mirrored and float(main.points[:, 0].mean()) < 0.0:
            return []
        found = [Limb(line=line, at=at, paired=self.mirrored)]
        stem = 0.0
        for before, here in pairwise(path):
            stem += self._line([before, here]).length
            if stem > _STEM * main.length:
                break
            for other in self.at[here]:
                if self._branch(other, here).ends[1] in path:
                    continue
                own, rest = self._main(here, other)
                if own.length > _SIBLING * (main.length - stem):
                    nodes = [*way[:-1], *path[: path.index(here)], *rest]
                    found.append(Limb(line=self._line(nodes), at=at, paired=self.mirrored))
        return found
