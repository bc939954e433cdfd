"""Ending runs: queued ones at once, running ones by their process, those that nobody runs any more by their record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = ["Cancelled", "cancel_runs"]

_QUEUED = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Cancelled:
    """What became of a run that was to end."""

    run: str
    was: str  # "queued" or "running"
    now: str  # "cancelled", "ending", or how it had ended by itself


def cancel_runs(instance: DagsterInstance, runs: Sequence[dg.DagsterRun], *, wait: float = 60.0) -> list[Cancelled]:
    """Cancel runs; workers that make a step of one stop within seconds, and give its lease back.

    Args:
        instance: Dagster's instance.
        runs: Unfinished ones.
        wait: How long to wait for running ones to end [s].
    """
    was = {run.run_id: "queued" if run.status in _QUEUED else "running" for run in runs}
    for run in runs:
        _end(instance, run)
    deadline = time.monotonic() + wait
    left = list(was)
    ended: dict[str, str] = {}
    while left:
        for run in instance.get_runs(dg.RunsFilter(run_ids=left)):
            if _died_starting(instance, run):
                instance.report_run_canceled(run, message="Cancelled while its process was starting.")
                ended[run.run_id] = "cancelled"
            elif run.status in _FINISHED:
                cancelled = run.status == dg.DagsterRunStatus.CANCELED
                ended[run.run_id] = "cancelled" if cancelled else run.status.value.lower()
            elif run.status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
                _end(instance, run)  # the daemon had taken it off the queue in the same moment
        left = [run_id for run_id in left if run_id not in ended]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return [Cancelled(run_id, state, ended.get(run_id, "ending")) for run_id, state in was.items()]


def _end(instance: DagsterInstance, run: dg.DagsterRun) -> None:
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        return
    if now.status in _QUEUED:
        instance.report_run_canceling(now, message="Cancelled while it was queued.")
        instance.report_run_canceled(now)
        return
    # A process that dies of being told is no lost one: the run stays ended.
    instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
    try:
        told = instance.run_launcher.terminate(run.run_id)
    except Exception:  # a code location that has gone answers with errors of its transport
        told = False
    again = instance.get_run_by_id(run.run_id)
    if not told and again is not None and not again.is_finished:
        # Nobody runs it. Workers look at this record before a step and while they make one.
        instance.report_run_canceled(again, message="Cancelled; its process was gone already.")


def _died_starting(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run that was told to end failed of nothing else: a process that isn't up yet dies of the signal."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return False
    wanted = {dg.DagsterEventType.RUN_CANCELING, dg.DagsterEventType.STEP_FAILURE}
    found = {log.dagster_event.event_type for log in instance.all_logs(run.run_id, of_type=wanted) if log.dagster_event}
    return found == {dg.DagsterEventType.RUN_CANCELING}
