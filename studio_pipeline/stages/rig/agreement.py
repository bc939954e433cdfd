"""What several skeletons of one body agree on: the one that is least unlike the others, and where they put its joints.

Minimum Bayes risk: of samples from a distribution over skeletons the one whose expected distance to the others is
least is the best single answer by that distance, whatever the likeliest is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.geometry.bones import bone_segments
from studio_pipeline.stages.rig.candidates import Candidate

__all__ = ["agreed", "unlikeness"]

_STEP = 0.03  # between points on bones; half the longest side of the body is 1
_SAME = 0.15  # joints of two skeletons that are farther apart are never the same


def unlikeness(candidates: Sequence[Candidate]) -> np.ndarray:
    """How far each is from the others in the mean: chamfer distance of joints and of points on bones, added.

    Args:
        candidates: In one box [-1, 1]^3.

    Returns:
        [N] float64; zero for one that is alone.
    """
    apart = np.zeros((len(candidates), len(candidates)))
    for points in ([one.joints for one in candidates], [_on_bones(one) for one in candidates]):
        trees = [cKDTree(values) for values in points]
        for one in range(len(candidates)):
            for other in range(one):
                there, back = trees[one].query(points[other])[0], trees[other].query(points[one])[0]
                apart[one, other] += (there.mean() + back.mean()) / 2.0
    return (apart + apart.T).sum(1) / max(len(candidates) - 1, 1)


def agreed(candidate: Candidate, others: Sequence[Candidate]) -> Candidate:
    """The same tree; each joint at the mean of where it and its counterparts in the others are.

    A counterpart is the nearest joint whose own nearest is this one, no farther than ``_SAME``.
    """
    joints, tree = candidate.joints, cKDTree(candidate.joints)
    total, count = joints.copy(), np.ones(len(joints))
    for other in others:
        gap, nearest = cKDTree(other.joints).query(joints)
        mutual = (tree.query(other.joints)[1][nearest] == np.arange(len(joints))) & (gap < _SAME)
        total[mutual] += other.joints[nearest[mutual]]
        count += mutual
    return Candidate(joints=total / count[:, None], parents=candidate.parents, likelihood=candidate.likelihood)


def _on_bones(candidate: Candidate) -> np.ndarray:
    """Points in the middle of short pieces of all bones. [P, 3]"""
    pieces = []
    for start, end in bone_segments(candidate.joints, candidate.parents):
        count = max(int(np.ceil(np.linalg.norm(end - start) / _STEP)), 1)
        pieces.append(start + (np.arange(count) + 0.5)[:, None] / count * (end - start))
    return np.concatenate(pieces)
