"""`studio retarget`: a motion and a character in, a GLB that plays out."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.command import Command

from studio_pipeline.geometry.bvh import read_bvh
from studio_pipeline.geometry.retarget import retarget
from studio_pipeline.geometry.rotations import sixd_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.stages.character.animation import animations, sample_animation, sample_joints
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.glb_conform import glb_faults


def test_a_character_of_the_library_walks(studio: Command, tmp_path: Path, repository: Path) -> None:
    code, out, err = studio("retarget", "walk", "pip", "--out", "made/pip_walk.glb", "--frames", "65", "--json")
    assert code == 0, err
    told = json.loads(out)
    made = tmp_path / "made" / "pip_walk.glb"
    assert told["backend"] == "provided" and told["fps"] == "30" and told["figures"]["frames"] == 65
    assert glb_faults(made) == [] and [path.name for path in made.parent.iterdir()] == ["pip_walk.glb"]
    assert not (tmp_path / "home").exists()

    # The file's animation is the motion, by the reader that brings motions in, on the file's own rig.
    source = load_character(repository / "assets" / "characters" / "pip.glb")
    rig = source.own_rig
    assert rig is not None
    bvh = read_bvh(repository / "assets" / "motions" / "walk.bvh")
    motion = retarget(rig, source.character.vertices, bvh, frames=65).motion
    times = np.arange(65) / 30.0
    (clip,) = animations(made)
    assert clip.name == "walk" and clip.duration == pytest.approx(64 / 30)
    again = sample_joints(made, "walk", times)
    assert again.rig.names == rig.names and again.residual_m < 1e-4
    assert np.abs(sixd_to_matrix(again.rotations) - sixd_to_matrix(motion.rotations)).max() < 1e-3
    assert np.abs(again.translations - motion.translations).max() < 1e-4
    posed = pose_vertices(source.character.vertices, rig.weights, skinning_transforms(rig, motion))
    assert np.abs(sample_animation(made, "walk", times) - posed).max() < 1e-4


@pytest.mark.slow
def test_a_file_without_a_rig_gets_one(studio: Command, tmp_path: Path, repository: Path) -> None:
    code, out, err = studio(
        "retarget", "wave", "pip", "--out", "wave.glb", "--backend", "geometric", "--fps", "24000/1001"
    )
    assert code == 0, err
    assert "on the geometric rig" in out and "24000/1001 fps" in out
    assert sample_joints(tmp_path / "wave.glb", "wave", np.array([0.0])).rig.joint_count > 10


@pytest.mark.slow
def test_a_body_without_legs_is_refused(studio: Command, tmp_path: Path) -> None:
    code, _, err = studio("retarget", "walk", "mochi", "--out", "mochi.glb", "--backend", "geometric")
    assert code == 2 and "character mochi: is no biped (no legs found)" in err.splitlines()[-1]
    assert not (tmp_path / "mochi.glb").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hover", "pip", "--out", "a.glb"), "no motion 'hover' in the asset library (jump, run, walk, wave)"),
        (("walk", "pipp", "--out", "a.glb"), "did you mean 'pip'?"),
        (("walk", "pip", "--out", "a.usd"), "is no GLB file"),
        (("walk", "pip", "--out", "a.txt"), "unknown ending '.txt'"),
        (("walk", "pip", "--out", "a.glb", "--fps", "1/0"), "is no frame rate: '1/0'"),
        (("walk", "pip", "--out", "a.glb", "--fps", "1e9"), "is no frame rate"),
        (("notes.bvh", "pip", "--out", "a.glb"), "is no BVH file"),
        (("wave", "pip", "--out", "a.glb", "--backend", "magic"), "magic"),
    ],
)
def test_bad_input_is_one_line(studio: Command, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    (tmp_path / "notes.bvh").write_text("no motion at all\n")
    code, out, err = studio("retarget", *words)
    assert code == 2 and out == "" and says in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "a.glb").exists()


def test_rates_are_kept_as_they_are() -> None:
    from studio_pipeline.cli.retarget import _rate

    assert _rate(None) is None and _rate("24") == 24 and _rate("30000/1001") == Fraction(30000, 1001)
