"""What failed in a run, as the hooks tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from studio_pipeline.dag.assets import PROCESS
from studio_pipeline.dag.rescue import goes_on
from studio_pipeline.line.hooks import FailureTold
from studio_pipeline.schema.errors import one_line

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.events.log import EventLogEntry

__all__ = ["failures_of", "untold"]


def failures_of(instance: DagsterInstance, store: Any, run_id: str) -> list[FailureTold]:
    """One entry for every stage that failed in a run, or one for the run when it failed as a whole."""
    run = instance.get_run_by_id(run_id)
    if run is None or PARTITION_NAME_TAG not in run.tags:
        return []
    shot = run.tags[PARTITION_NAME_TAG]
    wanted = {
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    events = list(instance.all_logs(run_id, of_type=wanted))
    failed = [event for event in events if _is(event, dg.DagsterEventType.STEP_FAILURE) and event.step_key]
    if failed:
        told = [(event.step_key or "", _cause(event, events)) for event in failed]
        return [FailureTold(shot, stage, cause, run_id, _attempt(store, shot, stage, run_id)) for stage, cause in told]
    ends = [event.message for event in events if _is(event, dg.DagsterEventType.RUN_FAILURE)]
    return [FailureTold(shot, "", one_line(ends[-1] if ends else "the run failed"), run_id)]


def untold(instance: DagsterInstance, store: Any, run_id: str) -> list[FailureTold]:
    """Those failures of a run that nobody else tells: not what is launched again, nor what `studio run` has told."""
    run = instance.get_run_by_id(run_id)
    if run is None or goes_on(run) or run.tags.get(WILL_RETRY_TAG) == "true":  # Dagster's own retry of lost processes
        return []
    found = failures_of(instance, store, run_id)
    return [failure for failure in found if PROCESS not in run.tags or not failure.stage]


def _is(event: EventLogEntry, kind: dg.DagsterEventType) -> bool:
    return event.dagster_event is not None and event.dagster_event.event_type == kind


def _cause(event: EventLogEntry, events: list[EventLogEntry]) -> str:
    assert event.dagster_event is not None
    data = event.dagster_event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return one_line(data.user_failure_data.description)
    gates = [
        checked.dagster_event.asset_check_evaluation_data
        for checked in events
        if checked.step_key == event.step_key
        and _is(checked, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        and checked.dagster_event is not None
    ]
    closed = [
        f"gate {gate.check_name} failed: {gate.description or ''}"
        for gate in gates
        if not gate.passed and gate.severity == dg.AssetCheckSeverity.ERROR
    ]
    return one_line("; ".join(closed) or data.error_display_string)


def _attempt(store: Any, shot: str, stage: str, run_id: str) -> int:
    failure = store.shots.last_failure(shot, stage)
    if failure is None or failure.details.get("run") != run_id:
        return 1
    return int(failure.details.get("attempt", 1))
