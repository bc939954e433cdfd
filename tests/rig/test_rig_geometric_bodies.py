"""The geometric rig on bodies of capsules: joints where such bodies have them, none in ornaments; its parts alone."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.branches import cut_near
from studio_pipeline.geometry.heat import rigid_parts, smoothed, without_tails
from studio_pipeline.stages.rig.geometric import build_rig


def capsule(start, stop, radius: float) -> trimesh.Trimesh:
    start, stop = np.array(start, float), np.array(stop, float)
    mesh = trimesh.creation.capsule(height=np.linalg.norm(stop - start), radius=radius, count=[16, 16])
    mesh.apply_translation(-mesh.bounds.mean(0))
    mesh.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], stop - start))
    return mesh.apply_translation((start + stop) / 2)


def biped() -> trimesh.Trimesh:
    parts = [capsule((0, 0.95, 0), (0, 1.35, 0), 0.13), trimesh.creation.icosphere(3, 0.14)]
    parts[1].apply_translation((0, 1.7, 0))
    parts.append(capsule((0, 1.35, 0), (0, 1.65, 0), 0.05))
    for side in (-1, 1):
        parts.append(capsule((side * 0.1, 0.9, 0), (side * 0.1, 0.06, 0), 0.06))
        parts.append(capsule((side * 0.1, 0.05, 0), (side * 0.1, 0.05, 0.2), 0.05))
        parts.append(capsule((side * 0.1, 1.38, 0), (side * 0.8, 1.38, 0), 0.045))
    return trimesh.util.concatenate(parts)


def beast() -> trimesh.Trimesh:
    parts = [capsule((0, 1.0, -0.6), (0, 1.0, 0.6), 0.22), capsule((0, 1.1, 0.6), (0, 1.6, 0.9), 0.1)]
    parts.append(trimesh.creation.icosphere(3, 0.17).apply_translation((0, 1.68, 1.0)))
    parts.append(capsule((0, 1.1, -0.7), (0, 1.3, -1.5), 0.05))
    parts += [capsule((x, 0.95, z), (x, 0.07, z), 0.07) for x in (-0.14, 0.14) for z in (-0.55, 0.55)]
    return trimesh.util.concatenate(parts)


def nearest(heads: np.ndarray, point) -> float:
    return float(np.linalg.norm(heads - np.array(point), axis=1).min())


def test_a_biped_gets_the_joints_of_one() -> None:
    mesh = biped()
    rig, symmetric = build_rig(mesh.vertices, mesh.faces)
    assert symmetric and 17 <= rig.joint_count <= 26
    for side in (-1, 1):
        # Hip, knee, ankle; elbow and wrist by the usual shares of an arm.
        for place, room in (((0.1, 0.9, 0), 0.1), ((0.1, 0.48, 0), 0.08), ((0.1, 0.1, 0), 0.08)):
            assert nearest(rig.heads, np.array(place) * [side, 1, 1]) < room
        for x in (0.15, 0.42, 0.66):
            assert nearest(rig.heads, (side * x, 1.38, 0)) < 0.1
    central = rig.heads[np.abs(rig.heads[:, 0]) < 1e-6]
    assert nearest(central, (0, 1.55, 0)) < 0.08  # the head begins where the neck meets it
    assert not (central[:, 1] > 1.68).any() and (central[:, 1] < 1.4).sum() >= 3
    assert abs(rig.heads[0, 0]) < 1e-6 and 0.75 < rig.heads[0, 1] < 1.05


def test_a_beast_gets_hips_chest_and_four_legs() -> None:
    mesh = beast()
    rig, symmetric = build_rig(mesh.vertices, mesh.faces)
    assert symmetric and 18 <= rig.joint_count <= 34
    assert np.linalg.norm(rig.heads[0] - [0, 1.0, -0.55]) < 0.2
    for x in (-0.14, 0.14):
        for z in (-0.55, 0.55):
            leg = rig.heads[(np.abs(rig.heads[:, [0, 2]] - [x, z]) < 0.1).all(1)]
            assert len(leg) >= 3 and leg[:, 1].max() > 0.85 and leg[:, 1].min() < 0.25
    tail = (rig.heads[:, 2] < -0.75) & (np.abs(rig.heads[:, 0]) < 1e-6)
    assert 2 <= tail.sum() <= 6
    assert nearest(rig.heads, (0, 1.58, 0.9)) < 0.15  # the head, at the end of the neck


@pytest.mark.slow
def test_spikes_get_no_joints() -> None:
    ball = trimesh.creation.icosphere(3, 0.5)
    ways = trimesh.creation.icosphere(1).vertices
    mesh = trimesh.util.concatenate([ball, *(capsule(0.4 * way, 0.62 * way, 0.04) for way in ways)])
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert rig.joint_count <= 8


def test_a_path_is_cut_at_its_bend_else_where_it_is_asked() -> None:
    straight = np.linspace(0, 1, 61)[:, None] * [1.0, 0.0, 0.0]
    radius = np.full(61, 0.05)
    assert np.abs(cut_near(straight, radius, (0.3, 0.6)) / 60 - [0, 0.3, 0.6, 1]).max() < 0.04
    bent = np.concatenate([straight[:26], straight[25] + np.linspace(0, 0.6, 36)[1:, None] * [0, 1.0, 0]])
    assert abs(cut_near(bent, radius, (0.5,))[1] - 25) <= 2


def test_thin_rests_of_heat_are_cut_continuously() -> None:
    share = np.linspace(0.0, 0.2, 201)
    cut = without_tails(np.stack([1.0 - share, share], axis=1), share=0.07)
    assert np.allclose(cut.sum(1), 1.0) and (cut[share < 0.06, 1] == 0.0).all() and (cut[share > 0.07, 1] > 0.0).all()
    assert np.abs(np.diff(cut[:, 1])).max() < 0.002


def test_close_neighbours_share_and_far_ones_do_not() -> None:
    points = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [5, 0, 0]], float)
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    weights = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], float)
    mixed = smoothed(weights, points, faces, reach=0.5, share=0.5)
    assert np.allclose(mixed.sum(1), 1.0) and np.allclose(mixed[3], weights[3])
    assert np.allclose(mixed[0], [0.75, 0.25]) and np.allclose(mixed[1], [0.5, 0.5])


def test_small_pieces_move_as_one() -> None:
    body, eye = trimesh.creation.icosphere(3, 1.0), trimesh.creation.icosphere(1, 0.02).apply_translation((0, 0, 1.05))
    mesh = trimesh.util.concatenate([body, eye])
    weights = np.random.default_rng(0).dirichlet(np.ones(3), len(mesh.vertices))
    held = rigid_parts(weights, np.asarray(mesh.vertices), mesh.faces)
    count = len(body.vertices)
    assert np.array_equal(held[:count], weights[:count]) and np.ptp(held[count:], axis=0).max() < 1e-12
    assert np.allclose(held.sum(1), 1.0)
