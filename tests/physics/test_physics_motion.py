"""Time steps: free fall, momentum, energy, convergence, precision, units and safety."""

from __future__ import annotations

import numpy as np
import pytest
from support.proofs import off, within

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.physics.body import Material
from studio_pipeline.physics.scenes import box

H = 1.0 / 24.0


def test_free_fall_is_the_one_of_backward_euler(make_solver) -> None:
    rest, tets = box((2, 2, 2), (0.3, 0.3, 0.3))
    solver = make_solver(rest, tets, gravity=9.81)
    x, v, worst = rest.copy(), np.zeros_like(rest), 0.0
    for n in range(1, 13):
        y, report = solver.step(x, v, H, x, x)
        x, v = y, (y - x) / H
        assert report.converged
        expected = rest - [0.0, 9.81 * H**2 * n * (n + 1) / 2.0, 0.0]
        worst = max(worst, np.abs(x - expected).max())
    assert within("free fall [m]", worst, 1e-11)


def test_momentum_is_kept_to_round_off_while_a_body_rings(make_solver) -> None:
    rest, tets = box((3, 2, 2), (0.3, 0.2, 0.2))
    solver = make_solver(rest, tets, material=Material(youngs_modulus=2e4, damping=0.01), linear_tolerance=1e-12)
    rng = np.random.default_rng(0)
    x, v = rest * [1.2, 0.9, 1.0], 0.3 * rng.normal(size=rest.shape)
    mass = solver.body.mass_np[:, None]
    start, worst = (mass * v).sum(0), 0.0
    for _ in range(12):
        y, report = solver.step(x, v, H, x, x)
        x, v = y, (y - x) / H
        assert report.converged
        worst = max(worst, np.abs((mass * v).sum(0) - start).max() / (mass * np.abs(v)).sum())
    assert within("momentum of a ringing free body", worst, 1e-9)


def test_every_step_loses_energy_when_nothing_drives_it(make_solver) -> None:
    rest, tets = box((2, 6, 2), (0.2, 0.6, 0.2))
    hold = np.where(rest[:, 1] == 0.0, 1e5, 0.0)
    solver = make_solver(rest, tets, material=Material(youngs_modulus=3e4), attachment=hold)
    x, v = rest + np.outer(rest[:, 1] ** 2, [0.6, 0.0, 0.2]), np.zeros_like(rest)
    mass = solver.body.mass_np[:, None]

    def potential(positions: np.ndarray) -> float:
        return solver.derivatives(positions, positions, 0 * positions, 1e9, rest)[0]

    for _ in range(12):
        y, _ = solver.step(x, v, H, rest, x)
        w = (y - x) / H
        after = potential(y) + 0.5 * (mass * (w - v) ** 2).sum()
        assert after <= potential(x) + 0.5 * (mass * v**2).sum() + 1e-9
        x, v = y, w


def test_ground_carries_the_body(make_solver) -> None:
    rest, tets = box((2, 2, 2), (0.2, 0.2, 0.2))
    stiff = np.full(len(rest), 1e4)
    solver = make_solver(rest, tets, contact=stiff, gravity=9.81, ground=0.0, material=Material(youngs_modulus=1e6))
    x, v = rest + np.array([0.0, 0.02, 0.0]), np.zeros_like(rest)
    for _ in range(60):
        y, _ = solver.step(x, v, H, x, x)
        x, v = y, (y - x) / H
    weight = solver.body.mass_np.sum() * 9.81
    depth = np.maximum(-x[:, 1], 0.0)
    assert (stiff * depth).sum() == pytest.approx(weight, rel=1e-3)


def test_a_hanging_bar_stretches_as_elasticity_says(make_solver) -> None:
    # Uniaxial stress (Poisson 0, small strain): the end of a bar under its own weight sinks by rho g L^2 / (2 E).
    rest, tets = box((1, 16, 1), (0.1, 1.0, 0.1))
    top = np.where(rest[:, 1] == 1.0, 1e9, 0.0)
    material = Material(youngs_modulus=1e7, poisson=0.0, density=1000.0)
    solver = make_solver(rest, tets, attachment=top, material=material, gravity=9.81, linear_tolerance=1e-9)
    x, report = solver.step(rest, 0 * rest, 1e3, rest, rest)
    assert report.converged
    sunk = -(x - rest)[rest[:, 1] == 0.0, 1].mean()
    assert within("bar that hangs under its weight", off(sunk, 1000.0 * 9.81 / (2.0 * 1e7)), 0.01)


def test_steps_never_invert_whatever_pulls(make_solver) -> None:
    rest, tets = box((2, 3, 2), (0.2, 0.3, 0.2))
    rng = np.random.default_rng(5)
    solver = make_solver(rest, tets, attachment=np.full(len(rest), 2e4), precision="float32", tolerance=1e-5)
    x, v = rest.copy(), np.zeros_like(rest)
    for _ in range(10):
        target = rest + 0.3 * rng.normal(size=rest.shape)
        y, _ = solver.step(x, v, H, target, target)
        assert np.isfinite(y).all()
        edges = np.swapaxes(y[tets[:, 1:]] - y[tets[:, :1]], 1, 2)
        assert np.linalg.det(edges).min() > 0.0
        x, v = y, np.clip((y - x) / H, -5.0, 5.0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_flesh_that_takes_on_the_skinned_shape_lies_where_skinning_has_it(make_solver, precision: str) -> None:
    vertices, tets = box((3, 3, 3), (1.0, 1.0, 1.0))
    turn = axis_angle_to_matrix(np.array([0.3, -0.8, 0.4]))
    target = vertices @ (turn @ np.diag([1.3, 0.9, 0.8])).T + [0.2, 0.1, 0.0]  # within what rest shapes take on
    tolerance = 1e-5 if precision == "float32" else 1e-10
    for share, least in ((0.0, 0.02), (1.0, 0.0)):
        solver = make_solver(
            vertices,
            tets,
            attachment=np.full(len(vertices), 10.0),
            precision=precision,
            pose_share=share,
            tolerance=tolerance,
        )
        found, report = solver.step(vertices, 0.0 * vertices, 1e4, target, target)
        assert report.converged
        gap = np.abs(found - target).max()
        assert gap > least if least else gap < max(20.0 * tolerance, 1e-6)


def test_volume_that_skinning_loses_comes_back(make_solver) -> None:
    vertices, tets = box((3, 3, 3), (1.0, 1.0, 1.0))
    target = vertices * [1.0, 0.6, 0.6]  # 0.36 of the volume: lost
    solver = make_solver(vertices, tets, attachment=np.full(len(vertices), 1.0), pose_share=1.0, tolerance=1e-6)
    found, report = solver.step(vertices, 0.0 * vertices, 100.0, target, vertices)
    assert report.converged
    assert solver.body.topology.volume_ratios(found).mean() == pytest.approx(1.0, abs=0.02)
    stretch = np.ptp(found, axis=0)
    assert stretch[0] / stretch[1] == pytest.approx(1.0 / 0.6, rel=0.05)  # the shape follows, the volume doesn't
