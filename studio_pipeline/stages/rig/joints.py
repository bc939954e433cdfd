"""Joints and bones while a skeleton is being made, and the skeleton of a body without limbs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["Skeleton", "axis_skeleton"]

_MOVES = 0.01  # a joint with less weight everywhere moves nothing
_STRAY = 0.012  # of a diagonal of one: how far joints may lie off the body's cells


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

    def moving(self, weights: np.ndarray) -> np.ndarray:
        """Joints that move some vertex, or have one below them that does, and the root.

        A limb of one side only has a twin in a skeleton that mirrors itself: where nothing is, nothing stays.

        Args:
            weights: Of the vertices [V, J].

        Returns:
            Indices, rising; at least two. [K]
        """
        moves = weights.max(0) > _MOVES
        for joint in range(len(self.parents) - 1, 0, -1):
            moves[self.parents[joint]] |= moves[joint]
        moves[0] = True
        return np.flatnonzero(moves if moves.sum() > 1 else np.ones(len(moves), dtype=bool))


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
