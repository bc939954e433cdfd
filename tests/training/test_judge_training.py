"""Collapse and artistry do what they say, the same for the same seed; the fit learns and is calibrated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from studio_pipeline.evaluation.judge.summary import Judged, area_under_curve, report_text, summarise
from studio_pipeline.models.judge.damage import hurt_maps
from studio_pipeline.models.judge.footage import prepare
from studio_pipeline.models.judge.network import HEADS, JudgeNet
from studio_pipeline.models.judge.priors import patches_of
from studio_pipeline.training.judge.artistry import ARTISTRY, DEFORMATIONS, artistry, deformed
from studio_pipeline.training.judge.collapse import HEAD_OF, KINDS, collapse
from studio_pipeline.training.judge.collapse_parts import _subtree
from studio_pipeline.training.judge.dataset import Example, read_examples
from studio_pipeline.training.judge.fit import Fit, fit_judge, seen_by, table_of, targets_of
from studio_pipeline.training.judge.fit_regions import RegionFit, fit_damage, stacked
from studio_pipeline.training.judge.layers import Layers, flatten, layers_of
from studio_pipeline.training.judge.patchwork import patchwork
from studio_pipeline.training.judge.regions import Mapped, cells_of
from studio_pipeline.training.judge.wear import add_noise, through_h264


@pytest.fixture(scope="module")
def doll() -> Layers:
    """A body, a head with two eyes, arms with hands that swing; bones 0 body, 1 head, 2 and 3 arms, 4 and 5 hands."""
    import cv2

    count, side = 12, 96
    bones = np.full((count, side, side), -1, np.int16)
    frames = np.full((count, side, side, 3), 128, np.uint8)
    faces = np.full((count, side, side), -1, np.int32)
    for index in range(count):
        swing = round(10 * np.sin(index / 2.0))
        parts = [np.zeros((side, side), np.uint8) for _ in range(6)]
        cv2.circle(parts[4], (18, 60 + swing), 5, 255, -1)
        cv2.circle(parts[5], (78, 60 - swing), 5, 255, -1)
        cv2.line(parts[2], (40, 52), (18, 60 + swing), 255, 7)
        cv2.line(parts[3], (56, 52), (78, 60 - swing), 255, 7)
        cv2.rectangle(parts[0], (38, 46), (58, 80), 255, -1)
        cv2.circle(parts[1], (48, 32), 14, 255, -1)
        skin, coat = (230, 190, 160), (210, 120, 70)
        for bone, colour in ((2, coat), (3, coat), (4, skin), (5, skin), (0, (70, 120, 200)), (1, skin)):
            part = parts[bone]
            ring = cv2.dilate(part, np.ones((3, 3), np.uint8)) > part
            frames[index][ring] = (25, 20, 30)
            frames[index][part > 0] = colour
            bones[index][(part > 0) | ring] = bone
            faces[index][(part > 0) | ring] = bone
        for eye in (42, 54):
            cv2.circle(frames[index], (eye, 31), 2, (20, 20, 30), -1)
            faces[index][29:34, eye - 2 : eye + 3] = 10 + eye
    alpha = np.where(bones >= 0, 255, 0).astype(np.uint8)
    behind = np.full((side, side, 3), (190, 200, 215), np.uint8)
    return layers_of(
        frames, alpha, (128, 128, 128), behind, bones=bones, faces=faces,
        parents=np.array([-1, 0, 0, 0, 2, 3], np.int32),
    )  # fmt: skip


def changed(frames: np.ndarray, layers: Layers) -> float:
    return float((np.abs(frames.astype(int) - flatten(layers)).max(-1) > 16).mean())


def test_layers_put_together_again_are_the_clip(doll: Layers) -> None:
    plain = flatten(doll)
    assert (plain[:, 0, 0] == (190, 200, 215)).all()
    assert (plain[0][doll.bones[0] == 0] == (70, 120, 200)).all(-1).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_a_collapse_starts_sound_grows_with_severity_and_is_the_seeds(doll: Layers, kind: str) -> None:
    means = []
    for severity in (1, 2, 3):
        made = [collapse(kind, doll, severity, seed) for seed in range(8)]
        shown = [frames for frames in made if frames is not None]
        assert len(shown) >= 1
        means.append(np.mean([changed(frames, doll) for frames in shown]))
        for frames in shown:
            assert np.abs(frames[0].astype(int) - flatten(doll)[0]).max() <= 1  # index 0 is as it was drawn
    assert means[0] < means[2]
    again = collapse(kind, doll, 2, 5)
    first = collapse(kind, doll, 2, 5)
    assert (again is None) == (first is None) and (again is None or np.array_equal(again, first))


def test_what_cannot_happen_does_not(doll: Layers) -> None:
    trunk = doll.but(bones=np.where(doll.bones >= 0, 0, -1).astype(np.int16), parents=np.array([-1], np.int32))
    assert collapse("limbs", trunk, 2, 1) is None
    bare = doll.but(colour=np.where(doll.alpha[..., None] > 0, np.float32(0.4), np.float32(0.0)))
    assert collapse("scramble", bare, 2, 1) is None  # no feature


def test_a_lost_limb_is_the_limb(doll: Layers) -> None:
    found = False
    for seed in range(12):
        frames = collapse("limbs", doll, 3, seed)
        if frames is None:
            continue
        hurt = np.abs(frames[-1].astype(int) - flatten(doll)[-1]).max(-1) > 16
        shares = [hurt[doll.bones[-1] == bone].mean() for bone in range(6)]
        found |= max(shares[1:]) > 0.8 and shares[0] < 0.3
    assert found


def test_subtrees_in_any_order() -> None:
    assert _subtree(np.array([1, -1, 0, 2, 1]), 0) == [0, 2, 3] and _subtree(np.array([1, -1, 0, 2, 1]), 4) == [4]


@pytest.mark.parametrize("kind", ARTISTRY)
def test_artistry_leaves_index_0_and_is_the_seeds(doll: Layers, kind: str) -> None:
    frames = artistry(kind, doll, 4)
    assert np.array_equal(frames, artistry(kind, doll, 4))
    if kind != "speed_lines":
        assert np.abs(frames[0].astype(int) - flatten(doll)[0]).max() <= 1
    assert changed(frames, doll) > 0.0


def test_squash_keeps_the_area_and_a_smear_is_short(doll: Layers) -> None:
    for seed in range(4):
        areas = deformed("squash", doll, seed).alpha.sum((1, 2)) / doll.alpha.sum((1, 2))
        assert areas == pytest.approx(np.ones(len(areas)), abs=0.1)
        smeared = np.abs(deformed("smear", doll, seed).alpha - doll.alpha).sum((1, 2)) > 1.0
        assert 1 <= smeared.sum() <= 3
    assert all(deformed(kind, doll, 1).bones.shape == doll.bones.shape for kind in DEFORMATIONS)


def test_patchwork_and_wear(doll: Layers) -> None:
    hurt = [frames for seed in range(6) if (frames := patchwork(doll, seed)) is not None]
    again = patchwork(doll, 0)
    assert len(hurt) == 6 and again is not None and np.array_equal(hurt[0], again)
    assert np.mean([changed(frames, doll) for frames in hurt]) > 0.01
    plain = flatten(doll)
    coarse, fine = (np.abs(through_h264(plain, crf).astype(int) - plain).mean() for crf in (32, 18))
    assert 0.0 < fine < coarse < 12.0 and through_h264(plain, 20).shape == plain.shape
    noisy = add_noise(plain, 4.0, np.random.default_rng(0)).astype(int) - plain
    assert noisy.std() == pytest.approx(4.0, rel=0.05)


def test_regions_know_no_bones_and_little_is_no_damage(doll: Layers) -> None:
    one = doll.but(bones=np.where(doll.bones >= 0, 0, -1).astype(np.int16), parents=np.array([-1], np.int32))
    for seed in range(12):
        there, here = patchwork(doll, seed), patchwork(one, seed)
        assert there is not None and here is not None and np.array_equal(there, here)
        share = (np.abs(there.astype(int) - flatten(doll)).max(-1) > 16).sum() / (doll.alpha > 0.5).sum()
        assert (patchwork(doll, seed, least=share + 1e-6) is None) and patchwork(doll, seed, least=share) is not None


def test_damaged_cells_lie_where_pixels_were_changed(doll: Layers) -> None:
    footage = prepare(flatten(doll), np.round(doll.alpha * 255).astype(np.uint8))
    changed = doll.bones == 1  # the head
    cells = cells_of(changed, footage)
    assert cells.shape == (len(footage.frames), *patches_of(footage).masks[0].shape)
    top, left, bottom, right = footage.box
    rows, columns = np.nonzero(changed[0])
    y, x = np.nonzero(cells[0] > 0.5)
    height, width = cells.shape[1:]
    assert (y.mean() + 0.5) / height == pytest.approx((rows.mean() + 0.5 - top) / (bottom - top), abs=0.03)
    assert (x.mean() + 0.5) / width == pytest.approx((columns.mean() + 0.5 - left) / (right - left), abs=0.03)
    assert cells.sum() / cells.size == pytest.approx(
        changed.mean() * changed[0].size / ((bottom - top) * (right - left)), rel=0.05
    )


def test_the_network_for_damage_finds_cells_and_clips() -> None:
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(24, 4, 6, 10, 8)).astype(np.float16)
    hurt = np.zeros((24, 4, 10, 8), np.float16)
    for index in range(0, 24, 2):
        row, column = rng.integers(0, 7), rng.integers(0, 5)
        hurt[index, 1:3, row : row + 3, column : column + 3] = 1.0
    maps[:, :, 2] += 3.0 * hurt
    clips = stacked(Mapped(k, maps[k], hurt[k]) for k in range(24))
    assert clips.bad.tolist() == [k % 2 == 0 for k in range(24)] and clips.valid.all()
    net = fit_damage(clips, RegionFit(width=8, blocks=1, steps=150, rate=1e-2))
    found = np.stack([hurt_maps(one.astype(np.float32), net) for one in maps])
    assert area_under_curve((-found[hurt > 0.5][:500]).tolist(), (-found[hurt < 0.5][:4000]).tolist()) > 0.97
    worst = np.sort(found.reshape(24, -1), axis=1)[:, -6:].mean(1)
    assert area_under_curve((-worst[clips.bad]).tolist(), (-worst[~clips.bad]).tolist()) > 0.95
    narrow = stacked([Mapped(0, maps[0][:3, :, :, :5], hurt[0][:3, :, :5]), Mapped(1, maps[1], hurt[1])])
    assert narrow.valid[0].sum() == 3 * 10 * 5 and not narrow.maps[0, 3].any() and narrow.maps.shape == maps[:2].shape


def examples(count: int = 240) -> list[Example]:
    """Every head has a measure of its own that rises with its kinds; others are noise."""
    rng, made = np.random.default_rng(0), []
    kinds = list(HEAD_OF)
    for index in range(count):
        kind = "plain" if index % 2 else kinds[(index // 2) % len(kinds)]
        row = rng.normal(size=12)
        if kind in HEAD_OF:
            row[HEADS.index(HEAD_OF[kind])] += 4.0
        values = {f"m{k}": float(value) for k, value in enumerate(row)}
        made.append(Example(index // 8, "doll", kind, 2 if kind in HEAD_OF else 0, values))
    return made


def test_the_fit_learns_each_head_and_is_calibrated(tmp_path: Path) -> None:
    made = examples()
    net = fit_judge(made, Fit(steps=250, members=2, false_alarms=0.05))
    with torch.no_grad():
        logits = net(torch.from_numpy(table_of(made)))
    bad = np.array([one.bad for one in made])
    worst = logits.max(1).values.numpy()
    assert area_under_curve(-worst[bad], -worst[~bad]) > 0.97
    alarms = (worst[~bad] > float(net.bound)).mean()
    assert alarms <= 0.12
    own = [HEADS[int(i)] == HEAD_OF[one.kind] for i, one in zip(logits.argmax(1), made, strict=True) if one.bad]
    assert np.mean(own) > 0.9
    # Kept examples are read, not made again.
    kept = tmp_path / "kept.jsonl"
    assert read_examples(kept, iter(made[:3])) == made[:3]
    assert read_examples(kept, iter(())) == made[:3] and len(kept.read_text().splitlines()) == 3


def test_heads_are_told_their_own_kinds_only() -> None:
    made = examples(26)
    for one, row in zip(made, targets_of(made), strict=True):
        if not one.bad:
            assert (row == 0).all()
        else:
            assert row[HEADS.index(HEAD_OF[one.kind])] == 1 and (row == -1).sum() == 3
    general = Example(0, "doll", "patchwork", 1, {})
    assert (targets_of([general]) == -1).all()


def test_every_second_member_sees_damage_and_context_alone() -> None:
    names = ("area.mean", "hurt_worst.max", "held.context", "first_in_p98.low")
    assert seen_by(names, 3).tolist() == [[1, 1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]]
    assert seen_by(("a", "b"), 2).all()  # nothing to choose
    net = JudgeNet(4, 3, 2)
    with torch.no_grad():
        net.seen.copy_(torch.from_numpy(seen_by(names, 2)))
        there, here = torch.zeros(1, 4), torch.tensor([[9.0, 0.0, 0.0, -7.0]])
        assert torch.equal(net.members_of(there)[1], net.members_of(here)[1])
        assert not torch.equal(net.members_of(there)[0], net.members_of(here)[0])


def test_areas_are_those_of_scipy_and_the_report_counts() -> None:
    rng = np.random.default_rng(2)
    bad, good = rng.integers(0, 8, 40).astype(float), rng.integers(2, 10, 60).astype(float)
    mine = area_under_curve(bad, good)
    assert mine == pytest.approx(mannwhitneyu(good, bad).statistic / (40 * 60))
    assert np.isnan(area_under_curve([], good))

    def judged(kind: str, severity: int, lowest: float) -> Judged:
        return Judged("x", kind, severity, {"topology": 5.0, "limbs": lowest, "lines": 5.0, "motion": 5.0})

    clips = [judged("plain", 0, 4.0), judged("smear", 0, 1.5), judged("limbs", 1, 1.2), judged("limbs", 2, 1.0)]
    found = summarise(clips, {"limbs": clips}, HEAD_OF)
    assert found["trained_on_all"]["limbs"] == {1: 1.0, 2: 1.0} and found["lowest_left_out"] == 1.0
    assert found["false_alarms"] == {"plain": {"alarms": 0, "clips": 1}, "smear": {"alarms": 1, "clips": 1}}
    assert found["false_alarm_share"] == 0.5 and found["caught"]["limbs"] == {
        "clips": 2, "failed": 2, "own_head_lowest": 2,
    }  # fmt: skip
    text = report_text(
        json.loads(json.dumps(found)) | {"trained_on_all": found["trained_on_all"], "left_out": found["left_out"]}
    )
    assert "| limbs | 1.000 | 1.000 | - |" in text and "50.0%" in text
