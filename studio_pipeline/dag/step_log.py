"""What Dagster's event log says of a run's steps: the farm's results, whatever the broker has lost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from dagster._core.storage.event_log.base import EventLogRecord

__all__ = ["StepLog", "ended_attempts"]

_ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
}
_READ = _ENDS | {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED, DagsterEventType.STEP_OUTPUT}
_BEGINNINGS = {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
_LAST = 500  # events to look at: far more than the steps in flight have


class StepLog:
    """The events of one run's steps, each given out once.

    Numbers of events aren't followed with a cursor: a worker that was paused in the middle of writing adds its event
    below numbers that were seen already.
    """

    def __init__(self, instance: DagsterInstance, run_id: str, *, every: float = 0.8) -> None:
        self._instance, self._run_id, self._every = instance, run_id, every
        self._given: set[int] = set()
        self._read_at = float("-inf")
        self._records: Sequence[EventLogRecord] = ()

    def begun(self, step: str) -> bool:
        """Whether a worker has begun the attempt that is waited for."""
        return any(_kind(record) in _BEGINNINGS for record in self._new(step))

    def ended(self, step: str) -> bool:
        """Whether the attempt that is waited for has ended."""
        return any(_kind(record) in _ENDS for record in self._new(step))

    def take(self, step: str) -> list[DagsterEvent]:
        """The events of the attempt that has ended, in order; they aren't given again."""
        events: list[DagsterEvent] = []
        for record in self._new(step):
            self._given.add(record.storage_id)
            event = record.event_log_entry.dagster_event
            if event is not None and _kind(record) not in _BEGINNINGS:
                events.append(event)
            if _kind(record) in _ENDS:
                break
        return events

    def _new(self, step: str) -> list[EventLogRecord]:
        now = time.monotonic()
        if now - self._read_at >= self._every:
            found = self._instance.event_log_storage.get_records_for_run(
                self._run_id, of_type=_READ, limit=_LAST, ascending=False
            )
            self._records, self._read_at = found.records, now
        mine = [
            record
            for record in self._records
            if record.event_log_entry.step_key == step and record.storage_id not in self._given
        ]
        return sorted(mine, key=lambda record: record.storage_id)


def ended_attempts(instance: DagsterInstance, run_id: str, step: str) -> tuple[int, bool]:
    """How many attempts at a step have ended in this run, and whether one of them was the last (made, or failed)."""
    found = instance.event_log_storage.get_records_for_run(run_id, of_type=_ENDS, limit=_LAST, ascending=False)
    kinds = [_kind(record) for record in found.records if record.event_log_entry.step_key == step]
    return len(kinds), any(kind != DagsterEventType.STEP_UP_FOR_RETRY for kind in kinds)


def _kind(record: EventLogRecord) -> DagsterEventType | None:
    event = record.event_log_entry.dagster_event
    return event.event_type if event is not None else None
