"""A small farm for real: the compose file's commands on loopback, PostgreSQL, RabbitMQ, S3, workers that get killed."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from support.farm import Farm, Process, generations, journal, live_leases, parent_of, until
from support.postgres import Postgres
from support.rabbitmq import RabbitMQ
from support.s3server import S3Server, use

from studio_pipeline.store import open_store, verify_all

pytestmark = pytest.mark.slow

WAIT = 180.0  # [s] for a farm on a busy machine; nothing is measured by it
FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def farm(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, rabbitmq: RabbitMQ, s3_server: S3Server
) -> Iterator[Farm]:
    """Code location, daemon, two workers for CPU steps and one for GPU steps, as compose starts them."""
    folder = tmp_path_factory.mktemp("farm")
    settings = {("run_monitoring", "poll_interval_seconds"): 5, ("concurrency", "runs", "max_concurrent_runs"): 6}
    made = Farm(folder, postgres=postgres, broker=rabbitmq, s3=s3_server, settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, s3_server.environment)
        for name, value in made.environment.items():
            if name.startswith("STUDIO_PG"):
                patch.setenv(name, value)
        try:
            made.start("code")
            for service, name in (("worker-cpu", ""), ("worker-cpu", "worker-cpu-2"), ("worker-gpu", "")):
                made.start(service, name)
            made.wait_for_code()
            made.start("daemon")
            yield made
        finally:
            made.end()


@pytest.fixture
def instance(farm: Farm) -> Iterator[dg.DagsterInstance]:
    with farm.instance() as opened:
        yield opened


@pytest.fixture
def store(farm: Farm):
    return open_store(farm.environment["STUDIO_STORE"], reading=True)


def shot_list(farm: Farm, name: str, ids: range, *, characters: int = 2, **stages: str) -> str:
    """A list of shots of show ``name``; ``stages`` is YAML by stage."""
    rows = []
    for index in ids:
        hero = farm.folder / f"{name}{index % characters}.obj"
        hero.write_text(f"v 0 0 {name}{index % characters}\n")
        chosen = {"character": f"{{salt: {index % characters}}}", "directives": f"{{salt: {index}}}", **stages}
        settings = ", ".join(f"{stage}: {text}" for stage, text in chosen.items())
        shot = f"show: {name}, sequence: a, shot: '{index:04d}', character: {hero}, stages: {{{settings}}}"
        rows.append(f"- {{{shot}}}\n")
    path = farm.folder / f"{name}.yaml"
    path.write_text("".join(rows))
    return str(path)


def statuses(instance: dg.DagsterInstance, batch: str) -> Counter[str]:
    return Counter(run.status.value for run in instance.get_runs(dg.RunsFilter(tags={"studio/batch": batch})))


def cut_off(farm: Farm) -> list[tuple[int, str]]:
    """Process and stage of every toy step that has begun and not ended."""
    begun: dict[int, str] = {}
    for what, stage, pid, _ in journal(farm):
        if what == "begin":
            begun[int(pid)] = stage
        else:
            begun.pop(int(pid), None)
    return list(begun.items())


def under_way(farm: Farm) -> list[tuple[int, str]]:
    """Those whose process lives."""
    return [(pid, stage) for pid, stage in cut_off(farm) if parent_of(pid)]


def at_work(farm: Farm, worker: Process) -> str:
    """The stage that a worker makes now; empty when none."""
    assert worker.popen is not None
    mine = [stage for pid, stage in under_way(farm) if parent_of(pid) == worker.popen.pid]
    return mine[0] if mine else ""


def all_logs(farm: Farm) -> str:
    return "\n".join(f"== {name}\n{process.log(15)}" for name, process in farm.processes.items())


def test_a_killed_worker_and_a_broker_that_restarts_lose_nothing(
    farm: Farm, instance: dg.DagsterInstance, store, rabbitmq: RabbitMQ
) -> None:
    shots = shot_list(farm, "kill", range(12), rig="{seconds: 1.5}")
    done = farm.studio("submit", shots, "--stage", "takes", "--batch", "kill")
    assert done.returncode == 0 and "12 queued" in done.stdout, done.stdout + done.stderr
    again = farm.studio("submit", shots, "--stage", "takes", "--batch", "twice")
    assert again.returncode == 0 and "queued" in again.stdout, again.stderr
    assert not statuses(instance, "twice"), "the same content was queued twice"

    worker = farm.processes["worker-cpu"]
    until(lambda: at_work(farm, worker), WAIT, lambda: all_logs(farm))
    worker.stop(signal.SIGKILL)
    worker.start()  # as compose would
    until(lambda: sum(row[0] == "end" for row in journal(farm)) > 10, WAIT, lambda: all_logs(farm))
    rabbitmq.cut()
    rabbitmq.start()
    rabbitmq.wait()

    until(lambda: set(statuses(instance, "kill")) <= FINISHED, WAIT, lambda: all_logs(farm))
    assert statuses(instance, "kill") == {"SUCCESS": 12}, all_logs(farm)
    assert cut_off(farm), "no step was cut off: the test proved nothing"
    # 2 characters and their rigs, and 2 stages of each shot.
    made = generations(store)
    assert len(made) == 2 * 2 + 12 * 2 and set(map(tuple, made.values())) == {("g0001",)}
    report = verify_all(store)
    assert report.generations == len(made) and not report.problems
    assert live_leases(store) == []
    after = farm.studio("submit", shots, "--stage", "takes", "--dry-run", "--json")
    assert after.returncode == 0 and '"would queue"' not in after.stdout


def test_what_is_cancelled_stops_within_its_step_and_gives_its_lease_back(
    farm: Farm, instance: dg.DagsterInstance, store
) -> None:
    shots = shot_list(farm, "long", range(3), rig="{seconds: 600}")
    assert farm.studio("submit", shots, "--stage", "rig", "--batch", "long").returncode == 0
    until(lambda: any(stage == "rig" for _, stage in under_way(farm)), WAIT, lambda: all_logs(farm))
    processes = {pid for pid, _ in under_way(farm)}
    done = farm.studio("cancel", "--batch", "long")
    assert done.returncode == 0 and "3 cancelled" in done.stdout, done.stdout + done.stderr
    until(lambda: live_leases(store) == [], WAIT, lambda: all_logs(farm))
    assert statuses(instance, "long") == {"CANCELED": 3}
    made = [store.shots.published(f"long_a_{index:04d}", "character") for index in range(3)]
    assert any(made), "finished work is kept"
    assert all(parent_of(pid) for pid in processes), "the worker's process stays warm"
    assert farm.studio("cancel", "--all").stdout.startswith("nothing")


def test_a_worker_told_to_end_finishes_its_step_and_one_told_twice_leaves_it_to_another(
    farm: Farm, instance: dg.DagsterInstance, store
) -> None:
    shots = shot_list(farm, "term", range(2), takes="{seconds: 3}")
    assert farm.studio("submit", shots, "--stage", "takes", "--batch", "term").returncode == 0
    worker = farm.processes["worker-gpu"]
    until(lambda: at_work(farm, worker), WAIT, lambda: all_logs(farm))
    before = len([row for row in journal(farm) if row[1] == "takes"])
    assert worker.stop(signal.SIGTERM, WAIT) == 0, worker.log()
    assert "ends after its step" in worker.log()
    rows = [row for row in journal(farm) if row[1] == "takes"][before - 1 :]
    assert [row[0] for row in rows] == ["begin", "end"] and rows[0][2] == rows[1][2]

    worker.start()
    until(lambda: at_work(farm, worker), WAIT, lambda: all_logs(farm))
    assert worker.popen is not None
    worker.popen.send_signal(signal.SIGTERM)
    until(lambda: worker.log().count("ends after its step") == 2, WAIT)
    assert worker.stop(signal.SIGTERM, WAIT) == 1
    worker.start()
    until(lambda: set(statuses(instance, "term")) <= FINISHED, WAIT, lambda: all_logs(farm))
    assert statuses(instance, "term") == {"SUCCESS": 2}, all_logs(farm)
    # Three times begun, twice ended: the one that was cut off was made again, the finished one wasn't.
    rows = [row for row in journal(farm) if row[1] == "takes"][before - 1 :]
    assert Counter(row[0] for row in rows) == {"begin": 3, "end": 2} and live_leases(store) == []


# That is seen too late, when its step has ended already, or earlier.
@pytest.mark.parametrize(("name", "seconds"), [("late", 2), ("early", 15)])
def test_a_run_whose_process_is_killed_is_noticed_and_goes_on_in_another(
    farm: Farm, instance: dg.DagsterInstance, store, name: str, seconds: int
) -> None:
    shots, before = shot_list(farm, name, range(1), rig=f"{{seconds: {seconds}}}"), len(journal(farm))
    assert farm.studio("submit", shots, "--stage", "rig", "--batch", name).returncode == 0
    until(lambda: under_way(farm), WAIT, lambda: all_logs(farm))
    (run,) = instance.get_runs(dg.RunsFilter(tags={"studio/batch": name}))
    os.kill(process_of(instance, run), signal.SIGKILL)
    until(lambda: statuses(instance, name) == {"FAILURE": 1, "SUCCESS": 1}, WAIT, lambda: all_logs(farm))
    runs = instance.get_runs(dg.RunsFilter(tags={"studio/batch": name}))
    second = next(item for item in runs if item.run_id != run.run_id)
    assert second.parent_run_id == run.run_id and second.tags["studio/shot"] == f"{name}_a_0000"
    begun = Counter(row[1] for row in journal(farm)[before:] if row[0] == "begin")
    assert live_leases(store) == [] and begun == {"character": 1, "rig": 1}, "something was made twice"


def test_a_database_that_goes_away_and_comes_back_costs_no_shot(
    farm: Farm, instance: dg.DagsterInstance, store, postgres: Postgres
) -> None:
    shots = shot_list(farm, "pg", range(4), rig="{seconds: 4}")
    assert farm.studio("submit", shots, "--stage", "takes", "--batch", "pg").returncode == 0
    until(lambda: len(under_way(farm)) > 1, WAIT, lambda: all_logs(farm))
    postgres.cut()
    told = farm.studio("submit", shots, "--stage", "takes", "--batch", "pg")
    assert told.returncode == 4 and told.stderr.count("\n") == 1, told.stderr  # one line, and nothing was queued
    assert "database doesn't answer" in told.stderr and postgres.password not in told.stderr
    kept_going(farm, 8.0)
    postgres.start()

    def ended() -> bool:
        kept_going(farm, 1.0)
        return set(statuses(instance, "pg")) <= FINISHED and planned(farm, shots) == {"cached"}

    until(ended, WAIT, lambda: all_logs(farm))
    assert live_leases(store) == [] and not verify_all(store).problems
    assert set(map(tuple, generations(store).values())) == {("g0001",)}, "something was made twice"


def kept_going(farm: Farm, seconds: float) -> None:
    """Wait, and start again what has ended, as docker's restart policy does."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for process in farm.processes.values():
            if not process.running:
                process.end_rest()
                process.start()
        time.sleep(0.25)


def planned(farm: Farm, shots: str) -> set[str]:
    done = farm.studio("submit", shots, "--stage", "takes", "--dry-run", "--json")
    return {row["state"] for row in json.loads(done.stdout)["shots"]} if done.returncode == 0 else set()


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """The process of a run, as Dagster's log tells it."""
    messages = [entry.message for entry in instance.all_logs(run.run_id)]
    return next(int(found[1]) for text in messages if (found := re.search(r"process for run \(pid: (\d+)\)", text)))


def pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def test_nothing_listens_beyond_loopback_and_no_password_is_written_anywhere(
    farm: Farm, instance: dg.DagsterInstance, rabbitmq: RabbitMQ, postgres: Postgres
) -> None:
    roots = {process.popen.pid for process in farm.processes.values() if process.popen}
    roots |= {server.process.pid for server in (rabbitmq, postgres) if server.process}
    listening = [place for pid in pids() if roots & ancestry(pid) for place in listeners(pid)]
    assert listening and set(listening) <= {"127.0.0.1", "::1"}, listening

    shots = shot_list(farm, "told", range(1), rig="{fail: quote}")
    assert farm.studio("submit", shots, "--stage", "rig", "--batch", "told").returncode == 0
    until(lambda: statuses(instance, "told") == {"FAILURE": 1}, WAIT, lambda: all_logs(farm))
    written = [path.read_text(errors="replace") for path in farm.folder.glob("*.log")]
    written.append(postgres.dump(farm.database))
    assert "could not connect: " in written[-1], "the error itself is told"
    for run in instance.get_runs(limit=10):  # kept compressed
        written.append(repr(instance.get_job_snapshot(run.job_snapshot_id or "")))
    text = "\n".join(written)
    secrets = (rabbitmq.password, postgres.password, farm.s3.secret if farm.s3 else "")
    assert len(text) > 10_000 and "(hidden)" in text and not any(secret in text for secret in secrets if secret)


def ancestry(pid: int) -> set[int]:
    found = {pid}
    while (pid := parent_of(pid)) > 1:
        found.add(pid)
    return found


def listeners(pid: int) -> list[str]:
    """Addresses that a process listens on, from /proc."""
    try:
        sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    except OSError:
        return []
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:  # it has ended meanwhile
            return []
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(address(fields[1].partition(":")[0]))
    return found


def address(text: str) -> str:
    words = [struct.pack("=I", int(text[i : i + 8], 16)) for i in range(0, len(text), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return str(getattr(found, "ipv4_mapped", None) or found)
