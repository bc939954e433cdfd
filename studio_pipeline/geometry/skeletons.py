"""Curve skeletons of voxel bodies: medial paths from the tips to the middle, in the manner of TEASAR.

Sato et al. 2000, "TEASAR: tree-structure extraction algorithm for accurate and robust skeletons".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["CORNER", "CellGraph", "CurveTree", "curve_tree", "is_limb"]

_MEDIAL_POWER = 2.0  # cost of a step is its length / depth ** power: paths keep to the middle of the thickest parts
_SLENDER = 3.6  # a tip farther from the tree than this many radii is a limb whatever its shape
_WAIST = 0.75  # otherwise its way must be this much thinner than that of a cone with the same base
_MERGE_DEPTH = 0.35  # a path ends where it is this share of a radius inside of the tree's medial balls
CORNER = 2.6  # radii: the corner of a cube is 1.73 away from its middle, that of a flat end farther
_MAX_TRIES = 160


@dataclass(frozen=True, kw_only=True)
class CellGraph:
    """Filled cells as nodes, joined to their 26 neighbours."""

    cells: np.ndarray  # [N, 3] int64
    ids: np.ndarray  # [X, Y, Z] int64, node of a cell, -1 where empty
    depth: np.ndarray  # [N] float64, distance to the outside, in the body's units
    spacing: float  # edge of a cell
    lengths: sparse.csr_matrix  # [N, N] step lengths, in the body's units
    costs: sparse.csr_matrix  # [N, N] step costs that favour the medial axis

    @classmethod
    def of(cls, body: VoxelBody) -> CellGraph:
        """Build the graph of ``body``."""
        cells = np.argwhere(body.mask)
        ids = np.full(body.mask.shape, -1, dtype=np.int64)
        ids[body.mask] = np.arange(len(cells))
        depth = body.depth[body.mask]
        offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        rows, cols, lengths = [], [], []
        for offset in offsets[offsets @ [9, 3, 1] > 0]:
            neighbour = ids[tuple((cells + offset).T)]
            row = np.flatnonzero(neighbour >= 0)
            rows.append(row)
            cols.append(neighbour[row])
            lengths.append(np.full(len(row), body.spacing * np.sqrt(float(offset @ offset))))
        row, col, length = np.concatenate(rows), np.concatenate(cols), np.concatenate(lengths)
        relative = (depth[row] + depth[col]) / (2.0 * depth.max())
        cost = length / relative**_MEDIAL_POWER
        size = (len(cells), len(cells))

        def symmetric(values: np.ndarray) -> sparse.csr_matrix:
            pair = (np.r_[row, col], np.r_[col, row])
            return sparse.csr_matrix((np.r_[values, values], pair), shape=size)

        return cls(
            cells=cells, ids=ids, depth=depth, spacing=body.spacing, lengths=symmetric(length), costs=symmetric(cost)
        )


@dataclass(frozen=True, kw_only=True)
class CurveTree:
    """A tree of cells; node 0 is the root and parents come before children."""

    cells: np.ndarray  # [K, 3] int64
    parents: np.ndarray  # [K] int64, -1 for the root
    depth: np.ndarray  # [K] float64, distance to the outside


class _Growth:
    """The tree while it grows, and how far each cell still is from it."""

    def __init__(self, graph: CellGraph, middle: int | None) -> None:
        self.graph, self.middle = graph, middle
        self.root = _central_node(graph, middle)
        _, self.towards_root = csgraph.dijkstra(graph.costs, indices=self.root, return_predecessors=True)
        self.parents = {self.root: -1}
        self.beyond = np.full(len(graph.cells), np.inf)  # geodesic distance to the nearest medial ball of the tree
        self.base = np.full(len(graph.cells), self.root)  # centre of that ball
        self._measure(np.array([self.root]))

    def _measure(self, nodes: np.ndarray) -> None:
        # One extra node, joined to each tree node by how much smaller its ball is than the largest.
        size = len(self.graph.cells)
        largest = self.graph.depth.max() * 1.001
        start = sparse.csr_matrix((largest - self.graph.depth[nodes], (np.zeros(len(nodes), int), nodes)), (1, size))
        graph = sparse.vstack([self.graph.lengths, start], format="csr")
        graph.resize((size + 1, size + 1))
        reach, before = csgraph.dijkstra(graph, indices=size, return_predecessors=True)
        origin = np.where(before[:size] == size, np.arange(size), before[:size])
        while not np.array_equal(further := origin[origin], origin):
            origin = further
        nearer = reach[:size] - largest < self.beyond
        self.beyond = np.where(nearer, reach[:size] - largest, self.beyond)
        self.base = np.where(nearer, origin, self.base)

    def mirror(self, nodes: np.ndarray) -> np.ndarray:
        """The same nodes on the other side of the mirror plane."""
        assert self.middle is not None
        cells = self.graph.cells[nodes].copy()
        cells[:, 0] = 2 * self.middle - cells[:, 0]
        return self.graph.ids[tuple(cells.T)]

    def path(self, tip: int) -> np.ndarray:
        """Nodes from ``tip`` along the medial axis to the first node of the tree, which ends it.

        With a mirror plane the path is folded to one side and snapped to the plane where it runs near it. It
        leaves the medial axis for the tree where it is deep inside one of the tree's medial balls.
        """
        nodes = [tip]
        while nodes[-1] != self.root:
            nodes.append(int(self.towards_root[nodes[-1]]))
        path = np.array(nodes) if self.middle is None else self._fold(np.array(nodes), self.middle)
        keep: list[int] = []
        for node in path.tolist():
            if node in self.parents:
                return np.array([*keep, node])
            base = int(self.base[node])
            if self.beyond[node] < -_MERGE_DEPTH * self.graph.depth[base]:
                return np.array([*keep, base])
            if node not in keep:
                keep.append(node)
        return np.array([*keep, self.root])

    def _fold(self, path: np.ndarray, middle: int) -> np.ndarray:
        cells, depth = self.graph.cells[path].copy(), self.graph.depth
        aside = np.abs(cells[:, 0] - middle)
        on_plane = cells.copy()
        on_plane[:, 0] = middle
        beside = self.graph.ids[tuple(on_plane.T)]
        # The middle of the body's section lies on the plane where it is at least as thick there.
        thick = np.where(beside >= 0, depth[beside], 0.0)
        near = (thick > 0.85 * depth[path]) & (aside * self.graph.spacing < 1.5 * thick + self.graph.spacing)
        side = 1 if (self.graph.cells[path, 0] - middle)[~near][:1].sum() >= 0 else -1
        cells[:, 0] = middle + side * aside
        cells[near] = on_plane[near]
        nodes = self.graph.ids[tuple(cells.T)]
        start = int(np.argmax(near))
        return nodes if not near.any() or start == 0 or self._leaves_plane(nodes, start) else nodes[start:]

    def _leaves_plane(self, nodes: np.ndarray, start: int) -> bool:
        """Whether the part of a path before it reaches the mirror plane is a limb, not the corner of a flat end."""
        depth = self.graph.depth[nodes[: start + 1]].copy()
        depth[-1] = self.graph.depth[nodes[start : 2 * start + 1]].max()
        return is_limb(self.graph.cells[nodes[: start + 1]] * self.graph.spacing, depth, slender=CORNER)

    def add(self, path: np.ndarray) -> None:
        """Add what `path` gave, and its mirror image."""
        for image in [path] if self.middle is None else [path, self.mirror(path)]:
            if int(image[-1]) not in self.parents:
                image = np.r_[image, self.base[image[-1]]]
            fresh = [(int(a), int(b)) for a, b in pairwise(image) if int(a) not in self.parents]
            if fresh:
                self.parents.update(fresh)
                self._measure(np.array([child for child, _ in fresh]))

    def finish(self) -> CurveTree:
        """The tree, parents first."""
        children: dict[int, list[int]] = {}
        for child, parent in self.parents.items():
            children.setdefault(parent, []).append(child)
        order = [self.root]
        for node in order:
            order.extend(sorted(children.get(node, [])))
        index = {node: position for position, node in enumerate(order)}
        parents = np.array([index.get(self.parents[node], -1) for node in order])
        return CurveTree(cells=self.graph.cells[order], parents=parents, depth=self.graph.depth[order])


def curve_tree(graph: CellGraph, *, min_length: float, max_branches: int = 24, middle: int | None = None) -> CurveTree:
    """A tree of medial paths that reaches every limb of the body.

    Args:
        graph: Cells of the body, in one piece.
        min_length: What sticks out of the body by less than this gets no branch, in the body's units.
        max_branches: Most tips (a mirrored pair counts once).
        middle: Index of the layer of cells (first axis) about which the body is symmetric; None when it isn't.
    """
    growth = _Growth(graph, middle)
    dismissed = np.zeros(len(graph.cells), dtype=bool)
    branches = 0
    for _ in range(_MAX_TRIES):
        sticks_out = np.where(dismissed, -np.inf, growth.beyond)
        tip = int(np.argmax(sticks_out))
        if sticks_out[tip] < min_length or branches >= max_branches:
            break
        path = growth.path(tip)
        if is_limb(graph.cells[path] * graph.spacing, graph.depth[path]):
            growth.add(path)
            dismissed[tip] = True
            branches += 1
        else:
            near = np.linalg.norm((graph.cells - graph.cells[tip]) * graph.spacing, axis=1)
            drop = np.flatnonzero(near <= 0.5 * (growth.beyond[tip] + graph.depth[growth.base[tip]]))
            dismissed[drop] = True
            if middle is not None:
                dismissed[growth.mirror(drop)] = True
    return growth.finish()


def is_limb(points: np.ndarray, depth: np.ndarray, *, slender: float = _SLENDER) -> bool:
    """Tell a limb from the corner of a box or the bulge of a belly, by the path from its tip to its base.

    Args:
        points: The path [K, 3].
        depth: Distances to the outside along it [K].
        slender: A path longer than this many radii of its base is a limb whatever its shape.
    """
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    base, reach = depth[-1], along[-1]
    if reach > slender * base:
        return True
    between = (along > 0.25 * reach) & (along < 0.95 * reach)
    if not between.any():
        return False
    cone = base * along[between] / reach
    return bool(np.min(depth[between] / cone) < _WAIST)


def _central_node(graph: CellGraph, middle: int | None) -> int:
    """The thick node with the smallest mean geodesic distance to the body's volume."""
    samples = np.unique(np.linspace(0, len(graph.cells) - 1, 24).astype(int))
    mean = csgraph.dijkstra(graph.lengths, indices=samples).mean(0)
    allowed = np.ones(len(graph.cells), dtype=bool) if middle is None else graph.cells[:, 0] == middle
    thick = allowed & (graph.depth >= 0.6 * graph.depth[allowed].max())
    return int(np.argmin(np.where(thick, mean, np.inf)))
