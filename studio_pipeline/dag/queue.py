"""What Dagster has still to do, for `studio status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG, PRIORITY_TAG

from studio_pipeline.line.board import RunNow

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = ["runs_now"]

MOST_ASKED = 50  # runs whose last retry is looked up in one go
_STARTED = {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}


def runs_now(instance: DagsterInstance, *, known: frozenset[str] = frozenset()) -> list[RunNow]:
    """The unfinished runs of shots.

    Args:
        instance: Dagster's instance.
        known: Runs of which a lease tells enough; of the others it is looked up whether they wait for another try.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    found = []
    asked = 0
    for record in records:
        run = record.dagster_run
        if PARTITION_NAME_TAG not in run.tags:
            continue
        started = run.status in _STARTED
        retry = ""
        if started and run.run_id not in known and asked < MOST_ASKED:
            asked += 1
            retry = _last_retry(instance, run.run_id)
        stages = frozenset(key.to_user_string() for key in run.asset_selection or ())
        created = record.create_timestamp.timestamp()
        priority = _whole(run.tags.get(PRIORITY_TAG, "0"))
        found.append(RunNow(run.run_id, run.tags[PARTITION_NAME_TAG], started, created, priority, stages, retry))
    return found


def _last_retry(instance: DagsterInstance, run_id: str) -> str:
    """Why the run's last step is tried again; empty when something else happened since."""
    kinds: Any = {
        dg.DagsterEventType.STEP_UP_FOR_RETRY,
        dg.DagsterEventType.STEP_START,
        dg.DagsterEventType.STEP_RESTARTED,
        dg.DagsterEventType.STEP_SUCCESS,
        dg.DagsterEventType.STEP_FAILURE,
    }
    records = instance.get_records_for_run(run_id, of_type=kinds, limit=1, ascending=False).records
    event = records[0].event_log_entry.dagster_event if records else None
    if event is None or event.event_type != dg.DagsterEventType.STEP_UP_FOR_RETRY:
        return ""
    error = event.step_retry_data.error
    return error.cause.message.strip() if error and error.cause else ""


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
