"""Skin weights of a procedural body, from its primitives and bones, never across to another limb."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bones import segment_distances
from studio_pipeline.training.rig_data.shape import Field, Shape

__all__ = ["joint_distances", "skin_weights"]

_INFLUENCES = 8
_SOFTNESS = 0.2  # of the local radius: how wide two bones share the surface around their joint
_BONE_SOFTNESS = 0.18  # of the bone's length: the same between bones inside one primitive


def joint_distances(parents: np.ndarray) -> np.ndarray:
    """Number of bones between any two joints of the tree. [J, J] int"""
    count = len(parents)
    steps = np.zeros((count, count), int)
    for joint in range(1, count):
        steps[joint, :joint] = steps[parents[joint], :joint] + 1
        steps[:joint, joint] = steps[joint, :joint]
    return steps


def skin_weights(
    shape: Shape,
    field: Field,
    points: np.ndarray,
    *,
    joints: np.ndarray,
    tails: np.ndarray,
    parents: np.ndarray,
    rigid: bool = False,
) -> np.ndarray:
    """Weights at surface points [N, 3] where ``field`` was evaluated. [N, J] float32, rows sum to one

    A point follows the primitives near it that belong to its own group and to the same or a neighbouring joint; inside
    a primitive of several joints it follows the nearest of their bones.

    Args:
        shape: The body's primitives.
        field: Its field at the points.
        points: Where. [N, 3]
        joints: Heads. [J, 3]
        tails: Ends of the bones. [J, 3]
        parents: The tree. [J]
        rigid: One joint a point (robots).
    """
    count = shape.count
    member = np.zeros((len(shape.starts), count), bool)
    sizes = np.diff(np.append(shape.starts, len(shape.members)))
    member[np.repeat(np.arange(len(sizes)), sizes), shape.members] = True
    distance = np.where(member[field.group].T, field.primitive, np.float32(1e3))
    main = distance.argmin(0)
    nearest = distance[main, np.arange(len(points))]
    softness = _SOFTNESS * thickness(shape)[main]
    share = np.exp(np.maximum((nearest - distance) / softness, -80.0)) * _related(shape, parents)[main].T
    bones = segment_distances(points, np.stack([joints, tails], axis=1)).T.astype(np.float32)
    reach = _BONE_SOFTNESS * np.linalg.norm(tails - joints, axis=1) + 1e-6
    pull = np.exp(-np.minimum((bones - bones.min(0)) / reach[:, None], 60.0))
    owners = shape.owners.astype(np.float32)
    several = owners.sum(1) > 1.5
    pulls = np.where(several[:, None], owners @ pull, np.float32(1.0)) + np.float32(1e-30)
    single = owners * ~several[:, None]
    weights = single.T @ share + pull * ((owners * several[:, None]).T @ (share / pulls))
    return _sparse(weights.T.astype(np.float32), rigid)


def thickness(shape: Shape) -> np.ndarray:
    """A primitive's own radius where it is thinnest, across its axis. [P] float32"""
    mean = shape.radii.mean(1) + shape.bulges
    across = np.sqrt(shape.scales[:, 0] * shape.scales[:, 2])
    ball = np.where(shape.lengths > 0.0, across, shape.scales.min(1)) * mean
    box = np.arange(shape.count) >= shape.cones
    return np.maximum(np.where(box, shape.scales.min(1), ball), 1e-4).astype(np.float32)


def _related(shape: Shape, parents: np.ndarray) -> np.ndarray:
    """Which primitives' joints touch or are the same. [P, P] bool"""
    near = (joint_distances(parents) <= 1).astype(np.float32)
    owners = shape.owners.astype(np.float32)
    return owners @ near @ owners.T > 0.5


def _sparse(weights: np.ndarray, rigid: bool) -> np.ndarray:
    """Keep the eight largest and what is above 1 %, then let rows sum to one."""
    if rigid:
        one = np.zeros_like(weights)
        one[np.arange(len(weights)), weights.argmax(1)] = 1.0
        return one
    weights = weights / weights.sum(1, keepdims=True)
    if weights.shape[1] > _INFLUENCES:
        least = np.argpartition(-weights, _INFLUENCES, axis=1)[:, _INFLUENCES:]
        np.put_along_axis(weights, least, 0.0, axis=1)
    weights[weights < 0.01] = 0.0
    return weights / weights.sum(1, keepdims=True)
