"""Gradients through time against central differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.proofs import off, within

from studio_pipeline.physics.adjoint import Gradients, backward
from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions
from studio_pipeline.physics.topology import Topology
from studio_pipeline.render.runtime import initialize

initialize()
FRAMES, JOINTS = 24, 2
SOLID = bar_solid(2, JOINTS)
TETS = len(SOLID.tets)
TOPOLOGY = Topology.build(SOLID.vertices, SOLID.tets)
DRIVE, HELD = Drive.build(bar_rig(JOINTS, bar_character(SOLID).vertices), swing(FRAMES, JOINTS, degrees=15.0), SOLID)
SIZES = np.cbrt(TOPOLOGY.vertex_volumes())
HOLD = attachment_stiffness(HELD, DRIVE.weights, SIZES, 3e4, 10.0)
RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(size=(FRAMES, *DRIVE.rest.shape))


@dataclass
class Scene:
    """A swinging bar, whatever is asked about it."""

    log_young: np.ndarray = field(
        default_factory=lambda: np.log(np.where(SOLID.vertices[SOLID.tets].mean(1)[:, 1] > 0.5, 8e3, 3e4))
    )
    density: float = 1000.0
    damping: float = 0.01
    start: np.ndarray | float = 0.0
    velocity: np.ndarray | float = 0.0
    options: dict = field(default_factory=dict)
    newton: dict = field(default_factory=dict)
    precision: str = "float64"

    def run(self) -> tuple[Simulation, np.ndarray]:
        """The simulation, done, and its frames."""
        body = Body(
            TOPOLOGY,
            Material(youngs_modulus=np.exp(self.log_young), poisson=0.3, density=self.density, damping=self.damping),
            attachment=HOLD,
            contact=3e5 * SIZES,
            precision=self.precision,
        )
        exact = (
            {"tolerance": 1e-11, "linear_tolerance": 1e-8, "max_iterations": 60} if self.precision == "float64" else {}
        )
        newton = NewtonOptions(**{"tolerance": 1e-5, "switch": 0.3, **exact, **self.newton})
        simulation = Simulation(body, DRIVE, SimulationOptions(newton=newton, **self.options), record=True)
        simulation.x = simulation.x + self.start
        simulation.v = simulation.v + self.velocity
        trajectory = simulation.run()
        self.solved, self.halved = trajectory.solved, trajectory.halved
        return simulation, trajectory.positions


def loss(positions: np.ndarray, last_only: bool) -> tuple[float, np.ndarray]:
    """A loss that is no square of anything that a solver makes small, and its gradient."""
    gradient = WEIGHT * np.cos(3.0 * positions)
    value = WEIGHT * np.sin(3.0 * positions) / 3.0
    if last_only:
        gradient, value = gradient.copy(), value[-1:]
        gradient[:-1] = 0.0
    return float(value.sum()), gradient


def slope(make: Callable[[float], Scene], last_only: bool, step: float) -> float:
    """Central difference of the loss, by Richardson's extrapolation."""

    def difference(h: float) -> float:
        return (loss(make(h).run()[1], last_only)[0] - loss(make(-h).run()[1], last_only)[0]) / (2.0 * h)

    return (4.0 * difference(step / 2.0) - difference(step)) / 3.0


def gradients(scene: Scene, last_only: bool, **options: float) -> Gradients:
    simulation, positions = scene.run()
    return backward(simulation, loss(positions, last_only)[1], **options)


def moved(direction: np.ndarray, **others: object) -> Callable[[float], Scene]:
    """Scenes along a direction of log E."""

    def make(h: float) -> Scene:
        scene = Scene(**others)
        scene.log_young = scene.log_young + h * direction
        return scene

    return make


ONE, CLUSTER, ALL = np.zeros(TETS), np.zeros(TETS), np.ones(TETS)
ONE[77] = 1.0
CLUSTER[SOLID.vertices[SOLID.tets].mean(1)[:, 1] > 0.5] = 1.0


@pytest.mark.parametrize("last_only", [True, False])
@pytest.mark.parametrize("direction", [ONE, CLUSTER, ALL], ids=["tetrahedron", "cluster", "uniform"])
def test_stiffness(direction: np.ndarray, last_only: bool) -> None:
    found = gradients(Scene(), last_only)
    assert not found.cut and not found.indefinite and not found.loose
    expected = slope(moved(direction), last_only, 2e-3)
    assert abs(expected) > 1e-6
    what = f"adjoint by log E, {int(direction.sum())} tetrahedra, {'last frame' if last_only else 'all frames'}"
    assert within(what, off(found.log_youngs_modulus @ direction, expected), 1e-5)


def test_density_and_damping() -> None:
    found = gradients(Scene(), False)
    density = slope(lambda h: Scene(density=1000.0 * np.exp(h)), False, 2e-3)
    damping = slope(lambda h: Scene(damping=0.01 * np.exp(h)), False, 2e-3)
    assert within("adjoint by log density", off(found.log_density, density), 1e-5)
    assert within("adjoint by log damping", off(found.log_damping, damping), 1e-5)


def test_initial_state() -> None:
    found = gradients(Scene(), False)
    push = RNG.normal(size=DRIVE.rest.shape)
    start = slope(lambda h: Scene(start=h * push), False, 2e-4)
    velocity = slope(lambda h: Scene(velocity=h * push), False, 2e-3)
    assert within("adjoint by the first positions", off((found.start * push).sum(), start), 1e-5)
    assert within("adjoint by the first velocities", off((found.velocity * push).sum(), velocity), 1e-5)


@pytest.mark.parametrize(
    "others",
    [
        {"options": {"substeps": 2}},
        {"newton": {"gravity": 9.81, "ground": 0.0}, "options": {"preroll": 3}},
        {"newton": {"pose_share": 1.0}},
    ],
    ids=["substeps", "gravity, ground and preroll", "rest shapes that follow"],
)
def test_other_ways_to_cut_time(others: dict) -> None:
    found = gradients(Scene(**others), False)
    error = off(found.log_youngs_modulus.sum(), slope(moved(ALL, **others), False, 2e-3))
    assert within(f"adjoint by log E, {others}", error, 1e-5)


def test_across_a_halved_step() -> None:
    others = {"newton": {"max_iterations": 4, "switch": 0.02}}
    scene = Scene(**others)
    simulation, positions = scene.run()
    lengths = {step.length for step in simulation.tape.steps}
    assert scene.halved.any() and scene.solved.all() and len(lengths) > 1
    found = backward(simulation, loss(positions, False)[1])
    error = off(found.log_youngs_modulus @ CLUSTER, slope(moved(CLUSTER, **others), False, 5e-4))
    assert within("adjoint by log E across halved steps", error, 1e-5)


def test_float32_agrees_with_float64() -> None:
    exact, single = gradients(Scene(), False), gradients(Scene(precision="float32"), False)
    for direction in (CLUSTER, 1.0 - CLUSTER, ALL):
        error = off(single.log_youngs_modulus @ direction, exact.log_youngs_modulus @ direction)
        assert within("adjoint in float32 against float64", error, 1e-3)


def test_frames_that_fell_back_carry_no_gradient_and_say_so() -> None:
    scene = Scene(newton={"max_iterations": 1}, options={"max_halvings": 0})
    simulation, positions = scene.run()
    assert not scene.solved[1:].all()
    found = backward(simulation, loss(positions, False)[1])
    assert set(found.cut) == set(np.flatnonzero(~scene.solved).tolist())
    changed = loss(positions, False)[1]
    changed[list(found.cut)] += 7.0
    np.testing.assert_array_equal(found.log_youngs_modulus, backward(simulation, changed).log_youngs_modulus)


def test_a_linear_solve_that_was_cut_short_is_told() -> None:
    simulation, positions = Scene().run()
    found = backward(simulation, loss(positions, False)[1], max_iterations=2)
    assert found.loose >= FRAMES - 2


def test_bad_requests_are_refused() -> None:
    simulation, positions = Scene().run()
    with pytest.raises(ValueError, match="shape"):
        backward(simulation, positions[:3])
    simulation.tape = None
    with pytest.raises(ValueError, match="record"):
        backward(simulation, positions)
