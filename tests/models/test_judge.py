"""The judge's measures against closed forms and second implementations, and what it makes of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from studio_pipeline.models.files import write_weights
from studio_pipeline.models.judge.damage import DAMAGE_KIND, DamageNet, damage_series, hurt_maps, load_damage
from studio_pipeline.models.judge.footage import SIDE, Footage, prepare, smooth_background_mask
from studio_pipeline.models.judge.judging import (
    DAMAGE_FILE,
    WINDOW,
    Judge,
    judge_clip,
    measure,
    measure_names,
    shipped_judge,
    windows,
)
from studio_pipeline.models.judge.local import CHANNELS, local_maps, subject_cells
from studio_pipeline.models.judge.measures import series_of, summary
from studio_pipeline.models.judge.network import HEADS, KIND, JudgeNet, load_judge, scores_of
from studio_pipeline.models.judge.priors import _squares, flows_of, novelty, patches_of, warp_errors
from studio_pipeline.models.judge.shapes import change_series, row_series, shape_series
from studio_pipeline.schema.errors import InputError


def pattern(rng: np.random.Generator, side: int) -> np.ndarray:
    return cv2.resize(rng.integers(30, 220, (side // 8, side // 8, 3), dtype=np.uint8), (side, side))


def travelling(step: int, count: int = 8) -> np.ndarray:
    """A patterned square goes right by ``step`` pixels a frame before a gray wall."""
    square = pattern(np.random.default_rng(0), 48)
    frames = np.full((count, 112, 112, 3), 128, np.uint8)
    for index, frame in enumerate(frames):
        frame[32:80, 8 + step * index : 56 + step * index] = square
    return frames


def footage(frames: np.ndarray) -> Footage:
    masks = (frames != 128).any(-1)
    return Footage(
        frames=frames, masks=masks, extent=48.0, told=True, kept=np.ones(len(frames), bool), box=(0, 0, 112, 112)
    )


def maps_of(frames: np.ndarray) -> np.ndarray:
    clip = footage(frames)
    return local_maps(clip, flows_of(clip.frames), patches_of(clip))


def test_a_subject_that_only_travels_is_found_again_everywhere() -> None:
    found = novelty(patches_of(footage(travelling(4))))  # two pixels at half size: the patches' own grid
    for name in ("first_in", "others_in", "come_in", "lost_in", "gone_in"):
        assert max(float(values.max()) for values in found[name]) < 1e-3, name
    torn = travelling(4)
    torn[4, 50:62] = 255 - torn[4, 50:62]
    hurt = novelty(patches_of(footage(torn)))
    assert max(values.max() for values in hurt["come_in"]) > 0.1 and hurt["come_in"][2].max() < 1e-3


def test_patch_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((20, 147), np.float32), rng.random((30, 147), np.float32)
    mine = _squares(a, (a**2).sum(1), b, (b**2).sum(1))
    np.testing.assert_allclose(mine, cdist(a, b, "sqeuclidean") / 147, rtol=1e-3, atol=1e-5)


def test_neighbours_explain_what_only_travels() -> None:
    clip = footage(travelling(2))
    flows = flows_of(clip.frames)
    inside = np.zeros((112, 112), bool)
    inside[40:72, 30:50] = True
    assert np.median(flows.ahead[3][inside], axis=0) == pytest.approx([2.0, 0.0], abs=0.3)
    errors = warp_errors(clip, flows)
    assert errors["either"][3][inside].mean() < 0.02
    clip.frames[4, 45:60] = 255 - clip.frames[4, 45:60]
    assert warp_errors(clip, flows_of(clip.frames))["either"][4][inside].mean() > 0.05


def test_silhouettes_by_closed_form() -> None:
    frames = travelling(0)
    series = shape_series(footage(frames))
    assert series["area"] == pytest.approx(np.ones(8)) and (series["pieces"] == 1).all()
    assert series["length"] == pytest.approx(np.full(8, 4 * 47 / 48)) and (series["holes"] == 0).all()
    frames[5, 40:60, 20:40] = 128  # a hole
    frames[6, 90:100, 90:100] = 40  # one piece more
    hurt = shape_series(footage(frames))
    assert hurt["holes"][5] == 1 and hurt["pieces"][6] == 2
    assert hurt["area"][5] == pytest.approx(1.0 - 400 / 48**2)
    still = np.zeros((7, 112, 112, 2), np.float32)
    change = change_series(footage(frames), still)
    assert change["blob_gain"][6] == pytest.approx(500 / 48**2, rel=0.35)  # the new piece, and the hole that closes
    assert change["blob_gain"][3] == 0.0 and change["far_gain"][6] > 0.2


def test_a_torn_row_is_sharp_in_its_frame_alone() -> None:
    frames = travelling(0)
    frames[4, 50:60] = np.roll(frames[4, 50:60], 17, axis=1)
    sharp = row_series(footage(frames))["row_sharp"]
    assert int(np.argmax(sharp)) == 4 and sharp[4] > 5 * max(sharp[3], 1e-3)


def test_impact_frames_and_flashes_are_left_out_and_the_subject_is_found() -> None:
    frames = travelling(2, 10)
    mask = smooth_background_mask(frames[0])
    truth = (frames[0] != 128).any(-1)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95
    stark = np.where(frames == 128, 90, frames).astype(np.uint8)
    stark[3], stark[4] = 255 - stark[3], 255
    kept = prepare(stark)
    assert len(kept.frames) == 8 and max(kept.frames.shape[1:3]) == SIDE and kept.told
    noise = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    assert not prepare(noise).told and judge_clip(noise, Judge(JudgeNet(len(measure_names())), DamageNet())) is None


def test_summaries_are_logarithms_of_statistics() -> None:
    values = np.array([9.0, 0.0, 1.0, 5.0, 1.0, 1.0])  # the first is the reference itself
    found = {name: np.exp(value) - 0.01 for name, value in summary({"x": values}).items()}
    expected = {"x.mean": 1.6, "x.median": 1.0, "x.max": 5.0, "x.second": 1.0, "x.sole": 4.0, "x.low": 1.0}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    assert found["x.step"] == pytest.approx(9.0) and found["x.late"] == pytest.approx(0.0, abs=1e-9)
    assert found["x.rough"] == pytest.approx(np.abs(np.diff(values, 2)).mean())


@pytest.mark.parametrize("count", [1, 3, 14, 15, 24, 29, 240])
def test_windows_cover_a_clip_and_none_is_longer(count: int) -> None:
    parts = windows(count)
    assert {frame for start, end in parts for frame in range(start, end)} == set(range(count))
    assert max(end - start for start, end in parts) <= WINDOW and len(parts) == -(-count // WINDOW)


def test_measures_have_the_same_names_whatever_the_clip() -> None:
    names, net = measure_names(), DamageNet()
    assert tuple(measure(travelling(3, 5), net)) == names == tuple(measure(travelling(1, 14)[:, :60], net))
    for frames in (travelling(3, 3), travelling(0, 2)):
        assert np.isfinite(list(measure(frames, net).values())).all()
    clip = prepare(travelling(2))
    assert series_of(clip, flows_of(clip.frames), patches_of(clip))["area_off"][0] == 0.0


def test_maps_are_quiet_on_what_travels_and_speak_where_it_is_hurt() -> None:
    names = ["off_either", "patch_before", "patch_apart", "colour_before", "chroma_apart"]
    chosen = [CHANNELS.index(name) for name in names]
    sound, torn = travelling(4), travelling(4)
    quiet, hurt = maps_of(sound), (torn.__setitem__((4, slice(48, 60), slice(36, 52)), (10, 240, 10)), maps_of(torn))[1]
    assert quiet.shape == (8, len(CHANNELS), 28, 28) and np.isfinite(quiet).all()
    inside = np.zeros((28, 28), bool)
    inside[12:15, 9:13] = True
    for channel, name in zip(chosen, names, strict=True):
        assert quiet[4, channel][inside].max() < 0.35, name
        assert hurt[4, channel][inside].mean() > 4.0 * max(float(quiet[4, channel][inside].mean()), 0.05), name
    seen = subject_cells(quiet)[0]
    assert seen[8:20, 2:14].all() and not seen[:, 16:].any()
    # The last frame has none after it, the first none before it.
    none = [CHANNELS.index(f"none_{side}") for side in ("before", "after")]
    assert quiet[0, none[0]].all() and quiet[-1, none[1]].all() and not quiet[1:-1, none].any()


def test_cells_that_are_padding_say_nothing_and_the_clip_is_told_the_same() -> None:
    torch.manual_seed(0)
    net = DamageNet(width=8, blocks=2).eval()
    maps = np.random.default_rng(0).normal(size=(5, len(CHANNELS), 9, 6)).astype(np.float32)
    alone = hurt_maps(maps, net)
    wide, valid = np.zeros((1, 7, len(CHANNELS), 12, 8), np.float32), np.zeros((1, 7, 12, 8), np.float32)
    wide[0, :5, :, :9, :6], valid[0, :5, :9, :6] = maps, 1.0
    with torch.no_grad():
        padded = net(torch.from_numpy(wide), torch.from_numpy(valid))[0].numpy()
    np.testing.assert_allclose(padded[:5, :9, :6], alone, atol=1e-5)
    assert alone.shape == (5, 9, 6) and np.ptp(alone) > 0.1


def test_damage_over_time_by_closed_form() -> None:
    logits = np.full((2, 10, 10), -50.0)
    logits[1, 2:4, 2:6] = 50.0  # eight cells
    masks = np.zeros((2, 10, 10), bool)
    masks[:, :4] = True  # forty cells
    series = damage_series(logits, masks)
    assert series["hurt_share"].tolist() == pytest.approx([0.0, 0.2]) and series["hurt_mean"][1] == pytest.approx(0.2)
    assert series["hurt_peak"].tolist() == pytest.approx([0.0, 1.0], abs=1e-9)
    assert series["hurt_worst"].tolist() == pytest.approx([0.0, 54.0], abs=1e-6)


def test_scores_go_from_five_to_one_and_two_is_the_bound() -> None:
    logits = torch.tensor([-50.0, 0.3, 50.0])
    assert scores_of(logits, 0.3).tolist() == pytest.approx([5.0, 2.0, 1.0])
    assert (scores_of(torch.linspace(-5, 5, 50), 0.0).diff() < 0).all()


def test_weights_of_other_measures_are_refused(tmp_path: Path) -> None:
    net = JudgeNet(3, 4, 2)
    described = {"kind": KIND, "config": {"inputs": 3, "hidden": 4, "members": 2}, "names": ["a", "b", "c"]}
    write_weights(tmp_path / "j.safetensors", dict(net.named_parameters()), described)
    again = load_judge(tmp_path / "j.safetensors", ("a", "b", "c"))
    values = torch.randn(5, 3)
    assert torch.equal(again(values), net.eval()(values))
    with pytest.raises(InputError, match="other measures"):
        load_judge(tmp_path / "j.safetensors", ("a", "c", "b"))
    with pytest.raises(InputError):
        load_judge(tmp_path / "none.safetensors", ())


def test_heads_go_with_the_network_for_damage_they_were_trained_beside(tmp_path: Path) -> None:
    described = {
        "kind": DAMAGE_KIND, "config": {"channels": len(CHANNELS), "width": 4, "blocks": 1}, "names": list(CHANNELS),
    }  # fmt: skip
    beside = tmp_path / DAMAGE_FILE
    write_weights(beside, dict(DamageNet(width=4, blocks=1).named_parameters()), described)
    assert load_damage(beside).width == 4
    heads = {"kind": KIND, "config": {"inputs": 1, "hidden": 1, "members": 1}, "names": ["a"], "damage": "another"}
    write_weights(tmp_path / "judge.safetensors", dict(JudgeNet(1, 1, 1).named_parameters()), heads)
    with pytest.raises(InputError, match="beside another"):
        shipped_judge(tmp_path / "judge.safetensors")
    write_weights(beside, dict(DamageNet(width=4, blocks=1).named_parameters()), described | {"names": ["x"]})
    with pytest.raises(InputError, match="other maps"):
        load_damage(beside)


def test_the_shipped_judge_passes_a_walk_of_a_pattern_and_fails_its_ruin() -> None:
    net = shipped_judge()
    frames = travelling(2, 14)
    sound = judge_clip(frames, net)
    assert sound is not None and set(sound) == set(HEADS) and min(sound.values()) >= 2.0
    rng, ruined = np.random.default_rng(0), frames.copy()
    for index in range(3, 14):
        rows = np.arange(112) + np.round(6 * np.sin(np.arange(112) / 5.0 + index)).astype(int)
        ruined[index] = ruined[index][:, np.clip(rows, 0, 111)]
        top = int(rng.integers(34, 66))
        ruined[index, top : top + 10] = np.roll(ruined[index, top : top + 10], int(rng.integers(6, 20)), axis=1)
    hurt = judge_clip(ruined, net)
    assert hurt is not None and min(hurt.values()) < 2.0
    assert judge_clip(frames[:2], net) == dict.fromkeys(HEADS, 5.0)
