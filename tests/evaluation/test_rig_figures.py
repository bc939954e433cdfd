"""The figures of `studio evaluate rig` against closed forms and slow second implementations."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.evaluation.rigs.skeletons import Skeleton, chamfer_figures
from studio_pipeline.evaluation.rigs.skins import skin_figures
from studio_pipeline.geometry.bones import segment_distances
from studio_pipeline.schema.errors import InputError

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 0.5, 0.2]])  # its longest side is 2


def skeleton(joints, parents) -> Skeleton:
    return Skeleton(joints=np.array(joints, dtype=np.float64), parents=np.array(parents))


def figures(truth: Skeleton, guess: Skeleton, vertices: np.ndarray = BOX) -> dict[str, float]:
    return chamfer_figures(truth, guess, vertices)


def random_tree(seed: int, count: int) -> Skeleton:
    draw = np.random.default_rng(seed)
    parents = [-1] + [int(draw.integers(0, joint)) for joint in range(1, count)]
    return skeleton(draw.uniform(-0.8, 0.8, (count, 3)), parents)


def published(one: Skeleton, other: Skeleton, step: float) -> dict[str, float]:
    """The measures by loops, bones as dense rows of points, nearest point by nearest point."""

    def rows(tree: Skeleton) -> np.ndarray:
        points = []
        for joint, parent in enumerate(tree.parents):
            if parent >= 0:
                start, end = tree.joints[parent], tree.joints[joint]
                count = int(np.ceil(np.linalg.norm(end - start) / step))
                points += [start + (k + 0.5) / count * (end - start) for k in range(count)]
        return np.array(points)

    def one_way(points: np.ndarray, cloud: np.ndarray) -> float:
        return float(np.mean([np.sqrt(((cloud - point) ** 2).sum(1)).min() for point in points]))

    a, b = rows(one), rows(other)
    return {
        "j2j": 50.0 * (one_way(one.joints, other.joints) + one_way(other.joints, one.joints)),
        "j2b": 50.0 * (one_way(one.joints, b) + one_way(other.joints, a)),
        "b2b": 50.0 * (one_way(a, b) + one_way(b, a)),
    }


@pytest.mark.parametrize("seed", range(4))
def test_chamfer_is_that_of_the_papers(seed: int) -> None:
    one, other = random_tree(seed, 5), random_tree(seed + 100, 8)
    found, wanted = figures(one, other), published(one, other, 0.002)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=0.05), name
    assert found["joint_ratio"] == 8 / 5
    assert found["j2j"] == pytest.approx((found["missed"] + found["extra"]) / 2)
    back = figures(other, one)
    assert all(back[name] == pytest.approx(found[name]) for name in wanted)
    assert (back["missed"], back["extra"]) == pytest.approx((found["extra"], found["missed"]))


def test_a_skeleton_is_no_distance_from_itself() -> None:
    tree = random_tree(7, 12)
    assert figures(tree, tree) == {
        "j2j": 0, "j2b": pytest.approx(0, abs=1e-12), "b2b": pytest.approx(0, abs=1e-12), "missed": 0, "extra": 0,
        "joint_ratio": 1,
    }  # fmt: skip


def test_one_joint_moved() -> None:
    truth = skeleton([[0, -0.8, 0], [0, 0, 0], [0, 0.8, 0]], [-1, 0, 1])
    moved = skeleton([[0, -0.8, 0], [0, 0, 0], [0.12, 0.8, 0]], [-1, 0, 1])
    found = figures(truth, moved)
    assert found["j2j"] == pytest.approx(100 * 0.12 / 3)  # the same both ways
    aside = 0.12 * 0.8 / np.hypot(0.12, 0.8)  # of the true end to the slanted bone; the moved end's is 0.12
    assert found["j2b"] == pytest.approx(100 * (aside / 3 + 0.12 / 3) / 2)


def test_joints_on_a_bone_cost_joints_but_no_bones() -> None:
    truth = skeleton([[0, -0.5, 0], [0, 0.5, 0]], [-1, 0])
    finer = skeleton([[0, -0.5, 0], [0, 0, 0], [0, 0.5, 0]], [-1, 0, 1])
    found = figures(truth, finer)
    assert found["j2b"] == 0 and found["b2b"] == 0
    assert found["j2j"] == pytest.approx(100 * 0.5 / 3 / 2)
    assert (found["missed"], found["extra"]) == (0, pytest.approx(100 * 0.5 / 3))


def test_size_and_place_of_the_mesh_count_for_nothing() -> None:
    one, other = random_tree(1, 6), random_tree(2, 4)
    shift = np.array([300.0, -20.0, 7.0])

    def move(tree: Skeleton) -> Skeleton:
        return Skeleton(joints=39.0 * tree.joints + shift, parents=tree.parents)

    there = figures(move(one), move(other), 39.0 * BOX + shift)
    here = figures(one, other)
    assert all(there[name] == pytest.approx(here[name]) for name in here)
    double = figures(one, other, 2.0 * BOX)
    assert double["j2j"] == pytest.approx(here["j2j"] / 2)
    with pytest.raises(InputError, match="no extent"):
        figures(one, other, np.zeros((3, 3)))


def test_skeletons_without_bones() -> None:
    one, other = skeleton([[0, 0, 0]], [-1]), skeleton([[0.3, 0.4, 0]], [-1])
    found = figures(one, other)
    assert found["j2j"] == found["j2b"] == found["b2b"] == pytest.approx(50.0)
    chain = skeleton([[0, 0, 0], [0, 0, 0], [0, 0.6, 0]], [-1, 0, 1])  # two joints in one place
    assert figures(one, chain)["b2b"] == pytest.approx(100 * 0.3 / 2)
    forest = skeleton([[0, 0, 0], [0, 0.6, 0], [0.5, 0, 0]], [-1, 0, -1])  # a joint alone is a bone of no length
    assert figures(forest, skeleton([[0.5, 0, 0]], [-1]))["j2b"] == pytest.approx(100 * (0.5 + np.hypot(0.5, 0.6)) / 6)


def test_distance_to_segments() -> None:
    draw = np.random.default_rng(3)
    points, segments = draw.normal(size=(20, 3)), draw.normal(size=(7, 2, 3))
    segments[3, 1] = segments[3, 0]
    share = np.linspace(0, 1, 4001)[:, None, None]
    cloud = segments[:, 0] + share * (segments[:, 1] - segments[:, 0])
    wanted = np.array([np.linalg.norm(cloud - point, axis=2).min(0) for point in points])
    np.testing.assert_allclose(segment_distances(points, segments), wanted, atol=1e-3)


def test_skin_by_hand() -> None:
    truth = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.4, 0.6]])
    guess = np.array([[1.8, 0.2, 0.0], [0.5, 0.5, 0.0005], [0.0, 0.0, 1.0]])  # rows are made to sum to one first
    found = skin_figures(truth, guess)
    # 0.2 on the first vertex, 0.0005 of the second (0.5 / 1.0005 each, and the rest), 0.8 on the third.
    assert found["l1"] == pytest.approx((0.2 + 2 * 0.0005 / 1.0005 + 0.8) / 3)
    assert found["precision"] == pytest.approx(4 / 5)  # (0,0) (1,0) (1,1) (2,2) are right, (0,1) isn't
    assert found["recall"] == pytest.approx(4 / 5)  # (2,1) is missed
    assert skin_figures(truth, truth) == {"l1": 0.0, "precision": 1.0, "recall": 1.0}
    assert skin_figures(truth[:1], truth[:1, [1, 0, 2]]) == {"l1": 2.0, "precision": 0.0, "recall": 0.0}


def test_an_influence_is_more_than_a_thousandth() -> None:
    truth = np.array([[0.998, 0.002], [1.0, 0.0]])
    guess = np.array([[1.0, 0.0], [0.9995, 0.0005]])
    found = skin_figures(truth, guess)
    assert found["precision"] == 1.0 and found["recall"] == pytest.approx(2 / 3)
