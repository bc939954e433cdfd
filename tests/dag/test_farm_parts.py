"""The farm's parts that need no service: executor by environment, the step's guard, the deploy files, batches."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._serdes import serialize_value
from support.answers import in_turn
from support.command import Command
from support.toys import STAGES, Toy

import studio_pipeline.dag.farm_step as farm_step
import studio_pipeline.dag.launch as launch
from studio_pipeline.dag.celery_app import celery_app, message_priority, queue_named
from studio_pipeline.dag.executors import chosen_executor
from studio_pipeline.dag.step_log import StepLog, ended_attempts
from studio_pipeline.line.batch import content_of, estimate, identities
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.queues import needs_gpu
from studio_pipeline.line.shots import save_shot
from studio_pipeline.schema.errors import InputError, StorageError, StorageRefused

ALL = [stage.name for stage in STAGES]
BROKER = "amqp://studio:secret@127.0.0.1:1//"


@pytest.fixture
def studio(toy: Toy, command: Command) -> Command:
    """The command in the toy's home."""
    return command


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUDIO_BROKER_URL", BROKER)
    celery_app.cache_clear()
    yield monkeypatch
    celery_app.cache_clear()


def test_the_environment_chooses_the_executor(broker: pytest.MonkeyPatch) -> None:
    assert chosen_executor() is dg.in_process_executor
    broker.setenv("STUDIO_EXECUTOR", "celery")
    assert chosen_executor().name == "celery"
    broker.setenv("STUDIO_EXECUTOR", "cellery")
    with pytest.raises(InputError, match="STUDIO_EXECUTOR: .*'cellery'.*one of: in_process, celery"):
        chosen_executor()


def test_what_celery_lacks_is_one_line(broker: pytest.MonkeyPatch) -> None:
    broker.setenv("STUDIO_EXECUTOR", "celery")
    for url in ("", "rabbit-and-its-password"):
        broker.setenv("STUDIO_BROKER_URL", url)
        with pytest.raises(InputError, match="STUDIO_BROKER_URL") as caught:
            chosen_executor()
        assert "rabbit-and" not in str(caught.value)
    for module in [name for name in sys.modules if name.startswith("studio_pipeline.dag.celery")]:
        broker.delitem(sys.modules, module)
    broker.setitem(sys.modules, "celery", None)
    with pytest.raises(InputError, match=r"STUDIO_EXECUTOR: .*pip install 'studio_pipeline\[farm\]'"):
        chosen_executor()


def test_nothing_is_acknowledged_before_it_is_done_and_nothing_is_pickled(broker: pytest.MonkeyPatch) -> None:
    settings = celery_app().conf
    assert settings.task_acks_late and settings.task_reject_on_worker_lost and settings.worker_prefetch_multiplier == 1
    assert settings.accept_content == ["json"] and settings.task_serializer == "json" and not settings.result_backend
    assert settings.broker_transport_options["confirm_publish"] and settings.broker_connection_max_retries is None
    assert {queue.name for queue in settings.task_queues} == {"cpu", "gpu"}
    assert all(queue.durable and queue.exchange.durable for queue in settings.task_queues)
    with pytest.raises(InputError, match="no queue 'tpu'.*cpu, gpu"):
        queue_named("tpu")


def test_priorities_mean_the_same_on_either_broker(broker: pytest.MonkeyPatch) -> None:
    assert [message_priority(given) for given in (-9, -5, 0, 4, 9)] == [0, 0, 5, 9, 9]
    broker.setenv("STUDIO_BROKER_URL", "redis://localhost:1/0")
    assert [message_priority(given) for given in (-9, -5, 0, 4, 9)] == [9, 9, 4, 0, 0]


def test_assets_say_which_queue_they_want(toy: Toy) -> None:
    from studio_pipeline.dag.build import build_definitions

    assets = build_definitions().resolve_asset_graph().assets_defs
    assert {asset.op.tags["dagster-celery/queue"] for asset in assets if asset.is_executable} == {"cpu"}


def test_backends_with_networks_go_to_a_gpu(tmp_path: Path) -> None:
    from studio_pipeline.line.graph import graph

    chosen = {
        (stage.name, name) for stage in graph().values() for name, item in stage.backends.items() if item.uses_gpu
    }
    assert chosen == {
        ("takes", "diffusers"),
        ("directives", "vlm"),
        ("observations", "sam2"),
        ("observations", "depth_anything"),
    }


@pytest.fixture
def instance(toy: Toy, monkeypatch: pytest.MonkeyPatch):
    launch._job.cache_clear()
    farm_step._job.cache_clear()
    farm_step._definitions.cache_clear()
    from studio_pipeline.dag.build import build_definitions

    with dg.DagsterInstance.ephemeral() as made:
        definitions = build_definitions()
        monkeypatch.setattr(farm_step, "_instance", lambda: made)
        monkeypatch.setattr(farm_step, "_definitions", lambda: definitions)
        yield made
    launch._job.cache_clear()
    farm_step._job.cache_clear()


def asked(instance, shot: str, status: dg.DagsterRunStatus, stages: list[str]) -> dg.DagsterRun:
    job = farm_step._definitions().resolve_job_def("shot_line")
    selection = frozenset(dg.AssetKey(stage) for stage in stages)
    return instance.create_run_for_job(
        job.get_subset(asset_selection=selection),
        tags={"dagster/partition": shot},
        status=status,
        asset_selection=selection,
    )


def test_a_step_is_made_from_names_alone_and_only_once(toy: Toy, shots, store, instance) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    run = asked(instance, shot.id, dg.DagsterRunStatus.STARTED, ["character"])
    state = serialize_value(KnownExecutionState())
    log = StepLog(instance, run.run_id, every=0.0)
    assert not log.begun("character") and not log.ended("character")
    assert farm_step.make_step(run.run_id, "character", state, worker="w1") == "done"
    assert toy.calls == ["character"] and log.begun("character") and log.ended("character")
    events = log.take("character")
    assert events[-1].is_step_success and any(event.is_successful_output for event in events)
    assert log.take("character") == [] and ended_attempts(instance, run.run_id, "character") == (1, True)
    # The same message again, from a broker that didn't hear that it was done.
    assert farm_step.make_step(run.run_id, "character", state, worker="w2") == "this attempt was made already"
    assert toy.calls == ["character"]


def test_a_step_waits_while_the_store_cannot_say_which_queue_it_is_for(
    toy: Toy, shots, store, instance, broker: pytest.MonkeyPatch
) -> None:
    """A GPU's work isn't handed to a CPU worker because the store was away for a moment."""
    import studio_pipeline.dag.celery_executor as executor

    broker.setenv("STUDIO_BROKER_URL", "memory://")
    broker.setattr(executor, "LOOK_AGAIN_AFTER", 0.0)
    (shot,) = shots()
    save_shot(store, shot)
    run = asked(instance, shot.id, dg.DagsterRunStatus.STARTED, ["takes"])
    context = SimpleNamespace(dagster_run=run, instance=instance)
    answers = [StorageError("it is away"), StorageError("it is away"), "gpu"]

    broker.setattr(executor, "queue_of", in_turn(answers))
    said: list[str] = []
    handle = executor.StepHandle(
        StepLog(instance, run.run_id, every=0.0),
        run_id=run.run_id,
        step="takes",
        queue=lambda: executor._queue(context, "takes", "cpu"),
        priority=5,
        known_state="{}",
        say=said.append,
    )

    def messages(queue: str) -> list[dict]:
        with celery_app().connection_for_read() as connection:
            kept = queue_named(queue)(connection.default_channel)
            kept.declare()
            return [message.payload[1] for message in iter(kept.get, None)]

    assert messages("cpu") == messages("gpu") == [] and not handle.ready()
    assert not handle.ready()  # the third look finds the queue
    assert messages("gpu") == [{"run_id": run.run_id, "step": "takes", "known_state": "{}"}] and messages("cpu") == []
    assert len(said) == 1 and "takes waits" in said[0] and "it is away" in said[0]
    # What won't pass by waiting is the step's own to tell, wherever it is made.
    answers[:] = [StorageRefused("no rights"), InputError("no such shot")]
    assert executor._queue(context, "takes", "cpu") == executor._queue(context, "takes", "cpu") == "cpu"


def test_a_cancelled_step_that_was_never_asked_for_is_not_waited_for(toy: Toy, instance) -> None:
    from celery.exceptions import TaskRevokedError

    import studio_pipeline.dag.celery_executor as executor

    def away() -> str:
        raise StorageError("it is away")

    handle = executor.StepHandle(
        StepLog(instance, "r", every=0.0),
        run_id="r",
        step="takes",
        queue=away,
        priority=5,
        known_state="",
        say=lambda _: None,
    )
    assert not handle.ready()
    handle.revoke()
    assert handle.ready()
    with pytest.raises(TaskRevokedError):
        handle.get()


@pytest.mark.parametrize("status", ["CANCELED", "CANCELING", "FAILURE", "SUCCESS"])
def test_a_step_of_a_run_that_has_ended_is_not_begun(toy: Toy, shots, store, instance, status: str) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    run = asked(instance, shot.id, dg.DagsterRunStatus(status), ["character"])
    told = farm_step.make_step(run.run_id, "character", serialize_value(KnownExecutionState()), worker="w")
    assert "has ended" in told and toy.calls == []
    assert "gone" in farm_step.make_step("0" * 8, "character", "", worker="w")


def test_a_step_that_cannot_begin_fails_its_run_with_the_reason(toy: Toy, shots, store, instance) -> None:
    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    run = asked(instance, shot.id, dg.DagsterRunStatus.STARTED, ["character"])
    told = farm_step.make_step(run.run_id, "no_such_stage", serialize_value(KnownExecutionState()), worker="w")
    assert "broken" in told
    (event,) = StepLog(instance, run.run_id).take("no_such_stage")
    assert event.is_step_failure and "no_such_stage" in event.step_failure_data.error_display_string


def test_a_cancelled_step_is_interrupted_and_gives_its_lease_back(
    toy: Toy, shots, store, instance, monkeypatch
) -> None:
    import time

    (shot,) = shots()
    save_shot(store, shot)
    launch.register_shots(instance, [shot.id])
    run = asked(instance, shot.id, dg.DagsterRunStatus.STARTED, ["character"])
    monkeypatch.setattr(farm_step, "LOOK_EVERY", 0.05)

    def cancelled_meanwhile(_context) -> None:
        instance.report_run_canceling(run)
        for _ in range(600):
            time.sleep(0.05)

    toy.during["character"] = cancelled_meanwhile
    told = farm_step.make_step(run.run_id, "character", serialize_value(KnownExecutionState()), worker="w")
    assert told == "stopped: its run was cancelled"
    key = plan_shot(store, shot).stages[0].key
    assert store.leases.holder(key) is None and store.find(key) is None


def test_the_same_list_is_the_same_content_and_a_change_is_not(toy: Toy, shots, store) -> None:
    (one, two) = shots(ids=("0010", "0020"))
    first, second = plan_shot(store, one), plan_shot(store, two)
    assert content_of(first) == content_of(plan_shot(store, one))
    assert content_of(first) == content_of(second), "same ingredients, same content: the shot's name is none"
    (changed,) = shots("  stages: {rig: {gain: 2}}\n")
    assert content_of(plan_shot(store, changed)) != content_of(first)
    names, after = identities(first), identities(plan_shot(store, changed))
    assert {stage for stage in ALL if names[stage] != after[stage]} == {"rig", "takes", "reference_clip"}
    make_stage(store, one, "character")
    assert content_of(plan_shot(store, one)) != content_of(first), "less is lacking"


def test_an_estimate_is_what_the_same_stages_took(toy: Toy, shots, store) -> None:
    (done, other) = shots(ids=("0010", "0020"), s0020="  stages: {rig: {gain: 2}}\n")
    nothing = estimate(store, [plan_shot(store, done), plan_shot(store, other)])
    # character and directives are the same work for both shots: counted once.
    assert nothing.steps == {"cpu": 8, "gpu": 0} and sum(nothing.untimed.values()) == 8
    outcomes = {}
    for stage in ALL:
        outcomes[stage] = make_stage(store, done, stage)
    save_shot(store, done)
    found = estimate(store, [plan_shot(store, done), plan_shot(store, other)])
    again = [outcomes[stage].seconds for stage in ("rig", "takes", "reference_clip")]
    assert found.steps == {"cpu": 3, "gpu": 0} and not found.untimed
    assert found.hours["cpu"] == pytest.approx(sum(again) / 3600)
    assert not needs_gpu(done, "rig")


def test_submit_wants_a_queue_and_says_what_to_do(toy: Toy, shots, studio: Command, tmp_path: Path) -> None:
    shots()
    code, out, err = studio("submit", "shots.yaml", "--dry-run")
    assert code == 0 and "would queue" in out and "5 steps have no timing" in out and not err
    code, _, err = studio("submit", "shots.yaml")
    assert code == 2 and len(err.splitlines()) == 1
    assert "no queue" in err and "QueuedRunCoordinator" in err and "dagster-daemon run --workspace" in err
    code, _, err = studio("submit", "*.yml")
    assert code == 2 and "no shot list" in err
    code, _, err = studio("submit", "shots.yaml", "--batch", "a b")
    assert code == 2 and "--batch" in err
    code, _, err = studio("cancel")
    assert code == 2 and "--all" in err


@pytest.mark.slow
def test_a_farm_that_is_not_there_is_one_line(
    toy: Toy, studio: Command, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(repository / "deploy"))
    code, _, err = studio("cancel", "--all")
    assert code == 2 and re.search(r"STUDIO_PG_[A-Z]+ isn't set", err) and len(err.splitlines()) == 1
    for name in ("HOST", "USER", "DATABASE"):
        monkeypatch.setenv(f"STUDIO_PG_{name}", "127.0.0.1")
    monkeypatch.setenv("STUDIO_PG_PASSWORD", "not-to-be-seen")
    monkeypatch.setenv("STUDIO_PG_PORT", "1")
    code, _, err = studio("cancel", "--all")
    assert code == 4 and "doesn't answer" in err.splitlines()[-1] and "not-to-be-seen" not in err


def test_what_is_there_is_told_and_launches_nothing(toy: Toy, shots, store, studio: Command) -> None:
    (shot,) = shots()
    for stage in ALL:
        make_stage(store, shot, stage)
    code, out, _ = studio("submit", "s*.yaml", "--json")
    found = json.loads(out)["shots"]
    assert code == 0 and [(row["shot"], row["state"], row["cached"], row["run"]) for row in found] == [
        (shot.id, "cached", 5, "")
    ]
    code, out, _ = studio("cancel", "--all")
    assert code == 0 and "nothing" in out


def test_the_compose_file_publishes_on_loopback_and_ships_no_secret(repository: Path) -> None:
    text = (repository / "deploy" / "docker-compose.yaml").read_text()
    found = yaml.safe_load(text)
    for name, service in found["services"].items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "healthcheck" in service and service["restart"] == "unless-stopped", name
        assert ("command" in service) == (name != "rabbitmq")
    gpu = found["services"]["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert gpu == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    example = (repository / "deploy" / "farm.env.example").read_text()
    named = set(re.findall(r"^([A-Z_]+)=", example, re.M))
    assert set(re.findall(r"\$\{([A-Z_]+):\?", text)) <= named
    assert set(re.findall(r"\{env: ([A-Z_]+)\}", (repository / "deploy" / "dagster.yaml").read_text())) <= named
    secrets = [
        line for line in example.splitlines() if re.match(r"[A-Z_]*(PASSWORD|SECRET|KEY|BROKER_URL)[A-Z_]*=", line)
    ]
    assert len(secrets) >= 4 and all("CHANGE-ME" in line for line in secrets)
    ignored = (repository / ".gitignore").read_text().split()
    assert "/deploy/farm.env" in ignored and "/deploy/s3.json" in ignored


def test_the_farms_dagster_yaml_is_what_it_is_meant_to_be(repository: Path, tmp_path: Path, monkeypatch) -> None:
    """Through Dagster's own reader of it, with addresses that nobody answers at: nothing is connected to."""
    from dagster._core.instance.ref import InstanceRef

    for name in ("HOST", "USER", "PASSWORD", "DATABASE"):
        monkeypatch.setenv(f"STUDIO_PG_{name}", "x")
    monkeypatch.setenv("STUDIO_PG_PORT", "1")
    ref = InstanceRef.from_dir(str(repository / "deploy"))
    assert ref.run_coordinator.__class__.__name__ == "QueuedRunCoordinator"
    assert ref.run_launcher.supports_check_run_worker_health  # type: ignore[union-attr]
    settings = ref.settings
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    limits = settings["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limits[0]["key"] == "studio/show" and limits[0]["value"] == {"applyLimitPerUniqueValue": True}
    assert "x" not in json.dumps(ref.storage_data.config_yaml).split('"')  # type: ignore[union-attr]
