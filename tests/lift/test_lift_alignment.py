"""Direct alignment, the rows of its equations, seams and the search, against renders, differences and known poses."""

from __future__ import annotations

import cv2
import lift_scene as scene
import numpy as np
import pytest

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, sixd_to_matrix
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.appearance import harmonics, harmonics_gradient
from studio_pipeline.stages.lifted_motion.equations import Equations, Round
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin, bind_points
from studio_pipeline.stages.lifted_motion.photometric import colour_residuals, pixel_samples, softened
from studio_pipeline.stages.lifted_motion.recovery import COLOURS, Recovery
from studio_pipeline.stages.lifted_motion.rows import Rows
from studio_pipeline.stages.lifted_motion.seams import find_seams
from studio_pipeline.stages.lifted_motion.search import Search
from studio_pipeline.stages.lifted_motion.synthesis import Fitter

SIZE = 96


@pytest.fixture(scope="module")
def filmed() -> tuple[Fitter, list[Pose]]:
    """The bending tentacle: a fitter of its clip, and the true poses."""
    character, rig = scene.tentacle()
    motion = scene.bending(rig, 6)
    vertices = scene.posed(character, rig, motion)
    camera, clip, coverage = scene.filmed(character, vertices, SIZE)
    observations = scene.seen_exactly(character, camera, vertices, coverage)
    rotations = sixd_to_matrix(motion.rotations).astype(np.float64)
    poses = [Pose(r, t.astype(np.float64)) for r, t in zip(rotations, motion.translations, strict=True)]
    return Fitter(character, rig, camera, clip, observations, LiftSettings()), poses


def test_light_changes_with_the_normal_as_its_slope_says() -> None:
    rng = np.random.default_rng(0)
    normals, light = rng.normal(size=(20, 3)), rng.normal(size=(9, 3))
    value, slope = harmonics_gradient(normals, light)
    np.testing.assert_allclose(value, harmonics(normals) @ light)
    for axis in range(3):
        step = np.eye(3)[axis] * 1e-6
        difference = (harmonics(normals + step) - harmonics(normals - step)) @ light / 2e-6
        np.testing.assert_allclose(slope[..., axis], difference, atol=1e-6)


def test_sparse_rows_are_the_dense_jacobian(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    skin = Skin(fitter.skeleton, poses[4])
    faces = np.arange(0, len(fitter.character.faces), 7)
    shares = np.full((len(faces), 3), 1.0 / 3.0)
    moments = bind_points(fitter.vertices, fitter.weights, fitter.character.faces[faces], shares)
    rows = Rows(fitter.character, fitter.rig, fitter.skeleton).of(
        skin, faces, shares, np.tile(np.eye(3), (len(faces), 1, 1))
    )
    np.testing.assert_allclose(rows, skin.jacobian(moments), atol=1e-5)


def test_normals_turn_with_rigid_parts(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    pose, step = poses[3], np.zeros(6 * fitter.skeleton.count)
    step[:3] = 1e-4, -2e-4, 1.5e-4  # the root turns everything
    turn = fitter.skeleton.posed(pose)[0][0, :3, :3] @ step[:3]
    faces = np.array([5, 80, 200])
    normals = np.eye(3)
    nothing = np.zeros((3, 3, 3))
    shares = np.full((3, 3), 1.0 / 3.0)
    rows = Rows(fitter.character, fitter.rig, fitter.skeleton).of(
        Skin(fitter.skeleton, pose), faces, shares, nothing, normals, np.tile(np.eye(3), (3, 1, 1))
    )
    np.testing.assert_allclose(rows @ step, np.cross(turn, normals), atol=1e-8)


def test_colours_change_as_predicted(filmed: tuple[Fitter, list[Pose]]) -> None:
    """Two renders of neighbouring poses: their difference is what the rows say of the step."""
    fitter, poses = filmed
    view, character = fitter.footage, fitter.character
    step = np.zeros(6 * fitter.skeleton.count)
    step[3:6] = 0.006, 0.004, 0.012
    step[9] = 0.003  # the root's shift along x [m]
    background = np.full((SIZE, SIZE, 3), 60.0, np.float32)
    first, second = (
        view.appearance.render(fitter.vertices_of(pose), 3, background) for pose in (poses[3], poses[3].moved(step))
    )
    blurred = [softened(picture.image, 1.5) for picture in (first, second)]
    mean = 0.5 * (blurred[0] + blurred[1])
    slopes = tuple(cv2.Sobel(mean, cv2.CV_32F, 1 - k, k, scale=0.125) for k in (0, 1))
    strength = np.linalg.norm(slopes[0], axis=-1) + np.linalg.norm(slopes[1], axis=-1)
    samples = pixel_samples(first, strength, reach=4, jump=0.02, count=1500)
    normals = (first.normals[character.faces[samples.faces]] * samples.shares[..., None]).sum(1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    seen = colour_residuals(samples, first.image, *blurred, slopes, normals, view.appearance.light, 0.03)
    skin = Skin(fitter.skeleton, poses[3])
    _, by_point, _, _ = view._measured(skin, 3, samples.faces, samples.shares)
    rows = view.rows.of(skin, samples.faces, samples.shares, np.matmul(seen.slopes, by_point), normals, seen.shading)
    predicted, actual = (rows @ step).ravel(), seen.values.ravel()
    assert np.corrcoef(predicted, actual)[0, 1] > 0.92
    assert predicted @ actual / (predicted @ predicted) == pytest.approx(1.0, abs=0.1)


def test_alignment_finds_the_true_pose_again(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    rng = np.random.default_rng(3)
    step = np.concatenate([rng.normal(0.0, 0.05, 9), np.zeros(9)])
    start = poses[4].moved(step)
    rounds = [Round(reach=4.0, flow=0.0, contour=0.0, track=0.0, colour=1.0, blur=b) for b in (3.0, 2.0, 1.0, 1.0)]
    _, pose = fitter.descended(4, start, rounds, start, small=False)

    def off(guess: Pose) -> float:
        vertices = np.stack([fitter.vertices_of(p) for p in (guess, poses[4])])
        pixels, _ = project(fitter.camera.at([4, 4]), vertices)
        return float(np.linalg.norm(pixels[0] - pixels[1], axis=1).mean())

    assert off(start) > 1.0
    assert off(pose) < 0.25


def test_the_true_pose_costs_least_and_as_little_as_index_0(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    rng = np.random.default_rng(1)
    others = [poses[5].moved(np.concatenate([rng.normal(0.0, 0.15, 9), np.zeros(9)])) for _ in range(12)]
    costs = fitter.search.data(5, [poses[5], *others])
    assert costs.argmin() == 0
    assert costs[0] < 1.3 * fitter.floor


def test_a_lost_limb_is_found(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    lost = Pose(poses[5].rotations.copy(), poses[5].translations.copy())
    lost.rotations[1] = lost.rotations[1] @ axis_angle_to_matrix(np.array([0.2, 0.3, -1.1]))
    assert fitter.explained(5, lost) > 1.5
    found, explained = Recovery(fitter).found(5, lost, lost, lost, 1.0)
    error = np.linalg.norm(fitter.vertices_of(found) - fitter.vertices_of(poses[5]), axis=1).mean()
    assert explained < 1.25
    assert error < 0.03 * fitter.character.diagonal


def test_a_figure_that_jumped_is_found_where_the_mask_is(filmed: tuple[Fitter, list[Pose]]) -> None:
    """Nothing of the last pose overlaps the frame; a pose known from earlier frames does, once it is moved there."""
    fitter, poses = filmed
    away = Pose(poses[5].rotations.copy(), poses[5].translations + np.array([[0.45, 0.3, 0.0], [0, 0, 0], [0, 0, 0]]))
    recovery = Recovery(fitter)
    recovery.known.append(poses[4])
    found, explained = recovery.found(5, away, away, away, 1.0)
    error = np.linalg.norm(fitter.vertices_of(found) - fitter.vertices_of(poses[5]), axis=1).mean()
    assert explained < 1.25
    assert error < 0.03 * fitter.character.diagonal


def test_small_pictures_lead_closer(filmed: tuple[Fitter, list[Pose]], monkeypatch: pytest.MonkeyPatch) -> None:
    fitter, poses = filmed
    start = poses[4].moved(np.concatenate([np.random.default_rng(3).normal(0.0, 0.1, 9), np.zeros(9)]))
    small = fitter.footage.shrunk(2 * SIZE // 3)
    assert small.camera.width == 2 * SIZE // 3 and small.frames[4].picture.shape[:2] == (2 * SIZE // 3,) * 2
    monkeypatch.setattr(fitter, "small", [small])
    _, pose = fitter.descended(4, start, COLOURS, start, small=True)
    gaps = [fitter.vertices_of(guess) - fitter.vertices_of(poses[4]) for guess in (start, pose)]
    before, after = (np.linalg.norm(gap, axis=1).mean() for gap in gaps)
    assert after < 0.7 * before


def test_what_is_left_out_is_left_out_of_the_search(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    search = Search(
        fitter.search.scorer,
        fitter.skeleton,
        fitter.search.limbs,
        fitter.seams.partners,
        LiftSettings(without=("rgb",)),
    )
    parts = search.scorer.costs(5, fitter.skeleton.transforms(poses[5])[None])[0]
    assert parts[0] > 0.0
    assert search.data(5, [poses[5]])[0] == pytest.approx(parts[1] + parts[2], rel=1e-5)


def test_a_round_drops_terms() -> None:
    how = Round(reach=4.0, flow=0.0, contour=0.0, track=0.1, colour=1.0)
    assert how.without(()) == how
    blind = how.without(("rgb",))
    assert (blind.colour, blind.flow, blind.contour, blind.track) == (0.0, 0.0, 1.0, 1.0)
    assert how.without(("track", "depth")).track == 0.0


def test_equations_of_views_add_up() -> None:
    rng = np.random.default_rng(0)
    rows, residual = rng.normal(size=(30, 2, 4)), rng.normal(size=(30, 2))
    first, second = Equations(4), Equations(4)
    first.add(rows[:12], residual[:12], np.ones(12))
    second.add(rows[12:], residual[12:], np.ones(18))
    first.join(second)
    dense = rows.reshape(-1, 4)
    np.testing.assert_allclose(first.matrix, dense.T @ dense, rtol=1e-5)
    np.testing.assert_allclose(first.value, dense.T @ residual.ravel(), rtol=1e-4)


def _leg_on_a_control() -> tuple[Character, Rig]:
    """A tube: root without skin, upper part, lower part, and a foot that hangs on the root as IK rigs do."""
    character, rig = scene.tentacle()
    weights = np.zeros((len(character.vertices), 4), np.float32)
    weights[:, 1:] = rig.weights
    world = np.concatenate([rig.rest_world[:1], rig.rest_world])
    tails = np.concatenate([rig.tails[:1], rig.tails])
    leg = Rig(
        names=("root", "upper", "lower", "foot"),
        parents=np.array([-1, 0, 1, 0], dtype=np.int32),
        rest_world=world,
        tails=tails,
        weights=weights,
    )
    return character, leg


def test_a_foot_on_a_control_is_loose_and_held_at_the_ankle() -> None:
    character, leg = _leg_on_a_control()
    seams = find_seams(character, leg)
    assert seams.loose.tolist() == [False, True, False, True]  # the body hangs on a root without skin
    assert seams.partners.tolist() == [-1, -1, -1, 2]
    assert len(seams.first) == 1
    skin = Skin(Skeleton(leg), Pose.rest(4))
    np.testing.assert_allclose(skin.points(seams.first), skin.points(seams.second), atol=1e-6)
    ankle = skin.points(seams.first)[0]
    assert ankle[1] == pytest.approx(scene.LENGTH * 2.0 / 3.0, abs=0.1 * scene.LENGTH)


def test_a_chain_has_no_loose_joints() -> None:
    character, rig = scene.tentacle()
    assert not find_seams(character, rig).loose.any()
