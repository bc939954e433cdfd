"""Runs whose worker was killed are failed with the reason and go on in another run; slow ones are left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from support.postgres import Postgres, postgres
from support.toyrun import start_toy, until
from support.toys import STAGES, Toy

import studio_pipeline.dag.launch as launch
from studio_pipeline.dag.assets import Studio
from studio_pipeline.dag.build import JOB, build_definitions
from studio_pipeline.dag.rescue import LOST, RESCUE_OF, RESCUES, rescue_runs
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.rescue import MAX_RESCUES, Patience, RunSeen, lost_runs
from studio_pipeline.line.shots import save_shot
from studio_pipeline.store import Store, Work
from studio_pipeline.store.manifest import decode_record, encode_record

__all__ = ["postgres"]

ALL = [stage.name for stage in STAGES]
AT_ONCE = Patience(lease=0.0, start=0.0, quiet=0.0)
PATIENT = Patience(lease=3600.0, start=3600.0, quiet=3600.0)


@pytest.fixture(params=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance that other processes share."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("TEST_PG_URL", server.url(server.database()).replace("://", "+psycopg2://"))
        (toy.home / "dagster").mkdir(parents=True, exist_ok=True)
        text = "storage: {postgres: {postgres_url: {env: TEST_PG_URL}}}\ntelemetry: {enabled: false}\n"
        (toy.home / "dagster" / "dagster.yaml").write_text(text)
    launch._job.cache_clear()
    from studio_pipeline.line.home import open_home

    open_home()
    with launch.open_instance() as made:
        yield made
    launch._job.cache_clear()


RUN = """
toy.during['rig'] = lambda context: wait(context, 'go')
import studio_pipeline.dag.launch as launch, studio_pipeline.dag.rescue as rescue
from studio_pipeline.line.home import open_home
open_home()
import dagster as dg
with launch.open_instance() as instance:
    launch._job().execute_in_process(
        instance=instance, partition_key='toy_a_0010', raise_on_error=False,
        tags={'studio/shot': 'toy_a_0010', 'studio/show': 'toy', 'dagster/priority': '3', 'dagster/image': 'x'},
    )
"""


def prepared(store: Store, shots: Callable, instance: dg.DagsterInstance):
    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    return shot


def age(store: Store, key: str, seconds: float, **changes: object) -> None:
    """Turn a lease's clock back, as if its holder lived on another machine and had fallen silent."""
    name = f"leases/{key[:2]}/{key}.json"
    content = store.primitive.read(name)
    record = decode_record(content.data, name)
    record |= {"expires": record["expires"] - seconds, "renewed": record["renewed"] - seconds, "place": "elsewhere"}
    store.primitive.replace_if(name, encode_record(record | changes), content.etag)


def test_a_killed_worker_s_run_is_failed_and_goes_on_from_there(
    toy: Toy, shots, store, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    shot = prepared(store, shots, instance)
    worker = start_toy(tmp_path, RUN)
    try:
        until(lambda: store.leases.standing() and store.leases.standing()[0].work.stage == "rig", process=worker)
        (lease,) = store.leases.standing()
        (run,) = instance.get_runs()
        assert lease.work.run == run.run_id and lease.pid == worker.pid
        assert rescue_runs(instance, store, patience=AT_ONCE) == []  # it lives, however slow it is
    finally:
        worker.kill()
        worker.wait()
    assert rescue_runs(instance, store, patience=PATIENT) == []  # it might yet be heard of
    age(store, lease.key, 3600.0)
    (request,) = rescue_runs(instance, store)
    failed = instance.get_run_by_id(run.run_id)
    assert failed.status == dg.DagsterRunStatus.FAILURE and failed.tags[LOST] == "launch again"
    (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    assert f"pid {worker.pid} made rig" in event.message and "launched again" in event.message
    assert {key.to_user_string() for key in request.asset_selection} == set(ALL) - {"character"} - done(instance, run)
    assert request.partition_key == shot.id and request.run_key == f"rescue:{run.run_id}"
    tags = {name: request.tags[name] for name in ("studio/shot", "studio/show", "dagster/priority", RESCUES, RESCUE_OF)}
    assert tags == {
        "studio/shot": shot.id, "studio/show": "toy", "dagster/priority": "3", RESCUES: "1", RESCUE_OF: run.run_id,
    }  # fmt: skip
    assert "dagster/image" not in request.tags and "dagster/max_retries" not in request.tags
    assert failed.tags["dagster/max_retries"] == "0"  # Dagster's own retry of whole runs keeps out of it
    assert [again.run_key for again in rescue_runs(instance, store)] == [request.run_key]  # until it was launched
    result = launch._job().execute_in_process(
        instance=instance, partition_key=shot.id, asset_selection=request.asset_selection, tags=request.tags
    )
    assert result.success and {item.state for item in plan_shot(store, shot).stages} == {"cached"}
    assert rescue_runs(instance, store) == [] and instance.get_run_by_id(run.run_id).tags[LOST] == "launched again"


def test_a_lost_run_executed_again_by_hand_is_a_run_of_its_own(toy: Toy, shots, store, instance) -> None:
    shot = prepared(store, shots, instance)
    run = started(instance, shot.id, **{LOST: "launch again", "studio/lost_run": "its parent"})
    instance.report_run_failed(run, "mesh has no limbs")
    assert rescue_runs(instance, store, patience=AT_ONCE) == []


def done(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return {event.step_key for event in events}


def started(instance: dg.DagsterInstance, shot: str, **tags: str) -> dg.DagsterRun:
    """A run in progress that nobody works at."""
    run = instance.create_run_for_job(
        build_definitions().resolve_job_def(JOB),
        tags={"dagster/partition": shot, **tags},
        status=dg.DagsterRunStatus.STARTED,
    )
    return run


def test_one_that_was_rescued_too_often_is_left_to_people(toy: Toy, shots, store, instance: dg.DagsterInstance) -> None:
    shot = prepared(store, shots, instance)
    run = started(instance, shot.id, **{RESCUES: str(MAX_RESCUES)})
    assert rescue_runs(instance, store, patience=AT_ONCE) == []
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    assert f"rescued {MAX_RESCUES} times already" in event.message


def test_the_sensor_asks_for_what_is_missing(toy: Toy, shots, store, instance: dg.DagsterInstance, monkeypatch) -> None:
    import studio_pipeline.line.rescue as rescue

    monkeypatch.setattr(rescue, "Patience", lambda: AT_ONCE)
    shot = prepared(store, shots, instance)
    run = started(instance, shot.id)
    sensor = build_definitions().resolve_sensor_def("rescue")
    with dg.build_sensor_context(instance=instance, resources={"studio": Studio()}) as context:
        (request,) = sensor(context)
    assert request.run_key == f"rescue:{run.run_id}" and request.partition_key == shot.id
    assert sensor.default_status != dg.DefaultSensorStatus.RUNNING
    monkeypatch.setenv("STUDIO_EXECUTOR", "celery")
    monkeypatch.setattr("studio_pipeline.dag.build.chosen_executor", lambda: dg.in_process_executor, raising=False)
    sensor = build_definitions().resolve_sensor_def("rescue")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_slow_is_told_from_dead(toy: Toy, store: Store) -> None:
    """Every case by itself: who holds a lease, for how long nothing was heard."""
    patience, key = Patience(lease=90, start=300, quiet=900), "a" * 64

    def lost(silent: float = 2000.0, running: dict[str, float] | None = None, process: str = "") -> str:
        run = RunSeen("run-1", "s", silent, {"rig": 2000.0} if running is None else running, process)
        return lost_runs(store, [run], patience).get("run-1", "")

    assert "rig was started 33 min ago and nobody is making it" in lost()
    assert lost(running={"rig": 200.0}) == "" and lost(silent=200.0) == ""  # it may be about to take its lease
    with store.leases.acquire(key, work=Work("s", "rig", "run-1")) as lease:
        assert lost() == ""
        lease.progress(0.5)
        lease.renew()
        lease._stop.set()
        lease._thread.join()
        age(store, key, 70.0)
        assert lost() == ""  # expired, but not for long
        age(store, key, 30.0)
        assert "made rig at 50% and was last heard of" in lost()
        age(store, key, 0.0, work={"run": "run-2", "stage": "rig", "shot": "s", "queue": ""})
        assert "nobody is making it" in lost()  # that one belongs to another run
    assert lost(running={}, silent=800.0) == ""
    assert lost(running={}) == ""  # somebody worked at something a moment ago: it may be queued behind that
    for entry in store.primitive.list("leases/"):
        os.utime(store.primitive.root / entry.name, (time.time() - 1000, time.time() - 1000))
    assert "nor of any worker: its task got lost" in lost(running={})
    here = __import__("studio_pipeline.line.processes", fromlist=["process_name"]).process_name()
    assert lost(process=here) == "" and lost(process="elsewhere-1") != ""
    gone = here.rpartition("-")[0] + "-4194399"
    assert lost(silent=0.0, running={}, process=gone) == f"its process {gone} was killed"
