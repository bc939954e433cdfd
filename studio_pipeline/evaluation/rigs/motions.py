"""How a rig poses the character when its bones follow the nearest of the true skeleton through its clips."""

from __future__ import annotations

from typing import Any

import numpy as np

from studio_pipeline.evaluation.rigs.subjects import Subject
from studio_pipeline.geometry.bones import segment_distances
from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.schema.records import Rig

__all__ = ["STILL_PERCENT", "followed_joints", "motion_figures"]

STILL_PERCENT = 0.5  # a clip whose mean vertex moves less, of the diagonal, says nothing
_ALONG = 16  # points on a bone
_TIE = 1e-3  # of the backward distance: tells apart what is equally near forward


def followed_joints(subject: Subject, rig: Rig) -> np.ndarray:
    """The joint of the truth that each joint of ``rig`` follows: the one whose bones its own bones lie along at rest.

    A joint's bones run from its head to its children's heads, a leaf's to its tail. The distance is the mean over
    points on the rig's bones to the nearest of the true joint's; of equals the one that is nearer the other way round.
    Only true joints that own skin are followed. [J]
    """
    truth = subject.truth
    owners = np.flatnonzero(truth.weights.max(0, initial=0.0) > 0.0)
    theirs = [_bones(truth.joints, truth.tails, truth.parents, joint) for joint in owners]
    firsts = np.cumsum([0, *(len(bones) for bones in theirs[:-1])])
    there = np.concatenate(theirs)
    back = np.stack([_points(bones) for bones in theirs])
    followed = []
    for joint in range(rig.joint_count):
        own = _bones(rig.heads, rig.tails.astype(np.float64), rig.parents, joint)
        forward = np.minimum.reduceat(segment_distances(_points(own), there), firsts, axis=1).mean(0)
        backward = segment_distances(back.reshape(-1, 3), own).min(1).reshape(len(owners), -1).mean(1)
        followed.append(owners[np.argmin(forward + _TIE * backward)])
    return np.array(followed)


def motion_figures(subject: Subject, rig: Rig) -> dict[str, Any] | None:
    """Mean distance of posed vertices from the truth's, in percent of the rest diagonal.

    Truth and rig pose the same rest vertices by linear blend skinning, the truth with its own joints' transforms and
    weights, the rig with its weights and, for each joint, the rigid transform of the true joint that it follows.

    Returns:
        Means over the clips, ``percent`` and ``still_percent`` (a rest pose that never moves), and ``clips`` with
        both for each; None when no clip moves.
    """
    followed, rest = followed_joints(subject, rig), subject.character.vertices
    clips = []
    for movement in subject.movements:
        true = pose_vertices(rest, subject.truth.weights, movement.transforms)
        still = _percent(true, rest[None], subject.character.diagonal)
        if still >= STILL_PERCENT:
            posed = pose_vertices(rest, rig.weights, movement.transforms[:, followed])
            error = _percent(true, posed, subject.character.diagonal)
            clips.append({"name": movement.name, "percent": error, "still_percent": still})
    if not clips:
        return None
    means = {key: float(np.mean([clip[key] for clip in clips])) for key in ("percent", "still_percent")}
    return {**means, "clips": clips}


def _percent(true: np.ndarray, posed: np.ndarray, diagonal: float) -> float:
    return float(100.0 * np.linalg.norm(true.astype(np.float64) - posed, axis=-1).mean() / diagonal)


def _bones(heads: np.ndarray, tails: np.ndarray, parents: np.ndarray, joint: int | np.integer) -> np.ndarray:
    """Segments that a joint moves. [S, 2, 3]"""
    below = np.flatnonzero(parents == joint)
    stops = heads[below] if len(below) else tails[joint][None]
    return np.stack([np.repeat(heads[joint][None], len(stops), axis=0), stops], axis=1)


def _points(bones: np.ndarray) -> np.ndarray:
    """`_ALONG` points spread over segments [S, 2, 3] by their length. [_ALONG, 3]"""
    lengths = np.linalg.norm(bones[:, 1] - bones[:, 0], axis=1)
    ends = np.cumsum(lengths)
    place = (np.arange(_ALONG) + 0.5) / _ALONG * ends[-1]
    piece = np.minimum(np.searchsorted(ends, place, side="right"), len(bones) - 1)
    share = (place - (ends - lengths)[piece]) / np.where(lengths > 0.0, lengths, 1.0)[piece]
    return bones[piece, 0] + share[:, None] * (bones[piece, 1] - bones[piece, 0])
