"""Limbs that reach for what nothing explains.

Where the mask shows something that the pose leaves bare, some limb is there. Its farthest points are targets; for
every limb that is long enough, the joints from its root to its tip are turned until the tip is seen there (damped
Gauss-Newton, from the pose and from random turns of those joints, since depth isn't told). The cheapest poses that
differ are starts for direct alignment. Random turns of chains of three or four joints hardly ever meet such a place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.stages.lifted_motion.kinematics import (
    Pose,
    Skeleton,
    Skin,
    project_with_jacobian,
    turn_between,
)
from studio_pipeline.stages.lifted_motion.search import Limb, Search

if TYPE_CHECKING:
    from studio_pipeline.schema.records import CameraPath

__all__ = ["Reach", "bare_points", "reaches_of", "reaching"]

TRUNK = 0.7  # a joint that carries a larger share of the vertices reaches for nothing
LONGEST = 5  # joints that turn
TARGETS = 3  # places of one frame
LEAST = 0.006  # size of a bare place, of the mask
STARTS = 3  # of one limb and place
SPREAD = 0.7  # standard deviation of the random ones' turns [rad]
ROUNDS = 10
STIFF = 0.15  # damping: a turn by 1 rad counts as much as a gap of that share of the limb's length
STEP = 0.7  # longest turn of a joint in one round [rad]
NEAR = 3.0  # a tip that stays farther away from its place hasn't reached it [px]
APART = 0.4  # least difference between poses that are kept [rad]
KEPT = 8


@dataclass(frozen=True)
class Reach:
    """A limb from a joint to the surface point that is farthest from it."""

    chain: tuple[int, ...]  # joints that turn, from the root on
    moments: np.ndarray  # [1, J, 4] of the tip (see `kinematics.bind_points`)
    length: float  # of the way from the root over the joints to the tip [m]: a folded limb can be stretched


def reaches_of(skeleton: Skeleton, vertices: np.ndarray, weights: np.ndarray, limbs: list[Limb]) -> list[Reach]:
    """How limbs reach, given rest vertices [V, 3] and weights [V, J]; trunks are left out."""
    carried = weights @ skeleton.below.T
    world = np.linalg.inv(skeleton.inverse_rest)
    found = []
    for joint in (limb.joint for limb in limbs):
        own = np.flatnonzero(carried[:, joint] > 0.5)
        if not len(own) or len(own) > TRUNK * len(vertices):
            continue
        far = np.linalg.norm(vertices[own] - world[joint, :3, 3], axis=1)
        tip = int(own[far.argmax()])
        chain, at = [], int(weights[tip].argmax())
        while at != joint and at >= 0:
            chain.append(at)
            at = int(skeleton.parents[at])
        chain = [joint, *reversed(chain)][:LONGEST]
        moments = weights[tip][:, None] * np.append(vertices[tip], 1.0)
        way = np.concatenate([world[chain, :3, 3], vertices[tip][None]])
        length = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
        found.append(Reach(tuple(chain), moments[None], length))
    return found


def bare_points(mask: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """The farthest points of what a mask [H, W] shows beyond a silhouette [H, W], largest first [N, 2] (x, y) [px]."""
    distance = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 5)
    bare = (mask & (distance > 1.5)).astype(np.uint8)
    _, labels, told, _ = cv2.connectedComponentsWithStats(bare, connectivity=8)
    sizes = told[1:, cv2.CC_STAT_AREA]
    points = []
    for place in np.argsort(-sizes, kind="stable")[:TARGETS]:
        if sizes[place] >= max(3.0, LEAST * mask.sum()):
            at = np.where(labels == place + 1, distance, -1.0).argmax()
            points.append((at % mask.shape[1] + 0.5, at // mask.shape[1] + 0.5))
    return np.array(points).reshape(-1, 2)


def reaching(
    search: Search, reaches: list[Reach], frame: int, pose: Pose, targets: np.ndarray, expected: Pose, seed: int
) -> list[Pose]:
    """Poses in which one limb's tip is seen at one of ``targets`` [N, 2] (pixels of the search's pictures)."""
    camera, skeleton = search.scorer.camera, search.skeleton
    rng = np.random.default_rng((seed, frame, 2))
    turned = []
    for target in targets:
        for reach in reaches:
            for start in range(STARTS):
                rotations = pose.rotations.copy()
                if start:
                    spread = rng.normal(0.0, SPREAD, (len(reach.chain), 3))
                    rotations[list(reach.chain)] = rotations[list(reach.chain)] @ axis_angle_to_matrix(spread)
                other = _reached(skeleton, camera, frame, Pose(rotations, pose.translations), reach, target)
                if other is not None:
                    turned.append(other.rotations)
    if not turned:
        return []
    rotations, shifts = search.carried(pose, np.stack(turned))
    poses = [Pose(turn, shift) for turn, shift in zip(rotations, shifts, strict=True)]
    kept: list[Pose] = []
    for index in np.argsort(search.costs(frame, poses, expected), kind="stable"):
        if len(kept) < KEPT and all(turn_between(poses[index], known) > APART for known in kept):
            kept.append(poses[index])
    return kept


def _reached(
    skeleton: Skeleton, camera: CameraPath, frame: int, pose: Pose, reach: Reach, target: np.ndarray
) -> Pose | None:
    """The pose with a limb's joints turned so that its tip is seen at ``target``, if it can be."""
    columns = (3 * np.array(reach.chain)[:, None] + np.arange(3)).ravel()
    for turn in range(ROUNDS + 1):
        skin = Skin(skeleton, pose)
        pixels, depth, by_point, _ = project_with_jacobian(camera, frame, skin.points(reach.moments))
        gap = target - pixels[0]
        if turn == 0:
            root = skin.world[reach.chain[0], None, :3, 3]
            away = np.linalg.norm(target - project_with_jacobian(camera, frame, root)[0][0])
            if away > 1.1 * reach.length * camera.focal[frame] / depth[0] + NEAR:
                return None
        if turn == ROUNDS or np.linalg.norm(gap) < 0.5 * NEAR:
            return pose if np.linalg.norm(gap) < NEAR else None
        slope = by_point[0] @ skin.jacobian(reach.moments)[0][:, columns]
        stiff = (STIFF * reach.length * camera.focal[frame] / depth[0]) ** 2
        step = slope.T @ np.linalg.solve(slope @ slope.T + stiff * np.eye(2), gap)
        full = np.zeros(6 * skeleton.count)
        full[columns] = step * min(1.0, STEP / max(float(np.linalg.norm(step.reshape(-1, 3), axis=1).max()), 1e-9))
        pose = pose.moved(full)
    return None
