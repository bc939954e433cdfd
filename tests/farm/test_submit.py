"""`studio submit` and `cancel` on one machine: a queue in SQLite, no services, nobody who takes runs off it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.farm import REPOSITORY, TOYS

pytestmark = pytest.mark.slow

Studio = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """The command in a home whose Dagster has a queue; gives exit code, JSON and standard error."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STUDIO_", "DAGSTER_", "AWS_"))},
        "STUDIO_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join([str(TOYS), str(REPOSITORY)]),
    }

    def call(*words: str) -> tuple[int, dict[str, Any], str]:
        done = subprocess.run(
            [sys.executable, "-m", "studio_pipeline.cli", *words, "--json"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    write(tmp_path, "0010", "0020")
    code, *_ = call("run", "shots.yaml", "--shot", "q_a_0010", "--stage", "character")
    assert code == 0
    settings = tmp_path / "home" / "dagster" / "dagster.yaml"
    settings.write_text(settings.read_text().replace("DefaultRunCoordinator", "QueuedRunCoordinator"))
    return call


def write(folder: Path, *shots: str, salt: int = 0) -> None:
    lines = []
    for shot in shots:
        (folder / f"{shot}.obj").write_text(f"v 0 0 {shot}\n")
        stages = f"stages: {{takes: {{salt: {salt}}}, character: {{seconds: 0.01, salt: {int(shot)}}}}}"
        lines.append(f"- {{show: q, sequence: a, shot: '{shot}', character: {shot}.obj, {stages}}}\n")
    (folder / "shots.yaml").write_text("".join(lines))


def states(found: dict[str, Any]) -> dict[str, str]:
    return {row["shot"]: row["state"] for row in found["shots"]}


def test_a_batch_is_queued_once_and_can_be_cancelled_in_parts(studio: Studio, tmp_path: Path) -> None:
    code, found, err = studio("submit", "shot*.yaml", "--batch", "b1", "--priority", "3")
    assert code == 0 and states(found) == {"q_a_0010": "queued", "q_a_0020": "queued"}
    # Two selections in one batch: the first shot has its character.
    lacking = {row["shot"]: row["stages"] for row in found["shots"]}
    assert "character" not in lacking["q_a_0010"] and "character" in lacking["q_a_0020"]
    assert "no daemon" in err and "dagster-daemon run --workspace" in err and len(err.splitlines()) == 1

    code, found, _ = studio("submit", "shots.yaml", "--batch", "b2")
    assert code == 0 and set(states(found).values()) == {"already queued"}
    write(tmp_path, "0010", salt=1)
    code, found, _ = studio("submit", "shots.yaml", "--batch", "b3")
    assert code == 0 and states(found) == {"q_a_0010": "queued"}, "other content is other work"

    code, found, _ = studio("cancel", "q_a_0010", "--batch", "b1")
    assert code == 0 and [(row["shot"], row["was"], row["now"]) for row in found["runs"]] == [
        ("q_a_0010", "queued", "cancelled")
    ]
    code, found, _ = studio("cancel", "--all")
    assert {(row["shot"], row["batch"]) for row in found["runs"]} == {("q_a_0020", "b1"), ("q_a_0010", "b3")}
    assert all(row["now"] == "cancelled" for row in found["runs"])
    code, found, _ = studio("submit", "shots.yaml", "--batch", "b4")
    assert states(found) == {"q_a_0010": "queued"}, "what was cancelled can be queued again"
