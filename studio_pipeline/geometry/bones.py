"""Bones of a skeleton that is only joints: distances to them, and where they end."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.meshes import largest_extent

__all__ = ["bone_ends", "bone_segments", "segment_distances"]

_SAMPLED_VERTICES = 5000  # that say how far a leaf reaches
_LEAST = 0.02  # of the longest side: the shortest bone that `bone_ends` makes


def bone_segments(joints: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """From each joint's parent to the joint; joints that stand alone are segments of no length. [S, 2, 3]"""
    child = np.flatnonzero(parents >= 0)
    alone = np.setdiff1d(np.flatnonzero(parents < 0), parents)
    pairs = np.stack([joints[parents[child]], joints[child]], axis=1)
    return np.concatenate([pairs, np.repeat(joints[alone][:, None], 2, axis=1)])


def segment_distances(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Distances of points [N, 3] to segments [S, 2, 3], which may have no length. [N, S] float64"""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    square = np.einsum("sc,sc->s", along, along)
    offset = points[:, None] - start
    share = np.einsum("nsc,sc->ns", offset, along) / np.where(square > 0.0, square, 1.0)
    return np.linalg.norm(offset - np.clip(share, 0.0, 1.0)[..., None] * along, axis=-1)


def bone_ends(joints: np.ndarray, parents: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Ends of bones for joints [J, 3] that have none, made without weights. [J, 3]

    A joint's bone ends between its children. A leaf's goes through the middle of the vertices [V, 3] that are nearer
    to it than to any bone between joints, or on from its parent where that leads nowhere.
    """
    leaves = np.setdiff1d(np.arange(len(parents)), parents)
    points = vertices[:: max(1, len(vertices) // _SAMPLED_VERTICES)].astype(np.float64)
    extent = largest_extent(vertices)
    to_bones = segment_distances(points, bone_segments(joints, parents)).min(1)
    to_leaves = np.linalg.norm(points[:, None] - joints[leaves], axis=-1)
    nearest = np.where(to_leaves.min(1) <= to_bones + 1e-9 * extent, leaves[np.argmin(to_leaves, axis=1)], -1)
    ends = joints.astype(np.float64)
    for joint, parent in enumerate(parents):
        head, below = joints[joint], parents == joint
        ends[joint] = joints[below].mean(0) if below.any() else _through(head, points[nearest == joint])
        if np.linalg.norm(ends[joint] - head) < _LEAST * extent:
            along = head - joints[parent] if parent >= 0 else np.zeros(3)
            length = float(np.linalg.norm(along))
            along = along / length if length > 1e-6 * extent else np.array([0.0, 1.0, 0.0])
            ends[joint] = head + along * max(0.3 * length, _LEAST * extent)
    return ends


def _through(head: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From ``head`` [3] through the middle of points [N, 3], twice as far, but no farther than they reach. [3]"""
    offsets = points - head
    onward = 2.0 * offsets.mean(0) if len(offsets) else np.zeros(3)
    length = float(np.linalg.norm(onward))
    return head if length == 0.0 else head + onward * min(1.0, float((offsets @ onward).max()) / length**2)
