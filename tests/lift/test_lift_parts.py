"""The lift's mathematics against finite differences, dense algebra and the NumPy twins."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from studio_pipeline.geometry.cameras import look_at, project
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.records import CameraPath, Motion, Rig
from studio_pipeline.stages.lifted_motion.appearance import harmonics
from studio_pipeline.stages.lifted_motion.evidence import Contour
from studio_pipeline.stages.lifted_motion.kinematics import (
    Pose,
    Skeleton,
    Skin,
    bind_points,
    matrix_to_axis_angle,
    project_with_jacobian,
    torch_vertices,
)
from studio_pipeline.stages.lifted_motion.priors import Priors, solve_frames

JOINTS, VERTICES = 6, 40


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def rig(rng: np.random.Generator) -> Rig:
    world = np.tile(np.eye(4), (JOINTS, 1, 1))
    world[:, :3, :3] = axis_angle_to_matrix(rng.normal(size=(JOINTS, 3)))
    world[:, :3, 3] = rng.normal(size=(JOINTS, 3))
    weights = rng.random((VERTICES, JOINTS))
    return Rig(
        names=tuple("abcdef"),
        parents=np.array([-1, 0, 1, 1, 3, 0], dtype=np.int32),
        rest_world=world,
        tails=world[:, :3, 3].astype(np.float32),
        weights=(weights / weights.sum(1, keepdims=True)).astype(np.float64),
    )


def _pose(rng: np.random.Generator) -> Pose:
    return Pose(axis_angle_to_matrix(rng.normal(size=(JOINTS, 3))), 0.1 * rng.normal(size=(JOINTS, 3)))


def _as_motion(pose: Pose) -> Motion:
    return Motion(
        rotations=matrix_to_sixd(pose.rotations)[None],
        translations=pose.translations[None],
        fps=Fraction(24),
        first_frame=0,
    )


def test_skinned_points_and_jacobian(rig: Rig, rng: np.random.Generator) -> None:
    rest, pose, skeleton = rng.normal(size=(VERTICES, 3)), _pose(rng), Skeleton(rig)
    corners, shares = rng.integers(0, VERTICES, (10, 3)), rng.dirichlet([1, 1, 1], 10)
    moments = bind_points(rest, rig.weights, corners, shares)
    skin = Skin(skeleton, pose)
    vertices = pose_vertices(rest, rig.weights, skinning_transforms(rig, _as_motion(pose)))[0]
    np.testing.assert_allclose(skin.points(moments), (vertices[corners] * shares[..., None]).sum(1), atol=1e-6)
    rows = skin.jacobian(moments)
    for column in range(rows.shape[2]):
        step = np.zeros(rows.shape[2])
        step[column] = 1e-6
        ahead, behind = (Skin(skeleton, pose.moved(sign * step)).points(moments) for sign in (1.0, -1.0))
        np.testing.assert_allclose(rows[:, :, column], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-5)


def test_torch_skinning_is_the_same(rig: Rig, rng: np.random.Generator) -> None:
    rest, pose = rng.normal(size=(VERTICES, 3)), _pose(rng)
    motion = _as_motion(pose)
    expected = pose_vertices(rest, rig.weights, skinning_transforms(rig, motion))
    turns, shifts = torch.as_tensor(motion.rotations), torch.as_tensor(motion.translations)
    np.testing.assert_allclose(torch_vertices(rig, rest, turns, shifts).numpy(), expected, atol=1e-6)


def test_projection_jacobian(rng: np.random.Generator) -> None:
    camera = CameraPath(
        world_to_camera=look_at(np.array([1.0, 2.0, 8.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]))[None],
        focal=np.array([300.0]),
        width=256,
        height=192,
    )
    points = rng.normal(size=(7, 3))
    pixels, depth, by_point, depth_by_point = project_with_jacobian(camera, 0, points)
    expected = project(camera, points[None])
    np.testing.assert_allclose(pixels, expected[0][0], atol=1e-9)
    np.testing.assert_allclose(depth, expected[1][0], atol=1e-9)
    for axis in range(3):
        step = 1e-6 * np.eye(3)[axis]
        ahead, behind = (project(camera, (points + sign * step)[None]) for sign in (1.0, -1.0))
        np.testing.assert_allclose(by_point[:, :, axis], (ahead[0][0] - behind[0][0]) / 2e-6, atol=1e-5)
        np.testing.assert_allclose(depth_by_point[axis], ((ahead[1][0] - behind[1][0]) / 2e-6)[0], atol=1e-6)


def test_banded_solution_is_the_dense_one(rng: np.random.Generator) -> None:
    for frames in (1, 2, 3, 6):
        size = 5
        roots = rng.normal(size=(frames, size, size))
        blocks = roots @ np.swapaxes(roots, 1, 2)
        bands = np.stack([np.full((frames, size), value) for value in (8.0, -2.0, 1.0)])
        value = rng.normal(size=(frames, size))
        dense = np.zeros((frames * size, frames * size))
        for i in range(frames):
            for ahead in range(3):
                if i + ahead < frames:
                    here, there = slice(i * size, (i + 1) * size), slice((i + ahead) * size, (i + ahead + 1) * size)
                    dense[here, there] += np.diag(bands[ahead, i])
                    if ahead:
                        dense[there, here] += np.diag(bands[ahead, i])
                    else:
                        dense[here, here] += blocks[i]
        expected = np.linalg.solve(dense, value.ravel()).reshape(frames, size)
        np.testing.assert_allclose(solve_frames(blocks, bands, value), expected, rtol=1e-8, atol=1e-10)


def test_priors_solve_to_the_smooth_path() -> None:
    """With translations only the prior is quadratic: one solve lands where its slope vanishes."""
    sizes = np.ones(6)
    priors = Priors(10.0 * sizes, 0.5 * sizes, 0.2 * sizes)
    rng = np.random.default_rng(2)
    values = rng.normal(size=(6, 3))
    values[0] = 0.0
    poses = [Pose(np.eye(3)[None], value[None]) for value in values]
    pull = np.zeros((5, 6, 6))
    pull[:, 3:, 3:] = 4.0 * np.eye(3)  # data that hold each frame where it is

    def energy(shifts: np.ndarray) -> float:
        path = np.concatenate([np.zeros((1, 3)), shifts.reshape(5, 3)])
        first = np.diff(path, axis=0)
        kept = 4.0 * np.square(path - values).sum()
        return float(
            kept
            + np.square(path / 10.0).sum()
            + np.square(first / 0.5).sum()
            + np.square(np.diff(first, axis=0) / 0.2).sum()
        )

    step = solve_frames(pull, *priors.all(poses))[:, 3:]
    found = values[1:] + step
    slope = [(energy(found + e) - energy(found - e)) / 2e-5 for e in 1e-5 * np.eye(15).reshape(15, 5, 3)]
    np.testing.assert_allclose(slope, 0.0, atol=1e-4)


def test_axis_angle_round_trip(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(20, 3))
    np.testing.assert_allclose(matrix_to_axis_angle(axis_angle_to_matrix(vectors)), vectors, atol=1e-9)


def test_contour_of_a_disc_has_sub_pixel_distances() -> None:
    y, x = np.mgrid[0.5:64, 0.5:64]
    radius = np.hypot(x - 30.3, y - 33.7)
    contour = Contour(np.round(255.0 * np.clip(18.2 - radius + 0.5, 0, 1)).astype(np.uint8))
    near = np.abs(radius - 18.2) < 6
    assert np.abs(contour.distance - (18.2 - radius))[near].max() < 0.35
    away = contour.points - (30.3, 33.7)
    assert np.abs(np.linalg.norm(away, axis=1) - 18.2).max() < 0.4
    assert ((away * contour.normals).sum(1) / np.linalg.norm(away, axis=1)).min() > 0.95


def test_light_is_the_renderers(rng: np.random.Generator) -> None:
    """Coefficients fitted with our basis must light the differentiable renderer the same way."""
    from lift_scene import filmed, tentacle

    from studio_pipeline.render.differentiable import RenderMesh, render
    from studio_pipeline.stages.lifted_motion.appearance import Appearance

    character, _ = tentacle()
    camera, clip, coverage = filmed(character, character.vertices[None], 64)
    appearance = Appearance(character, camera, clip.frames[0], coverage[0] > 0.5, samples=1)
    appearance.light = rng.uniform(-0.2, 0.2, (9, 3))
    appearance.light[0] = 3.0
    black = np.zeros((64, 64, 3), np.float32)
    ours = appearance.render(character.vertices, 0, black)
    light = torch.as_tensor(appearance.light, dtype=torch.float32)
    vertices = torch.as_tensor(character.vertices)[None]
    theirs = render(vertices, RenderMesh.from_character(character), camera, sigma=0.01, shading=light)
    inner = (theirs.silhouette[0].numpy() > 0.999) & (ours.coverage > 0.999)
    linear = theirs.color[0].numpy()[inner]
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 1e-9, 1) ** (1 / 2.4) - 0.055)
    assert inner.sum() > 200
    assert np.percentile(np.abs(ours.image[inner] / 255.0 - expected), 99) < 0.02
    assert harmonics(np.array([[0.0, 1.0, 0.0]])).shape == (1, 9)
