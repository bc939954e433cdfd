"""`studio rig`: one file in, a rigged file out that other programs open, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from support.command import Command

from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.glb_conform import glb_faults


@pytest.mark.slow
def test_a_character_of_the_library_gets_a_skeleton(studio: Command, tmp_path: Path, repository: Path) -> None:
    code, out, err = studio("rig", "pip", "--out", "made/pip.glb", "--backend", "geometric", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["backend"] == "geometric" and told["files"] == ["made/pip.glb"]
    assert all(verdict["passed"] for verdict in told["verdicts"]) and told["seconds"]["all"] > told["seconds"]["rig"]
    made = tmp_path / "made" / "pip.glb"
    assert glb_faults(made) == []
    assert [path.name for path in made.parent.iterdir()] == ["pip.glb"] and not (tmp_path / "home").exists()

    source = load_character(repository / "assets" / "characters" / "pip.glb")
    again = load_character(made)
    assert np.abs(again.character.vertices - source.character.vertices).max() < 1e-6
    assert np.array_equal(again.character.atlas, source.character.atlas)
    assert again.own_rig is not None and again.own_rig.joint_count == told["figures"]["joints"]
    assert again.character.unit_scale == source.character.unit_scale
    # Another reader sees the same skeleton: trimesh lists every node of the scene.
    nodes = trimesh.load_scene(made).graph.nodes
    assert set(again.own_rig.names) <= set(nodes)


@pytest.mark.slow
def test_units_of_the_source_are_kept(studio: Command, tmp_path: Path) -> None:
    mesh = trimesh.creation.capsule(height=100.0, radius=25.0, count=[12, 12])
    mesh.apply_translation([3.0, 40.0, -7.0])
    mesh.export(tmp_path / "post.obj")
    code, out, err = studio("rig", "post.obj", "--out", "post.usda", "--backend", "geometric")
    assert code == 0 and "taken as 1.7 m" in out, err
    assert (tmp_path / "textures" / "post_albedo.png").is_file()
    again = load_character(tmp_path / "post.usda")
    assert again.own_rig is not None
    file_units = again.character.vertices / again.character.unit_scale
    assert np.abs(file_units.min(0) - mesh.vertices.min(0)).max() < 1e-3
    assert np.abs(file_units.max(0) - mesh.vertices.max(0)).max() < 1e-3
    middle = again.own_rig.heads.mean(0) / again.character.unit_scale
    assert (mesh.bounds[0] < middle).all() and (middle < mesh.bounds[1]).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere.glb", "--out", "a.glb"), "no character 'nowhere.glb'"),
        (("pip", "--out", "a.fbx"), "a.fbx: has the unknown ending '.fbx' - one of .glb"),
        (("pip", "--out", "."), "has the unknown ending"),
        (("pip", "--out", "folder.glb"), "folder.glb: is a folder"),
        (("pip", "--out", "a.glb", "--backend", "magic"), "stage rig has no backend 'magic'"),
        (("broken.glb", "--out", "a.glb"), "broken.glb"),
    ],
)
def test_bad_input_is_one_line(studio: Command, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "folder.glb").mkdir()
    (tmp_path / "broken.glb").write_bytes(b"glTF no more")
    code, out, err = studio("rig", *words)
    assert code == 2 and out == "" and told in err and err.count("\n") == 1
    assert not (tmp_path / "a.glb").exists() and not (tmp_path / "home").exists()


@pytest.mark.slow
def test_a_stage_that_fails_leaves_the_old_file(studio: Command, tmp_path: Path) -> None:
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    flat.export(tmp_path / "flat.obj")
    trimesh.creation.icosphere(2, 0.5).export(tmp_path / "ball.obj")
    (tmp_path / "a.glb").write_bytes(b"old")
    for name, backend, told in (
        ("flat.obj", "geometric", "character failed extent"),
        ("ball.obj", "provided", "has no skeleton of its own"),
    ):
        code, out, err = studio("rig", name, "--out", "a.glb", "--backend", backend)
        lines = [line for line in err.splitlines() if line.startswith("studio:")]
        assert code == 1 and out == "" and len(lines) == 1 and told in lines[0], err
        assert (tmp_path / "a.glb").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.glb", "ball.obj", "flat.obj"]


@pytest.mark.slow
def test_a_closed_gate_is_said_and_counts(studio: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import studio_pipeline.stages.rig.checks as checks

    monkeypatch.setattr(checks, "_SHORTEST", 1e6)  # no bone is long enough any more
    trimesh.creation.icosphere(2, 0.5).export(tmp_path / "ball.obj")
    code, out, err = studio("rig", "ball.obj", "--out", "a.glb", "--backend", "geometric")
    assert code == 1 and "FAILS  no_zero_bones" in out
    assert next(line for line in err.splitlines() if line.startswith("studio:")).startswith(
        "studio: rig failed no_zero_bones: shortest bone"
    )
    assert (tmp_path / "a.glb").is_file()  # whoever asked for it may want to see what is wrong
