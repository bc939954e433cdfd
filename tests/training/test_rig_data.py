"""The generator of rig training data: valid trees, joints inside, symmetry, weights, and that the same seed repeats."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.training.rig_data import PLANS, Body, draw_body, draw_example
from studio_pipeline.training.rig_data.posing import flip, pose
from studio_pipeline.training.rig_data.shape import signed_distance

BODIES_A_PLAN = 12


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    return [draw_body(np.random.default_rng([41, i]), plan, posed=0.0) for plan in PLANS for i in range(BODIES_A_PLAN)]


def diagonal(body: Body) -> float:
    return float(np.linalg.norm(np.ptp(np.concatenate([body.joints, body.shape.centers]), axis=0)))


def test_every_tree_is_valid_and_no_two_joints_coincide(bodies):
    for body in bodies:
        count = body.joint_count
        assert 2 <= count <= 64
        assert body.parents[0] == -1 and (body.parents[1:] >= 0).all(), body.plan
        assert (body.parents[1:] < np.arange(1, count)).all(), body.plan
        assert len(set(body.names)) == count == len(body.tails) == len(body.joints)
        apart = np.linalg.norm(body.joints[:, None] - body.joints, axis=2) + np.eye(count)
        assert apart.min() > 1e-3 * diagonal(body), (body.plan, body.names)
        assert np.linalg.norm(body.tails - body.joints, axis=1).min() > 1e-3 * diagonal(body), body.plan
        assert body.shape.owners.any(1).all()


def test_joints_lie_inside_or_within_two_percent_of_the_surface(bodies):
    for body in bodies:
        first = int(body.grounded)
        outside = signed_distance(body.shape, body.joints[first:])
        worst = int(outside.argmax())
        assert outside[worst] <= 0.02 * diagonal(body), (body.plan, body.names[first + worst])


def test_almost_all_bones_run_inside_the_body(bodies):
    outside, total = 0, 0
    for body in bodies:
        first = int(body.grounded)
        share = np.linspace(0.1, 0.9, 5, dtype=np.float32)[:, None, None]
        along = (body.joints + share * (body.tails - body.joints))[:, first:]
        distance = signed_distance(body.shape, along.reshape(-1, 3)).reshape(along.shape[:2]).max(0)
        outside += int((distance > 0.02 * diagonal(body)).sum())
        total += len(distance)
    assert outside < 0.005 * total


def test_a_ground_joint_stands_on_the_ground(bodies):
    standing = [body for body in bodies if body.grounded]
    assert len(standing) > 20
    for body in standing:
        assert body.names[0] == "root" and body.joints[0, 1] == 0.0


def test_left_and_right_come_in_pairs_and_mirror_exactly(bodies):
    symmetric = [body for body in bodies if body.symmetric and any(n.endswith(".L") for n in body.names)]
    assert len(symmetric) > len(bodies) // 2
    rng = np.random.default_rng(0)
    mirror = np.array([-1.0, 1.0, 1.0], np.float32)
    for body in symmetric:
        index = {name: i for i, name in enumerate(body.names)}
        for name, left in index.items():
            if not name.endswith((".L", ".R")):
                assert abs(body.joints[left, 0]) < 1e-6, (body.plan, name)
            if name.endswith(".L"):
                right = index[name[:-1] + "R"]
                np.testing.assert_array_equal(body.joints[left] * mirror, body.joints[right])
                np.testing.assert_array_equal(body.tails[left] * mirror, body.tails[right])
                assert body.joints[left, 0] > 0.0
        points = rng.uniform(-1.0, 1.0, (40, 3)).astype(np.float32) * np.abs(body.joints).max()
        here, there = signed_distance(body.shape, points), signed_distance(body.shape, points * mirror)
        np.testing.assert_allclose(here, there, atol=1e-4 * diagonal(body))


def test_plans_are_as_many_legged_as_they_should_be():
    for plan, legs in (("spider", 4), ("biped", 1), ("quadruped", 2)):
        body = draw_body(np.random.default_rng(3), plan, posed=0.0)
        tops = {"spider": "_01.L", "biped": "thigh.L", "quadruped": ("front_upper_arm.L", "hind_thigh.L")}[plan]
        found = [n for n in body.names if n.endswith(tops) and not n.startswith(("antenna", "wing", "fang"))]
        assert len(found) == legs, (plan, body.names)


def test_the_same_seed_gives_the_same_example_and_another_another():
    first, again, other = (draw_example(np.random.default_rng(seed), count=256) for seed in (9, 9, 10))
    for name in ("points", "normals", "joints", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.points.shape == (256, 3)
    assert first.joints.shape != other.joints.shape or not np.array_equal(first.joints, other.joints)


@pytest.mark.parametrize("plan", PLANS)
def test_examples_are_normalised_and_their_weights_valid(plan):
    for seed in range(4):
        example = draw_example(np.random.default_rng([77, seed]), plan=plan, count=512)
        low, high = example.points.min(0), example.points.max(0)
        assert (high - low).max() == pytest.approx(2.0, abs=1e-4)
        np.testing.assert_allclose(low + high, 0.0, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(example.normals, axis=1), 1.0, atol=1e-3)
        assert example.weights.shape == (512, len(example.joints))
        np.testing.assert_allclose(example.weights.sum(1), 1.0, atol=1e-5)
        assert (example.weights >= 0.0).all() and ((example.weights > 0.0).sum(1) <= 8).all()
        for array in (example.points, example.normals, example.joints, example.tails, example.weights):
            assert array.dtype == np.float32 and np.isfinite(array).all()


def test_posing_keeps_bone_lengths_and_joints_inside():
    for seed in range(12):
        body = draw_body(np.random.default_rng(seed), "biped", posed=0.0)
        posed = pose(body, np.random.default_rng(seed), spread=0.3)
        for item in (body, posed):
            item_lengths = np.linalg.norm(item.joints[1:] - item.joints[item.parents[1:]], axis=1)
            expected = np.linalg.norm(body.joints[1:] - body.joints[body.parents[1:]], axis=1)
            np.testing.assert_allclose(item_lengths, expected, atol=1e-5)
        assert np.abs(posed.joints - body.joints).max() > 0.01
        outside = signed_distance(posed.shape, posed.joints[int(body.grounded) :])
        assert outside.max() <= 0.03 * diagonal(body)


def test_flipping_twice_gives_the_body_back():
    body = draw_body(np.random.default_rng(4), "crab")
    twice = flip(flip(body))
    assert twice.names == body.names
    np.testing.assert_array_equal(twice.joints, body.joints)
    assert set(flip(body).names) == set(body.names)
