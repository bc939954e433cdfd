"""`studio train rig`: a piece from the command line, and what it says of bad options."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import Command

from studio_pipeline.models.rig.skeleton import load_skeleton_net


@pytest.mark.slow
def test_a_short_piece_leaves_a_training_and_weights(
    studio: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._LOOKED_AT", 2)
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._WRITTEN", 1)
    monkeypatch.setattr("studio_pipeline.training.rig.skeletons._ALONE", 2)
    words = ("train", "rig", "--out", "here", "--minutes", "0.2", "--batch", "1", "--device", "cpu")
    code, out, err = studio(*words, "--export", "use/skeleton.safetensors")
    assert code == 0, err
    assert "steps" in out and "held_out_loss" in err
    assert {path.name for path in (tmp_path / "here").iterdir()} >= {"skeleton.safetensors", "skeleton.jsonl"}
    assert (tmp_path / "use" / "skeleton.safetensors").stat().st_size < 32e6
    load_skeleton_net(tmp_path / "use" / "skeleton.safetensors")


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--device", "tpu"), "there is no device 'tpu'"), (("--part", "hair"), "hair"), (("--minutes", "0"), "minutes")],
)
def test_bad_options_are_told(studio: Command, words: tuple[str, ...], said: str) -> None:
    code, _, err = studio("train", "rig", "--out", "here", *words)
    assert code != 0 and said in err
