"""Hand-made files in a stage's place, on the toy studio and, once, on the real one."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.command import caller
from support.toys import STAGES, Toy

import studio_pipeline.line.graph as graph_module
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.overrides import override, unpin
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.why import explain
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.stages.base import Override
from studio_pipeline.store import Store


def check_toy(file: Path, character: object) -> None:
    """The rig takes files of at least two bytes."""
    if file.stat().st_size < 2:
        raise InputError("is too small to be a rig", where=file, do="make it larger")


@pytest.fixture
def handmade(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy studio, its rig open to hand-made files."""
    place = Override("toy", "file", check="toy_checks:check_toy")
    checks = ModuleType("toy_checks")
    checks.check_toy = check_toy
    monkeypatch.setitem(sys.modules, "toy_checks", checks)
    stages = [dataclasses.replace(stage, override=place) if stage.name == "rig" else stage for stage in STAGES]
    monkeypatch.setattr(graph_module, "_load", lambda: stages)
    graph_module.graph.cache_clear()
    return toy


def make_all(store: Store, shot: ResolvedShot) -> dict[str, str]:
    """Every stage's version, made where it isn't there."""
    return {name: make_stage(store, shot, name).version for name in graph_module.graph()}


def states(store: Store, shot: ResolvedShot) -> dict[str, str]:
    return {item.stage: item.state for item in plan_shot(store, shot).stages}


def test_an_override_takes_the_stages_place(handmade: Toy, store: Store, shots, tmp_path: Path) -> None:
    one, two = shots(ids=("0010", "0020"))
    make_all(store, one)
    make_all(store, two)
    handmade.calls.clear()
    (tmp_path / "rig.bin").write_bytes(b"0123456789")
    pin = override(store, one, "rig", tmp_path / "rig.bin", note="knees")
    assert (pin.label, pin.note) == ("p0001", "knees")
    (tmp_path / "rig.bin").unlink()  # its bytes are the store's now
    assert states(store, one) == {
        "character": "cached", "rig": "would run", "directives": "cached", "takes": "would run",
        "reference_clip": "would run",
    }  # fmt: skip
    assert "settings.file" in explain(store, one, "rig").headline
    assert set(states(store, two).values()) == {"cached"}  # another shot keeps its own
    versions = make_all(store, one)
    assert versions["rig"] == "v002" and versions["character"] == "v001"
    assert sorted(handmade.calls) == ["reference_clip", "rig", "takes"]
    made = plan_shot(store, one).stages[1].artifact
    assert made is not None and made.figures["value"] == 11  # the character's 1 and ten bytes


def test_unpinning_brings_the_old_version_back(handmade: Toy, store: Store, shots, tmp_path: Path) -> None:
    (shot,) = shots()
    make_all(store, shot)
    (tmp_path / "rig.bin").write_bytes(b"0123456789")
    override(store, shot, "rig", tmp_path / "rig.bin")
    make_all(store, shot)
    handmade.calls.clear()
    entry = unpin(store, shot, "rig")
    assert entry is not None and entry.label == "p0002" and unpin(store, shot, "rig") is None
    make_all(store, shot)
    assert handmade.calls == []  # all of it was made before
    override(store, shot, "rig", tmp_path / "rig.bin")
    make_all(store, shot)
    assert handmade.calls == []


def test_the_same_file_again_adds_no_entry(handmade: Toy, store: Store, shots, tmp_path: Path) -> None:
    (shot,) = shots()
    (tmp_path / "rig.bin").write_bytes(b"01")
    first = override(store, shot, "rig", tmp_path / "rig.bin")
    assert override(store, shot, "rig", tmp_path / "rig.bin") == first
    (tmp_path / "rig.bin").write_bytes(b"23")
    assert override(store, shot, "rig", tmp_path / "rig.bin").number == 2


def test_what_is_not_fit_is_refused_and_not_kept(handmade: Toy, store: Store, shots, tmp_path: Path) -> None:
    (shot,) = shots()
    (tmp_path / "rig.bin").write_bytes(b"0")
    with pytest.raises(InputError, match="too small to be a rig"):
        override(store, shot, "rig", tmp_path / "rig.bin")
    with pytest.raises(InputError, match="stage takes takes no hand-made file - those that do: rig"):
        override(store, shot, "takes", tmp_path / "rig.bin")
    with pytest.raises(InputError, match="no stage is called 'rigs'"):
        override(store, shot, "rigs", tmp_path / "rig.bin")
    with pytest.raises(InputError, match="no such file"):
        override(store, shot, "rig", tmp_path / "none.bin")
    assert list(store.primitive.list("pins/")) == [] and "pins" not in str(list(store.primitive.list("shots/")))


def test_a_pinned_file_that_changed_is_told(handmade: Toy, store: Store, shots, tmp_path: Path) -> None:
    (shot,) = shots()
    (tmp_path / "rig.bin").write_bytes(b"0123")
    pin = override(store, shot, "rig", tmp_path / "rig.bin")
    kept = store.primitive.folder(pin.file)
    kept.chmod(0o644)
    kept.write_bytes(b"012")
    with pytest.raises(StorageError, match=r"toy_a_0010 rig \(p0001\) is damaged"):
        plan_shot(store, shot)
    kept.unlink()
    with pytest.raises(StorageError, match="is damaged - override it again"):
        plan_shot(store, shot)


SHOT = """
- show: hand
  sequence: a
  shot: "0010"
  character: pip
  frames: [1001, 1004]
  resolution: [64, 64]
  stages: {rig: {backend: geometric}}
"""


@pytest.mark.slow
def test_an_artists_rig_becomes_the_shots(tmp_path: Path, monkeypatch, capsys, repository: Path) -> None:
    """Made by the line, taken out, changed, brought back: the shot's next version is the artist's."""
    from studio_pipeline.schema.records import Character, Rig
    from studio_pipeline.stages.delivery.rig_files import write_rig

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shots.yaml").write_text(SHOT)

    call = caller(monkeypatch, capsys)

    def run() -> dict[str, dict]:
        _, out, err = call("run", "shots.yaml", "--stage", "rig", "--json")
        assert out, err
        return {row["stage"]: row for row in json.loads(out)["stages"]}

    first = run()
    character = Character.load(Path(first["character"]["artifact"]))
    rig = Rig.load(Path(first["rig"]["artifact"]))
    moved = rig.rest_world.copy()
    moved[-1, 1, 3] += 0.05
    write_rig(character, dataclasses.replace(rig, rest_world=moved), tmp_path / "mine.usd")
    taller = dataclasses.replace(character, vertices=character.vertices * [1.0, 1.0, 1.5])
    write_rig(taller, rig, tmp_path / "other.glb")
    code, out, err = call("override", "hand_a_0010", "rig", "other.glb")
    assert code == 2 and err.count("\n") == 1 and "is not the shape of character pip" in err
    for words in (("hand_a_0010", "rig", "none.glb"), ("hand_a_0099", "rig", "mine.usd"), ("hand_a_0010", "rg", "x")):
        code, out, err = call("override", *words)
        assert code == 2 and err.count("\n") == 1 and out == ""
    code, out, err = call("override", "hand_a_0010", "rig", "mine.usd", "--note", "lower")
    assert code == 0 and "hand_a_0010 rig: p0001 is mine.usd" in out and "solid" in out, err
    second = run()
    assert (second["rig"]["backend"], second["rig"]["version"], second["rig"]["state"]) == ("provided", "v002", "made")
    assert second["character"]["state"] == "cached"
    mine = Rig.load(Path(second["rig"]["artifact"]))
    joint = mine.names.index(rig.names[-1])
    assert abs(mine.heads[joint, 1] - rig.heads[-1, 1] - 0.05) < 1e-5
    code, out, _ = call("unpin", "hand_a_0010", "rig")
    assert code == 0 and "unpinned" in out
    third = run()
    assert (third["rig"]["backend"], third["rig"]["state"]) == ("geometric", "cached")
