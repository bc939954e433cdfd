from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.cameras import focal_from_fov, frame_points, look_at, orbit, project
from studio_pipeline.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_sixd,
    rotation_between,
    sixd_identity,
    sixd_to_matrix,
)
from studio_pipeline.geometry.skinning import pose_vertices, posed_world, skinning_transforms
from studio_pipeline.schema.records import CameraPath, Motion, Rig

vectors = st.tuples(*[st.floats(-4.0, 4.0, allow_nan=False) for _ in range(3)]).map(np.array)


@given(vectors)
@settings(max_examples=50, deadline=None)
def test_axis_angle_agrees_with_scipy(vector: np.ndarray) -> None:
    np.testing.assert_allclose(axis_angle_to_matrix(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-9)


def test_sixd_round_trip() -> None:
    matrices = Rotation.random(20, random_state=0).as_matrix()
    np.testing.assert_allclose(sixd_to_matrix(matrix_to_sixd(matrices)), matrices, atol=1e-12)
    np.testing.assert_allclose(sixd_to_matrix(sixd_identity(2, 3)), np.broadcast_to(np.eye(3), (2, 3, 3, 3)))


@pytest.mark.parametrize("target", [[0, 1, 0], [0, -1, 0], [1e-9, 1, 0], [1, 2, 3]])
def test_rotation_between_turns_one_into_the_other(target: list[float]) -> None:
    source = np.array([0.0, 1.0, 0.0])
    matrix = rotation_between(source, np.array(target, float))
    np.testing.assert_allclose(matrix @ source, np.array(target) / np.linalg.norm(target), atol=1e-7)
    assert np.linalg.det(matrix) == pytest.approx(1.0)


def arm() -> Rig:
    """Two bones along +X, the second joint's rest frame turned by 90 degrees about Z."""
    rest = np.tile(np.eye(4), (2, 1, 1))
    rest[1, :3, :3] = axis_angle_to_matrix(np.array([0.0, 0.0, np.pi / 2]))
    rest[1, 0, 3] = 1.0
    return Rig(
        names=("a", "b"),
        parents=np.array([-1, 0], np.int32),
        rest_world=rest,
        tails=np.array([[1, 0, 0], [2, 0, 0]], np.float32),
        weights=np.array([[1, 0], [0, 1]], np.float32),
    )


def motion_of(rotations: np.ndarray) -> Motion:
    return Motion(
        rotations=matrix_to_sixd(rotations).astype(np.float32),
        translations=np.zeros((*rotations.shape[:2], 3), np.float32),
        fps=Fraction(24),
        first_frame=0,
    )


def test_identity_deltas_are_the_rest_pose() -> None:
    still = motion_of(np.tile(np.eye(3), (1, 2, 1, 1)))
    np.testing.assert_allclose(skinning_transforms(arm(), still)[0], np.tile(np.eye(4), (2, 1, 1)), atol=1e-12)


def test_a_bent_elbow_by_hand() -> None:
    # Both joints turn by 90 degrees about Z: the tip (2, 0, 0) first goes to (1, 1, 0) about the elbow (1, 0, 0),
    # then to (-1, 1, 0) about the origin.
    turn = axis_angle_to_matrix(np.array([0.0, 0.0, np.pi / 2]))
    moved = motion_of(np.broadcast_to(turn, (1, 2, 3, 3)))
    tip = pose_vertices(np.array([[0.5, 0, 0], [2, 0, 0]]), arm().weights, skinning_transforms(arm(), moved))[0]
    np.testing.assert_allclose(tip, [[0, 0.5, 0], [-1, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(
        posed_world(arm(), moved.rotations, moved.translations)[0, 1, :3, 3], [0, 1, 0], atol=1e-7
    )


def test_projection_by_hand() -> None:
    camera = CameraPath(
        world_to_camera=look_at(np.array([0, 0, 5.0]), np.zeros(3), np.array([0, 1.0, 0]))[None],
        focal=np.array([focal_from_fov(np.radians(90.0), 100)]),
        width=200,
        height=100,
    )
    pixels, depth = project(camera, np.array([[[0, 0, 0], [5, 5, 0], [1, 0, 3]]], float))
    np.testing.assert_allclose(depth, [[5, 5, 2]])
    np.testing.assert_allclose(pixels, [[[100, 50], [150, 0], [125, 50]]], atol=1e-9)


@given(st.integers(0, 1000), st.sampled_from([(256, 256), (320, 180), (180, 320)]))
@settings(max_examples=25, deadline=None)
def test_framing_keeps_every_point_inside_and_fills(seed: int, size: tuple[int, int]) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 3)) * [1.0, 2.0, 0.5]
    width, height = size
    camera = frame_points(points, width=width, height=height, fill=0.8)
    pixels, depth = project(camera, points[None])
    relative = np.abs(pixels[0] - [width / 2, height / 2]) / [width / 2, height / 2]
    assert depth.min() > 0 and relative.max() == pytest.approx(0.8, abs=1e-6)


def test_orbit_is_the_scene_turned_the_other_way() -> None:
    rng = np.random.default_rng(0)
    points, centre = rng.normal(size=(1, 20, 3)), np.array([0.2, 0.5, -0.1])
    camera = frame_points(points[0], width=100, height=100)
    turn = axis_angle_to_matrix(np.array([0.0, -0.7, 0.0]))
    turned = (points - centre) @ turn.T + centre
    np.testing.assert_allclose(project(orbit(camera, centre, 0.7), points)[0], project(camera, turned)[0], atol=1e-9)
