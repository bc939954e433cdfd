"""A simulation from what the stage is given: material, ties to the rig, ground."""

from __future__ import annotations

import numpy as np

from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions
from studio_pipeline.physics.topology import Topology
from studio_pipeline.schema.records import Motion, Rig, Solid
from studio_pipeline.stages.refined_motion.settings import FemSettings

__all__ = ["build_simulation", "usual_stiffness"]


def build_simulation(
    rig: Rig,
    solid: Solid,
    motion: Motion,
    settings: FemSettings,
    *,
    stiffness: np.ndarray | None = None,
    follow_hz: np.ndarray | None = None,
    record: bool = False,
) -> Simulation:
    """The solid with its material and its ties to the rig, ready to run.

    Args:
        rig: The rig.
        solid: Its solid.
        motion: What drives it.
        settings: Material and solver.
        stiffness: Young's modulus of each tetrahedron [E] [Pa]; None for the settings' one everywhere. What bones and
            ground hold by is told by the settings' in any case.
        follow_hz: How fast each joint's free flesh returns to the skinned pose [J] [Hz]; None: all as the settings say.
        record: Keep the steps, for gradients.

    Raises:
        InputError: See `refine`.
    """
    drive, held = Drive.build(rig, motion, solid)
    topology = Topology.build(solid.vertices, solid.tets)
    sizes = np.cbrt(topology.vertex_volumes())
    diagonal = float(np.linalg.norm(np.ptp(topology.rest, axis=0)))
    youngs_modulus = usual_stiffness(solid, settings)
    hold = attachment_stiffness(held, drive.weights, sizes, youngs_modulus, settings.attachment)
    rates = np.full(rig.joint_count, settings.follow_hz) if follow_hz is None else follow_hz
    leash = settings.density * topology.vertex_volumes() * (drive.weights @ (2.0 * np.pi * rates) ** 2)
    ground = float(topology.rest[:, 1].min()) if settings.ground == "rest" else settings.ground
    body = Body(
        topology,
        Material(
            youngs_modulus=youngs_modulus if stiffness is None else stiffness,
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
        pose_share=settings.pose_share,
        friction=settings.friction,
        friction_slip=settings.friction_slip * diagonal,
    )
    options = SimulationOptions(
        fps=float(motion.fps),
        substeps=settings.substeps,
        preroll=settings.preroll,
        max_halvings=settings.max_halvings,
        newton=newton,
    )
    return Simulation(body, drive, options, record=record)


def usual_stiffness(solid: Solid, settings: FemSettings) -> float:
    """Young's modulus that the settings give, or that goes with the body's size [Pa]."""
    diagonal = float(np.linalg.norm(np.ptp(solid.vertices.astype(np.float64), axis=0)))
    return settings.youngs_modulus or min(5e4 * diagonal**2, 1e9)
