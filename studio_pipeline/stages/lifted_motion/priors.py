"""What is believed of a motion before a frame is seen: near rest, slow, smooth. Gauss-Newton form over all frames."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.linalg import solveh_banded

from studio_pipeline.stages.lifted_motion.kinematics import Pose, matrix_to_axis_angle

__all__ = ["Priors", "solve_frames"]


class Priors:
    """Standard deviations of a pose's unknowns (all rotations, then all translations).

    Rotation differences are taken in the joint's own frame, where a step is additive to first order.
    """

    def __init__(self, rest: np.ndarray, speed: np.ndarray, acceleration: np.ndarray) -> None:
        """Args: standard deviations [2J * 3] each, infinite for no belief."""
        self.rest, self.speed, self.acceleration = (1.0 / np.square(value) for value in (rest, speed, acceleration))

    @staticmethod
    def offset(pose: Pose) -> np.ndarray:
        """How far a pose lies from rest. [2J * 3]"""
        return np.concatenate([matrix_to_axis_angle(pose.rotations).ravel(), pose.translations.ravel()])

    @staticmethod
    def between(first: Pose, second: Pose) -> np.ndarray:
        """The step that leads from the first pose to the second. [2J * 3]"""
        turn = np.swapaxes(first.rotations, -1, -2) @ second.rotations
        return np.concatenate([matrix_to_axis_angle(turn).ravel(), (second.translations - first.translations).ravel()])

    def one(self, pose: Pose, last: Pose, before: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Diagonal [P] and right-hand side [P] of one frame's step, given the two frames before it."""
        expected = self.between(before, last)
        step = self.between(last, pose)
        value = -self.rest * self.offset(pose) - self.speed * step - self.acceleration * (step - expected)
        return self.rest + self.speed + self.acceleration, value

    def all(self, poses: list[Pose]) -> tuple[np.ndarray, np.ndarray]:
        """Bands and right-hand side of the steps of frames 1..T-1, frame 0 being fixed.

        Returns:
            Diagonal couplings of each frame to itself, the next and the one after [3, T - 1, P], and [T - 1, P].
        """
        free = len(poses) - 1
        bands = np.zeros((3, free, len(self.rest)))
        value = np.zeros((free, len(self.rest)))
        steps = np.stack([self.between(a, b) for a, b in itertools.pairwise(poses)])
        for frame in range(free):
            bands[0, frame] += self.rest
            value[frame] -= self.rest * self.offset(poses[frame + 1])
            self._difference(bands, value, {frame - 1: -1.0, frame: 1.0}, steps[frame], self.speed)
            if frame + 1 < free:
                bend = steps[frame + 1] - steps[frame]
                self._difference(bands, value, {frame - 1: 1.0, frame: -2.0, frame + 1: 1.0}, bend, self.acceleration)
        return bands, value

    @staticmethod
    def _difference(
        bands: np.ndarray, value: np.ndarray, factors: dict[int, float], residual: np.ndarray, weight: np.ndarray
    ) -> None:
        places = [(index, factor) for index, factor in factors.items() if index >= 0]
        for index, factor in places:
            value[index] -= weight * factor * residual
            for other, share in places:
                if other >= index:
                    bands[other - index, index] += weight * factor * share


def solve_frames(blocks: np.ndarray, bands: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Solve the symmetric system of all frames.

    Args:
        blocks: What each frame's data says [T, P, P].
        bands: Diagonal couplings of each frame to itself, the next and the one after [3, T, P].
        value: Right-hand side [T, P].

    Returns:
        The step [T, P].
    """
    frames, size = value.shape
    width = 2 * size if frames > 2 else size * (frames - 1)
    lower = np.zeros((max(width, size - 1) + 1, frames * size))
    for frame in range(frames):
        block = blocks[frame] + np.diag(bands[0, frame])
        for row in range(size):
            lower[row, frame * size : frame * size + size - row] = np.diagonal(block, -row)
        for ahead in (1, 2):
            if frame + ahead < frames:
                lower[ahead * size, frame * size : (frame + 1) * size] = bands[ahead, frame]
    return solveh_banded(lower, value.ravel(), lower=True, check_finite=False).reshape(frames, size)
