"""The command on the toy studio: what it launches, prints and returns."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import Command
from support.toys import STAGES, Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.errors import InputError

ALL = sorted(stage.name for stage in STAGES)
SHOT = "- show: toy\n  sequence: a\n  shot: '{code}'\n  character: hero.obj\n"


@pytest.fixture
def studio(toy: Toy, command: Command) -> Command:
    """The command in the toy's home."""
    return command


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., str]:
    def write(extra: str = "", codes: tuple[str, ...] = ("0010",)) -> str:
        (tmp_path / "shots.yaml").write_text("".join(SHOT.format(code=code) + extra for code in codes))
        return "shots.yaml"

    return write


def test_check_makes_nothing(studio, listed, toy: Toy) -> None:
    code, out, _ = studio("check", listed())
    assert code == 0 and "1 shot valid: toy_a_0010" in out
    assert toy.calls == [] and not toy.home.exists()


def test_run_twice_launches_nothing_the_second_time(studio, listed, toy: Toy) -> None:
    shots = listed()
    code, out, _ = studio("run", shots, "--json")
    rows = json.loads(out)["stages"]
    assert code == 0 and {row["state"] for row in rows} == {"made"} and sorted(toy.calls) == ALL
    toy.calls.clear()
    code, out, _ = studio("run", shots, "--json")
    assert code == 0 and {row["state"] for row in json.loads(out)["stages"]} == {"cached"} and toy.calls == []
    with launch.open_instance() as instance:
        assert instance.get_runs_count() == 1
    report = json.loads(Path("out/toy_a_0010/report.json").read_text())
    assert [row["stage"] for row in report["stages"]] == [stage.name for stage in STAGES]
    assert all(Path(row["artifact"]).is_dir() for row in report["stages"])


def test_plan_says_why(studio, listed) -> None:
    studio("run", listed())
    code, out, _ = studio("plan", listed("  stages: {rig: {gain: 2}}\n"), "--json")
    states = {row["stage"]: row for row in json.loads(out)["shots"][0]["stages"]}
    assert code == 0 and states["rig"]["state"] == "would run" and "settings.gain" in states["rig"]["reason"]
    assert states["takes"]["reason"] == "after rig" and states["character"]["state"] == "cached"
    assert "settings.gain" in studio("plan", "shots.yaml")[1]


def test_plan_writes_nothing(studio, listed, toy: Toy) -> None:
    studio("run", listed())

    def seen() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (toy.home / "store").rglob("*")}

    before = seen()
    studio("plan", listed("  stages: {rig: {gain: 2}}\n"))
    studio("why", "toy_a_0010", "rig")
    studio("status")
    assert seen() == before


def test_a_delivery_that_cannot_be_left_costs_only_itself(
    studio, listed, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import studio_pipeline.line.deliver as deliver

    def full(path: Path, data: bytes) -> None:
        if "0010" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(deliver, "_write", full)
    code, out, err = studio("run", listed(codes=("0010", "0020")), "--json")
    assert code == 4 and "No space left" in err and len(json.loads(out)["stages"]) == 2 * len(ALL)
    assert Path("out/toy_a_0020/report.json").exists()


def test_why_reads_the_shot_list_as_it_is_now(studio, listed) -> None:
    studio("run", listed())
    listed("  stages: {rig: {gain: 2}}\n")
    assert "settings.gain: 1.0 -> 2.0" in studio("why", "toy_a_0010", "rig")[1]
    studio("run", "shots.yaml")
    assert "since v001 changed" in studio("why", "toy_a_0010", "rig")[1]


def test_a_failure_exits_non_zero_and_retry_mends_it(studio, listed, toy: Toy) -> None:
    toy.broken["rig"] = InputError("no limbs", where="hero.obj", do="draw some")
    code, out, err = studio("run", listed(codes=("0010", "0020")))
    assert code == 1 and "toy_a_0010 rig: toy_a_0010 rig: hero.obj: no limbs - draw some" not in out
    assert "takes" in out and "waits" in out
    assert "hero.obj: no limbs - draw some" in out and "Traceback" not in out + err
    toy.broken.clear()
    toy.calls.clear()
    code, out, _ = studio("retry", "--json")
    assert code == 0 and sorted(toy.calls) == ["reference_clip", "rig", "takes"]
    assert studio("retry")[2] == "studio: nothing has failed\n"


def test_verify_finds_damage_and_the_next_run_mends_it(studio, listed, toy: Toy) -> None:
    studio("run", listed())
    assert studio("verify")[0] == 0
    report = json.loads(Path("out/toy_a_0010/report.json").read_text())
    victim = Path(next(row["artifact"] for row in report["stages"] if row["stage"] == "rig")) / "value.json"
    victim.chmod(0o644)
    victim.write_text("7")
    code, out, _ = studio("verify", "--json")
    assert code == 1 and json.loads(out)["damaged"] == 1
    toy.calls.clear()
    assert studio("run", "shots.yaml")[0] == 0 and toy.calls == ["rig"]


def test_a_fresh_dagster_instance_is_told(studio, listed, toy: Toy) -> None:
    import shutil

    studio("run", listed())
    shutil.rmtree(toy.home / "dagster")
    toy.calls.clear()
    assert studio("run", "shots.yaml")[0] == 0 and toy.calls == []
    with launch.open_instance() as instance:
        assert {key.path[0] for key in instance.all_asset_keys()} == set(ALL)
        assert instance.get_runs_count() == 0


def test_two_homes_know_nothing_of_each_other(
    studio, listed, toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    studio("run", listed())
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "other"))
    toy.calls.clear()
    assert studio("run", "shots.yaml")[0] == 0 and sorted(toy.calls) == ALL
    with launch.open_instance() as instance:
        assert instance.get_runs_count() == 1
    assert open_studio(str(tmp_path / "other")).shots.shot_ids() == ["toy_a_0010"]


def test_work_of_another_shot_is_published_to_this_one(studio, listed, toy: Toy) -> None:
    studio("run", listed())
    toy.calls.clear()
    code, out, _ = studio("run", listed(codes=("0010", "0020")), "--json")
    rows = [row for row in json.loads(out)["stages"] if row["shot"] == "toy_a_0020"]
    assert code == 0 and toy.calls == [] and {row["version"] for row in rows} == {"v001"}
    history = json.loads(studio("history", "toy_a_0020", "--json")[1])["versions"]
    assert [row["stage"] for row in history] == [stage.name for stage in STAGES]


def test_a_setting_that_comes_back_is_found_and_published_again(studio, listed, toy: Toy) -> None:
    studio("run", listed())
    studio("run", listed("  stages: {rig: {gain: 2}}\n"))
    toy.calls.clear()
    rows = json.loads(studio("run", listed(), "--json")[1])["stages"]
    assert toy.calls == [] and {row["state"] for row in rows} == {"cached"}
    assert next(row["version"] for row in rows if row["stage"] == "rig") == "v003"


def test_history_and_status_and_gc(studio, listed) -> None:
    studio("run", listed())
    studio("run", listed("  stages: {rig: {gain: 2}}\n"))
    rows = json.loads(studio("history", "toy_a_0010", "--json")[1])["versions"]
    assert [row["version"] for row in rows if row["stage"] == "rig"] == ["v001", "v002"]
    assert "cached" in studio("status")[1]
    assert json.loads(studio("gc", "--days", "0", "--json")[1])["generations"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "none.yaml"), "none.yaml"),
        (("why", "toy_a_0099", "rig"), "knows no shot toy_a_0099"),
        (("run", "shots.yaml", "--shot", "toy_a_0011"), "no shot toy_a_0011"),
        (("run", "shots.yaml", "--stage", "rigg"), "no stage is called 'rigg'"),
        (("run", "shots.yaml", "--out", "shots.yaml/x"), "output folder"),
        (("run", "shots.yaml", "--nonsense"), "nonsense"),
    ],
)
def test_bad_words_are_answered_by_one_line(studio, listed, toy: Toy, words: tuple[str, ...], said: str) -> None:
    listed()
    code, out, err = studio(*words)
    assert code != 0 and said in err and "Traceback" not in err and toy.calls == []
    assert out == ""


def test_an_interrupt_leaves_everything_consistent(studio, listed, toy: Toy) -> None:
    toy.during["rig"] = lambda context: (os.kill(os.getpid(), signal.SIGINT), time.sleep(5))
    code, _, err = studio("run", listed())
    assert code == 130 and "interrupted" in err
    assert list((toy.home / "scratch").iterdir()) == []
    toy.during.clear()
    toy.calls.clear()
    assert studio("run", "shots.yaml")[0] == 0 and "character" not in toy.calls


def test_what_a_killed_process_left_is_cleared_away(studio, listed, toy: Toy, tmp_path: Path) -> None:
    """A real process is killed with SIGKILL in the middle of a stage, inside a Dagster run."""
    listed()
    script = (
        "import os, signal, sys\n"
        "import support.toys as toys, studio_pipeline.line.graph as graph, studio_pipeline.line.keys as keys\n"
        "graph._load = lambda: toys.STAGES\n"
        "keys.code_digest, keys.code_units = lambda target: 'code', lambda target: {}\n"
        "toys.CURRENT.during['rig'] = lambda context: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.argv = ['studio', 'run', 'shots.yaml']\n"
        "from studio_pipeline.cli.main import main\nmain()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((toy.home / "scratch").iterdir())) == 1
    assert studio("run", "shots.yaml")[0] == 0
    assert list((toy.home / "scratch").iterdir()) == []
    with launch.open_instance() as instance:
        assert sorted(run.status.value for run in instance.get_runs()) == ["FAILURE", "SUCCESS"]
