"""Skeletons of one body: which is the least unlike the others, and where all put its joints."""

import numpy as np
import pytest

from studio_pipeline.evaluation.rigs.skeletons import Skeleton, chamfer_figures
from studio_pipeline.stages.rig.agreement import agreed, unlikeness
from studio_pipeline.stages.rig.candidates import Candidate

PLACES = np.array([(0, -0.5, 0), (0, 0.4, 0), (0, 0.8, 0), (0.7, 0.4, 0), (-0.7, 0.4, 0)])
PARENTS = np.array([-1, 0, 1, 1, 1], dtype=np.int32)
BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def noisy(count: int, *, spread: float = 0.02) -> list[Candidate]:
    draw = np.random.default_rng(5)
    return [
        Candidate(joints=PLACES + draw.normal(0.0, spread, PLACES.shape), parents=PARENTS, likelihood=-1.0)
        for _ in range(count)
    ]


def test_unlikeness_is_the_mean_of_the_evaluation_s_distances():
    found = noisy(4, spread=0.1)
    short = Candidate(joints=PLACES[:3], parents=PARENTS[:3], likelihood=-1.0)
    found.append(short)
    skeletons = [Skeleton(joints=one.joints, parents=one.parents) for one in found]
    expected = []
    for one in skeletons:
        apart = [chamfer_figures(one, other, BOX) for other in skeletons if other is not one]
        expected.append(np.mean([figures["j2j"] + figures["b2b"] for figures in apart]) / 100.0)
    np.testing.assert_allclose(unlikeness(found), expected, rtol=0.06)  # points on bones stand farther apart here
    assert unlikeness(found).argmax() == 4


def test_one_alone_is_unlike_nothing():
    assert unlikeness(noisy(1)).tolist() == [0.0]


def test_what_all_agree_on_is_nearer_to_the_truth():
    found = noisy(16)
    told = agreed(found[0], found[1:])
    assert np.array_equal(told.parents, PARENTS) and told.likelihood == found[0].likelihood
    error = np.linalg.norm(told.joints - PLACES, axis=1).mean()
    assert error < 0.45 * np.mean([np.linalg.norm(one.joints - PLACES, axis=1).mean() for one in found])
    np.testing.assert_allclose(told.joints, np.mean([one.joints for one in found], axis=0))


def test_counterparts_are_found_whatever_their_order_and_none_where_there_is_none():
    base = Candidate(joints=PLACES, parents=PARENTS, likelihood=-1.0)
    order = np.array([0, 1, 4, 3, 2])
    moved = PLACES + np.array([0.0, 0.02, 0.0])
    moved[3] += [0.3, 0.0, 0.0]  # too far to be the same joint
    other = Candidate(joints=moved[order], parents=PARENTS, likelihood=-1.0)
    told = agreed(base, [other])
    np.testing.assert_allclose(told.joints[[0, 1, 2, 4]], PLACES[[0, 1, 2, 4]] + np.array([0.0, 0.01, 0.0]))
    np.testing.assert_allclose(told.joints[3], PLACES[3])
    pair = PLACES[[2, 2]] + np.array([[0.0, 0.05, 0.0], [0.0, 0.0, 0.0]])
    crowd = Candidate(joints=pair, parents=PARENTS[:2], likelihood=-1.0)
    assert agreed(base, [crowd]).joints[2] == pytest.approx(PLACES[2])  # its nearest alone, not both
