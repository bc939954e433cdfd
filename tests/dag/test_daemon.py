"""Dagster's own daemon with our sensors: a killed worker's run goes on, a dropped list is made, a failure is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from support.toyrun import start_toy, until
from support.toys import Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.dag.rescue import LOST, RESCUE_OF
from studio_pipeline.line.home import open_home
from studio_pipeline.line.shots import save_shot

pytestmark = pytest.mark.soak

ENTRY = "- show: toy\n  sequence: a\n  shot: '{code}'\n  character: {hero}\n  stages: {{rig: {{gain: {gain}}}}}\n"

# As a worker of a farm works: a process that nobody of Dagster's watches.
WORKER = """
toy.during['rig'] = lambda context: wait(context, 'never')
import studio_pipeline.dag.launch as launch
from studio_pipeline.line.home import open_home
open_home()
with launch.open_instance() as instance:
    launch._job().execute_in_process(
        instance=instance, partition_key='toy_a_0010', raise_on_error=False, tags={'studio/batch': 'night'}
    )
"""


def test_the_daemon_rescues_watches_and_tells(
    toy: Toy, shots, store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    monkeypatch.setenv("STUDIO_WATCH", str(tmp_path / "lists"))
    monkeypatch.setenv("STUDIO_HOOK_FILE", str(tmp_path / "told.jsonl"))
    monkeypatch.delenv("STUDIO_EXECUTOR", raising=False)
    (shot,) = shots()
    save_shot(store, shot)
    open_home()
    with launch.open_instance() as instance:
        launch.register_shots(instance, [shot.id])
        worker = start_toy(tmp_path, WORKER)
        try:
            until(lambda: any(lease.work.stage == "rig" for lease in store.leases.standing()), process=worker)
        finally:
            worker.kill()
            worker.wait()
        (lost,) = instance.get_runs()
        assert lost.status == dg.DagsterRunStatus.STARTED
        daemon = start_daemon(tmp_path)
        try:
            drop(tmp_path, "0020", 2)
            until(lambda: succeeded(instance, "toy_a_0010") and succeeded(instance, "toy_a_0020"), 120, daemon)
            (tmp_path / "no_limbs").touch()
            drop(tmp_path, "0030", 3)
            until((tmp_path / "told.jsonl").exists, 120, daemon)
        finally:
            daemon.send_signal(signal.SIGINT)
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        (again,) = instance.get_runs(dg.RunsFilter(tags={RESCUE_OF: lost.run_id}))
        assert again.tags["studio/batch"] == "night" and again.parent_run_id in (None, lost.run_id)
        ended = instance.get_run_by_id(lost.run_id)
        assert ended.status == dg.DagsterRunStatus.FAILURE and ended.tags[LOST].startswith("launch")
        assert "character" not in {key.to_user_string() for key in again.asset_selection}
        (line,) = [json.loads(text) for text in (tmp_path / "told.jsonl").read_text().splitlines()]
        assert (line["shot"], line["stage"], line["cause"]) == ("toy_a_0030", "rig", "toy_a_0030 rig: no limbs")
    assert store.leases.standing() == []


def start_daemon(folder: Path) -> subprocess.Popen[str]:
    (folder / "workspace.yaml").write_text("load_from: [{python_module: support.toy_location}]\n")
    paths = os.pathsep.join(str(Path(__file__).parents[n]) for n in (1, 2))
    with (folder / "daemon.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=log, stderr=log, text=True,
        )  # fmt: skip


def drop(folder: Path, code: str, gain: int) -> None:
    path = folder / "lists" / f"{code}.part"
    path.write_text(ENTRY.format(code=code, hero=folder / "hero.obj", gain=gain))
    path.rename(path.with_suffix(".yaml"))


def succeeded(instance: dg.DagsterInstance, shot: str) -> bool:
    wanted = dg.RunsFilter(tags={"dagster/partition": shot}, statuses=[dg.DagsterRunStatus.SUCCESS])
    return instance.get_runs_count(wanted) > 0
