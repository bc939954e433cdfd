"""Limbs that were lost: sample turns that the slope of the residuals does not point to, keep what explains the frame.

A frame's poses are compared by `scoring.Scorer`. For each limb a broad sample of turns is tried; the limbs that gain
most are refined by an evolution strategy with shrinking steps. What is believed of the pose (near the expected one)
is part of the cost, so that hidden limbs stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, matrix_to_axis_angle
from studio_pipeline.stages.lifted_motion.scoring import Scorer

__all__ = ["Limb", "Search", "limbs_of"]

ANGLES = (-1.5, -0.9, -0.5, -0.25, 0.25, 0.5, 0.9, 1.5)  # turns of one joint that are tried first [rad]
NARROW = 20  # poses per limb and generation
GENERATIONS = (0.35, 0.2, 0.1)  # standard deviation of the turns [rad]
CHOSEN = 3  # joints that are refined
SWEEPS = 3  # times that all of this is repeated, from the best so far
EVIDENCE = 1000.0  # how much a frame's pixels weigh against the priors: an unexplained mask costs this much
WORTH = 5.0  # least gain of a sweep that is worth another


@dataclass(frozen=True)
class Limb:
    """A joint and what hangs on it that matters most."""

    joint: int
    chain: tuple[int, ...]  # the joint and up to two below it


def limbs_of(skeleton: Skeleton, weights: np.ndarray, areas: np.ndarray, most: int = 20) -> list[Limb]:
    """Joints worth turning, larger parts of the body first.

    weights [V, J], areas [V] of the surface around each vertex, sum 1. A joint counts when at least 0.7 % of the surface
    hangs on it, and less than on its parent.
    """
    own = np.asarray(weights, np.float64).T @ areas
    part = skeleton.below @ own
    limbs = []
    for joint in (int(j) for j in np.argsort(-part, kind="stable")):
        parent = skeleton.parents[joint]
        if part[joint] < 0.007 or (parent >= 0 and part[joint] > 0.98 * part[parent] and own[parent] < 0.01):
            continue
        chain = [joint]
        while len(chain) < 3:
            below = [c for c in np.flatnonzero(skeleton.parents == chain[-1]) if part[c] >= 0.004]
            if not below:
                break
            chain.append(int(max(below, key=lambda c: part[c])))
        limbs.append(Limb(joint, tuple(chain)))
    return limbs[:most]


class Search:
    """Looks for better poses of one frame."""

    def __init__(
        self, scorer: Scorer, skeleton: Skeleton, limbs: list[Limb], partners: np.ndarray, rest: float, speed: float
    ) -> None:
        """Hold what a search needs.

        Args:
            scorer: Compares poses with frames.
            skeleton: The rig's skeleton.
            limbs: Joints to turn.
            partners: The joint that a loose joint goes along with, -1 for those that the skeleton holds. [J]
            rest: Standard deviation of joint turns away from rest [rad].
            speed: The same from the expected pose.
        """
        self.views: list[Scorer] = []
        self.loose = [(joint, int(partner)) for joint, partner in enumerate(partners) if partner >= 0]
        self.scorer, self.skeleton, self.limbs = scorer, skeleton, limbs
        self.rest, self.speed = rest, speed

    def join(self, other: Search) -> None:
        """Compare with another view's frames too."""
        self.views.append(other.scorer)

    def _unexplained(self, frame: int, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """What poses leave unexplained, per pixel of the mask, mean over views. [M]"""
        transforms = self.skeleton.many_transforms(rotations, shifts)
        scorers = [self.scorer, *self.views]
        return sum(scorer.costs(frame, transforms).sum(1) for scorer in scorers) / len(scorers)

    def data(self, frame: int, poses: list[Pose]) -> np.ndarray:
        """What poses leave unexplained, per pixel of the mask. [M]"""
        rotations = np.stack([pose.rotations for pose in poses])
        shifts = np.stack([pose.translations for pose in poses])
        return self._unexplained(frame, rotations, shifts)

    def costs(self, frame: int, poses: list[Pose], expected: Pose) -> np.ndarray:
        """What poses cost, priors included. [M]"""
        rotations = np.stack([pose.rotations for pose in poses])
        return self._cost(frame, rotations, np.stack([pose.translations for pose in poses]), expected.rotations)

    def _cost(self, frame: int, rotations: np.ndarray, shifts: np.ndarray, expected: np.ndarray) -> np.ndarray:
        data = self._unexplained(frame, rotations, shifts)
        gap = matrix_to_axis_angle(np.swapaxes(expected, -1, -2)[None] @ rotations)
        far = (gap**2).sum((1, 2)) / self.speed**2
        bent = (matrix_to_axis_angle(rotations) ** 2).sum((1, 2)) / self.rest**2
        return EVIDENCE * data + 0.5 * far + 0.5 * bent

    def improve(self, frame: int, pose: Pose, expected: Pose, seed: int) -> tuple[Pose, float, float]:
        """Search around a pose.

        Returns:
            The best pose, its cost and the start's cost (with priors).
        """
        rng = np.random.default_rng((seed, frame))
        start = least = float(self.costs(frame, [pose], expected)[0])
        best = pose
        for _ in range(SWEEPS):
            found, cost = self._sweep(frame, best, least, expected, rng)
            gain, best, least = least - cost, found, cost
            if gain < WORTH:
                break
        return best, least, start

    def _sweep(
        self, frame: int, pose: Pose, least: float, expected: Pose, rng: np.random.Generator
    ) -> tuple[Pose, float]:
        """Turn each joint on its own about the camera's axes; refine the best of them with what hangs on it."""
        turned = self._turned(frame, pose)
        costs = self._cost(frame, *self._carried(pose, turned), expected.rotations).reshape(len(self.limbs), -1)
        best, order = pose, np.argsort(costs.min(1), kind="stable")
        turned = turned.reshape(*costs.shape, *pose.rotations.shape)
        for index in order[:CHOSEN]:
            limb, place = self.limbs[index], int(np.argmin(costs[index]))
            start = best.rotations.copy()
            start[limb.joint] = turned[index, place, limb.joint]
            rotations, shifts = self._carried(best, start[None])
            local = Pose(rotations[0], shifts[0])
            low = float(self.costs(frame, [local], expected)[0])
            for size in GENERATIONS:
                rotations, shifts = self._carried(local, self._sampled(local.rotations, limb, size, NARROW, rng))
                tried = self._cost(frame, rotations, shifts, expected.rotations)
                if tried.min() < low:
                    place, low = int(np.argmin(tried)), float(tried.min())
                    local = Pose(rotations[place], shifts[place])
            if low < least:
                best, least = local, low
        return best.copy(), least

    def _carried(self, pose: Pose, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses near ``pose`` with other rotations [M, J, 3, 3]: loose joints go along with what they touch.

        Returns:
            Rotations [M, J, 3, 3] and translations [M, J, 3].
        """
        rotations = rotations.copy()
        shifts = np.repeat(pose.translations[None], len(rotations), axis=0)
        if not self.loose:
            return rotations, shifts
        before, _ = self.skeleton.posed(pose)
        for joint, partner in self.loose:
            world = self.skeleton.many_worlds(rotations, shifts)
            parent = self.skeleton.parents[joint]
            target = world[:, partner] @ np.linalg.inv(before[partner]) @ before[joint]
            delta = np.linalg.inv(world[:, parent] @ self.skeleton.local[joint]) @ target
            rotations[:, joint], shifts[:, joint] = delta[:, :3, :3], delta[:, :3, 3]
        return rotations, shifts

    def _turned(self, frame: int, pose: Pose) -> np.ndarray:
        """Poses in which one joint turns about one of the camera's axes. [limbs * 3 * angles, J, 3, 3]"""
        world, _ = self.skeleton.posed(pose)
        axes = self.scorer.camera.world_to_camera[frame, :3, :3]
        result = np.repeat(pose.rotations[None], len(self.limbs) * 3 * len(ANGLES), axis=0)
        place = 0
        for limb in self.limbs:
            local = axes @ world[limb.joint, :3, :3]  # rows: the camera's axes in the joint's frame
            turns = (local[:, None, :] * np.array(ANGLES)[None, :, None]).reshape(-1, 3)
            piece = slice(place, place + len(turns))
            result[piece, limb.joint] = pose.rotations[limb.joint] @ axis_angle_to_matrix(turns)
            place += len(turns)
        return result

    @staticmethod
    def _sampled(centre: np.ndarray, limb: Limb, size: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """Poses [count, J, 3, 3] around ``centre`` in which the limb's joints turn."""
        poses = np.repeat(centre[None], count, axis=0)
        for joint in limb.chain:
            poses[:, joint] = poses[:, joint] @ axis_angle_to_matrix(rng.normal(0.0, size, (count, 3)))
        return poses
