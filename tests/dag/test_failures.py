"""Failures reach the hooks: from `studio run` at a desk, and from the farm's sensor; each once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG
from support.toys import Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.dag.assets import Studio
from studio_pipeline.dag.build import build_definitions
from studio_pipeline.dag.failures import untold
from studio_pipeline.dag.rescue import LOST, LOST_RUN
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError


@pytest.fixture
def told(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path / "told.jsonl"))
    monkeypatch.delenv("STUDIO_HOOK_URL", raising=False)
    launch._job.cache_clear()
    yield tmp_path / "told.jsonl"
    launch._job.cache_clear()


def lines(path: Path) -> list[dict]:
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{name: value for name, value in line.items() if name != "time"} for line in found]


def test_studio_run_tells_what_failed(told: Path, toy: Toy, shots, store, monkeypatch, capsys) -> None:
    from studio_pipeline.cli.main import main

    shots("  stages: {directives: {gate: false}}\n")
    toy.broken["rig"] = InputError("no limbs", do="draw some")
    monkeypatch.setattr(sys, "argv", ["studio", "run", "shots.yaml"])
    with pytest.raises(SystemExit):
        main()
    capsys.readouterr()
    with launch.open_instance() as instance:
        (run,) = instance.get_runs()
        assert untold(instance, store, run.run_id) == []  # a sensor that watches the same instance is silent
    rig, directives = sorted(lines(told), key=lambda line: line["stage"], reverse=True)
    assert rig == {
        "shot": "toy_a_0010", "stage": "rig", "cause": "toy_a_0010 rig: no limbs - draw some", "run": run.run_id,
        "attempt": 1,
    }  # fmt: skip
    assert directives["stage"] == "directives" and directives["cause"].startswith("gate sane failed: value")


@pytest.fixture
def instance(told: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def farm_run(instance: dg.DagsterInstance, store, shots, **tags: str) -> dg.ExecuteInProcessResult:
    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    return launch._job().execute_in_process(
        instance=instance, partition_key=shot.id, raise_on_error=False, tags=tags or None
    )


def test_the_sensor_tells_what_failed_on_the_farm(told: Path, toy: Toy, shots, store, instance) -> None:
    toy.broken["rig"] = InputError("no limbs")
    result = farm_run(instance, store, shots)
    sensor = build_definitions().resolve_sensor_def("failures")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    (event,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.RUN_FAILURE]
    context = dg.build_run_status_sensor_context(
        "failures", event, instance, instance.get_run_by_id(result.run_id), resources={"studio": Studio()}
    ).for_run_failure()
    sensor(context)
    (line,) = lines(told)
    assert (line["stage"], line["cause"], line["run"]) == ("rig", "toy_a_0010 rig: no limbs", result.run_id)


def test_a_run_that_was_killed_is_told_and_one_that_goes_on_is_not(
    told: Path, toy: Toy, shots, store, instance
) -> None:
    def failed(**tags: str) -> str:
        run = instance.create_run_for_job(
            launch._job(), tags={"dagster/partition": "toy_a_0010", **tags}, status=dg.DagsterRunStatus.STARTED
        )
        if LOST in tags:
            instance.add_run_tags(run.run_id, {LOST_RUN: run.run_id})
        instance.report_run_failed(run, "The process of this run was killed.")
        return run.run_id

    (killed,) = untold(instance, store, failed(**{launch.PROCESS: "h-1"}))
    assert (killed.shot, killed.stage, killed.cause) == ("toy_a_0010", "", "The process of this run was killed.")
    assert untold(instance, store, failed(**{LOST: "launch again"})) == []
    assert untold(instance, store, failed(**{LOST: "launched again"})) == []
    assert untold(instance, store, failed(**{WILL_RETRY_TAG: "true"})) == []
    assert untold(instance, store, failed(**{WILL_RETRY_TAG: "false"})) != []
    assert untold(instance, store, failed(**{LOST: "enough"})) != []
    inherited = failed(**{LOST: "launch again"})
    instance.add_run_tags(inherited, {LOST_RUN: "its parent"})  # as a re-execution from the UI has it
    assert untold(instance, store, inherited) != []
    assert untold(instance, store, "no such run") == []


def test_a_lost_attempt_counts(told: Path, toy: Toy, shots, store, instance) -> None:
    (shot,) = shots()
    toy.during["rig"] = lambda context: None
    toy.broken["rig"] = InputError("no limbs")
    result = farm_run(instance, store, shots)
    store.shots.record_failure(shot.id, "rig", "a" * 64, "x", details={"run": result.run_id, "attempt": 3})
    assert [failure.attempt for failure in untold(instance, store, result.run_id)] == [3]
