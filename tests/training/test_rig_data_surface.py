"""Sampled points against the field, finite differences and an independent mesh; weights against the skeleton."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from studio_pipeline.training.rig_data import PLANS, body_mesh, draw_body, held_out
from studio_pipeline.training.rig_data.draw import example_of
from studio_pipeline.training.rig_data.kit import Kit
from studio_pipeline.training.rig_data.sampling import sample_surface
from studio_pipeline.training.rig_data.shape import evaluate, signed_distance
from studio_pipeline.training.rig_data.weights import joint_distances, skin_weights


def size_of(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def test_a_ball_and_a_box_have_their_closed_form_distance():
    kit = Kit("prop", np.random.default_rng(0), blend=0.01, symmetric=False)
    root = kit.joint("base", (0, 0, 0), tail=(0, 1, 0))
    kit.ball(root, (0, 0, 0), 0.5)
    kit.begin("box", None, 0.01)
    kit.box(root, (3, 0, 0), (0.5, 0.4, 0.3), rounding=0.0)
    shape = kit.build().shape
    points = np.random.default_rng(1).uniform(-1, 1, (200, 3)).astype(np.float32)
    ball = np.linalg.norm(points, axis=1) - 0.5
    beyond = np.abs(points) - [0.5, 0.4, 0.3]
    box = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)
    far = np.float32([3, 0, 0])
    inside = np.abs(ball) < 0.5
    np.testing.assert_allclose(signed_distance(shape, points)[inside], ball[inside], atol=1e-4)
    inside = np.abs(box) < 0.5
    np.testing.assert_allclose(signed_distance(shape, points + far)[inside], box[inside], atol=1e-4)


def test_a_stretched_round_cone_contains_its_ends_and_is_as_wide_as_told():
    kit = Kit("prop", np.random.default_rng(0), blend=0.01, symmetric=False)
    root = kit.joint("base", (0, 0, 0), tail=(0, 1, 0))
    kit.cone(root, (0, 0, 0), (0, 0, 2), (0.2, 0.4), flat=(2.0, 0.5), hint=(0, 1, 0))
    shape = kit.build().shape
    on = np.array([[0.6, 0, 1], [-0.6, 0, 1], [0, 0.15, 1], [0, -0.15, 1], [0, 0, -0.2], [0, 0, 2.4]], np.float32)
    np.testing.assert_allclose(signed_distance(shape, on), 0.0, atol=1e-5)


@pytest.mark.parametrize("plan", PLANS)
def test_points_are_on_the_surface_and_normals_point_outward(plan):
    body = draw_body(np.random.default_rng([5, 1]), plan)
    surface = sample_surface(body.shape, 700, np.random.default_rng(2))
    size = size_of(surface.points)
    assert np.abs(surface.field.distance).max() < 0.004 * size
    assert np.median(np.abs(surface.field.distance)) < 2e-4 * size
    step = 0.002 * size
    outer = signed_distance(body.shape, surface.points + step * surface.normals)
    inner = signed_distance(body.shape, surface.points - step * surface.normals)
    assert np.mean(outer > inner) > 0.99
    assert np.mean(outer > 0.0) > 0.98


def test_normals_agree_with_finite_differences():
    body = draw_body(np.random.default_rng(8), "biped", posed=0.0)
    surface = sample_surface(body.shape, 500, np.random.default_rng(3))
    step = np.float32(1e-3 * size_of(surface.points))
    slope = np.stack(
        [
            signed_distance(body.shape, surface.points + step * e)
            - signed_distance(body.shape, surface.points - step * e)
            for e in np.eye(3, dtype=np.float32)
        ],
        axis=1,
    )
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    agree = np.einsum("na,na->n", slope, surface.normals)
    assert np.median(agree) > 0.999 and np.mean(agree > 0.95) > 0.95


@pytest.mark.parametrize("plan", ["biped", "quadruped", "robot", "octopus"])
def test_points_and_marching_cubes_describe_one_surface(plan):
    body = draw_body(np.random.default_rng([6, 2]), plan, posed=0.0)
    vertices, faces, weights = body_mesh(body, resolution=80)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and mesh.volume > 0.0
    assert len(weights) == len(vertices)
    surface = sample_surface(body.shape, 3000, np.random.default_rng(4))
    size = size_of(vertices)
    dense = mesh.sample(20000, seed=5)
    there, _ = cKDTree(dense).query(surface.points)
    back, _ = cKDTree(surface.points).query(dense)
    assert np.mean(there) < 0.01 * size and np.percentile(there, 99) < 0.02 * size
    assert np.mean(back) < 0.015 * size and np.percentile(back, 99) < 0.05 * size


def test_points_are_about_evenly_spread():
    body = draw_body(np.random.default_rng(12), "biped", posed=0.0)
    vertices, faces, _ = body_mesh(body, resolution=80)
    even = trimesh.Trimesh(vertices, faces, process=False).sample(2000, seed=1)
    drawn = sample_surface(body.shape, 2000, np.random.default_rng(1)).points
    cells = np.concatenate([even, drawn])
    low, step = cells.min(0), np.ptp(cells, axis=0).max() / 6.0
    keys = [[tuple(k) for k in np.floor((p - low) / step).astype(int)] for p in (even, drawn)]
    counts = [{k: column.count(k) for k in set(column)} for column in keys]
    shared = [k for k in counts[0] if counts[0][k] >= 40]
    ratio = np.array([counts[1].get(k, 0) / counts[0][k] for k in shared])
    assert len(shared) > 10 and ratio.min() > 0.45 and ratio.max() < 2.0


def test_hidden_points_appear_only_in_split_bodies():
    body = draw_body(np.random.default_rng(21), "robot", posed=0.0)
    whole = sample_surface(body.shape, 1500, np.random.default_rng(1)).points
    parts = sample_surface(body.shape, 1500, np.random.default_rng(1), split=True).points
    size = size_of(whole)
    assert (signed_distance(body.shape, whole) > -0.004 * size).all()
    assert np.mean(signed_distance(body.shape, parts) < -0.004 * size) > 0.02


def test_weights_stay_on_their_limb():
    """A point that mostly follows a left limb never follows a right one, nor anything more than three bones away."""
    for seed in range(20):
        body = draw_body(np.random.default_rng([31, seed]), "biped", posed=0.0)
        side = np.array([{".L": 1, ".R": -1}.get(n[-2:], 0) for n in body.names])
        if (body.shape.owners[:, side > 0].any(1) & body.shape.owners[:, side < 0].any(1)).any():
            continue  # a skirt hangs on both legs
        example = example_of(body, np.random.default_rng(seed), count=800, wear=False)
        main = example.weights.argmax(1)
        limb = np.array(
            [n.split("_")[0].split(".")[0] in ("upper", "lower", "hand", "shin", "foot") for n in body.names]
        )
        rows = limb[main]
        crossed = example.weights[rows] * (side[main[rows]][:, None] * side[None] < 0)
        assert crossed.max(initial=0.0) < 0.02, seed
        far = joint_distances(body.parents)[main[rows]] > 3
        assert (example.weights[rows] * far).max(initial=0.0) < 0.02


def test_weights_peak_in_the_middle_of_a_bone_and_are_shared_at_its_joint():
    kit = Kit("prop", np.random.default_rng(0), blend=0.005, symmetric=False)
    points = [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    kit.chain(["a", "b"], points, [0.2, 0.2, 0.2], -1)
    body = kit.build()
    where = np.array([[0.2, y, 0] for y in (0.3, 0.5, 0.9, 1.0, 1.1, 1.5, 1.7)], np.float32)
    weights = skin_weights(
        body.shape, evaluate(body.shape, where), where, joints=body.joints, tails=body.tails, parents=body.parents
    )
    assert (np.diff(weights[:, 1]) >= -1e-6).all()
    assert weights[0, 0] > 0.97 and weights[-1, 1] > 0.97
    assert weights[3, 0] == pytest.approx(0.5, abs=0.02)


def test_rigid_bodies_follow_one_joint_a_point():
    for seed in range(10):
        body = draw_body(np.random.default_rng(seed), "robot")
        example = example_of(body, np.random.default_rng(0), count=300)
        if body.rigid:
            assert ((example.weights == 0.0) | (example.weights == 1.0)).all()


def test_held_out_characters_repeat_and_are_sound_meshes():
    first, again = held_out(4, 3, resolution=48), held_out(4, 3, resolution=48)
    for a, b in zip(first, again, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.faces, b.faces)
    for item in first:
        assert item.faces.min() >= 0 and item.faces.max() < len(item.vertices)
        assert item.weights.shape == (len(item.vertices), item.body.joint_count)
        np.testing.assert_allclose(item.weights.sum(1), 1.0, atol=1e-5)
    assert {a.name for a in first} != {b.name for b in held_out(4, 4, resolution=48)}
