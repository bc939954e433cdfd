"""Minimisation for the gradient stage: L-BFGS in a chart of rotation vectors, in the metric of the picture's plane.

Plain gradients move all joints alike, and what the camera hardly sees - turns towards it - drifts. In the metric
``sum over the surface of |d pixel|^2 + the priors``, coupled over time, a step goes where pixels move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded

from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin, bind_points, project_with_jacobian
from studio_pipeline.stages.lifted_motion.priors import Priors

__all__ = ["Chart", "Metric", "minimise"]

POINTS = 200  # of the surface that stand for it in the metric
TOLD = 400.0  # points' worth of what a frame tells, as in Gauss-Newton
NOISE_PX = 0.7
MEMORY = 8  # steps that curvature is read from
ENOUGH = 1e-4  # share of the expected decrease that is accepted (Armijo)


class Chart:
    """Joint deltas around a start, as rotation vectors [rad] and shifts [m]; index 0 stays as it is."""

    def __init__(self, poses: Sequence[Pose]) -> None:
        self.rotations = torch.as_tensor(np.stack([pose.rotations for pose in poses]), dtype=torch.float32)
        self.translations = torch.as_tensor(np.stack([pose.translations for pose in poses]), dtype=torch.float32)
        self.shape = (len(poses) - 1, 2, self.rotations.shape[1], 3)

    def __call__(self, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotation matrices [T, J, 3, 3] and translations [T, J, 3] at ``place`` [(T - 1) * 2J * 3]."""
        turn, shift = place.reshape(self.shape).unbind(1)
        moved = self.rotations[1:] @ _exponential(turn), self.translations[1:] + shift
        return torch.cat([self.rotations[:1], moved[0]]), torch.cat([self.translations[:1], moved[1]])


def _exponential(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [..., 3, 3] of rotation vectors [..., 3], differentiable at zero."""
    square = vectors.square().sum(-1)[..., None, None] + 1e-12
    angle = square.sqrt()
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=vectors.dtype)
    return eye + torch.sinc(angle / np.pi) * cross + 0.5 * torch.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)


class Metric:
    """What a step of all frames 1..T-1 costs: pixels that the surface moves by, and the priors."""

    def __init__(
        self, character: Character, rig: Rig, cameras: Sequence[CameraPath], poses: list[Pose], priors: Priors
    ) -> None:
        skeleton, moments = Skeleton(rig), _surface_points(character, rig)
        blocks = np.stack([_moved_pixels(skeleton, moments, cameras, i, pose) for i, pose in enumerate(poses)][1:])
        bands, _ = priors.all(poses)
        frames, size = bands.shape[1:]
        self.blocks = blocks * (TOLD / len(moments) / NOISE_PX**2)
        lower = np.zeros((max(size, min(2, frames - 1) * size + 1), frames * size))
        for frame in range(frames):
            here = slice(frame * size, (frame + 1) * size)
            block = self.blocks[frame] + np.diag(bands[0, frame])
            for row in range(size):
                lower[row, frame * size : frame * size + size - row] = np.diagonal(block, -row)
            for ahead in (1, 2):
                if frame + ahead < frames:
                    lower[ahead * size, here] = bands[ahead, frame]
        self.factor = cholesky_banded(lower, lower=True, check_finite=False)

    def solved(self, gradient: np.ndarray) -> np.ndarray:
        """The step whose metric gives ``gradient``. [P]"""
        return cho_solve_banded((self.factor, True), gradient, check_finite=False)

    def pixels(self, step: np.ndarray) -> float:
        """How far a step moves the surface [px], root mean square."""
        parts = step.reshape(len(self.blocks), -1)
        energy = float(np.einsum("tp,tpq,tq->", parts, self.blocks, parts, optimize=True))
        return float(np.sqrt(max(energy, 0.0) * NOISE_PX**2 / TOLD / len(parts)))


def _surface_points(character: Character, rig: Rig) -> np.ndarray:
    """Moments [N, J, 4] of points spread evenly over the surface."""
    corners = character.vertices[character.faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    places = (np.arange(POINTS) + 0.5) / POINTS
    faces = np.searchsorted(np.cumsum(areas) / max(float(areas.sum()), 1e-12), places).clip(0, len(areas) - 1)
    shares = np.full((POINTS, 3), 1.0 / 3.0)
    return bind_points(character.vertices, np.asarray(rig.weights), character.faces[faces], shares)


def _moved_pixels(
    skeleton: Skeleton, moments: np.ndarray, cameras: Sequence[CameraPath], index: int, pose: Pose
) -> np.ndarray:
    skin = Skin(skeleton, pose)
    points, rows = skin.points(moments), skin.jacobian(moments)
    total = np.zeros((rows.shape[2], rows.shape[2]))
    for camera in cameras:
        _, _, by_point, _ = project_with_jacobian(camera, index, points)
        moved = np.matmul(by_point, rows).reshape(-1, rows.shape[2])
        total += moved.T @ moved
    return total


def _silent() -> None:
    """Nobody watches."""


def minimise(
    evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]],
    metric: Metric,
    start: np.ndarray,
    evaluations: int,
    first_px: float,
    accepted: Callable[[], None] = _silent,
) -> np.ndarray:
    """L-BFGS (Nocedal 1980) with backtracking; the metric is its first guess of the curvature.

    Args:
        evaluate: Value and gradient [P] at a place.
        metric: Of steps.
        start: Where to begin. [P]
        evaluations: How often to evaluate.
        first_px: How far the first step moves the surface at most [px]; later ones three times that.
        accepted: Called when what was evaluated last is the best so far.

    Returns:
        The best place.
    """
    place = start
    value, gradient = evaluate(place)
    accepted()
    memory: list[tuple[np.ndarray, np.ndarray]] = []
    left = evaluations - 1
    while left > 0:
        step = -_turned(gradient, memory, metric)
        slope = float(step @ gradient)
        if slope >= 0.0:
            break
        length = 1.0 if memory else first_px / max(metric.pixels(step), 1e-9)
        length = min(length, 3.0 * first_px / max(metric.pixels(step), 1e-9))
        while left > 0:
            left -= 1
            tried, slopes = evaluate(place + length * step)
            if tried <= value + ENOUGH * length * slope:
                accepted()
                if float((slopes - gradient) @ step) > 0.0:
                    memory = [*memory[1 - MEMORY :], (length * step, slopes - gradient)]
                place, value, gradient = place + length * step, tried, slopes
                break
            length *= 0.35
    return place


def _turned(gradient: np.ndarray, memory: list[tuple[np.ndarray, np.ndarray]], metric: Metric) -> np.ndarray:
    """The inverse of the curvature, as remembered, times a gradient: the two loops of L-BFGS."""
    result, shares = gradient.copy(), []
    for step, change in reversed(memory):
        share = float(step @ result) / float(step @ change)
        shares.append(share)
        result -= share * change
    scale = 1.0
    if memory:
        step, change = memory[-1]
        scale = float(step @ change) / max(float(change @ metric.solved(change)), 1e-30)
    result = scale * metric.solved(result)
    for (step, change), share in zip(memory, reversed(shares), strict=True):
        result += step * (share - float(change @ result) / float(step @ change))
    return result
