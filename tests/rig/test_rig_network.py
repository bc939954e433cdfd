"""The network's backend, with a tiny random checkpoint: whatever the network writes becomes a sound rig."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.models.files import write_weights
from studio_pipeline.models.rig import skeleton, skin
from studio_pipeline.models.rig.skeleton import SkeletonConfig, SkeletonNet
from studio_pipeline.models.rig.skin import SkinConfig, SkinNet
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.rig import auto, geometric
from studio_pipeline.stages.rig.candidates import Candidate
from studio_pipeline.stages.rig.checks import is_whole
from studio_pipeline.stages.rig.network import build_rig
from studio_pipeline.stages.rig.network import skin as network_skin
from studio_pipeline.stages.rig.settings import AutoSettings, NetworkSettings


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as `studio train rig` leaves them, from networks that learnt nothing."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(5)
    small = {"width": 32, "heads": 2, "latents": 16}
    net = SkeletonNet(SkeletonConfig(plans=("biped", "fish"), encoder_layers=1, decoder_layers=1, **small))
    described = {"kind": skeleton.KIND, "config": net.config.to_json()}
    write_weights(folder / "skeleton.safetensors", dict(net.named_parameters()), described)
    other = SkinNet(SkinConfig(encoder_layers=1, bone_layers=1, **small))
    described = {"kind": skin.KIND, "config": other.config.to_json()}
    write_weights(folder / "skin.safetensors", dict(other.named_parameters()), described)
    return folder


@pytest.fixture(scope="module")
def body():
    return trimesh.creation.capsule(height=1.0, radius=0.3, count=[12, 12])


def made(body, weights, **settings) -> tuple[Rig, bool]:
    return build_rig(
        np.asarray(body.vertices), np.asarray(body.faces), NetworkSettings(weights=weights, max_joints=8, **settings)
    )


@pytest.mark.parametrize("settings", [{}, {"skin": "heat"}, {"symmetry": "off", "candidates": 1}])
def test_the_rig_is_sound(body, weights, settings):
    rig, symmetric = made(body, weights, **settings)
    assert not is_whole(rig) and symmetric == (settings.get("symmetry") != "off")
    assert len(rig.weights) == len(body.vertices) and 2 <= rig.joint_count <= 8
    np.testing.assert_allclose(rig.weights.sum(1), 1.0, atol=1e-5)
    assert (rig.weights > 0.0).sum(1).max() <= 8 and len(set(rig.names)) == rig.joint_count


def test_the_same_seed_gives_the_same_rig_and_the_unit_changes_nothing(body, weights):
    one, other = made(body, weights)[0], made(body, weights)[0]
    assert np.array_equal(one.rest_world, other.rest_world) and np.array_equal(one.weights, other.weights)
    far = body.copy()
    far.apply_scale(128.0)
    scaled = made(far, weights)[0]
    np.testing.assert_allclose(scaled.heads / 128.0, one.heads, atol=1e-6)


def test_the_number_of_threads_changes_nothing(body, weights):
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(made(body, weights)[0])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].rest_world, found[1].rest_world)
    assert np.array_equal(found[0].weights, found[1].weights)


def test_weights_of_a_skeleton_that_is_given_follow_it(body, weights):
    heads, tails = np.array([[0.0, 0, -0.4], [0.0, 0, 0.5]]), np.array([[0.0, 0, 0.5], [0.0, 0, 1.2]])
    parents = np.array([-1, 0])
    found = network_skin(body.vertices, body.faces, heads, tails, parents, NetworkSettings(weights=weights))
    assert found.shape == (len(body.vertices), 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-5)


def test_missing_weights_and_unknown_plans_are_told_in_one_line(body, weights, tmp_path):
    with pytest.raises(InputError, match=r"rig\.weights"):
        made(body, tmp_path)
    with pytest.raises(InputError, match="biped, fish"):
        made(body, weights, body_plan="dragon")
    assert made(body, weights, body_plan="fish")


@pytest.mark.parametrize(("sure", "whose"), [(-20.0, "network"), (0.0, "geometric")])
def test_auto_takes_the_network_s_rig_where_it_is_sure(body, weights, sure, whose):
    mesh = np.asarray(body.vertices), np.asarray(body.faces)
    rig, symmetric, sureness = auto.build_rig(*mesh, AutoSettings(weights=weights, max_joints=8, sure=sure))
    assert rig.backend == whose and -20.0 < sureness < 0.0 and symmetric
    alone = made(body, weights, skin="heat")[0] if whose == "network" else geometric.build_rig(*mesh)[0]
    assert np.array_equal(rig.rest_world, alone.rest_world) and np.array_equal(rig.weights, alone.weights)


def test_auto_takes_the_geometric_rig_where_the_network_sees_nothing(weights):
    line = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False)  # no area
    mesh = np.asarray(line.vertices), np.asarray(line.faces)
    with pytest.raises(InputError, match="no area"):
        made(line, weights)
    rig, _, sureness = auto.build_rig(*mesh, AutoSettings(weights=weights))
    assert rig.backend == "geometric" and not is_whole(rig) and sureness == -np.inf


@pytest.mark.parametrize(("limbs", "whose"), [(1, "geometric"), (4, "network")])
def test_auto_takes_the_geometric_rig_where_the_network_left_a_body_bare(body, weights, monkeypatch, limbs, whose):
    """A star of four limbs, and skeletons that have bones in one of them or in all."""
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0))
    bars = [body.copy(), body.copy().apply_transform(turn)]
    for bar in bars:
        bar.apply_scale((0.4, 1.0, 1.0))
    star = trimesh.util.concatenate(bars)
    mesh, settings = (np.asarray(star.vertices), np.asarray(star.faces)), AutoSettings(weights=weights, sure=-20.0)
    drawn = auto.network.propose(*mesh, settings)
    joints = 0.9 * np.array([[0, 0, 0], [0, 1.0, 0], [0, -1.0, 0], [0, 0, 1.0], [0, 0, -1.0]])[: limbs + 1]
    skeleton = Candidate(joints=joints, parents=np.array([-1, *[0] * limbs], np.int32), likelihood=-1.0)
    proposal = dataclasses.replace(drawn, skeleton=skeleton)
    monkeypatch.setattr(auto.network, "propose", lambda *_, **__: proposal)
    rig, symmetric, _ = auto.build_rig(*mesh, settings)
    assert symmetric and rig.backend == whose
