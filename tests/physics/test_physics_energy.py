"""The elastic energy against closed forms, finite differences and NumPy's eigensolver."""

from __future__ import annotations

import numpy as np
import pytest
from support.proofs import within

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.physics.body import Material, lame
from studio_pipeline.physics.scenes import box

YOUNG, POISSON = 3.0e4, 0.3
MU, LAMBDA = (float(value) for value in lame(np.array(YOUNG), POISSON))
CORNER = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])  # its deformation gradient is [x1, x2, x3] - x0
ONE_TET = np.array([[0, 1, 2, 3]], dtype=np.int32)
STATIC = 1e6  # [s], a step in which inertia counts for nothing


def stress(make_solver, F: np.ndarray) -> np.ndarray:
    """First Piola-Kirchhoff stress of a unit cube deformed by F, from the forces on the faces x=1, y=1, z=1."""
    vertices, tets = box((2, 2, 2), (1.0, 1.0, 1.0))
    solver = make_solver(vertices, tets, material=Material(youngs_modulus=YOUNG, poisson=POISSON))
    posed = vertices @ F.T
    gradient = solver.derivatives(posed, posed, 0 * posed, STATIC, posed)[1]
    # Each face's force is the sum over its vertices, less what the two other faces put on shared edges: by
    # virtual work, sum f (x) X = volume * P for a uniform stress.
    return np.einsum("va,vb->ab", gradient, vertices)


@pytest.mark.parametrize("stretch", [0.6, 0.9, 1.0, 1.3, 2.5])
def test_uniaxial_stretch(make_solver, stretch: float) -> None:
    P = stress(make_solver, np.diag([stretch, 1.0, 1.0]))
    volumetric = LAMBDA * (stretch - 1.0)
    expected = np.diag([2 * MU * (stretch - 1.0) + volumetric, volumetric * stretch, volumetric * stretch])
    assert within(f"uniaxial stretch {stretch:g}, stress [E]", np.abs(P - expected).max() / YOUNG, 1e-6)


@pytest.mark.parametrize("shear", [0.1, 0.7, 2.0])
def test_simple_shear(make_solver, shear: float) -> None:
    F = np.eye(3)
    F[0, 1] = shear
    length = np.sqrt(4.0 + shear**2)
    R = np.array([[2.0, shear, 0.0], [-shear, 2.0, 0.0], [0.0, 0.0, length]]) / length
    gap = np.abs(stress(make_solver, F) - 2 * MU * (F - R)).max()
    assert within(f"simple shear {shear:g}, stress [E]", gap / YOUNG, 1e-6)


def test_energy_is_that_of_the_singular_values_and_ignores_rotation(make_solver) -> None:
    rng = np.random.default_rng(3)
    solver = make_solver(CORNER, ONE_TET, material=Material(youngs_modulus=YOUNG, poisson=POISSON))
    for _ in range(20):
        F = np.eye(3) + 0.4 * rng.normal(size=(3, 3))
        if np.linalg.det(F) < 0.25:
            continue
        sigma = np.linalg.svd(F, compute_uv=False)
        expected = (MU * ((sigma - 1) ** 2).sum() + LAMBDA / 2 * (sigma.prod() - 1) ** 2) / 6.0
        for turn in (np.eye(3), axis_angle_to_matrix(rng.normal(size=3) * 2.0)):
            posed = CORNER @ (turn @ F).T
            energy = solver.derivatives(posed, posed, 0 * posed, STATIC, posed)[0]
            assert energy == pytest.approx(expected, rel=1e-9)


def scrambled(squash: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rotated, deformed small box: rest, tets and positions without inversion."""
    rng = np.random.default_rng(1)
    rest, tets = box((2, 1, 2), (0.2, 0.1, 0.2))
    turn = axis_angle_to_matrix(np.array([0.4, -1.1, 2.0]))
    posed = (rest * [0.8, 1.1, squash] + 0.004 * min(squash, 1.0) * rng.normal(size=rest.shape)) @ turn.T
    return rest, tets, posed


@pytest.mark.parametrize("squash", [0.9, 0.12])  # the second is inside the barrier
def test_gradient_and_hessian_against_central_differences(make_solver, squash: float) -> None:
    rest, tets, posed = scrambled(squash)
    rng = np.random.default_rng(2)
    solver = make_solver(
        rest,
        tets,
        material=Material(youngs_modulus=YOUNG, poisson=POISSON, damping=0.01),
        attachment=rng.random(len(rest)) * 1e4,
        contact=np.full(len(rest), 2e4),
        ground=float(np.median(posed[:, 1])) + 1e-3,
        gravity=9.81,
    )
    before, v, target = posed + 0.002 * rng.normal(size=rest.shape), rng.normal(size=rest.shape), rest + 0.1
    ratios = np.linalg.det(np.swapaxes(posed[tets[:, 1:]] - posed[tets[:, :1]], 1, 2))
    assert (ratios > 0).all()

    def at(x: np.ndarray):
        return solver.derivatives(x, before, v, 0.02, target)

    _, gradient, hessian = at(posed)
    step, width = 1e-7, posed.size
    measured_gradient, measured_hessian = np.empty(width), np.empty((width, width))
    for index in range(width):
        ahead, behind = posed.copy(), posed.copy()
        ahead.flat[index] += step
        behind.flat[index] -= step
        (up, slope_up, _), (down, slope_down, _) = at(ahead), at(behind)
        measured_gradient[index] = (up - down) / (2 * step)
        measured_hessian[index] = ((slope_up - slope_down) / (2 * step)).ravel()
    dense = hessian.toarray()
    gaps = np.abs(measured_gradient - gradient.ravel()).max(), np.abs(measured_hessian - dense).max()
    assert within(f"gradient, squashed to {squash:g}", gaps[0] / np.abs(gradient).max(), 1e-6)
    assert within(f"Hessian, squashed to {squash:g}", gaps[1] / np.abs(dense).max(), 1e-6)
    np.testing.assert_allclose(dense, dense.T, atol=1e-12 * np.abs(dense).max())


def test_projection_is_the_eigenvalue_clamp_of_the_true_hessian(make_solver) -> None:
    rng = np.random.default_rng(4)
    solver = make_solver(CORNER, ONE_TET, material=Material(youngs_modulus=YOUNG, poisson=POISSON))
    indefinite, worst = 0, 0.0
    for _ in range(60):
        F = np.eye(3) + 0.6 * rng.normal(size=(3, 3))
        F[:, 0] *= np.sign(np.linalg.det(F))
        if np.linalg.det(F) < 0.02:
            continue
        posed = CORNER @ F.T
        exact, projected = (
            solver.derivatives(posed, posed, 0 * posed, STATIC, posed, project=flag)[2].toarray()[3:, 3:]
            for flag in (False, True)
        )
        values, vectors = np.linalg.eigh(exact)
        indefinite += bool(values[0] < -1e-6 * values[-1])
        clamped = (vectors * np.maximum(values, 0.0)) @ vectors.T
        worst = max(worst, np.abs(projected - clamped).max() / values[-1])
    assert indefinite > 10 and within("projected Hessian", worst, 1e-7)


def test_internal_forces_have_no_resultant_and_no_torque(make_solver) -> None:
    rest, tets, posed = scrambled(0.8)
    solver = make_solver(rest, tets, material=Material(damping=0.02))
    # The damping must not exert a torque either, so the previous state differs by a deformation.
    before = posed * [1.02, 0.97, 1.0]
    force = -solver.derivatives(posed, before, (posed - before) / 0.01, 0.01, posed)[1]
    size = np.abs(force).sum()
    assert within("resultant of internal forces", np.abs(force.sum(0)).max() / size, 1e-13)
    assert within("torque of internal forces", np.abs(np.cross(posed, force).sum(0)).max() / size, 1e-13)
