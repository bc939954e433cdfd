"""Limbs that were lost: sample turns that the slope of the residuals does not point to.

A frame's poses are compared by `scoring.Scorer`. Every limb is turned; the cheapest turns that lie far apart are
starts for direct alignment. What is believed of the pose (near the expected one, near rest) is part of the cost, so
that hidden limbs stay where they are; with heavy tails, because with squares a true pose of many bent joints costs more
than one that leaves an arm unexplained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, matrix_to_axis_angle, turn_between
from studio_pipeline.stages.lifted_motion.scoring import Scorer

__all__ = ["Limb", "Search", "limbs_of"]

SIGHT = (-1.3, -0.45, 0.45, 1.3)  # turns of one joint about the line of sight [rad]
SINGLE = 8  # turns of one joint about random axes
CHAIN = 12  # turns of a joint about random axes, what hangs on it turning too
LARGE = (0.3, 1.3)  # range of those turns [rad]
BELOW = 0.5  # standard deviation of the turns of what hangs on it [rad]
EACH = 2  # poses of one limb that may be kept
APART = 0.4  # least difference between them [rad]
CHOSEN = 16  # poses that are kept
CLOSER = 12  # poses around each of them
STEP = 0.3  # standard deviation of their turns [rad]
EVIDENCE = 1000.0  # how much a frame's pixels weigh against the priors: an unexplained mask costs this much


def _doubted(turns: np.ndarray, usual: float) -> np.ndarray:
    """Cost of turns [..., J, 3] of a usual size [rad], summed over joints: square near 0, logarithm far off. [...]"""
    return np.log1p(0.5 * np.square(turns).sum(-1) / usual**2).sum(-1)


@dataclass(frozen=True)
class Limb:
    """A joint and what hangs on it that matters most."""

    joint: int
    chain: tuple[int, ...]  # the joint and up to two below it


def limbs_of(skeleton: Skeleton, weights: np.ndarray, areas: np.ndarray, most: int = 24) -> list[Limb]:
    """Joints worth turning, larger parts of the body first.

    weights [V, J], areas [V] of the surface around each vertex, sum 1. A joint counts when at least 0.7 % of the
    surface hangs on it, and less than on its parent.
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
        far = self.apart(expected[None], rotations)
        return EVIDENCE * data + far + _doubted(matrix_to_axis_angle(rotations), self.rest)

    def apart(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """What it costs that joints turn from one pose's rotations to another's, both [..., J, 3, 3]. [...]"""
        return _doubted(matrix_to_axis_angle(np.swapaxes(first, -1, -2) @ second), self.speed)

    def candidates(self, frame: int, pose: Pose, expected: Pose, seed: int) -> list[Pose]:
        """Poses with one limb turned, the cheapest of them that are far from each other and from ``pose``.

        They are starts for an optimiser: a turn that leads to a better pose need not be better itself.
        """
        if not self.limbs:
            return []
        rng = np.random.default_rng((seed, frame))
        turned = [self._turned(frame, pose, limb, rng) for limb in self.limbs]
        rotations, shifts = self.carried(pose, np.concatenate(turned))
        costs = self._cost(frame, rotations, shifts, expected.rotations)
        found: list[tuple[float, int, Pose]] = []
        for index, rows in enumerate(np.split(np.arange(len(costs)), len(self.limbs))):
            kept = [pose]
            for row in rows[np.argsort(costs[rows], kind="stable")]:
                other = Pose(rotations[row], shifts[row])
                if all(turn_between(other, known) > APART for known in kept):
                    kept.append(other)
                    found.append((float(costs[row]), index, other))
                if len(kept) > EACH:
                    break
        found.sort(key=lambda item: item[0])
        return [
            self._closer(frame, self.limbs[index], cost, other, expected, rng) for cost, index, other in found[:CHOSEN]
        ]

    def carried(self, pose: Pose, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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

    def _closer(
        self, frame: int, limb: Limb, cost: float, pose: Pose, expected: Pose, rng: np.random.Generator
    ) -> Pose:
        """The cheapest of poses around ``pose`` in which the limb's joints turn a little, or itself."""
        samples = np.repeat(pose.rotations[None], CLOSER, axis=0)
        for joint in limb.chain:
            samples[:, joint] = samples[:, joint] @ axis_angle_to_matrix(rng.normal(0.0, STEP, (CLOSER, 3)))
        rotations, shifts = self.carried(pose, samples)
        costs = self._cost(frame, rotations, shifts, expected.rotations)
        best = int(np.argmin(costs))
        return Pose(rotations[best], shifts[best]) if costs[best] < cost else pose

    def _turned(self, frame: int, pose: Pose, limb: Limb, rng: np.random.Generator) -> np.ndarray:
        """Rotations of poses in which a limb is turned widely. [SIGHT + SINGLE + CHAIN, J, 3, 3]"""
        world, _ = self.skeleton.posed(pose)
        sight = self.scorer.camera.world_to_camera[frame, 2, :3] @ world[limb.joint, :3, :3]
        axes = rng.normal(size=(SINGLE + CHAIN, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        turns = np.concatenate([sight * np.array(SIGHT)[:, None], axes * rng.uniform(*LARGE, (len(axes), 1))])
        result = np.repeat(pose.rotations[None], len(turns), axis=0)
        result[:, limb.joint] = pose.rotations[limb.joint] @ axis_angle_to_matrix(turns)
        for joint in limb.chain[1:]:
            result[-CHAIN:, joint] = pose.rotations[joint] @ axis_angle_to_matrix(rng.normal(0.0, BELOW, (CHAIN, 3)))
        return result
