"""Training: it learns, goes on where it was, says what it did, and leaves weights that the stage can use."""

import hashlib
import json
from functools import partial

import numpy as np
import pytest
import torch

from studio_pipeline.models.files import read_weights
from studio_pipeline.models.rig.skeleton import SkeletonConfig, load_skeleton_net
from studio_pipeline.models.rig.skin import SkinConfig, load_skin_net
from studio_pipeline.models.rig.tokens import BINS, PAD, decode
from studio_pipeline.schema.errors import InputError
from studio_pipeline.training.loop import Piece
from studio_pipeline.training.rig.batches import collate, held_out_views, view
from studio_pipeline.training.rig.losses import token_loss
from studio_pipeline.training.rig.skeletons import SkeletonTraining
from studio_pipeline.training.rig.skins import SkinTraining, skinned
from studio_pipeline.training.rig.stream import Stream
from studio_pipeline.training.rig_data import PLANS, draw_example

TINY = SkeletonConfig(plans=PLANS, width=32, heads=2, encoder_layers=1, decoder_layers=1, latents=16)
PIECE = Piece(minutes=0.15, batch=4, points=128, warmup=5, report_seconds=1.0)


@pytest.mark.slow
def test_a_piece_teaches_and_the_next_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._LOOKED_AT", 8)
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._WRITTEN", 2)
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._ALONE", 2)
    said: list[dict] = []
    first = SkeletonTraining(tmp_path, PIECE, TINY)
    first.run(said.append)
    told = [row["loss"] for row in said if "loss" in row]
    assert told[-1] < told[0] and np.isfinite(said[-1]["held_out_loss"])
    assert [json.loads(line) for line in (tmp_path / "skeleton.jsonl").read_text().splitlines()] == said
    second = SkeletonTraining(tmp_path, PIECE)
    assert second.history["steps"] == first.history["steps"] > 0 and second.config == TINY
    for (name, one), (other_name, other) in zip(
        first.net.named_parameters(), second.net.named_parameters(), strict=True
    ):
        assert name == other_name
        torch.testing.assert_close(one, other)
        kept, back = first.optimiser.state[one], second.optimiser.state[other]
        assert set(kept) == set(back) and all(torch.equal(kept[key], back[key]) for key in kept)
    before = second.history["steps"]
    second.run(said.append)
    assert second.history["steps"] > before and len(second.history["pieces"]) == 2
    second.export(tmp_path / "use" / "skeleton.safetensors")
    net, described = load_skeleton_net(tmp_path / "use" / "skeleton.safetensors"), read_weights(second.path)[1]
    assert described["history"]["steps"] == second.history["steps"]
    for one, other in zip(second.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-4)  # half precision


@pytest.mark.slow
def test_a_training_begins_from_exported_weights(tmp_path, monkeypatch):
    """Counts go on, the rate warms up anew, and the history says where an optimiser without a past took over."""
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._LOOKED_AT", 4)
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._WRITTEN", 0)
    first = SkeletonTraining(tmp_path / "first", PIECE, TINY)
    first.history |= {"steps": 9000, "examples": 36_000, "seconds": 60.0, "pieces": [{"minutes": 1.0, "steps": 9000}]}
    weights = tmp_path / "use" / "skeleton.safetensors"
    first.export(weights)
    second = SkeletonTraining(tmp_path / "second", PIECE, start=weights)
    assert second.config == TINY and not second.optimiser.state
    for one, other in zip(first.net.parameters(), second.net.parameters(), strict=True):
        torch.testing.assert_close(other, one.half().float(), rtol=0.0, atol=0.0)
    rates, stepped = [], second.optimiser.step
    monkeypatch.setattr(
        second.optimiser, "step", lambda: (rates.append(second.optimiser.param_groups[0]["lr"]), stepped())
    )
    second.run(lambda row: None)
    start = {"steps": 9000, "weights": hashlib.sha256(weights.read_bytes()).hexdigest()}
    for history in (second.history, read_weights(second.path)[1]["history"]):
        assert history["starts"] == [start]
        assert history["steps"] == 9000 + len(rates) == sum(piece["steps"] for piece in history["pieces"])
        assert history["examples"] == 36_000 + 4 * len(rates) and history["seconds"] > 60.0
    assert rates[0] == pytest.approx(PIECE.rate / 50) and rates == sorted(rates)
    third = SkeletonTraining(tmp_path / "second", PIECE)  # goes on with its optimiser
    assert third.history["starts"] == [start] and third.optimiser.state
    with pytest.raises(InputError, match="begun already"):
        SkeletonTraining(tmp_path / "second", PIECE, start=weights)


def test_a_training_does_not_begin_from_anything_else(tmp_path):
    from studio_pipeline.models.files import write_weights

    first = SkeletonTraining(tmp_path / "first", PIECE, TINY)
    weights = tmp_path / "skeleton.safetensors"
    first.export(weights)
    with pytest.raises(InputError, match=r"holds no rig\.skin"):
        SkinTraining(tmp_path / "skin", PIECE, start=weights)
    with pytest.raises(InputError, match="no weights here"):
        SkeletonTraining(tmp_path / "second", PIECE, start=tmp_path / "absent.safetensors")
    tensors, described = read_weights(weights)
    write_weights(weights, tensors | {"norm.weight": torch.zeros(3)}, described)
    with pytest.raises(InputError, match=r"norm\.weight of this size"):
        SkeletonTraining(tmp_path / "third", PIECE, start=weights)
    write_weights(weights, tensors, {"kind": described["kind"], "config": described["config"]})
    with pytest.raises(InputError, match="with a history"):
        SkeletonTraining(tmp_path / "fourth", PIECE, start=weights)


@pytest.mark.slow
def test_votes_are_taught_before_words(tmp_path):
    training = SkeletonTraining(tmp_path, PIECE, TINY)
    try:
        loss, figures, _ = training.loss()
    finally:
        training.close()
    loss.backward()
    assert set(figures) == {"votes"} and training.judge() == {}
    taught = {name for name, parameter in training.net.named_parameters() if parameter.grad is not None}
    assert taught and all(name.startswith(("encoder.", "place.")) for name in taught)


@pytest.mark.slow
def test_skins_are_taught(tmp_path, monkeypatch):
    monkeypatch.setattr("studio_pipeline.training.rig.skins._LOOKED_AT", 4)
    said: list[dict] = []
    config = SkinConfig(width=32, heads=2, encoder_layers=1, bone_layers=1, latents=16)
    training = SkinTraining(tmp_path, PIECE, config)
    begun = training.judge()["held_out_l1"]
    training.run(said.append)
    assert said[-1]["held_out_l1"] < begun
    training.export(tmp_path / "skin2" / "skin.safetensors")
    load_skin_net(tmp_path / "skin2" / "skin.safetensors")


def test_a_folder_of_another_training_is_refused(tmp_path):
    from studio_pipeline.models.files import write_weights

    write_weights(tmp_path / "skeleton.safetensors", {"a": torch.zeros(2)}, {"kind": "other"})
    with pytest.raises(InputError, match="another folder"):
        SkeletonTraining(tmp_path, PIECE, TINY)


def test_views_keep_shape_and_skeleton_together():
    """Whatever is done to a character is done to all of it: a map fitted on the bones takes points to points."""
    example = draw_example(np.random.default_rng(4), count=600, plan="biped")
    for seed in range(6):
        seen = view(example, np.random.default_rng(seed), count=600)
        order = np.random.default_rng(seed).permutation(600)
        before = np.concatenate([example.joints, example.tails])
        after = np.concatenate([seen.joints, seen.tails])
        padded = np.concatenate([before, np.ones((len(before), 1))], axis=1)
        matrix = np.linalg.lstsq(padded, after, rcond=None)[0]
        np.testing.assert_allclose(padded @ matrix, after, atol=1e-4)
        points = np.concatenate([example.points[order], np.ones((600, 1))], axis=1) @ matrix
        assert np.abs(points - seen.points).max() < 0.03  # noise
        assert np.abs(seen.points).max() == pytest.approx(1.0, abs=0.02)
        normals = example.normals[order] @ np.linalg.inv(matrix[:3]).T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        assert np.abs(np.einsum("nc,nc->n", normals, seen.normals)).min() > 0.999
        assert np.array_equal(seen.weights, example.weights[order])


def test_a_batch_tells_its_skeletons_and_pads_the_rest():
    views = held_out_views(6, points=100)
    batch = collate(views, PLANS, longest=512)
    for row, seen in zip(batch.tokens.numpy(), views, strict=True):
        told = decode(row[row != PAD], len(PLANS))
        assert PLANS[told.plan] == seen.plan
        gap = np.linalg.norm(told.joints[:, None] - np.clip(seen.joints, -1, 1)[None], axis=-1)
        assert gap.min(1).max() < 2.0 / BINS
    moved = views[0].weights[7].argmax()
    np.testing.assert_allclose(batch.goals[0, 7, :3], views[0].joints[moved])


def test_the_loss_without_blur_is_cross_entropy():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 9, 300, generator=rng)
    tokens = torch.randint(0, 290, (3, 9), generator=rng)
    tokens[0, 6:] = PAD
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, 300), tokens[:, 1:].reshape(-1), ignore_index=PAD
    )
    taught, plain = token_loss(logits, tokens, blur=0.0)
    torch.testing.assert_close(taught, expected)
    torch.testing.assert_close(plain, expected)


def test_blur_wants_the_neighbours_too():
    logits = torch.full((1, 2, 300), -20.0)
    target = torch.tensor([[5, 100]])
    near, far = logits.clone(), logits.clone()
    near[0, 0, 101], far[0, 0, 140] = 5.0, 5.0
    assert token_loss(near, target, blur=1.0)[0] < token_loss(far, target, blur=1.0)[0] - 1.0


def test_a_random_pose_moves_joints_rigidly():
    seen = held_out_views(1, points=100)[0]
    posed = skinned(seen, np.random.default_rng(0)).pose
    np.testing.assert_allclose(np.linalg.det(posed[:, :, :3]), 1.0, atol=1e-5)
    for joint, parent in enumerate(seen.parents):
        if parent >= 0:  # a joint stays where its parent takes it
            at = np.append(seen.joints[joint], 1.0)
            np.testing.assert_allclose(posed[joint] @ at, posed[parent] @ at, atol=1e-5)


def test_a_stream_shows_each_example_about_as_often_as_asked():
    draw = partial(draw_example, count=8, plan="prop")
    with Stream(draw, seed=7, workers=1, capacity=64, reuse=2.0) as stream:
        shown = [example.points[0, 0] for _ in range(20) for example in stream.batch(4)]
        assert stream.drawn >= len(shown) / 2.0
        rng = np.random.default_rng([7, 1])
        expected = {draw(rng).points[0, 0] for _ in range(stream.drawn)}
    assert set(shown) <= expected and len(set(shown)) > 20
    assert all(not process.is_alive() for process in stream.processes)


def test_a_stream_whose_processes_end_says_so():
    draw = partial(draw_example, count=8, plan="no such plan")
    with Stream(draw, seed=7, workers=1) as stream, pytest.raises(RuntimeError, match="ended"):
        stream.batch(4)
