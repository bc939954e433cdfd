"""Dagster's UI on PostgreSQL in a real browser: the graph, a shot's pictures, a failed stage and its next try.

``STUDIO_PICTURES=docs/images`` takes the pictures of docs/farm.md: the real graph, a shipped character, no toys.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.browser import page
from support.farm import Farm
from support.postgres import Postgres, postgres

__all__ = ["page", "postgres"]

pytestmark = pytest.mark.slow

PICTURES = os.environ.get("STUDIO_PICTURES", "")
SHOT = "farm_park_0010"
TOYS = """\
- show: farm
  sequence: park
  shot: "0010"
  character: hero.obj
  stages: {{takes: {{picture: true}}, reference_clip: {{needs: {licence}}}}}
"""
REAL = """\
- show: farm
  sequence: park
  shot: "0010"
  character: tumble
  brief: Tumble walks along, the long tail swinging.
  frames: [1001, 1016]
  resolution: [256, 256]
  stages:
    rig: {{backend: geometric}}
    observations: {{backend: external, command: [{python}, {tracker}, "{{input}}", "{{output}}"], program: {tracker}}}
"""
# A user's own tracker that wants a licence, and then does what the shipped second implementation does.
TRACKER = """\
import pathlib, runpy, sys
if not pathlib.Path({licence!r}).exists():
    sys.exit("the licence server doesn't answer")
sys.argv[0] = {second!r}
runpy.run_path({second!r}, run_name="__main__")
"""
FAILS, LAST = ("observations", "review") if PICTURES else ("reference_clip", "delivery")


@pytest.fixture
def farm(tmp_path: Path, postgres: Postgres) -> Iterator[Farm]:
    """Code location, daemon and web server as in deploy/, steps in the run's own process: no broker is asked."""
    made = Farm(
        tmp_path / "farm",
        postgres=postgres,
        broker=SimpleNamespace(url="amqp://nobody@127.0.0.1:1//"),
        toys=not PICTURES,
        STUDIO_EXECUTOR="in_process",
    )
    try:
        made.start("code")
        made.wait_for_code()
        for service in ("daemon", "webserver"):
            made.start(service)
        yield made
    finally:
        made.end()


def write_shots(farm: Farm) -> Path:
    """The shot list; returns the file that the failing stage is waiting for."""
    licence, tracker = farm.folder / "licence", farm.folder / "tracker.py"
    second = Path(__file__).parents[1] / "observations" / "second_tracker.py"
    (farm.folder / "hero.obj").write_text("v 0 0 0\n")
    tracker.write_text(TRACKER.format(licence=str(licence), second=str(second)))
    text = (REAL if PICTURES else TOYS).format(licence=licence, tracker=tracker, python=sys.executable)
    (farm.folder / "shots.yaml").write_text(text)
    return licence


def run_of(farm: Farm, *, after: str = "") -> Any:
    """The newest run once it has ended; not the one called ``after``."""
    import dagster as dg

    ends = time.monotonic() + 400
    with dg.DagsterInstance.from_config(str(farm.folder / "dagster")) as instance:
        while time.monotonic() < ends:
            runs = [run for run in instance.get_runs(limit=5) if run.run_id != after]
            if runs and runs[0].is_finished:
                return runs[0]
            time.sleep(0.5)
    pytest.fail(f"no run has ended\n{farm.processes['daemon'].log()}")


def look(page: Any, name: str) -> None:
    """A picture for the docs, when they are wanted; what is shown has come to rest."""
    if PICTURES:
        page.wait_for_timeout(3000)
        page.screenshot(path=str(Path(PICTURES) / name))


def test_a_failed_stage_is_seen_and_made_again_from_the_ui(
    farm: Farm, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in farm.environment.items():
        monkeypatch.setenv(name, value)
    licence = write_shots(farm)
    told = farm.studio("submit", "shots.yaml")
    assert told.returncode == 0 and "1 queued" in told.stdout, told.stderr
    failed = run_of(farm)
    assert failed.status.value == "FAILURE" and failed.tags["studio/shot"] == SHOT
    url = f"http://127.0.0.1:{farm.ui_port}"

    page.goto(f"{url}/asset-groups")
    page.get_by_text("cast", exact=True).first.wait_for()
    page.keyboard.press("Alt+E")  # all groups opened
    page.get_by_text(FAILS, exact=True).first.wait_for()
    look(page, "farm_graph.png")

    page.goto(f"{url}/assets/takes?view=partitions&partition={SHOT}")
    picture = page.locator("img[src^='/studio-artifacts/']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert re.fullmatch(r"/studio-artifacts/[0-9a-f]{64}/1/\S+\.(png|jpg|gif)", picture.get_attribute("src"))
    look(page, "farm_takes.png")

    page.goto(f"{url}/runs/{failed.run_id}")
    page.get_by_text("the licence server doesn't answer").first.wait_for()
    look(page, "farm_failed.png")

    licence.touch()
    box = page.get_by_role("button", name="Re-execute all").bounding_box()
    page.mouse.click(box["x"] + box["width"] + 15, box["y"] + box["height"] / 2)  # its menu
    page.get_by_role("menuitem", name="From failure").click()
    again = run_of(farm, after=failed.run_id)
    assert again.status.value == "SUCCESS" and again.parent_run_id == failed.run_id
    page.wait_for_url(f"**/runs/{again.run_id}")
    page.get_by_text("Success", exact=True).first.wait_for()
    look(page, "farm_again.png")
    begun = (farm.folder / "journal.txt").read_text().split("\n") if not PICTURES else []
    assert sum(line.startswith(f"begin {FAILS} ") for line in begun) == (0 if PICTURES else 2)
    assert sum(line.startswith("begin takes ") for line in begun) == (0 if PICTURES else 1)  # what was done stays done
    page.goto(f"{url}/assets/{LAST}?view=partitions&partition={SHOT}")
    page.get_by_text("Materialized", exact=True).first.wait_for()
