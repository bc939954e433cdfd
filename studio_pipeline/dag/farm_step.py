"""One step of one run, made in a worker's process that stays warm from step to step."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData, StepFailureData
from dagster._core.execution.api import create_execution_plan, execute_plan_iterator
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._serdes import deserialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_celery.core_execution_loop import DELEGATE_MARKER

from studio_pipeline.dag.connections import hold_connections
from studio_pipeline.dag.presence import home_instance
from studio_pipeline.dag.step_log import ended_attempts

__all__ = ["make_step", "preload"]

LOOK_EVERY = 2.0  # [s] how soon a cancelled run's step notices

_STOPPED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def preload() -> None:
    """Load what every step needs; nothing is opened, so a process forked from here can be trusted."""
    _definitions().get_repository_def()


def make_step(run_id: str, step: str, known_state: str, *, worker: str) -> str:
    """Make a step whose run still wants it; all that is to be told about it is in Dagster's event log then.

    Returns:
        What was done, for the worker's log.

    Raises:
        Exception: Dagster's database can't be used: whoever asked must be kept waiting and ask again.
    """
    instance = _instance()
    run = instance.get_run_by_id(run_id)
    if run is None:
        return "its run is gone"
    if run.is_finished or run.status in _STOPPED:
        return f"its run has ended ({run.status.value.lower()})"
    state = deserialize_value(known_state, KnownExecutionState)
    ended, for_good = ended_attempts(instance, run_id, step)
    if for_good or ended > state.get_retry_state().get_attempt_count(step):
        return "this attempt was made already"
    try:
        with _stopped_with(instance, run_id):
            _execute(instance, run, step, state, worker)
    except DagsterExecutionInterruptedError:
        return "stopped: its run was cancelled"
    except Exception:
        _report_broken(instance, run, step, sys.exc_info())
        return "broken before it began: see the run"
    return "done"


def _execute(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str, state: KnownExecutionState, worker: str):
    job = _job(run.job_name, _frozen(run.asset_selection), _frozen(run.asset_check_selection))
    plan = create_execution_plan(job, run.run_config, step_keys_to_execute=[step], known_state=state)
    handle = plan.step_handle_for_single_step_plans()
    instance.report_engine_event(
        f"{worker} makes {step}",
        run,
        EngineEventData({"step_keys": step, "worker": worker}, marker_end=DELEGATE_MARKER),
        step_key=handle.to_key() if handle else step,
    )
    for _ in execute_plan_iterator(
        plan, job, run, instance, retry_mode=RetryMode.DEFERRED, run_config=run.run_config
    ):  # every event is in the log as soon as it happens
        pass


@contextmanager
def _stopped_with(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupt the block when its run is cancelled. The worker's process goes on, warm as it is."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY):
            with suppress(Exception):  # a database that doesn't answer for a moment stops nobody
                run = instance.get_run_by_id(run_id)
                if (run is None or run.status in _STOPPED) and not done.is_set():
                    os.kill(os.getpid(), signal.SIGINT)
                    return

    thread = threading.Thread(target=look, name="run-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report_broken(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str, info: Any) -> None:
    error = serializable_error_info_from_exc_info(info)
    instance.report_dagster_event(
        DagsterEvent(
            event_type_value=DagsterEventType.STEP_FAILURE.value,
            job_name=run.job_name,
            step_key=step,
            event_specific_data=StepFailureData(error=error, user_failure_data=None),
            message=f'Execution of step "{step}" could not begin.',
        ),
        run_id=run.run_id,
    )


def _frozen(chosen: Iterable[Any] | None) -> frozenset[Any] | None:
    return None if chosen is None else frozenset(chosen)


@cache
def _definitions() -> dg.Definitions:
    from studio_pipeline.dag.definitions import defs

    return defs


@lru_cache(maxsize=128)
def _job(name: str, assets: frozenset[dg.AssetKey] | None, checks: frozenset[dg.AssetCheckKey] | None) -> InMemoryJob:
    job = _definitions().get_repository_def().get_maybe_subset_job_def(
        name, asset_selection=assets, asset_check_selection=checks
    )  # fmt: skip
    return InMemoryJob(job)


@cache
def _instance() -> dg.DagsterInstance:
    """This worker's own instance, from its own settings; opened in the process that makes the steps."""
    instance = home_instance()
    hold_connections(instance)
    return instance
