"""Runs whose worker was lost: marked as failed with the reason, and launched again from where they failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.tags import (
    MAX_RETRIES_TAG,
    PARENT_RUN_ID_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
    ROOT_RUN_ID_TAG,
)

from studio_pipeline.dag.assets import PROCESS
from studio_pipeline.line.graph import graph
from studio_pipeline.line.rescue import MAX_RESCUES, Patience, RunSeen, lost_runs

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

__all__ = ["LOST", "RESCUES", "RESCUE_OF", "goes_on", "rescue_runs", "runs_in_progress"]

LOST = "studio/lost"  # on a run whose worker was lost: "launch again", or "enough" after too many times
LOST_RUN = "studio/lost_run"  # and which run that was said of
RESCUE_OF = "studio/rescue_of"  # on the run that goes on with it: that run
RESCUES = "studio/rescues"  # and how often the work was rescued
_CARRIED = ("studio/", "dagster-celery/")
_OWN = {PROCESS, LOST, LOST_RUN, RESCUE_OF, RESCUES}
_STOPPING = 10.0  # how long a run's process may take to end when it is asked to [s]

_STEP_ENDS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}
_STEP_BEGINS = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}


def rescue_runs(instance: DagsterInstance, store: Any, *, patience: Patience | None = None) -> list[dg.RunRequest]:
    """Fail the runs whose worker was lost; gives what to launch in their place.

    A run that was failed here but whose successor was never launched (this process ended in between) is given again;
    Dagster launches a request of one ``run_key`` once.

    Args:
        instance: Dagster's instance.
        store: The artifact store, whose leases say who lives.
        patience: How long nothing may be heard before somebody counts as lost.
    """
    runs = {run.run_id: run for run in _started(instance)}
    lost = lost_runs(store, (_seen(instance, run) for run in runs.values()), patience)
    for run_id, reason in lost.items():
        _fail(instance, runs[run_id], reason)
    waiting = instance.get_runs(dg.RunsFilter(tags={LOST: "launch again"}, statuses=[dg.DagsterRunStatus.FAILURE]))
    return [request for run in waiting if goes_on(run) and (request := _again(instance, run)) is not None]


def goes_on(run: DagsterRun) -> bool:
    """Whether a run was lost and is, or was, launched again. One that was re-executed by hand inherits its tags."""
    return run.tags.get(LOST_RUN) == run.run_id and run.tags.get(LOST, "").startswith("launch")


def runs_in_progress(instance: DagsterInstance) -> Iterator[RunSeen]:
    """What Dagster knows of the shots' runs that have started and haven't ended."""
    return (_seen(instance, run) for run in _started(instance))


def _started(instance: DagsterInstance) -> list[DagsterRun]:
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return [run for run in started if PARTITION_NAME_TAG in run.tags]


def _seen(instance: DagsterInstance, run: DagsterRun) -> RunSeen:
    now, last, running = time.time(), 0.0, {}
    for stage, kind, at in _steps(instance, run.run_id):
        last = max(last, at)
        if kind in _STEP_BEGINS:
            running[stage] = now - at
        elif kind in _STEP_ENDS:
            running.pop(stage, None)
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    last = max([last, *(record.event_log_entry.timestamp for record in newest)])
    return RunSeen(run.run_id, run.tags[PARTITION_NAME_TAG], now - last, running, run.tags.get(PROCESS, ""))


def _steps(instance: DagsterInstance, run_id: str) -> Iterator[tuple[str, dg.DagsterEventType, float]]:
    for entry in instance.all_logs(run_id, of_type=_STEP_BEGINS | _STEP_ENDS):
        if entry.dagster_event is not None and entry.step_key:
            yield entry.step_key, entry.dagster_event.event_type, entry.timestamp


def _fail(instance: DagsterInstance, run: DagsterRun, reason: str) -> None:
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.status != dg.DagsterRunStatus.STARTED:  # it ended since it was looked at
        return
    times = int(run.tags.get(RESCUES, "0"))
    again = times < MAX_RESCUES
    end = "it is launched again from there" if again else f"it was rescued {times} times already: studio retry"
    _stop(instance, run)
    # Dagster's own retries of whole runs, where they are on, would launch it a second time.
    tags = {LOST: "launch again" if again else "enough", LOST_RUN: run.run_id, MAX_RETRIES_TAG: "0"}
    instance.add_run_tags(run.run_id, tags)
    instance.report_run_failed(run, f"{reason}; {end}")


def _stop(instance: DagsterInstance, run: DagsterRun) -> None:
    """End the process that leads the run, if it still does; it would wait for the lost step for ever."""
    if PROCESS in run.tags:
        return
    with suppress(Exception):  # whatever launches runs here may not know it any more
        if instance.run_launcher.terminate(run.run_id):
            deadline = time.monotonic() + _STOPPING
            while time.monotonic() < deadline:
                now = instance.get_run_by_id(run.run_id)
                if now is None or now.is_finished:
                    return
                time.sleep(0.2)


def _again(instance: DagsterInstance, run: DagsterRun) -> dg.RunRequest | None:
    if instance.get_runs_count(dg.RunsFilter(tags={RESCUE_OF: run.run_id})):
        instance.add_run_tags(run.run_id, {LOST: "launched again"})
        return None
    made = {stage for stage, kind, _ in _steps(instance, run.run_id) if kind == dg.DagsterEventType.STEP_SUCCESS}
    wanted = {key.to_user_string() for key in run.asset_selection} if run.asset_selection else set(graph())
    # When only its end got lost, all of it is looked at once more: it is found made.
    rest = [stage for stage in graph() if stage in (wanted - made or wanted)]
    return dg.RunRequest(
        run_key=f"rescue:{run.run_id}",
        partition_key=run.tags[PARTITION_NAME_TAG],
        asset_selection=[dg.AssetKey(stage) for stage in rest],
        run_config=dict(run.run_config),
        tags=_tags(run),
    )


def _tags(run: DagsterRun) -> Mapping[str, str]:
    kept = {name: value for name, value in run.tags.items() if name.startswith(_CARRIED) and name not in _OWN}
    if PRIORITY_TAG in run.tags:
        kept[PRIORITY_TAG] = run.tags[PRIORITY_TAG]
    return {
        **kept,
        RESCUES: str(int(run.tags.get(RESCUES, "0")) + 1),
        RESCUE_OF: run.run_id,
        PARENT_RUN_ID_TAG: run.run_id,
        ROOT_RUN_ID_TAG: run.tags.get(ROOT_RUN_ID_TAG, run.run_id),
    }
