"""Backend ``fem``: backward-Euler finite elements driven by the rig (see docs/physics.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.embedding import blend_weights, embed
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, Trajectory, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions
from studio_pipeline.physics.topology import Topology
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, PointCache, Rig, Solid
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.refined_motion.judge import Report, judge, measure
from studio_pipeline.stages.refined_motion.settings import FemSettings

__all__ = ["RefineResult", "build_simulation", "refine", "run"]


@dataclass(frozen=True)
class RefineResult:
    """The refined surface and what was seen on the way."""

    points: PointCache
    skinned: np.ndarray  # [T, V, 3] float32 [m], the surface by skinning alone
    trajectory: Trajectory
    report: Report


def refine(
    character: Character,
    rig: Rig,
    solid: Solid,
    motion: Motion,
    settings: FemSettings | None = None,
    progress: Callable[..., None] = lambda fraction, message="": None,
) -> RefineResult:
    """Simulate the solid under the joint motion and carry the surface along.

    Raises:
        InputError: The records don't belong together or hold values that are not finite.
    """
    initialize()
    settings = settings or FemSettings()
    if len(solid.surface_tets) != len(character.vertices) or rig.weights.shape[0] != len(character.vertices):
        raise InputError("was made for another surface than this character's", where="solid or rig")
    simulation = build_simulation(rig, solid, motion, settings)
    trajectory = simulation.run(lambda fraction: progress(0.9 * fraction, "simulating"))
    skinned = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
    refined = embed(solid, character.vertices, trajectory.positions)
    share = blend_weights(~trajectory.solved, settings.blend_frames)[:, None, None]
    points = PointCache(
        points=((1.0 - share) * refined + share * skinned).astype(np.float32),
        stiffness=simulation.body.youngs_modulus.astype(np.float32),
        fallback=~trajectory.solved,
        fps=motion.fps,
        first_frame=motion.first_frame,
    )
    progress(0.93, "counting self-intersections")
    report = measure(character, points, skinned, trajectory, solid, samples=settings.intersection_samples)
    return RefineResult(points=points, skinned=skinned, trajectory=trajectory, report=report)


def build_simulation(rig: Rig, solid: Solid, motion: Motion, settings: FemSettings) -> Simulation:
    """The solid with its material and its ties to the rig, ready to run.

    Raises:
        InputError: See `refine`.
    """
    drive, held = Drive.build(rig, motion, solid)
    topology = Topology.build(solid.vertices, solid.tets)
    sizes = np.cbrt(topology.vertex_volumes())
    diagonal = float(np.linalg.norm(np.ptp(topology.rest, axis=0)))
    youngs_modulus = settings.youngs_modulus or min(5e4 * diagonal**2, 1e9)
    hold = attachment_stiffness(held, drive.weights, sizes, youngs_modulus, settings.attachment)
    leash = settings.density * topology.vertex_volumes() * (2.0 * np.pi * settings.follow_hz) ** 2
    ground = float(topology.rest[:, 1].min()) if settings.ground == "rest" else settings.ground
    body = Body(
        topology,
        Material(
            youngs_modulus=youngs_modulus,
            poisson=settings.poisson,
            density=settings.density,
            damping=settings.damping,
        ),
        attachment=hold + leash,
        contact=10.0 * youngs_modulus * sizes,
        precision=settings.precision,
    )
    newton = NewtonOptions(
        tolerance=settings.tolerance * diagonal,
        switch=1e-2 * diagonal,
        max_iterations=settings.max_iterations,
        gravity=settings.gravity,
        ground=ground,
    )
    options = SimulationOptions(
        fps=float(motion.fps),
        substeps=settings.substeps,
        preroll=settings.preroll,
        max_halvings=settings.max_halvings,
        newton=newton,
    )
    return Simulation(body, drive, options)


def run(context: StageContext) -> StageResult:
    """Refine the lifted motion; see the package's docstring for the payload, figures and verdicts."""
    from studio_pipeline.stages.refined_motion.preview import write_plot, write_preview

    character, rig = Character.load(context.inputs["character"]), Rig.load(context.inputs["rig"])
    solid, motion = Solid.load(context.inputs["solid"]), Motion.load(context.inputs["lifted_motion"])
    result = refine(character, rig, solid, motion, context.settings, context.progress)
    result.points.save(context.out)
    context.progress(0.97, "drawing")
    write_preview(context.out / "refined.png", character, result.skinned, result.points.points)
    write_plot(context.out / "refined_plot.png", result.points, result.skinned, result.trajectory)
    return StageResult(
        figures=result.report.figures,
        previews=("refined.png", "refined_plot.png"),
        verdicts=judge(result.report),
    )
