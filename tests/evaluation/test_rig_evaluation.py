"""The harness: results are kept and taken up again, failures are counted, the command runs from a file to figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from character.conftest import skinned
from PIL import Image

from studio_pipeline.evaluation.rigs import backends as backends_module
from studio_pipeline.evaluation.rigs.backends import BACKENDS, RigBackend, choose_backends
from studio_pipeline.evaluation.rigs.evaluate import evaluate
from studio_pipeline.evaluation.rigs.pictures import SIDE, write_sheet
from studio_pipeline.evaluation.rigs.sources import RiggedFile
from studio_pipeline.evaluation.rigs.summary import case_table, group_medians, medians_table
from studio_pipeline.evaluation.rigs.trials import Work, measure
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Rig
from studio_pipeline.store.codehash import code_units

KNOWING = RigBackend(
    rig="studio_pipeline.evaluation.rigs.backends:geometric_rig",  # replaced in the tests
    skin="studio_pipeline.stages.rig.geometric:skin",
    seconds=5.0,
)


@pytest.fixture
def bar(tmp_path: Path) -> RiggedFile:
    return RiggedFile(skinned().save(tmp_path / "bar.glb"))


@pytest.fixture
def knowing(bar: RiggedFile, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A backend that knows the truth of the bar; lists the vertex counts it was asked for."""
    truth, asked = bar.open().truth, []

    def know(vertices: np.ndarray, faces: np.ndarray) -> Rig:
        asked.append(len(vertices))
        frames = np.tile(np.eye(4), (len(truth.parents), 1, 1))
        frames[:, :3, 3] = truth.joints
        return Rig(
            names=truth.names, parents=truth.parents, rest_world=frames, tails=truth.tails.astype(np.float32),
            weights=truth.weights,
        )  # fmt: skip

    monkeypatch.setattr(backends_module, "geometric_rig", know)
    return asked


def test_results_are_kept_and_taken_up_again(bar: RiggedFile, tmp_path: Path, knowing: list[int]) -> None:
    work = Work(bar, (("knowing", KNOWING),), tmp_path / "out")
    told: list[bool] = []
    (row,) = evaluate([work], tell=lambda row, kept: told.append(kept))
    assert "error" not in row
    assert row["joints"] == {"truth": 3, "rig": 3} and row["skeleton"]["joint_ratio"] == 1.0
    assert max(row["skeleton"][name] for name in ("j2j", "j2b", "b2b")) < 1e-9
    assert row["motion"]["percent"] == 0.0 < row["motion"]["still_percent"]
    assert 0.0 < row["skin"]["l1"] < 2.0 and row["seconds"]["wall"] > 0.0
    count = len(knowing)
    (again,) = evaluate([work], tell=lambda row, kept: told.append(kept))
    assert told == [False, True] and len(knowing) == count and again == json.loads(json.dumps(row))
    Path(tmp_path / "out" / "cases" / row["picture"]).unlink()
    evaluate([work])
    assert len(knowing) == count + 1, "without its picture it is measured again"
    bar.path.write_bytes(bar.path.read_bytes() + b" " * 4)  # another file is another result
    evaluate([work])
    assert len(knowing) == count + 2


def test_what_fails_is_counted_and_the_others_go_on(
    bar: RiggedFile, tmp_path: Path, knowing: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    know = backends_module.geometric_rig

    def moody(vertices: np.ndarray, faces: np.ndarray) -> Rig:
        if len(vertices) == 24 and vertices[:, 1].max() > 1.5:
            raise ValueError("not\nthis one")
        return know(vertices, faces)

    monkeypatch.setattr(backends_module, "geometric_rig", moody)
    tall = skinned()
    tall.json["nodes"][0]["scale"] = [1, 2, 1]  # a skinned mesh ignores its node
    tall.json["nodes"][1]["scale"] = [1, 2, 1]
    (tmp_path / "broken.glb").write_bytes(b"no model")
    sources = [RiggedFile(tall.save(tmp_path / "tall.glb")), RiggedFile(tmp_path / "broken.glb"), bar]
    rows = evaluate([Work(source, (("knowing", KNOWING),), tmp_path / "out") for source in sources])
    assert rows[0]["error"] == "ValueError: not this one"
    assert "broken.glb" in rows[1]["skipped"]
    assert "error" not in rows[2]
    (group,) = group_medians(rows)
    assert (group["characters"], group["failed"], group["under"]) == (2, 1, 0.5)  # what fails isn't under 6.5
    assert group["medians"]["j2j"] < 1e-9
    table = case_table(rows)
    assert "FAILED: ValueError: not this one" in table.splitlines()[-1] and "broken" not in table
    write_sheet(tmp_path / "sheet.png", tmp_path / "out" / "cases", rows)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * SIDE and sheet.height > 2 * SIDE


def test_what_is_no_rig_is_a_failure(bar: RiggedFile, knowing: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    subject = bar.open()
    good = backends_module.geometric_rig(subject.character.vertices, subject.character.faces)
    endless = good.weights.copy()
    endless[3, 1] = np.nan
    for bad, said in (
        (replace(good, weights=good.weights[:-1]), "shape"),
        (replace(good, weights=0.5 * good.weights), "sum to one"),
        (replace(good, weights=endless), "sum to one"),
        (replace(good, parents=np.array([-1, -1, 0], np.int32)), "not one tree"),
        (replace(good, tails=good.tails + np.inf), "not finite"),
    ):
        monkeypatch.setattr(backends_module, "geometric_rig", lambda vertices, faces, bad=bad: bad)
        row, rig = measure(subject, KNOWING)
        assert said in row["error"] and rig is None and "skeleton" not in row


def row(character: str, j2j: float, backend: str = "geometric", **more) -> dict:
    return {
        "character": character, "group": "characters", "backend": backend, "joints": {"truth": 10, "rig": 12},
        "skeleton": {"j2j": j2j, "j2b": 2.0, "b2b": 2.7, "missed": 1.0, "extra": 1.0, "joint_ratio": 1.2},
        "skin": {"l1": 0.3, "precision": 0.5, "recall": 0.9}, "motion": None, "refused": [],
        "seconds": {"wall": 2.0, "processor": 3.0},
    } | more  # fmt: skip


def test_tables_hold_figures_against_goals() -> None:
    rows = [row("b", 6.0), row("a", 3.0), row("c", 3.5), row("d", 40.0, refused=["joints_inside"])]
    (group,) = group_medians(rows)
    assert group["medians"]["j2j"] == 4.75 and group["under"] == 0.75 and group["refused"] == 1
    assert group["medians"]["percent"] is None
    lines = medians_table([group]).splitlines()
    assert "4.75" in lines[2] and "≤ 4 MISSED" in lines[3] and "≤ 3 met" in lines[3] and "≤ 2.6 MISSED" in lines[3]
    assert "≤ 15 met" in lines[3] and "≥ 90% MISSED" in lines[3] and "0 met" in lines[3]
    assert any("UniRig" in line and "3.3-4.0" in line and "others' sets" in line for line in lines)
    assert len({len(line) for line in lines}) == 1
    cases = case_table(rows).splitlines()
    assert [line.split("|")[1].strip() for line in cases[2:]] == ["a", "c", "b", "d"]
    assert "12/10" in cases[2] and "refused: joints_inside" in cases[5]


def test_backends_are_chosen_by_name() -> None:
    assert (
        "geometric" in choose_backends("")
        and set(choose_backends("")) <= set(BACKENDS)
        and list(choose_backends(" geometric ,geometric")) == ["geometric"]
    )
    with pytest.raises(InputError, match="there is no backend 'magic'"):
        choose_backends("geometric,magic")


def test_a_change_to_one_backend_keeps_the_results_of_others() -> None:
    measured = code_units("studio_pipeline.evaluation.rigs.trials:measure")
    assert any("chamfer_figures" in name for name in measured)
    assert not any("stages.rig.geometric" in name or "BACKENDS" in name for name in measured)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "studio_pipeline.cli", "evaluate", "rig", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_from_a_file_to_figures(bar: RiggedFile, tmp_path: Path) -> None:
    done = run("bar.glb", "--backends", "geometric", "--out", "here", "--json", "figures.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| bar" in done.stdout and "[1/1] bar, geometric:" in done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found == json.loads((tmp_path / "here" / "results.json").read_text())
    assert found["rows"][0]["skeleton"]["j2j"] > 0.0 and found["medians"][0]["failed"] == 0
    assert (tmp_path / "here" / "table.md").read_text().startswith("Characters")
    with Image.open(tmp_path / "here" / "sheet.png") as sheet:
        assert len(sheet.getcolors(1 << 24) or ()) > 500
    again = run("bar.glb", "--out", "here", "--backends", "geometric", cwd=tmp_path)
    assert "kept from an earlier run" in again.stderr and again.stdout == done.stdout


def test_bad_options_get_one_line(tmp_path: Path) -> None:
    (tmp_path / "cube.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    for arguments, said in (
        (("--backends", "magic"), "there is no backend 'magic'"),
        (("nobody.glb",), "no such file"),
        (("cube.obj",), "has no rig of its own"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_procedural_characters_are_measured_too(tmp_path):
    done = run("--procedural", "2", "--backends", "geometric", "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "here" / "results.json").read_text())["rows"]
    assert [row["group"] for row in rows] == ["procedural"] * 2 and len({row["character"] for row in rows}) == 2
    assert all(0.0 < row["skeleton"]["j2j"] < 100.0 for row in rows)
