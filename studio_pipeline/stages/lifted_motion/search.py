"""Limbs that were lost: sample turns that the slope of the residuals does not point to, keep what explains the frame.

A frame's poses are compared by `scoring.Scorer`. Limbs within whose reach most is unexplained are turned; the cheapest
turns that lie far apart are refined by an evolution strategy with shrinking steps and are starts for direct alignment.
What is believed of the pose (near the expected one) is part of the cost, so that hidden limbs stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, matrix_to_axis_angle
from studio_pipeline.stages.lifted_motion.scoring import Scorer

__all__ = ["Limb", "Search", "limbs_of"]

ANGLES = (-1.4, -1.0, -0.6, -0.3, 0.3, 0.6, 1.0, 1.4)  # turns of one joint that are tried first [rad]
NARROW = 20  # poses per limb and generation
GENERATIONS = (0.2, 0.1)  # standard deviation of the turns [rad]
SUSPECTS = 5  # limbs that are turned
EACH = 2  # poses of one limb that may be refined
CHOSEN = 6  # poses that are refined
HOPELESS = 1.6  # times the first start's cost: other starts beyond it aren't tried
POOL = 12  # the cheapest of a limb, from which they are taken
APART = 0.4  # least difference between them [rad]
WIDE = 0.5  # standard deviation of the turns of a limb's joints together [rad]
EVIDENCE = 1000.0  # how much a frame's pixels weigh against the priors: an unexplained mask costs this much


@dataclass(frozen=True)
class Limb:
    """A joint and what hangs on it that matters most."""

    joint: int
    chain: tuple[int, ...]  # the joint and up to two below it
    length: float  # from the joint to the farthest that hangs on it [m]


def limbs_of(
    skeleton: Skeleton, vertices: np.ndarray, weights: np.ndarray, areas: np.ndarray, most: int = 24
) -> list[Limb]:
    """Joints worth turning, larger parts of the body first.

    vertices [V, 3] at rest, weights [V, J], areas [V] of the surface around each vertex, sum 1. A joint counts when at
    least 0.7 % of the surface hangs on it, and less than on its parent.
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
        carried = np.asarray(weights) @ skeleton.below[joint] > 0.5
        head = np.linalg.inv(skeleton.inverse_rest[joint])[:3, 3]
        length = np.linalg.norm(vertices[carried] - head, axis=1).max() if carried.any() else 0.0
        limbs.append(Limb(joint, tuple(chain), float(length)))
    return limbs[:most]


def _turn(pose: Pose, other: Pose) -> float:
    """The largest turn of a joint between two poses [rad]."""
    turns = matrix_to_axis_angle(np.swapaxes(pose.rotations, -1, -2) @ other.rotations)
    return float(np.linalg.norm(turns, axis=1).max())


class Search:
    """Looks for better poses of one frame."""

    def __init__(
        self, scorer: Scorer, skeleton: Skeleton, limbs: list[Limb], partners: np.ndarray, settings: LiftSettings
    ) -> None:
        """Hold what a search needs.

        Args:
            scorer: Compares poses with frames.
            skeleton: The rig's skeleton.
            limbs: Joints to turn.
            partners: The joint that a loose joint goes along with, -1 for those that the skeleton holds. [J]
            settings: How far joints turn from rest and from the expected pose; what is left out.
        """
        self.views: list[Scorer] = []
        self.loose = [(joint, int(partner)) for joint, partner in enumerate(partners) if partner >= 0]
        self.scorer, self.skeleton, self.limbs = scorer, skeleton, limbs
        self.rest, self.speed = settings.rest_rad, settings.speed
        colour, mask = (float(term not in settings.without) for term in ("rgb", "mask"))
        self.parts = np.array([colour, mask, mask])

    def join(self, other: Search) -> None:
        """Compare with another view's frames too."""
        self.views.append(other.scorer)

    def _unexplained(self, frame: int, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """What poses leave unexplained, per pixel of the mask, mean over views. [M]"""
        transforms = self.skeleton.many_transforms(rotations, shifts)
        scorers = [self.scorer, *self.views]
        return np.mean([scorer.costs(frame, transforms) @ self.parts for scorer in scorers], axis=0)

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

    def improve(self, frame: int, starts: list[Pose], expected: Pose, seed: int) -> list[Pose]:
        """Other poses of the limbs around which a frame is least explained, the cheapest first (priors included).

        They are starts for an optimiser: a turn that leads to a better pose need not be better itself.
        """
        rng = np.random.default_rng((seed, frame))
        data = self.data(frame, starts)
        starts = [start for start, cost in zip(starts, data, strict=True) if cost <= HOPELESS * data[0]]
        found: list[tuple[float, int, Pose]] = []
        for index in self._suspects(frame, starts[0]):
            found += self._spread(frame, index, starts, expected, rng)
        found.sort(key=lambda item: item[0])
        evolved = [
            self._evolved(frame, self.limbs[index], pose, cost, expected, rng) for cost, index, pose in found[:CHOSEN]
        ]
        evolved.sort(key=lambda item: item[0])
        return [pose for _, pose in evolved]

    def _spread(
        self, frame: int, index: int, starts: list[Pose], expected: Pose, rng: np.random.Generator
    ) -> list[tuple[float, int, Pose]]:
        """The cheapest turns of a limb that are far from each other and from the first start: cost, limb, pose."""
        limb, tried = self.limbs[index], []
        for start in starts:
            samples = np.concatenate(
                [self._turned(frame, start, limb), self._sampled(start.rotations, limb, WIDE, NARROW, rng)]
            )
            rotations, shifts = self._carried(start, samples)
            costs = self._cost(frame, rotations, shifts, expected.rotations)
            tried += [(float(costs[k]), Pose(rotations[k], shifts[k])) for k in np.argsort(costs)[:POOL]]
        tried.sort(key=lambda item: item[0])
        kept: list[Pose] = [starts[0]]
        spread = []
        for cost, pose in tried:
            if len(spread) < EACH and all(_turn(pose, other) > APART for other in kept):
                kept.append(pose)
                spread.append((cost, index, pose))
        return spread

    def _suspects(self, frame: int, pose: Pose) -> list[int]:
        """Limbs within whose reach most is unexplained, for the surface they could cover."""
        transforms = self.skeleton.many_transforms(pose.rotations[None], pose.translations[None])[0]
        excess, corner = self.scorer.unexplained(frame, transforms, self.parts)
        mask = self.scorer.masks[frame][
            corner[1] : corner[1] + excess.shape[0], corner[0] : corner[0] + excess.shape[1]
        ]
        body = (mask > 0.5) | (excess > 0.5)
        excess = np.where(body, excess - np.median(excess[mask > 0.5]) if (mask > 0.5).any() else excess, 0.0)
        world, _ = self.skeleton.posed(pose)
        heads = world[[limb.joint for limb in self.limbs], :3, 3]
        pixels, depth = project(self.scorer.camera.at([frame]), heads[None])
        y, x = np.nonzero(body)
        values = excess[y, x]
        scores = np.zeros(len(self.limbs))
        for index, limb in enumerate(self.limbs):
            reach = max(limb.length * float(self.scorer.camera.focal[frame]) / float(depth[0, index]), 2.0)
            away = np.hypot(x + corner[0] + 0.5 - pixels[0, index, 0], y + corner[1] + 0.5 - pixels[0, index, 1])
            near = away <= 1.1 * reach
            scores[index] = max(float(values[near].sum()), 0.0) / np.sqrt(max(int(near.sum()), 20))
        return [int(index) for index in np.argsort(-scores, kind="stable")[:SUSPECTS]]

    def _evolved(
        self, frame: int, limb: Limb, pose: Pose, cost: float, expected: Pose, rng: np.random.Generator
    ) -> tuple[float, Pose]:
        """Turn a limb and what hangs on it by shrinking random steps."""
        for size in GENERATIONS:
            rotations, shifts = self._carried(pose, self._sampled(pose.rotations, limb, size, NARROW, rng))
            tried = self._cost(frame, rotations, shifts, expected.rotations)
            if tried.min() < cost:
                place, cost = int(np.argmin(tried)), float(tried.min())
                pose = Pose(rotations[place], shifts[place])
        return cost, pose

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

    def _turned(self, frame: int, pose: Pose, limb: Limb) -> np.ndarray:
        """Rotations of poses in which a joint turns about its own axes or the line of sight. [4 * angles, J, 3, 3]"""
        world, _ = self.skeleton.posed(pose)
        sight = self.scorer.camera.world_to_camera[frame, 2, :3]
        axes = np.concatenate([np.eye(3), sight[None] @ world[limb.joint, :3, :3]])
        turns = (axes[:, None, :] * np.array(ANGLES)[None, :, None]).reshape(-1, 3)
        result = np.repeat(pose.rotations[None], len(turns), axis=0)
        result[:, limb.joint] = pose.rotations[limb.joint] @ axis_angle_to_matrix(turns)
        return result

    @staticmethod
    def _sampled(centre: np.ndarray, limb: Limb, size: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """Poses [count, J, 3, 3] around ``centre`` in which the limb's joints turn."""
        poses = np.repeat(centre[None], count, axis=0)
        for joint in limb.chain:
            poses[:, joint] = poses[:, joint] @ axis_angle_to_matrix(rng.normal(0.0, size, (count, 3)))
        return poses
