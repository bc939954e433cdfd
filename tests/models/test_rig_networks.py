"""The rig's networks: what they compute is what they say, drawn skeletons are trees, files are checked."""

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.models.files import read_weights, write_weights
from studio_pipeline.models.rig.clouds import cloud_of
from studio_pipeline.models.rig.encoder import medial_points, spread
from studio_pipeline.models.rig.sampling import draw_skeletons
from studio_pipeline.models.rig.skeleton import KIND, SkeletonConfig, SkeletonNet, load_skeleton_net
from studio_pipeline.models.rig.skin import SkinConfig, SkinNet, load_skin_net
from studio_pipeline.models.rig.skinning import network_weights
from studio_pipeline.models.rig.tokens import END, FIRST_CLASS, Grammar, decode, slots_of
from studio_pipeline.schema.errors import InputError

TINY = SkeletonConfig(plans=("biped", "fish"), width=32, heads=2, encoder_layers=1, decoder_layers=2, latents=24)


@pytest.fixture(scope="module")
def net() -> SkeletonNet:
    torch.manual_seed(3)
    return SkeletonNet(TINY).eval()


@pytest.fixture(scope="module")
def ball():
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    return cloud_of(np.add(mesh.vertices, (3.0, 2.0, 1.0)), mesh.faces, 2000, seed=1)


def test_a_cloud_lies_on_its_mesh_by_area(ball):
    assert np.abs(np.linalg.norm(ball.points, axis=1) - 1.0).max() < 0.01
    assert np.einsum("nc,nc->n", ball.points, ball.normals).min() > 0.98
    np.testing.assert_allclose(ball.to_mesh(ball.points).mean(0), [3.0, 2.0, 1.0], atol=0.03)
    np.testing.assert_allclose(ball.from_mesh(ball.to_mesh(ball.points)), ball.points, atol=1e-6)
    octants = np.bincount((ball.points > 0.0) @ [1, 2, 4], minlength=8) / len(ball.points)
    np.testing.assert_allclose(octants, 1 / 8, atol=0.02)


def test_a_mesh_that_is_inside_out_is_seen_the_right_way():
    box = trimesh.creation.box(extents=(1.0, 2.0, 1.0))
    cloud = cloud_of(box.vertices, box.faces[:, ::-1], 500, seed=0)
    assert np.einsum("nc,nc->n", cloud.points, cloud.normals).min() > 0.0


@pytest.mark.parametrize("faces", [np.zeros((0, 3), int), np.array([[0, 1, 1]])])
def test_a_mesh_without_area_is_refused(faces):
    with pytest.raises(ValueError, match="area"):
        cloud_of(np.eye(3), faces, 10, seed=0)


def test_medial_balls_of_shapes_that_are_known():
    points = torch.nn.functional.normalize(torch.randn(1, 2000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    normals = points  # of a sphere
    centre, radius = medial_points(points[:, :50], normals[:, :50], points)
    assert float(radius.mean()) == pytest.approx(1.0, abs=0.02) and float(centre.norm(dim=-1).max()) < 0.1
    rod = trimesh.creation.cylinder(radius=0.1, height=2.0)
    cloud = cloud_of(rod.vertices, rod.faces, 3000, seed=0)
    side = np.flatnonzero((np.abs(cloud.points[:, 2]) < 0.7) & (np.abs(cloud.normals[:, 2]) < 0.1))[:100]
    points, normals = torch.from_numpy(cloud.points)[None], torch.from_numpy(cloud.normals)[None]
    centre, radius = medial_points(points[:, side], normals[:, side], points)
    assert float(centre[..., :2].norm(dim=-1).median()) < 0.015  # on the axis
    assert float(radius.median()) == pytest.approx(0.1, abs=0.015)


def test_chosen_points_are_spread(ball):
    points = torch.from_numpy(ball.points)[None]
    far = points[0][spread(points, 24)[0]]
    some = points[0][:24]
    assert torch.pdist(far).min() > 3.0 * torch.pdist(some).min()


def test_skeletons_that_are_drawn_are_trees_and_as_likely_as_said(net, ball):
    shapes = [ball, ball.mirrored(), cloud_of(*flat_box(), 2000, seed=2)]

    def draw():
        clouds = [(shape.points, shape.normals) for shape in shapes]
        return draw_skeletons(net, clouds, temperatures=(0.0, 1.0, 1.0), seed=5, most=12)

    drawn = draw()
    assert len(drawn) == 3 and all(drawn)
    for shape, found in zip(shapes, drawn, strict=True):
        for one in found:
            parents = one.skeleton.parents.tolist()
            assert parents[0] == -1 and all(0 <= p < k for k, p in enumerate(parents[1:], start=1))
            told = decode(one.tokens, plans=2)
            np.testing.assert_array_equal(told.joints, one.skeleton.joints)
            assert one.likelihood == pytest.approx(likelihood(net, shape, one.tokens, most=12), abs=1e-4)
    for first, second in zip(drawn, draw(), strict=True):
        assert all(np.array_equal(a.skeleton.joints, b.skeleton.joints) for a, b in zip(first, second, strict=True))


def test_a_draw_that_rambles_on_is_given_up(net, ball, monkeypatch):
    """Three of a shape's four draws end after two joints, the last never would; another shape's are not touched."""
    joint, calls = [5, 6, 7], []

    def scripted(net, tokens, grammars, memory, caches):
        calls.append(tokens.shape[1])
        logits = np.zeros((len(grammars), grammars[0].vocabulary))
        for row, grammar in enumerate(grammars):
            told = len(grammar.joints)
            end = told >= 2 and row != 3 if row < 4 else told >= 12
            place = joint[len(grammar.slots) % 3] + told
            logits[row, END if end and grammar.legal()[END] else place] = 50.0
        return logits

    monkeypatch.setattr("studio_pipeline.models.rig.sampling._next", scripted)
    clouds = [(ball.points, ball.normals)] * 2
    found = draw_skeletons(net, clouds, temperatures=(0.0, 0.5, 0.5, 0.5), seed=0)
    assert [len(one.skeleton.joints) for one in found[0]] == [2, 2, 2]
    assert [len(one.skeleton.joints) for one in found[1]] == [12] * 4
    alone, calls[:] = draw_skeletons(net, clouds[:1], temperatures=(0.0, 0.5, 0.5, 0.5), seed=0), []
    assert [one.tokens.tolist() for one in alone[0]] == [one.tokens.tolist() for one in found[0]]
    draw_skeletons(net, clouds[:1], temperatures=(0.0, 0.5, 0.5, 0.5), seed=0)
    assert len(calls) < 2 * len(found[0][0].tokens)


def flat_box() -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.box((1.0, 0.2, 0.6))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def likelihood(net: SkeletonNet, cloud, tokens: np.ndarray, *, most: int) -> float:
    """Of a whole sequence at once, no cache, no steps."""
    with torch.no_grad():
        told = torch.from_numpy(tokens)[None], torch.from_numpy(slots_of(tokens))[None]
        logits = net(torch.from_numpy(cloud.points)[None], torch.from_numpy(cloud.normals)[None], *told)[0][0].double()
    grammar, total = Grammar(plans=2, most=most), 0.0
    grammar.feed(int(tokens[0]))
    for place, token in enumerate(tokens[1:].tolist()):
        masked = torch.where(torch.from_numpy(grammar.legal()), logits[place], -torch.inf)
        total += float(torch.log_softmax(masked, dim=-1)[token])
        grammar.feed(token)
    return total / (len(tokens) - 1)


def test_a_body_plan_can_be_prescribed(net, ball):
    for plan in (0, 1):
        drawn = draw_skeletons(net, [(ball.points, ball.normals)], temperatures=(0.0,), seed=0, plan=plan, most=6)
        assert drawn[0][0].skeleton.plan == plan


def test_later_tokens_change_nothing_before_them(net, ball):
    cloud = torch.from_numpy(ball.points)[None], torch.from_numpy(ball.normals)[None]
    tokens = np.array([257, FIRST_CLASS, 10, 20, 30, 40, 50, 60])
    changed = tokens.copy()
    changed[-1] = 200
    with torch.no_grad():
        one, other = (
            net(*cloud, torch.from_numpy(t)[None], torch.from_numpy(slots_of(t))[None])[0] for t in (tokens, changed)
        )
    torch.testing.assert_close(one[:, :-1], other[:, :-1])
    assert not torch.allclose(one[:, -1], other[:, -1])


def test_weights_of_the_skin_network_sum_to_one_and_follow_their_bones_order(ball):
    torch.manual_seed(0)
    net = SkinNet(SkinConfig(width=32, heads=2, encoder_layers=1, bone_layers=1, latents=24)).eval()
    heads = np.array([[0.0, -0.9, 0.0], [0.0, 0.0, 0.0], [0.2, 0.3, 0.0]])
    tails = np.array([[0.0, 0.0, 0.0], [0.0, 0.9, 0.0], [0.7, 0.5, 0.0]])
    weights = network_weights(net, ball, heads, tails, ball.points[:300].astype(float), ball.normals[:300])
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-9)
    order = [2, 0, 1]
    turned = network_weights(net, ball, heads[order], tails[order], ball.points[:300].astype(float), ball.normals[:300])
    np.testing.assert_allclose(turned, weights[:, order], atol=1e-5)


def test_weights_come_back_as_they_were_written(net, tmp_path, ball):
    path = tmp_path / "skeleton.safetensors"
    write_weights(path, dict(net.named_parameters()), {"kind": KIND, "config": TINY.to_json()})
    back = load_skeleton_net(path)
    assert back.config == TINY and read_weights(path)[1]["kind"] == KIND
    drawn, again = (
        draw_skeletons(one, [(ball.points, ball.normals)], temperatures=(0.0,), seed=0, most=8)[0]
        for one in (net, back)
    )
    assert np.array_equal(drawn[0].skeleton.joints, again[0].skeleton.joints)


@pytest.mark.parametrize(
    "damage", ["empty", "text", "pickle", "cut", "other", "sizes", "missing", "huge", "long", "many"]
)
def test_files_that_hold_no_weights_are_refused_in_one_line(net, tmp_path, damage):
    path = tmp_path / "skeleton.safetensors"
    write_weights(path, dict(net.named_parameters()), {"kind": KIND, "config": TINY.to_json()})
    whole = path.read_bytes()
    if damage == "pickle":
        torch.save({"a": torch.zeros(3)}, path)
    elif damage == "other":
        write_weights(path, {"a": torch.zeros(3)}, {"kind": "something"})
    elif damage == "sizes":
        write_weights(path, dict(net.named_parameters()), {"kind": KIND, "config": TINY.to_json() | {"width": 64}})
    elif damage == "huge":
        write_weights(path, dict(net.named_parameters()), {"kind": KIND, "config": TINY.to_json() | {"width": 2**15}})
    elif damage in ("long", "many"):
        wrong = {"width": 2**40} if damage == "long" else {"encoder_layers": 2**16}
        write_weights(path, dict(net.named_parameters()), {"kind": KIND, "config": TINY.to_json() | wrong})
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}[damage])
    for load in (load_skeleton_net, load_skin_net):
        with pytest.raises(InputError) as error:
            load(path)
        assert "\n" not in str(error.value) and "skeleton.safetensors" in str(error.value)
