"""Ways from bones to a surface: by the body, not across gaps; closed forms on rods."""

import numpy as np
import trimesh

from studio_pipeline.geometry.bones import bone_segments, segment_distances
from studio_pipeline.geometry.geodesics import bone_geodesics


def rod(x: float, rng: np.random.Generator, count: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """The side of an upright rod of radius 0.1 and length 2 at x, with normals."""
    angle, height = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(-1.0, 1.0, count)
    normals = np.stack([np.cos(angle), np.zeros(count), np.sin(angle)], axis=1)
    return normals * 0.1 + np.stack([np.full(count, x), height, np.zeros(count)], axis=1), normals


def test_along_a_rod_the_way_is_straight_and_then_along():
    points, normals = rod(0.0, np.random.default_rng(0))
    ways = bone_geodesics(points, normals, np.array([[0, -1.0, 0], [0, 0.0, 0]]), np.array([[0, 0.0, 0], [0, 1.0, 0]]))
    below = points[:, 1] < -0.05
    np.testing.assert_allclose(ways[below, 0], 0.1, atol=1e-3)  # straight to its own bone
    height = points[:, 1]
    above = height > 0.2
    straight, around = np.hypot(0.1, height), 0.1 + height  # through the inside; to the skin over the end, then up
    assert np.all(ways[above, 0] > straight[above] - 1e-3)
    assert np.all(ways[above, 0] < 1.15 * around[above])


def test_a_gap_between_two_legs_is_not_crossed():
    rng = np.random.default_rng(1)
    left, facing = rod(-0.12, rng)
    right, away = rod(0.12, rng)  # 4 cm apart, nearer than across one leg
    points, normals = np.concatenate([left, right]), np.concatenate([facing, away])
    heads, tails = np.array([[-0.12, -1.0, 0], [0.12, -1.0, 0]]), np.array([[-0.12, 1.0, 0], [0.12, 1.0, 0]])
    ways = bone_geodesics(points, normals, heads, tails)
    own = np.arange(len(points)) // len(left)
    inner = np.abs(points[:, 0]) < 0.06
    assert inner.sum() > 300
    np.testing.assert_allclose(ways[np.arange(len(points)), own], 0.1, atol=2e-3)
    assert ways[inner, 1 - own[inner]].min() > 0.2  # straight it were 0.14


def test_distances_to_segments_against_trimesh():
    rng = np.random.default_rng(2)
    points, segments = rng.normal(size=(40, 3)), rng.normal(size=(7, 2, 3))
    segments[3, 1] = segments[3, 0]
    for number, segment in enumerate(segments):
        near = trimesh.triangles.closest_point(np.repeat(segment[[0, 1, 1]][None], 40, axis=0), points)
        expected = np.linalg.norm(points - near, axis=1)
        np.testing.assert_allclose(segment_distances(points, segments)[:, number], expected, atol=1e-9)


def test_segments_of_a_forest():
    joints = np.arange(12.0).reshape(4, 3)
    found = bone_segments(joints, np.array([-1, 0, 1, -1]))
    np.testing.assert_array_equal(found[:, 1], joints[[1, 2, 3]])
    np.testing.assert_array_equal(found[:, 0], joints[[0, 1, 3]])
