"""Whole motions: precision, units, the rest pose, safety under abuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from support.proofs import within

from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.physics.body import Body, Material
from studio_pipeline.physics.drive import Drive
from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.physics.simulate import Simulation, SimulationOptions, Trajectory, attachment_stiffness
from studio_pipeline.physics.solver import NewtonOptions
from studio_pipeline.physics.topology import Topology
from studio_pipeline.schema.records import Motion, Rig, Solid

JOINTS = 4


def simulate(
    solid: Solid,
    motion: Motion,
    *,
    rig: Rig | None = None,
    precision: str = "float32",
    ratio: float = 10.0,
    tolerance: float = 1e-4,
    gravity: float = 0.0,
    ground: float | None = None,
    friction: float = 0.0,
    max_iterations: int = 40,
    max_halvings: int = 4,
    **material: float,
) -> Trajectory:
    rig = rig or bar_rig(JOINTS, solid.vertices[:1])
    drive, held = Drive.build(rig, motion, solid)
    topology = Topology.build(solid.vertices, solid.tets)
    made = Material(**material)
    sizes = np.cbrt(topology.vertex_volumes())
    hold = attachment_stiffness(held, drive.weights, sizes, float(made.youngs_modulus), ratio)
    newton = NewtonOptions(
        tolerance=tolerance,
        switch=100 * tolerance,
        gravity=gravity,
        ground=ground,
        friction=friction,
        friction_slip=100 * tolerance,
        max_iterations=max_iterations,
    )
    contact = 10.0 * float(made.youngs_modulus) * sizes
    body = Body(topology, made, attachment=hold, contact=contact, precision=precision)
    return Simulation(body, drive, SimulationOptions(newton=newton, max_halvings=max_halvings)).run()


def test_float32_agrees_with_float64_solved_to_the_end() -> None:
    solid, motion = bar_solid(2, JOINTS), swing(12)
    production = simulate(solid, motion)
    reference = simulate(solid, motion, precision="float64", tolerance=1e-9)
    assert production.solved.all() and reference.solved.all()
    gap = np.abs(production.positions - reference.positions).max()
    assert within("float32 against float64 [m of 1 m]", gap, 2e-5)


def test_a_still_rest_pose_stays_exactly() -> None:
    solid = bar_solid(2, JOINTS)
    still = swing(4, degrees=0.0, travel=0.0)
    result = simulate(solid, still)
    np.testing.assert_array_equal(result.positions, np.repeat(solid.vertices[None].astype(float), 4, axis=0))


def test_a_slow_rigid_ride_moves_the_body_rigidly() -> None:
    solid = bar_solid(2, JOINTS)
    motion = swing(24, degrees=0.0, travel=0.0)
    angle = np.linspace(0.0, 0.3, 24) ** 3
    vectors = np.zeros((24, JOINTS, 3))
    vectors[:, 0, 2] = angle
    motion = replace(motion, rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32))
    result = simulate(solid, motion, youngs_modulus=1e6)
    assert np.abs(result.positions - result.skinned).max() < 2e-4


def test_units_lengths_times_100_at_wave_speed_times_100_are_the_same_picture() -> None:
    solid, motion, rig = bar_solid(2, JOINTS), swing(10), bar_rig(JOINTS, np.zeros((1, 3)))
    small = simulate(solid, motion, rig=rig, precision="float64", tolerance=1e-8, gravity=9.81)
    world = rig.rest_world.copy()
    world[:, :3, 3] *= 100.0
    large = simulate(
        replace(solid, vertices=solid.vertices * 100),
        replace(motion, translations=motion.translations * 100),
        rig=replace(rig, rest_world=world, tails=rig.tails * 100),
        precision="float64",
        tolerance=1e-6,
        gravity=981.0,
        youngs_modulus=1e9,
    )
    assert within("lengths x 100 [m of 1 m]", np.abs(large.positions / 100.0 - small.positions).max(), 1e-6)


def test_far_from_the_origin_nothing_is_lost() -> None:
    solid, motion = bar_solid(2, JOINTS), swing(8)
    away = motion.translations.copy()
    away[:, 0] += [500.0, 20.0, 0.0]
    rest, far = simulate(solid, motion), simulate(solid, replace(motion, translations=away))
    # The joints' own float32 translations are only exact to 3e-5 m there.
    assert np.abs(far.positions[2:] - [500.0, 20.0, 0.0] - rest.positions[2:]).max() < 2e-3
    shape = np.diff(far.positions[7], axis=0) - np.diff(rest.positions[7], axis=0)
    assert np.abs(shape).max() < 5e-5


def test_flesh_lags_and_soft_flesh_lags_more() -> None:
    solid, motion = bar_solid(2, JOINTS, core=0.04), swing(16, degrees=10.0)
    away = [
        np.abs((result := simulate(solid, motion, youngs_modulus=stiffness)).positions - result.skinned).max()
        for stiffness in (1e6, 1e5, 1e4)
    ]
    assert away[0] < away[1] < away[2]


def test_a_part_that_no_joint_drives_follows_its_skinning() -> None:
    solid, motion = bar_solid(2, JOINTS), swing(8)
    apart = solid.vertices + np.array([0.5, 0.0, 0.0], dtype=np.float32)
    double = replace(
        solid,
        vertices=np.concatenate([solid.vertices, apart]),
        tets=np.concatenate([solid.tets, solid.tets + len(solid.vertices)]),
        tet_joints=np.concatenate([solid.tet_joints, np.full_like(solid.tet_joints, -1)]),
        vertex_weights=np.concatenate([solid.vertex_weights, solid.vertex_weights]),
    )
    result = simulate(double, motion)
    second = slice(len(solid.vertices), None)
    assert result.solved.all()
    assert np.abs(result.positions[:, second] - result.skinned[:, second]).max() < 0.08
    # Left alone it would stay behind: the skinned part has moved by far more.
    assert np.abs(result.skinned[:, second] - result.skinned[0, second]).max() > 0.4


def test_the_drive_passes_through_the_frames_and_is_smooth_between() -> None:
    solid, motion = bar_solid(1, JOINTS), swing(8)
    drive, _ = Drive.build(bar_rig(JOINTS, solid.vertices), motion, solid)
    own = replace(bar_rig(JOINTS, solid.vertices), weights=drive.weights.astype(np.float32))
    expected = pose_vertices(solid.vertices, drive.weights, skinning_transforms(own, motion))
    for frame in range(8):
        np.testing.assert_allclose(drive.positions(drive.affine(float(frame))), expected[frame], atol=1e-6)
    times = np.linspace(0.0, 7.0, 701)
    path = np.array([drive.positions(drive.affine(time)) for time in times])
    speed = np.diff(path, axis=0) * 100.0
    assert np.abs(np.diff(speed, axis=0)).max() < 0.05 * np.abs(speed).max()


def test_a_frame_that_is_not_solved_says_where() -> None:
    solid, motion = bar_solid(2, JOINTS), swing(12, degrees=5.0, travel=0.05)
    wild = motion.translations.copy()
    wild[8, 2] = [0.0, 2.0, 1.0]
    result = simulate(solid, replace(motion, translations=wild), max_iterations=3, max_halvings=0)
    assert not result.solved[8] and result.solved[:8].all()
    assert [item.frame for item in result.unsolved] == np.flatnonzero(~result.solved).tolist()
    at = result.unsolved[0]
    # What still moved and what was crushed belongs to the bone that was torn away or to its neighbours.
    assert {at.joint, at.squeezed_joint} <= {"bone1", "bone2", "bone3"}
    assert len(set(at.tets)) == 3 and at.move > 1e-4
    assert at.squeezed == result.volume_ratio_tet[8]
    assert at.volume_ratio == pytest.approx(result.volume_ratio_min[8])


def sized(scale: float, solid: Solid, motion: Motion) -> tuple[Solid, Motion, Rig]:
    """A bar of ``scale`` metres, its motion and its rig."""
    rig = bar_rig(JOINTS, solid.vertices[:1])
    world = rig.rest_world.copy()
    world[:, :3, 3] *= scale
    return (
        replace(solid, vertices=solid.vertices * np.float32(scale)),
        replace(motion, translations=motion.translations * np.float32(scale)),
        replace(rig, rest_world=world, tails=rig.tails * np.float32(scale)),
    )


def contradict(rng: np.random.Generator, vectors: np.ndarray) -> None:
    """Neighbouring bones turn against each other by half a turn about one axis, ever the other way."""
    axis = rng.normal(size=3)
    side = np.where(np.arange(vectors.shape[1]) % 2 == 0, 0.5, -0.5) * np.pi
    flip = np.where(np.arange(len(vectors)) % 2 == 0, 1.0, -1.0)
    vectors[:] = flip[:, None, None] * side[:, None] * axis / np.linalg.norm(axis)


def abuse(seed: int) -> None:
    """Motion that no body can follow, of any size, on a floor or not; every promise must hold all the same."""
    rng = np.random.default_rng(seed)
    frames, solid = 5, bar_solid(1, JOINTS, core=0.2)
    vectors = rng.normal(size=(frames, JOINTS, 3)) * rng.choice([0.5, 1.5, 3.0])
    translations = rng.normal(size=(frames, JOINTS, 3)) * rng.choice([0.0, 0.1, 3.0])
    if rng.random() < 0.3:
        # Slivers: squeeze a layer of the rest shape to a thousandth.
        solid = replace(solid, vertices=solid.vertices * np.array([1.0, 1.0, 1e-3], dtype=np.float32))
    if rng.random() < 0.2:
        contradict(rng, vectors)
    scale = float(rng.choice([1e-3, 1.0, 1e3]))
    motion = Motion(
        rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32),
        translations=translations.astype(np.float32),
        fps=Fraction(24),
        first_frame=1,
    )
    solid, motion, rig = sized(scale, solid, motion)
    result = simulate(
        solid,
        motion,
        rig=rig,
        tolerance=1e-4 * scale,
        ratio=float(rng.choice([1.0, 10.0, 1000.0])),
        # The last one is what the stage takes for a body of this size.
        youngs_modulus=float(rng.choice([1e3, 1e5, 1e7, min(5e4 * scale**2, 1e9)])),
        poisson=float(rng.choice([0.0, 0.3, 0.49])),
        damping=float(rng.choice([0.0, 0.01, 0.5])),
        gravity=float(rng.choice([0.0, 9.81])),
        ground=[None, 0.0, 0.3 * scale][int(rng.integers(3))],
        friction=float(rng.choice([0.0, 0.5, 5.0])),
    )
    assert np.isfinite(result.positions).all()
    assert result.volume_ratio_min.min() > 0.0
    assert [item.frame for item in result.unsolved] == np.flatnonzero(~result.solved).tolist()
    # Bounded work: four steps of 40 iterations, then no more halving; up to five halves are still to do by then.
    assert result.newton_iterations[1:].max() <= 9 * 40


@pytest.mark.parametrize("seed", range(12))
def test_abuse(seed: int) -> None:
    abuse(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 1100))
def test_abuse_soak(seed: int) -> None:
    abuse(seed)


def test_bar_is_a_closed_surface() -> None:
    character = bar_character(bar_solid(2, JOINTS))
    triangles = character.vertices[character.faces].astype(float)
    volume = np.linalg.det(triangles).sum() / 6.0
    assert volume == pytest.approx(0.25 * 0.25, rel=1e-5)
