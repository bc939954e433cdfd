"""Steps against beam theory, rigid-body mechanics and the energy bounds of backward Euler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, box, swing
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions, StepSolver
from studio_pipeline.physics.topology import Topology

GRAVITY = 9.81
STRONG = 1e9  # [N/m], of a spring that stands for a fixed vertex
STATIC = 1e9  # [s], a step in which inertia counts for nothing


def march(
    solver: StepSolver, x: np.ndarray, v: np.ndarray, h: float, steps: int, target: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The states after each of ``steps`` steps of ``h`` seconds."""
    for _ in range(steps):
        y, report = solver.step(x, v, h, x if target is None else target, x + h * v)
        assert report.converged
        x, v = y, (y - x) / h
        yield x, v


def falls_at_first_order(errors: list[float]) -> None:
    """Each error, of half the step before it, is half as large."""
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert (ratios > 1.8).all() and (ratios < 2.2).all(), f"errors {errors}"


def sunk(make_solver: Callable[..., StepSolver], deep: int, wide: int, poisson: float) -> float:
    """How far the free end of a bar 1 x 0.1 x 0.1 m, fixed at x = 0, sinks by a thousandth of its weight [m]."""
    rest, tets = box((4 * deep, deep, wide), (1.0, 0.1, 0.1))
    solver = make_solver(
        rest,
        tets,
        material=Material(youngs_modulus=1e7, poisson=poisson),
        attachment=np.where(rest[:, 0] == 0.0, STRONG, 0.0),
        gravity=1e-3 * GRAVITY,
        linear_tolerance=1e-8,
        max_linear_iterations=20000,
    )
    x, report = solver.step(rest, 0.0 * rest, 1e3, rest, rest)
    assert report.converged
    return float((rest - x)[rest[:, 0] == 1.0, 1].mean())


@pytest.mark.parametrize(
    ("poisson", "wide", "levels", "final", "limit"),
    [(0.0, 1, (4, 8, 16, 32), 0.01, 1e-3), (0.2, 4, (4, 8, 16), 0.05, 0.02)],
)
def test_a_cantilever_converges_to_beam_theory(
    make_solver, poisson: float, wide: int, levels: tuple[int, ...], final: float, limit: float
) -> None:
    # Timoshenko: w = q L^4 / (8 E I) + q L^2 / (2 kappa G A), kappa for a square section (Cowper 1966).
    area, inertia = 0.1**2, 0.1**4 / 12.0
    load, shear = 1000.0 * 1e-3 * GRAVITY * area, 1e7 / (2.0 * (1.0 + poisson))
    kappa = 10.0 * (1.0 + poisson) / (12.0 + 11.0 * poisson)
    beam = load / (8.0 * 1e7 * inertia) + load / (2.0 * kappa * shear * area)
    found = np.array([sunk(make_solver, deep, wide, poisson) for deep in levels])
    errors = 1.0 - found / beam
    # Linear elements are too stiff in bending, by an error of second order in their size: halved, a quarter is left.
    assert (errors[:-1] / errors[1:] > 2.5).all(), f"errors {errors}"
    assert 0.0 < errors[-1] < final
    assert (4.0 * found[-1] - found[-2]) / 3.0 == pytest.approx(beam, rel=limit)


def test_free_fall_is_first_order(make_solver) -> None:
    rest, tets = box((1, 1, 1), (0.3, 0.3, 0.3))
    errors = []
    for steps in (6, 12, 24):
        solver = make_solver(rest, tets, gravity=GRAVITY)
        *_, (x, _) = march(solver, rest, np.full_like(rest, 0.7), 0.5 / steps, steps)
        errors.append(float(np.abs(x - rest - [0.35, 0.35 - GRAVITY * 0.125, 0.35]).max()))
    falls_at_first_order(errors)
    assert errors[-1] == pytest.approx(GRAVITY * 0.5 / 24 * 0.5 / 2.0, rel=1e-6)  # g h t / 2


def test_a_pendulum_swings_to_the_order_of_the_integrator(make_solver) -> None:
    # A stiff bar hung by an edge, against the equation of its masses as one rigid body.
    rest, tets = box((1, 4, 1), (0.06, 0.5, 0.06))
    edge = (rest[:, 0] == 0.0) & (rest[:, 1] == 0.5)
    turned = axis_angle_to_matrix(np.array([0.0, 0.0, 0.9]))
    start, end = (rest - [0.0, 0.5, 0.0]) @ turned.T, 0.5
    solver = make_solver(
        rest,
        tets,
        material=Material(youngs_modulus=2e7, poisson=0.3),
        attachment=np.where(edge, STRONG, 0.0),
        gravity=GRAVITY,
        tolerance=1e-9,
        linear_tolerance=1e-4,
        max_linear_iterations=5000,
    )
    mass = solver.body.mass_np

    def angle(x: np.ndarray) -> float:
        centre = mass @ x
        return float(np.arctan2(centre[0], -centre[1]))

    pull = GRAVITY * np.hypot(*(mass @ start)[:2]) / (mass @ (start[:, :2] ** 2).sum(1))
    exact = solve_ivp(lambda _, s: (s[1], -pull * np.sin(s[0])), (0.0, end), (angle(start), 0.0), rtol=1e-10).y[0, -1]
    assert exact < -0.8  # it has swung through
    found = []
    for steps in (60, 120, 240):
        *_, (x, _) = march(solver, start, 0.0 * start, end / steps, steps, start)
        found.append(angle(x))
    falls_at_first_order([abs(value - exact) for value in found])
    assert 2.0 * found[-1] - found[-2] == pytest.approx(exact, abs=2e-3)  # the limit [rad]


def spinning(make_solver: Callable[..., StepSolver]) -> tuple[StepSolver, np.ndarray, np.ndarray]:
    """A free brick that turns at 6 rad/s, not about an axis of its own: solver, positions, velocities."""
    rest, tets = box((2, 3, 1), (0.2, 0.3, 0.1))
    solver = make_solver(rest, tets, material=Material(youngs_modulus=5e4, poisson=0.3))
    mass = solver.body.mass_np[:, None]
    x = rest - (mass * rest).sum(0) / mass.sum()
    return solver, x, np.cross(6.0 * np.array([0.6, 0.48, 0.64]), x)


def test_the_angular_momentum_of_a_spinning_body_drifts_at_first_order(make_solver) -> None:
    drifts = []
    for steps in (48, 96, 192):
        solver, x, v = spinning(make_solver)
        mass = solver.body.mass_np[:, None]
        before = np.cross(x, mass * v).sum(0)
        *_, (x, v) = march(solver, x, v, 0.25 / steps, steps)
        drifts.append(float(np.linalg.norm(np.cross(x, mass * v).sum(0) - before) / np.linalg.norm(before)))
    falls_at_first_order(drifts)
    assert drifts[-1] < 0.011


@dataclass
class Potential:
    """Psi of a scene: elastic, springs and ground by a solver without gravity, whose own part is a closed form."""

    solver: StepSolver
    gravity: float
    target: np.ndarray

    def __call__(self, x: np.ndarray) -> float:
        """[J]"""
        energy = self.solver.derivatives(x, x, 0.0 * x, STATIC, self.target)[0]
        return energy + self.gravity * float(self.solver.body.mass_np @ x[:, 1])


def kinetic(solver: StepSolver, v: np.ndarray) -> float:
    """[J]"""
    return 0.5 * float(solver.body.mass_np @ (v**2).sum(1))


@pytest.mark.parametrize(("precision", "allowance"), [("float64", 1e-11), ("float32", 1e-6)])
@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_every_step_keeps_the_bound_with_gravity_springs_and_ground(
    make_solver, precision: str, allowance: float, damping: float
) -> None:
    # A bar held at one end by springs falls, hits the ground and rings; allowance in parts of the energy at play.
    rest, tets = box((6, 2, 2), (0.6, 0.2, 0.2))
    rest += [0.0, 0.08, 0.0]
    material = Material(youngs_modulus=2e4, poisson=0.35, damping=damping)
    hold, contact = np.where(rest[:, 0] == 0.0, 2e3, 0.0), np.full(len(rest), 5e3)
    loose = {"tolerance": 1e-5, "linear_tolerance": 0.03} if precision == "float32" else {}
    common = {"material": material, "attachment": hold, "contact": contact, "ground": 0.0}
    solver = make_solver(rest, tets, gravity=GRAVITY, precision=precision, **common, **loose)
    potential = Potential(make_solver(rest, tets, **common), GRAVITY, rest)
    x, v = rest, np.cross([0.0, 2.0, -3.0], rest)
    scale, touched = potential(x) + kinetic(solver, v), False
    for h in (1.0 / 24.0, 1.0 / 48.0, 1.0 / 96.0):
        for y, w in march(solver, x, v, h, 12, rest):
            assert potential(y) + kinetic(solver, w - v) <= potential(x) + kinetic(solver, v) + allowance * scale
            touched |= bool((y[:, 1] < 0.0).any())
            x, v = y, w
    assert touched


def test_steps_of_a_simulation_keep_the_bound_halved_ones_too() -> None:
    joints = 2
    solid = bar_solid(2, joints)
    still = swing(16, joints, degrees=0.0, travel=0.0)
    drive, held = Drive.build(bar_rig(joints, bar_character(solid).vertices), still, solid)
    topology = Topology.build(solid.vertices, solid.tets)
    hold = attachment_stiffness(held, drive.weights, np.cbrt(topology.vertex_volumes()), 5e3, 10.0)
    body = Body(topology, Material(youngs_modulus=5e3), attachment=hold, precision="float64")
    newton = NewtonOptions(tolerance=1e-9, linear_tolerance=1e-4, max_iterations=4)
    simulation = Simulation(body, drive, SimulationOptions(newton=newton), record=True)
    simulation.v = np.cross([0.0, 6.0, 3.0], drive.rest)
    simulation.run()
    potential = Potential(simulation.solver, 0.0, drive.rest)
    assert simulation.tape is not None
    steps = [step for step in simulation.tape.steps if step.converged]
    assert len(steps) >= 16 and len({step.length for step in steps}) > 1
    for step in steps:
        w = (step.after - step.before) / step.length
        before = potential(step.before) + kinetic(simulation.solver, step.velocity)
        assert potential(step.after) + kinetic(simulation.solver, w - step.velocity) <= before * (1.0 + 1e-11)


@pytest.mark.parametrize("scene", ["plucked", "spinning"])
def test_the_total_energy_never_grows(make_solver, scene: str) -> None:
    if scene == "plucked":  # a bar held at its foot, bent and let go
        rest, tets = box((2, 6, 2), (0.2, 0.6, 0.2))
        hold = np.where(rest[:, 1] == 0.0, 1e5, 0.0)
        solver = make_solver(rest, tets, material=Material(youngs_modulus=3e4), attachment=hold)
        x, v = rest + np.outer(rest[:, 1] ** 2, [0.6, 0.0, 0.2]), np.zeros_like(rest)
    else:  # stretched by a tenth, too
        solver, rest, v = spinning(make_solver)
        x = rest * [1.1, 0.95, 0.95]
    potential = Potential(solver, 0.0, rest)
    energies = [potential(x) + kinetic(solver, v)]
    energies += [potential(y) + kinetic(solver, w) for y, w in march(solver, x, v, 1.0 / 96.0, 96, rest)]
    assert np.diff(energies).max() <= 1e-12 * energies[0]
