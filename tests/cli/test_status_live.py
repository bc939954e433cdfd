"""`studio status` while another process really makes something, and what it says of everything that waits."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import termios
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console
from support.command import Command
from support.toyrun import start_toy, until
from support.toys import STAGES, Toy

import studio_pipeline.cli.status as status
import studio_pipeline.dag.launch as launch
from studio_pipeline.cli.board import board_picture, duration, summary
from studio_pipeline.dag.queue import runs_now
from studio_pipeline.line.board import STATES, Board, Cell, RunNow, ShotRow, Timings, board_of
from studio_pipeline.line.keeper import BoardKeeper
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Work

ALL = [stage.name for stage in STAGES]

SLOW = """
toy.during['rig'] = lambda context: wait(context, 'go')
sys.argv = ['studio', 'run', 'shots.yaml', '--shot', 'toy_a_0010']
from studio_pipeline.cli.main import main
main()
"""


@pytest.fixture
def call(toy: Toy, command: Command) -> Command:
    """The command in the toy's home."""
    return command


def told(call: Callable, shot: str = "toy_a_0010") -> dict[str, dict]:
    code, out, err = call("status", "--json")
    assert code == 0, err
    (entry,) = [entry for entry in json.loads(out)["shots"] if entry["shot"] == shot]
    return {row["stage"]: row["now"] for row in entry["stages"]}


@pytest.mark.slow
def test_what_another_process_makes_is_seen(toy: Toy, shots, store, tmp_path: Path, call) -> None:
    one, two = shots(ids=("0010", "0020"))
    for shot in (one, two):
        save_shot(store, shot)
    worker = start_toy(tmp_path, SLOW, environment={"STUDIO_QUEUE": "cpu"})
    try:
        until(lambda: told(call)["rig"].get("fraction", 0) > 0, process=worker)
        rig = told(call)["rig"]
        assert rig["state"] == "running" and rig["message"] == "counting sheep" and 0 < rig["fraction"] < 1
        assert rig["worker"].endswith(f":{worker.pid} cpu") and rig["attempt"] == 1 and rig["since_s"] >= 0
        assert told(call)["character"]["state"] == "done" and told(call)["takes"]["state"] == "waits"
        # The other shot needs the same artifact.
        other = told(call, "toy_a_0020")["rig"]
        assert other["state"] == "waits" and other["reason"] == "another worker makes it, for toy_a_0010"
        out = call("status")[1]
        plain = " ".join(out.split())
        assert "running" in plain and "counting sheep" in plain and f":{worker.pid} cpu" in plain
        assert "1 running" in plain and "\x1b" not in out
        before = told(call)["rig"]["fraction"]
        until(lambda: told(call)["rig"]["fraction"] > before, process=worker)
    finally:
        (tmp_path / "go").touch()
        worker.wait(60)
    assert worker.returncode == 0, (tmp_path / "toy.log").read_text()
    assert {row["state"] for row in told(call).values()} == {"done"}


WATCH = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background begins without
sys.argv = ['studio', 'status', '--watch']
import studio_pipeline.cli.status as status
import studio_pipeline.dag.launch as launch
status.EVERY = 0.2
from studio_pipeline.cli.main import main
main()
"""


def test_a_terminal_is_drawn_again_and_again(toy: Toy, shots, store, tmp_path: Path) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    key = plan_shot(store, shot).stages[0].key
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (30, 120))
    seen = bytearray()

    def shows(text: str) -> bool:
        while select.select([master], [], [], 0.05)[0]:
            seen.extend(os.read(master, 1 << 16))
        return text in seen.decode(errors="replace")

    variables = {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    with store.leases.acquire(key, work=Work(shot.id, "character", "r", "gpu")) as lease:
        watching = start_toy(tmp_path, WATCH, environment=variables, terminal=slave)
        try:
            for fraction, message in ((0.25, "first words"), (0.5, "then others")):
                lease.progress(fraction, message)
                lease.renew()
                until(lambda said=message: shows(said), process=watching)
                assert shows(f"{fraction:.0%}") and shows("1 running")
        finally:
            watching.send_signal(signal.SIGINT)
            code = watching.wait(20)
            os.close(slave)
    assert code == 130 and "Traceback" not in seen.decode(errors="replace")
    os.close(master)


def test_a_killed_worker_s_stage_is_not_shown_as_running(toy: Toy, shots, store, tmp_path: Path, call) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    worker = start_toy(tmp_path, SLOW)
    try:
        until(lambda: told(call)["rig"]["state"] == "running", process=worker)
    finally:
        worker.kill()
        worker.wait()
    rig = told(call)["rig"]
    assert rig["state"] == "queued" and f"pid {worker.pid}" in rig["reason"] and "lost its worker" in rig["reason"]


def test_every_reason_to_wait_is_told(toy: Toy, shots, store, call) -> None:
    made = shots(ids=("0010", "0020", "0030", "0040"), s0020="  stages: {rig: {gate: false}}\n", s0030="  brief: x\n")
    gated, failing = made[1], made[2]
    for shot in made:
        save_shot(store, shot)
        make_stage(store, shot, "character")
    for name in ("rig", "directives"):
        make_stage(store, gated, name)
    toy.broken["directives"] = InputError("no words")
    with pytest.raises(InputError):
        make_stage(store, failing, "directives")
    with launch.open_instance() as instance:
        launch.register_shots(instance, [shot.id for shot in made])
        job = launch._job()
        for shot, status, tags in (
            ("toy_a_0040", dg.DagsterRunStatus.NOT_STARTED, {}),
            ("toy_a_0010", dg.DagsterRunStatus.NOT_STARTED, {"dagster/priority": "5"}),
        ):
            instance.create_run_for_job(job, tags={"dagster/partition": shot, **tags}, status=status)
    rig = told(call, "toy_a_0010")["rig"]
    assert (rig["state"], rig["reason"]) == ("queued", "next in the queue") and rig["since_s"] >= 0
    assert told(call, "toy_a_0040")["rig"]["reason"] == "queued behind 1 run"
    assert told(call, "toy_a_0020")["takes"]["state"] == "waits"
    assert told(call, "toy_a_0020")["takes"]["reason"].startswith("rig failed sane")
    assert "no words" in told(call, "toy_a_0030")["directives"]["reason"]
    assert told(call, "toy_a_0030")["directives"]["state"] == "failed"
    summary_now = json.loads(call("status", "--json")[1])["summary"]
    assert summary_now["shots"] == {"failed": 1, "queued": 2, "waits": 1} and summary_now["workers"] == 0
    assert "4 shots 2 queued 1 waiting 1 failed" in " ".join(call("status")[1].split())


def test_a_step_that_will_be_tried_again_says_why_and_when(toy: Toy, shots, store, monkeypatch) -> None:
    import studio_pipeline.line.trouble as trouble
    from studio_pipeline.schema.errors import StorageError

    (shot,) = shots()
    save_shot(store, shot)
    monkeypatch.setitem(trouble.DESK, "hiccup", (0.01,))
    toy.broken["character"] = StorageError("no answer")
    seen = []
    with dg.DagsterInstance.ephemeral() as instance:
        launch.register_shots(instance, [shot.id])
        sleep = time.sleep
        monkeypatch.setattr(time, "sleep", lambda seconds: (seen.append(runs_now(instance)), sleep(seconds)))
        launch.run_shot(instance, shot.id, ALL)
    retries = [run.retry for runs in seen for run in runs if run.retry]
    assert retries and "try 2 of 2" in retries[0] and "no answer" in retries[0]
    run = RunNow("r", shot.id, True, 0.0, retry=retries[0])
    board = board_of([plan_shot(store, shot)], [], [run], Timings(), 0.0)
    cell = board.rows[0].cells[0]
    assert cell.state == "queued" and cell.reason.startswith("try 2 of 2") and "no answer" in cell.reason


def test_time_left_comes_from_past_timings(toy: Toy, shots, store) -> None:
    def slow(context) -> None:
        time.sleep(0.2)

    toy.during["rig"] = slow
    first, second = shots(ids=("0010", "0020"), s0020="  stages: {rig: {gain: 3}}\n")
    for shot in (first, second):
        save_shot(store, shot)
    for name in ALL:
        make_stage(store, first, name)
    key = plan_shot(store, second).stages[1].key
    with store.leases.acquire(key, work=Work(second.id, "rig", "r")) as lease:
        lease.progress(0.75, "x")
        lease.renew()
        board = BoardKeeper(store).look()
        cell = board.rows[1].cells[1]
        usual = plan_shot(store, first).stages[1].seconds
        assert cell.state == "running" and cell.left == pytest.approx(usual / 4)
        assert board.machine_seconds is not None and board.machine_seconds >= cell.left


def test_a_look_plans_only_what_may_have_changed(toy: Toy, shots, store) -> None:
    made = shots(ids=tuple(f"{n:04d}" for n in range(40)), **{f"s{n:04d}": f"  brief: b{n}\n" for n in range(40)})
    for shot in made:
        save_shot(store, shot)
        make_stage(store, shot, "character")
    keeper = BoardKeeper(store)
    keeper.look()
    assert keeper.planned == 40
    keeper.look()
    assert keeper.planned <= 2  # its turn
    item = next(item for item in plan_shot(store, made[7]).stages if item.stage == "directives")
    with store.leases.acquire(item.key, work=Work(made[7].id, "directives", "r")):
        assert keeper.look().rows[7].cells[2].state == "running" and keeper.planned <= 3
    make_stage(store, made[7], "directives")
    assert keeper.look().rows[7].cells[2].state == "done" and keeper.planned <= 3  # its lease has gone


def test_of_very_many_shots_those_are_listed_where_something_happens(
    toy: Toy, shots, store, call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MANY", 25)
    for shot in shots(ids=tuple(f"{number:04d}" for number in range(40))):
        save_shot(store, shot)
    code, out, _ = call("status")
    assert code == 0 and 20 <= out.count("toy_a_") <= 25 and "more shots: " in out and "--all lists them" in out
    code, out, _ = call("status", "--all")
    assert code == 0 and out.count("toy_a_") == 40 and "more shots" not in out
    assert len(json.loads(call("status", "--json")[1])["shots"]) == 40


def rows(count: int) -> Board:
    cells = [
        Cell("rig", state, f"because {state}", attempt=int(state == "running"), fraction=0.5, worker="h:1")
        for state in STATES
        for _ in range(count)
    ]
    return Board(tuple(ShotRow(f"s_{n:03d}", (cell,)) for n, cell in enumerate(cells)), workers=count)


def rendered(picture, width: int = 140) -> str:
    screen = Console(width=width, file=io.StringIO(), highlight=False)
    screen.print(picture)
    return screen.file.getvalue()


def test_a_board_that_does_not_fit_shows_the_most_urgent_shots() -> None:
    text = rendered(board_picture(rows(10), most=25))
    assert text.count("running") >= 10 and text.count("because failed") == 10
    assert "because done" not in text and "more shots: 6 queued, 10 waits, 10 to do, 10 done" in text
    assert len(text.splitlines()) <= 25 + 7
    assert "more shots" not in rendered(board_picture(rows(2), most=25))


def test_no_line_of_a_board_is_wider_than_the_terminal() -> None:
    for width in (80, 100, 140):
        text = rendered(board_picture(rows(2), most=30, width=width), width)
        assert all(len(line) <= width for line in text.splitlines())


def test_durations_read_well() -> None:
    assert [duration(value) for value in (0, 45, 187, 7500, 250_000)] == ["0 s", "45 s", "3:07 min", "2:05 h", "2.9 d"]
    assert "1 shot " in summary(Board((ShotRow("s", ()),))).plain
