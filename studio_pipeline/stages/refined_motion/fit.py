"""The stiffness that a clip shows: the lift's own loss on the refined surface, through renderer, embedding and solid.

Frames whose step did not converge say nothing: their surface is the skinned one, and no gradient goes through them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.adjoint import backward
from studio_pipeline.physics.clusters import bone_clusters
from studio_pipeline.physics.embedding import Embedding
from studio_pipeline.physics.fitting import FitOptions, StiffnessFit, fit_stiffness
from studio_pipeline.physics.simulate import Trajectory
from studio_pipeline.physics.topology import Topology
from studio_pipeline.render.backends import renderer
from studio_pipeline.render.differentiable import RenderMesh
from studio_pipeline.schema.records import Character, Motion, Rig, Solid
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.losses import Sight, SightLoss
from studio_pipeline.stages.lifted_motion.refine import FLOORS, GUESSED_MASKS
from studio_pipeline.stages.refined_motion.build import build_simulation, usual_stiffness
from studio_pipeline.stages.refined_motion.settings import FemSettings

__all__ = ["ClipLoss", "fit_to_clip"]

_TRACK = 1.0  # weight of tracks against colours: flesh slides under a plain colour, and only tracks see it


class ClipLoss:
    """How far surfaces are from what cameras saw; terms are scaled as the lift scales them, by their first values.

    Args:
        character: The character.
        sights: What each camera saw.
        settings: Ratios of the terms, and the renderer.
        start: The surface to begin with [T, V, 3]: what it leaves unexplained is believed less.
    """

    def __init__(
        self, character: Character, sights: Sequence[Sight], start: np.ndarray, settings: LiftSettings | None = None
    ) -> None:
        settings = settings or LiftSettings()
        mesh, render = RenderMesh.from_character(character), renderer(settings.renderer)
        self.sights = [SightLoss(sight, character, mesh, render) for sight in sights]
        guessed = any(sight.observations.sources.get("masks") != "alpha" for sight in sights)
        ratios = {
            "rgb": settings.weight_rgb,
            "mask": settings.weight_mask * (GUESSED_MASKS if guessed else 1.0),
            "track": _TRACK,
            "depth": settings.weight_depth,
        }
        first = torch.as_tensor(start, dtype=torch.float32)
        for sight in self.sights:
            sight.doubt(first)
        with torch.no_grad():
            terms = self._terms(first)
        anchor = max(terms["rgb"].item(), FLOORS["rgb"])
        self.weights = {
            name: ratios[name] * anchor / max(value.item(), FLOORS[name])
            for name, value in terms.items()
            if name not in settings.without
        }

    def _terms(self, vertices: torch.Tensor) -> dict[str, torch.Tensor]:
        terms: dict[str, torch.Tensor] = {}
        for sight in self.sights:
            for name, value in sight.terms(vertices).items():
                terms[name] = terms[name] + value if name in terms else value
        return terms

    def __call__(self, surface: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of a surface [T, V, 3], and its derivatives [T, V, 3] float64 [1/m]."""
        vertices = torch.as_tensor(surface, dtype=torch.float32).requires_grad_(True)
        terms = self._terms(vertices)
        total = torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()
        (gradient,) = torch.autograd.grad(total, [vertices])
        return float(total.item()), gradient.double().numpy()


@dataclass(frozen=True, kw_only=True)
class _Task:
    character: Character
    rig: Rig
    solid: Solid
    motion: Motion
    settings: FemSettings


class _Objective:
    """Loss and derivatives by log E of each tetrahedron."""

    def __init__(self, task: _Task, loss: Callable[[np.ndarray], tuple[float, np.ndarray]]) -> None:
        self.task, self.loss = task, loss
        self.embedding = Embedding(task.solid, task.character.vertices)
        transforms = skinning_transforms(task.rig, task.motion)
        self.skinned = pose_vertices(task.character.vertices, task.rig.weights, transforms)

    def simulate(self, log_young: np.ndarray) -> tuple[Trajectory, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Trajectory, surface [T, V, 3], and what turns derivatives by the surface into ones by log E."""
        task = self.task
        simulation = build_simulation(
            task.rig, task.solid, task.motion, task.settings, stiffness=np.exp(log_young), record=True
        )
        trajectory = simulation.run()

        # Where a frame falls back the skinned surface is what will be delivered, whatever the stiffness.
        solved = trajectory.solved[:, None, None]

        def back(by_surface: np.ndarray) -> np.ndarray:
            gradient = self.embedding.gradient(trajectory.positions, np.where(solved, by_surface, 0.0))
            return backward(simulation, gradient).log_youngs_modulus

        surface = self.embedding.carried(trajectory.positions, trajectory.skinned, self.skinned)
        return trajectory, np.where(solved, surface, self.skinned), back

    def __call__(self, log_young: np.ndarray) -> tuple[float, np.ndarray]:
        _, surface, back = self.simulate(log_young)
        value, by_surface = self.loss(surface)
        return value, back(by_surface)


def fit_to_clip(
    character: Character,
    rig: Rig,
    solid: Solid,
    motion: Motion,
    sights: Sequence[Sight],
    settings: FemSettings,
    *,
    start: np.ndarray | None = None,
    held: np.ndarray | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> StiffnessFit:
    """Find the stiffness with which the refined surface looks most like the clip.

    Args:
        character: The character.
        rig: Its rig.
        solid: Its solid.
        motion: The lifted motion; it stays as it is.
        sights: What each camera saw (`lifted_motion.sights.sight_of`).
        settings: Of the physics; ``fit_*`` say how long to look.
        start: Young's modulus to begin with [E] [Pa]; None: the settings' one.
        held: Tetrahedra that were painted and keep their value [E] bool.
        progress: Told the fraction done.
    """
    usual = usual_stiffness(solid, settings)
    log_start = np.log(np.full(len(solid.tets), usual) if start is None else start)
    task = _Task(character=character, rig=rig, solid=solid, motion=motion, settings=settings)
    objective = _Objective(task, lambda surface: (0.0, np.zeros_like(surface)))
    objective.loss = ClipLoss(character, sights, objective.simulate(log_start)[1])
    levels = 2 + settings.fit_splits
    options = FitOptions(
        bounds=(usual * settings.fit_range[0], usual * settings.fit_range[1]),
        splits=settings.fit_splits,
        smooth=settings.fit_smooth,
        near=0.1 * settings.fit_smooth,
        evaluations=settings.fit_evaluations,
    )
    return fit_stiffness(
        objective,
        Topology.build(solid.vertices, solid.tets),
        bone_clusters(solid),
        log_start,
        options,
        held=held,
        progress=lambda done: progress(min(done / (levels * settings.fit_evaluations), 1.0)),
    )
