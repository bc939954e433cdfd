"""The real line over a real S3 service: takes, a choice, a hand-made rig, pictures, from machine to machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.command import Command
from support.s3server import S3Server, s3, s3_server

from studio_pipeline.dag.ui import picture_path
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.clip import Clip

__all__ = ["s3", "s3_server"]

SHOT = "real_a_0010"
LIST = """- {show: real, sequence: a, shot: '0010', character: mochi, frames: [1, 6], resolution: [64, 64],
   brief: hops, stages: {takes: {count: 2}}}
"""


@pytest.fixture
def studio(s3: S3Server, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command with a home of its own on a store on S3."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STUDIO_STORE", s3.place())
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return command


def another_machine(tmp_path: Path) -> None:
    """Everything that was kept here is gone."""
    shutil.rmtree(tmp_path / "home")
    open_studio.__globals__["_open"].cache_clear()


def made(printed: str) -> set[str]:
    return {row["stage"] for row in json.loads(printed)["stages"] if row["state"] == "made"}


@pytest.mark.slow
def test_artists_work_on_s3_as_on_a_disk(studio: Command, tmp_path: Path) -> None:
    Path("shots.yaml").write_text(LIST)
    code, printed, said = studio("run", "shots.yaml", "--stage", "reference_clip", "--json")
    assert code == 0, said
    assert {"character", "rig", "takes", "take_report", "reference_clip"} <= made(printed)

    another_machine(tmp_path)
    code, printed, said = studio("takes", SHOT, "--json")
    rows = json.loads(printed)["takes"]
    assert code == 0 and [row["take"] for row in rows] == [0, 1], printed
    other = next(row["take"] for row in rows if not row["chosen"])
    code, _, said = studio("select", SHOT, str(other), "--note", "livelier")
    assert code == 0, said
    code, printed, said = studio("run", "shots.yaml", "--stage", "reference_clip", "--json")
    assert code == 0 and made(printed) == {"reference_clip"}, said
    store = open_studio()
    chosen = store.shots.published(SHOT, "reference_clip")
    assert chosen is not None
    folder = store.checkout(store.get(chosen.key, chosen.generation))
    takes = store.shots.published(SHOT, "takes")
    assert takes is not None
    both = store.checkout(store.get(takes.key, takes.generation))
    assert np.array_equal(Clip.load(folder).frames, Clip.load(both / f"take_{other:03d}").frames)

    # A rig from somebody's desk takes the place of the made one; the file is gone afterwards.
    code, _, said = studio("rig", "mochi", "--out", "hand.glb", "--backend", "geometric")
    assert code == 0, said
    code, _, said = studio("override", SHOT, "rig", "hand.glb", "--note", "longer ears")
    assert code == 0, said
    Path("hand.glb").unlink()
    another_machine(tmp_path)
    code, printed, said = studio("run", "shots.yaml", "--stage", "rig", "--json")
    assert code == 0 and made(printed) == {"rig"}, said
    assert "longer ears" in studio("history", SHOT)[1]
    assert studio("unpin", SHOT, "rig")[0] == 0
    code, printed, said = studio("run", "shots.yaml", "--stage", "reference_clip", "--json")
    assert code == 0 and not made(printed), said

    another_machine(tmp_path)
    store = open_studio()
    artifact = store.get(chosen.key, chosen.generation)
    pictures = [name for name in artifact.previews if name.endswith(".png")]
    assert pictures and (found := picture_path(store, chosen.key, "1", pictures[0])) is not None
    assert found.read_bytes().startswith(b"\x89PNG")
