"""Friction on the ground: derivatives, Coulomb's law, stopping, sticking, the adjoint, precision."""

from __future__ import annotations

import numpy as np
import pytest
from support.proofs import off, within

from studio_pipeline.physics.adjoint import Gradients, backward
from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, box, swing
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions, StepSolver
from studio_pipeline.physics.topology import Topology
from studio_pipeline.stages.refined_motion.fem import refine
from studio_pipeline.stages.refined_motion.settings import FemSettings

G = 9.81
MU = 0.4
STIFF = 1e4  # [N/m], ground against one vertex


def sliding(make_solver, friction: float) -> tuple[StepSolver, np.ndarray, np.ndarray, float]:
    """A small block half in the ground, some of whose vertices stick and some slide in a step of 0.02 s."""
    rng = np.random.default_rng(7)
    rest, tets = box((2, 1, 2), (0.2, 0.1, 0.2))
    before = rest + 0.002 * rng.normal(size=rest.shape)
    slides = rng.normal(size=rest.shape) * np.where(np.arange(len(rest)) % 3 == 0, 1e-3, 4e-3)[:, None]
    solver = make_solver(
        rest,
        tets,
        contact=np.full(len(rest), STIFF),
        ground=0.05,
        gravity=G,
        friction=friction,
        friction_slip=0.2,
    )
    return solver, before, before + slides, 0.02


def test_gradient_and_hessian_against_central_differences(make_solver) -> None:
    solver, before, x, h = sliding(make_solver, MU)
    slid = np.hypot(*(x - before)[before[:, 1] < 0.05][:, [0, 2]].T)
    assert (slid > 0.2 * h).any() and (slid < 0.2 * h).any()

    def at(positions: np.ndarray):
        return solver.derivatives(positions, before, 0 * before, h, before)

    _, gradient, hessian = at(x)
    measured_gradient, measured_hessian = np.empty(x.size), np.empty((x.size, x.size))
    for index in range(x.size):
        ahead, behind = x.copy(), x.copy()
        ahead.flat[index] += 1e-7
        behind.flat[index] -= 1e-7
        (up, slope_up, _), (down, slope_down, _) = at(ahead), at(behind)
        measured_gradient[index] = (up - down) / 2e-7
        measured_hessian[index] = ((slope_up - slope_down) / 2e-7).ravel()
    dense = hessian.toarray()
    gaps = np.abs(measured_gradient - gradient.ravel()).max(), np.abs(measured_hessian - dense).max()
    assert within("friction, gradient", gaps[0] / np.abs(gradient).max(), 1e-6)
    assert within("friction, Hessian", gaps[1] / np.abs(dense).max(), 1e-6)


def test_its_force_is_coulombs_with_the_normal_force_of_the_start(make_solver) -> None:
    (rough, before, x, h), (smooth, *_) = sliding(make_solver, MU), sliding(make_solver, 0.0)
    parts = [solver.derivatives(x, before, 0 * x, h, before)[1:] for solver in (rough, smooth)]
    u = (x - before) * [1.0, 0.0, 1.0]
    length = np.linalg.norm(u, axis=1, keepdims=True)
    share = np.minimum(length / (0.2 * h), 1.0)
    normal = STIFF * np.maximum(0.05 - before[:, 1:2], 0.0)
    expected = MU * normal * (2.0 * share - share**2) * u / length
    gap = np.abs(parts[0][0] - parts[1][0] - expected).max()
    assert within("friction, force against Coulomb's law", gap / np.abs(parts[0][0]).max(), 1e-10)
    own = (parts[0][1] - parts[1][1]).toarray()
    assert within("friction, least eigenvalue below 0", -np.linalg.eigvalsh(own).min() / np.abs(own).max(), 1e-9)


def settled(make_solver, pull: float = 0.0, **options: float) -> tuple[StepSolver, np.ndarray, float]:
    """A block of 4 kg that rests on the ground, and the force [N] with which; springs of ``pull`` [N/m] in all."""
    rest, tets = box((2, 1, 2), (0.2, 0.1, 0.2))
    solver = make_solver(
        rest,
        tets,
        material=Material(youngs_modulus=1e6),
        attachment=np.full(len(rest), pull / len(rest)),
        contact=np.full(len(rest), STIFF),
        ground=0.0,
        gravity=G,
        friction=MU,
        **options,
    )
    x, _ = solver.step(rest, 0 * rest, 10.0, rest, rest)
    x, report = solver.step(x, 0 * rest, 10.0, rest, x)
    assert report.converged
    return solver, x, float(STIFF * np.maximum(-x[:, 1], 0.0).sum())


def test_a_sliding_block_stops_where_friction_has_used_up_its_speed(make_solver) -> None:
    solver, start, normal = settled(make_solver, friction_slip=5e-3, tolerance=1e-8, linear_tolerance=1e-3)
    assert normal == pytest.approx(4.0 * G, rel=1e-6)
    expected = 1.0 / (2.0 * MU * G)
    errors = []
    for rate in (48, 96, 192):
        x, v = start, np.broadcast_to([1.0, 0.0, 0.0], start.shape)
        for _ in range(int(0.4 * rate)):
            y, report = solver.step(x, v, 1.0 / rate, x, x)
            assert report.converged
            x, v = y, (y - x) * rate
        assert np.abs(v[:, 0].mean()) < 5e-3
        errors.append(1.0 - (x - start)[:, 0].mean() / expected)
    # Backward Euler falls short by half a step's way at full speed; what the slip speed changes is far less.
    assert within("friction, way of a sliding block", off(errors, MU * G / np.array([48.0, 96.0, 192.0])), 0.05)
    assert within("friction, the same at 1/192 s, against the law", abs(errors[2]), 0.025)


def test_below_the_limit_it_sticks_but_for_a_creep_that_the_slip_speed_bounds(make_solver) -> None:
    slip, pull, h = 1e-3, 100.0, 1.0 / 24.0
    solver, start, normal = settled(make_solver, pull, friction_slip=slip)
    target = solver.body.topology.rest + np.array([0.5 * MU * normal / pull, 0.0, 0.0])
    x, v, path = start, np.zeros_like(start), []
    for _ in range(12):
        y, report = solver.step(x, v, h, target, x)
        assert report.converged
        x, v = y, (y - x) / h
        path.append(x[:, 0].mean())
    assert np.abs((x - start)[:, [0, 2]]).max() < slip * 12 * h
    # Half of the full force: 2 s - s^2 = 1/2 for the share s of the slip speed.
    creep = off((path[-1] - path[-2]) / h, slip * (1.0 - np.sqrt(0.5)))
    assert within("friction, creep below the limit", creep, 0.03)


def test_above_the_limit_it_slips_until_the_pull_is_down_to_friction(make_solver) -> None:
    pull = 100.0
    solver, start, normal = settled(make_solver, pull, friction_slip=1e-5)
    away = 2.0 * MU * normal / pull
    x, report = solver.step(start, 0 * start, 100.0, solver.body.topology.rest + np.array([away, 0.0, 0.0]), start)
    assert report.converged
    slipped = off((x - start)[:, 0].mean(), away - MU * normal / pull)
    assert within("friction, slip above the limit", slipped, 1e-4)


FRAMES, JOINTS = 10, 2
FLOOR = 2e-3  # [m], so that the bar does not begin exactly where contact does and its derivative jumps
SOLID = bar_solid(1, JOINTS, core=0.1)
TOPOLOGY = Topology.build(SOLID.vertices, SOLID.tets)
SIZES = np.cbrt(TOPOLOGY.vertex_volumes())
DRIVE, HELD = Drive.build(bar_rig(JOINTS, bar_character(SOLID).vertices), swing(FRAMES, JOINTS, degrees=8.0), SOLID)
RNG = np.random.default_rng(11)
WEIGHT = RNG.normal(size=(FRAMES, *DRIVE.rest.shape))
PUSH = RNG.normal(size=DRIVE.rest.shape)


def run(
    *, stiffer: float = 0.0, denser: float = 0.0, push: float = 0.0, kick: float = 0.0, **options: float | str
) -> tuple[Simulation, np.ndarray]:
    """A bar on the floor that its joints drag about, with friction; moved along one unknown."""
    precision, substeps = str(options.pop("precision", "float64")), int(options.pop("substeps", 1))
    body = Body(
        TOPOLOGY,
        Material(youngs_modulus=3e4 * np.exp(stiffer), poisson=0.3, density=1000.0 * np.exp(denser), damping=0.005),
        attachment=attachment_stiffness(HELD, DRIVE.weights, SIZES, 3e4, 0.3),
        contact=3e5 * SIZES,
        precision=precision,
    )
    exact = {"tolerance": 1e-11, "linear_tolerance": 1e-8} if precision == "float64" else {"tolerance": 1e-4}
    newton = NewtonOptions(
        **{"switch": 0.3, "gravity": G, "ground": FLOOR, "friction": 0.5, "friction_slip": 0.3, **exact, **options}
    )
    simulation = Simulation(body, DRIVE, SimulationOptions(newton=newton, substeps=substeps), record=True)
    simulation.x = simulation.x + push * PUSH
    simulation.v = simulation.v + kick * PUSH
    trajectory = simulation.run()
    assert trajectory.solved.all()
    return simulation, trajectory.positions


def gradients(**options: float) -> Gradients:
    simulation, positions = run(**options)
    return backward(simulation, WEIGHT * np.cos(3.0 * positions))


def slope(name: str, step: float, **options: float) -> float:
    """Central difference of the loss along one unknown, by Richardson's extrapolation."""

    def loss(h: float) -> float:
        return float((WEIGHT * np.sin(3.0 * run(**{name: h}, **options)[1]) / 3.0).sum())

    def difference(h: float) -> float:
        return (loss(h) - loss(-h)) / (2.0 * h)

    return (4.0 * difference(step / 2.0) - difference(step)) / 3.0


def test_the_scene_sticks_and_slips() -> None:
    simulation, rough = run()
    assert simulation.tape is not None
    shares = []
    for step in simulation.tape.steps:
        held = step.before[:, 1] < FLOOR
        shares.append(np.linalg.norm((step.after - step.before)[held][:, [0, 2]], axis=1) / (0.3 * step.length))
    share = np.concatenate(shares[2:])
    assert (share > 1.0).sum() > 5 and (share < 1.0).sum() > 5
    assert np.abs(run(friction=0.0)[1] - rough).max() > 1e-3


@pytest.mark.parametrize("substeps", [1, 2])
def test_adjoint(substeps: int) -> None:
    found = gradients(substeps=substeps)
    assert not found.cut and not found.indefinite

    def agrees(value: float, name: str, step: float) -> bool:
        error = off(value, slope(name, step, substeps=substeps))
        return within(f"friction, adjoint by {name}, {substeps} substeps", error, 1e-5)

    assert agrees(found.log_youngs_modulus.sum(), "stiffer", 1e-3)
    assert agrees((found.velocity * PUSH).sum(), "kick", 1e-3)
    if substeps == 1:
        assert agrees(found.log_density, "denser", 1e-3)
        assert agrees((found.start * PUSH).sum(), "push", 1e-4)


def test_float32_agrees_with_float64() -> None:
    single, exact = run(precision="float32"), run()
    assert within("friction, float32 against float64 [m of 1 m]", np.abs(single[1] - exact[1]).max(), 1e-5)
    weight = np.cos(3.0 * exact[1]) * WEIGHT
    found, wanted = (backward(simulation, weight).log_youngs_modulus.sum() for simulation in (single[0], exact[0]))
    assert within("friction, adjoint in float32 against float64", off(found, wanted), 1e-3)


def test_the_setting_holds_the_feet_of_a_body_on_the_floor() -> None:
    solid = bar_solid(2, 4)
    character = bar_character(solid)
    feet = character.vertices[:, 1] == 0.0
    moved = []
    for friction in (0.0, 1.0):
        settings = FemSettings(gravity=G, ground="rest", friction=friction, attachment=0.01, follow_hz=0.0)
        result = refine(character, bar_rig(4, character.vertices), solid, swing(6, degrees=0.0), settings)
        assert not result.points.fallback.any()
        points = result.points.points[:, feet]
        moved.append(np.linalg.norm((points - points[:1])[..., [0, 2]], axis=-1).max())
    assert moved[1] < 0.5 * moved[0]
