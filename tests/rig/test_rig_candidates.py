"""The judge of skeletons prefers what fits, and the corrections keep trees trees."""

import numpy as np
import pytest
import trimesh

from studio_pipeline.models.rig.clouds import cloud_of
from studio_pipeline.stages.rig.candidates import Candidate, Judge, joined, symmetrised


@pytest.fixture(scope="module")
def cross():
    """An upright body with two arms, mirrored at x = 0, in the box [-1, 1]."""
    parts = [
        trimesh.creation.box(extents=(0.4, 2.0, 0.3)),
        trimesh.creation.box(
            extents=(2.0, 0.2, 0.2), transform=trimesh.transformations.translation_matrix((0, 0.4, 0))
        ),
    ]
    mesh = trimesh.util.concatenate(parts)
    cloud = cloud_of(mesh.vertices, mesh.faces, 800, seed=0)
    return Judge(mesh.vertices, mesh.faces, cloud.points)


def skeleton(*joints: tuple[float, float, float], parents: list[int], likelihood: float = -2.0) -> Candidate:
    return Candidate(
        joints=np.array(joints, dtype=np.float64), parents=np.array(parents, np.int32), likelihood=likelihood
    )


GOOD = {"parents": [-1, 0, 1, 1, 1]}
PLACES = [(0, -0.5, 0), (0, 0.4, 0), (0, 0.8, 0), (0.7, 0.4, 0), (-0.7, 0.4, 0)]


def test_the_plane_is_found(cross):
    np.testing.assert_allclose(cross.plane.normal, [1.0, 0.0, 0.0], atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {3: (0.7, 0.9, 0)},  # a hand outside of the body
        {3: (0.3, 0.4, 0)},  # one arm shorter than the other
        {3: (0.25, 0.4, 0), 4: (-0.25, 0.4, 0)},  # arms that nothing reaches
    ],
)
def test_a_worse_skeleton_scores_less(cross, change):
    worse = [change.get(k, place) for k, place in enumerate(PLACES)]
    assert cross.score(skeleton(*worse, **GOOD)) < cross.score(skeleton(*PLACES, **GOOD)) - 0.02


def test_a_likelier_skeleton_scores_more(cross):
    assert cross.score(skeleton(*PLACES, **GOOD, likelihood=-1.0)) > cross.score(skeleton(*PLACES, **GOOD))


def test_partners_become_mirror_images(cross):
    uneven = [(0.02, -0.5, 0), (-0.03, 0.4, 0), (0, 0.8, 0), (0.72, 0.41, 0.02), (-0.68, 0.39, 0)]
    even = symmetrised(skeleton(*uneven, **GOOD), cross.plane)
    np.testing.assert_allclose(even.joints[3], even.joints[4] * [-1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(even.joints[:3, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(even.joints[3], [0.70, 0.40, 0.01], atol=1e-9)


def test_joints_on_their_parents_are_left_out():
    found = joined(skeleton((0, 0, 0), (0, 0.001, 0), (0, 0.5, 0), (0.3, 0, 0), parents=[-1, 0, 1, 0]))
    assert found.parents.tolist() == [-1, 0, 0] and len(found.joints) == 3
