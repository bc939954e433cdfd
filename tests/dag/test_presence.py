"""Opening a home's Dagster for the first time, from several processes at once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys, time
from studio_pipeline.dag.launch import open_instance, register_shots
from studio_pipeline.line.home import open_home

print("ready", flush=True)
sys.stdin.readline()
open_home()
with open_instance() as instance:
    register_shots(instance, ["s_a_" + sys.argv[1]])
"""


@pytest.mark.slow
def test_processes_that_open_a_new_home_at_once_make_it_once(tmp_path: Path) -> None:
    environment = {**os.environ, "STUDIO_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    environment.pop("DAGSTER_HOME", None)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(index)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = time.monotonic() + 120
    for process in processes:
        _, said = process.communicate(timeout=max(1.0, ends - time.monotonic()))
        assert process.returncode == 0, said
    history = tmp_path / "home" / "dagster" / "history"
    with sqlite3.connect(history / "runs.db") as database:
        assert len(database.execute("SELECT * FROM alembic_version").fetchall()) == 1
    with sqlite3.connect(history / "runs" / "index.db") as database:
        kept = {row[0] for row in database.execute("SELECT partition FROM dynamic_partitions")}
    assert kept == {f"s_a_{index}" for index in range(4)}
