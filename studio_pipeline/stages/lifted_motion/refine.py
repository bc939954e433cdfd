"""Gradients through a differentiable renderer, on the terms of AniMimic's first stage.

Terms: rgb, mask, track, depth, smooth, reg; at the start each is scaled to its ratio of the rgb term (see `losses`, and
`descent` for the minimiser). Several views of one motion share their poses and their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from studio_pipeline.geometry.rotations import matrix_to_sixd, sixd_to_matrix
from studio_pipeline.render.backends import renderer
from studio_pipeline.render.differentiable import RenderMesh
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.descent import Chart, Metric, minimise
from studio_pipeline.stages.lifted_motion.kinematics import Pose, torch_vertices
from studio_pipeline.stages.lifted_motion.losses import SIGMA_PX, Sight, SightLoss, motion_terms
from studio_pipeline.stages.lifted_motion.priors import Priors

__all__ = ["TERMS", "Refinement", "Sight", "refine"]

TERMS = ("rgb", "mask", "track", "depth", "smooth", "reg")
FLOORS = {"rgb": 0.002, "mask": 0.005, "track": 0.2, "depth": 0.001, "smooth": 1.0, "reg": 1.0}
"""Least values that a term is scaled by: a motion that starts at rest is no reason to hold it there."""
GUESSED_MASKS = 0.3  # colour segmentation is off by a tenth to half a pixel everywhere; alpha is exact
FIRST_PX = 0.3  # how far the first step moves the surface
WORTH = 0.1  # of its explained share that a doubted frame may lose to be carried by its neighbours
PARTLY = 0.92  # times the median explained share: below it, part of a frame is doubted
ALONE = 10  # times the iterations when there is no Gauss-Newton start
WIDE_PX = 1.5  # softness of the outlines for most of those
WIDE = {"mask": 1.0, "track": 1.0}  # ratios meanwhile, as in the paper


@dataclass(frozen=True)
class Refinement:
    """What `refine` gives."""

    rotations: np.ndarray  # [T, J, 6]
    translations: np.ndarray  # [T, J, 3]
    weights: dict[str, float]  # calibrated weight of each term, zero where it is left out
    curves: dict[str, list[float]]  # unweighted terms at each accepted step, those left out too
    iterations: int
    explained: list[float | None]  # share of the character that the start explains, per frame, first view
    doubted: dict[int, float]  # frames that were weighed down as a whole, with that share
    partly: dict[int, float]  # frames of which a noticeable part was, with that share


class _Problem:
    """The loss as a function of the place in a chart."""

    def __init__(
        self,
        character: Character,
        rig: Rig,
        sights: Sequence[Sight],
        poses: list[Pose],
        priors: Priors,
        settings: LiftSettings,
    ) -> None:
        self.character, self.rig, self.settings, self.priors = character, rig, settings, priors
        mesh, render = RenderMesh.from_character(character), renderer(settings.renderer)
        self.sights = [SightLoss(sight, character, mesh, render) for sight in sights]
        self.guessed = any(sight.observations.sources.get("masks") != "alpha" for sight in sights)
        self.ratios = {name: self._ratio(name) for name in TERMS}
        self.chart, self.size = Chart(poses), (len(poses) - 1) * 6 * rig.joint_count
        self.weights: dict[str, float] = {}
        self.curves: dict[str, list[float]] = {}
        self.last: dict[str, float] = {}
        self.done, self.progress = 0, lambda: None

    def vertices(self, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vertices [T, V, 3], rotations [T, J, 3, 3], translations [T, J, 3]."""
        rotations, translations = self.chart(place)
        sixd = torch.cat([rotations[..., 0], rotations[..., 1]], dim=-1)
        return torch_vertices(self.rig, self.character.vertices, sixd, translations), rotations, translations

    def doubt(self, poses: list[Pose]) -> tuple[np.ndarray, np.ndarray]:
        """Start at ``poses`` and weigh down what they don't explain (see `losses.SightLoss.doubt`).

        Returns:
            What the first view shows of explained shares [T], and which frames all views doubt [T] bool.
        """
        self.chart = Chart(poses)
        vertices, _, _ = self.vertices(torch.zeros(self.size))
        found = [sight.doubt(vertices) for sight in self.sights]
        return found[0][0], np.all([doubted for _, doubted in found], axis=0)

    def settled(self, poses: list[Pose]) -> tuple[list[Pose], np.ndarray, np.ndarray]:
        """Like `doubt`; frames that are doubted are carried by their neighbours, unless that explains them worse."""
        shares, doubted = self.doubt(poses)
        if not doubted.any():
            return poses, shares, doubted
        carried = _carried(poses, doubted)
        again, _ = self.doubt(carried)
        better = doubted & (again >= shares - WORTH)
        poses = [other if take else pose for pose, other, take in zip(poses, carried, better, strict=True)]
        return poses, *self.doubt(poses)

    def poses(self, place: np.ndarray) -> list[Pose]:
        """The poses at a place of the chart."""
        turns, shifts = self.chart(torch.as_tensor(place, dtype=torch.float32))
        turns = sixd_to_matrix(matrix_to_sixd(turns.double().numpy()))  # orthonormal to double precision
        return [Pose(turn, shift) for turn, shift in zip(turns, shifts.double().numpy(), strict=True)]

    def descended(self, poses: list[Pose], evaluations: int) -> np.ndarray:
        """The best place found in the chart around ``poses``."""
        metric = Metric(self.character, self.rig, [sight.camera for sight in self.sights], poses, self.priors)
        return minimise(self.evaluate, metric, np.zeros(self.size), evaluations, FIRST_PX, self.note)

    def terms(self, place: torch.Tensor) -> dict[str, torch.Tensor]:
        """The unweighted terms, sums over views."""
        vertices, rotations, translations = self.vertices(place)
        terms: dict[str, torch.Tensor] = {}
        for sight in self.sights:
            for name, value in sight.terms(vertices).items():
                terms[name] = terms[name] + value if name in terms else value
        limits = self.settings.limit_rad, self.settings.limit_shift * self.character.diagonal
        return terms | motion_terms(rotations, translations, self.priors, limits)

    def widened(self, wide: bool) -> None:
        """Look farther, as befits a start that explains nothing, or no more."""
        self.weights = {}
        self.ratios = {name: self._ratio(name) for name in TERMS}
        for sight in self.sights:
            sight.sigma = WIDE_PX if wide else SIGMA_PX
        if wide:
            self.ratios |= {name: value for name, value in WIDE.items() if self.ratios[name]}

    def _ratio(self, name: str) -> float:
        if name in self.settings.without:
            return 0.0
        return getattr(self.settings, f"weight_{name}") * (GUESSED_MASKS if name == "mask" and self.guessed else 1.0)

    def calibrate(self, terms: dict[str, torch.Tensor]) -> None:
        """Scale each term to its ratio of the rgb term."""
        anchor = max(terms["rgb"].item(), FLOORS["rgb"])
        self.weights = {n: self.ratios[n] * anchor / max(value.item(), FLOORS[n]) for n, value in terms.items()}

    def evaluate(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        """The weighted sum and its gradient."""
        self.done += 1
        self.progress()
        free = torch.as_tensor(place, dtype=torch.float32).requires_grad_(True)
        terms = self.terms(free)
        if not self.weights:
            self.calibrate(terms)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        self.last = {name: round(value.item(), 6) for name, value in terms.items()}
        (gradient,) = torch.autograd.grad(total, [free])
        return float(total.item()), gradient.double().numpy()

    def note(self) -> None:
        """Keep the terms that were evaluated last."""
        for name, value in self.last.items():
            self.curves.setdefault(name, []).append(value)


def _usual(shares: np.ndarray) -> float:
    """The median of what is known [T]; zero where nothing is."""
    known = shares[np.isfinite(shares)]
    return float(np.median(known)) if len(known) else 0.0


def _listed(shares: np.ndarray, chosen: np.ndarray) -> dict[int, float]:
    return {int(index): round(float(shares[index]), 4) for index in np.flatnonzero(chosen)}


def _carried(poses: list[Pose], lost: np.ndarray) -> list[Pose]:
    """Poses in which frames marked in ``lost`` [T] are interpolated between those that aren't; the ends are held."""
    known = np.flatnonzero(~lost)
    result = list(poses)
    for index in np.flatnonzero(lost):
        place = int(np.searchsorted(known, index))
        before = poses[int(known[max(place - 1, 0)])]
        if place == len(known):
            result[index] = before.copy()
            continue
        share = (index - known[place - 1]) / (known[place] - known[place - 1]) if place else 1.0
        result[index] = before.moved(share * Priors.between(before, poses[int(known[place])]))
    return result


def refine(
    character: Character,
    rig: Rig,
    sights: Sequence[Sight],
    start: tuple[np.ndarray, np.ndarray],
    priors: Priors,
    settings: LiftSettings,
    progress: Callable[[float], None],
) -> Refinement:
    """Refine joint deltas; index 0 stays at rest.

    Args:
        character: The character.
        rig: Its rig.
        sights: What each view saw; all of T frames.
        start: Rotations [T, J, 6] and translations [T, J, 3].
        priors: What Gauss-Newton believes of motion.
        settings: Weights, number of iterations, renderer.
        progress: Told the fraction done.
    """
    turns = sixd_to_matrix(np.asarray(start[0], np.float64))
    poses = [Pose(turn, np.asarray(shift, np.float64)) for turn, shift in zip(turns, start[1], strict=True)]
    problem = _Problem(character, rig, sights, poses, priors, settings)
    alone = "start" in settings.without
    count = settings.iterations * (ALONE if alone else 1)
    problem.progress = lambda: progress(min(problem.done / count, 1.0))
    if alone:  # at rest nothing is explained yet, and nothing is to be doubted
        problem.widened(True)
        poses = problem.poses(problem.descended(poses, count - count // 4))
        problem.widened(False)
    poses, shares, doubted = problem.settled(poses)
    place = problem.descended(poses, count // 4 if alone else count)
    rotations, translations = problem.chart(torch.as_tensor(place, dtype=torch.float32))
    return Refinement(
        rotations=matrix_to_sixd(rotations.numpy()).astype(np.float32),
        translations=translations.numpy(),
        weights={name: round(value, 6) for name, value in problem.weights.items()},
        curves=problem.curves,
        iterations=problem.done,
        explained=[round(float(share), 4) if np.isfinite(share) else None for share in shares],
        doubted=_listed(shares, doubted),
        partly=_listed(shares, ~doubted & (shares < PARTLY * _usual(shares))),
    )
