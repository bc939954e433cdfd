"""Queueing a run for each of many shots: the workspace is loaded once, an execution plan once a selection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.remote_representation.external import RemoteExecutionPlan, RemoteExecutionPlanSelector, RemoteJob
from dagster._core.storage.tags import PARTITION_NAME_TAG, PRIORITY_TAG

from studio_pipeline.dag.build import AGAIN, JOB
from studio_pipeline.dag.connections import hold_connections
from studio_pipeline.dag.workspace import LOCATION, opened_workspace
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store.parallel import each

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = [
    "BATCH",
    "CONTENT",
    "SHOT",
    "SHOW",
    "UNFINISHED",
    "Wish",
    "check_queue",
    "daemon_is_alive",
    "queue_runs",
    "unfinished_runs",
]

# What happens is in Dagster's own log; the workers' and the code location's logs are for what isn't.
_RUN_CONFIG: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
_WIDTH = 4  # runs written at a time: most of it is waiting for the database

SHOT, SHOW, BATCH, CONTENT = "studio/shot", "studio/show", "studio/batch", "studio/content"
RUN_PRIORITY = "dagster-celery/run_priority"

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Wish:
    """A run that is wanted."""

    shot: str
    show: str
    stages: tuple[str, ...]
    content: str  # digest of what it would make
    batch: str = ""
    priority: int = 0  # more is sooner

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags."""
        tags = {SHOT: self.shot, SHOW: self.show, CONTENT: self.content, PARTITION_NAME_TAG: self.shot, **AGAIN}
        if self.batch:
            tags[BATCH] = self.batch
        if self.priority:
            tags |= {PRIORITY_TAG: str(self.priority), RUN_PRIORITY: str(self.priority)}
        return tags


def check_queue(instance: DagsterInstance) -> None:
    """Make sure that this instance keeps a queue of runs.

    Raises:
        InputError: It launches every run at once.
    """
    from dagster._core.run_coordinator import QueuedRunCoordinator

    if not isinstance(instance.run_coordinator, QueuedRunCoordinator):
        raise InputError(
            "this home has no queue: Dagster would launch every shot at once",
            where=f"{instance.root_directory}/dagster.yaml",
            do="`studio run` makes shots here and now; for a queue write 'class: QueuedRunCoordinator' there"
            f" and start: dagster-daemon run --workspace {instance.root_directory}/workspace.yaml",
        )


def daemon_is_alive(instance: DagsterInstance) -> bool:
    """Whether somebody takes runs off the queue."""
    beat = instance.get_daemon_heartbeats().get("QUEUED_RUN_COORDINATOR")
    return beat is not None and time.time() - beat.timestamp < 120


def unfinished_runs(instance: DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of shots that are queued or under way, oldest first."""
    found = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in reversed(found) if SHOT in run.tags]


def queue_runs(instance: DagsterInstance, wishes: Sequence[Wish]) -> dict[str, str]:
    """Queue a run for each wish; gives the runs' ids by shot.

    Raises:
        BackendUnavailable: The code location doesn't answer.
    """
    runs: dict[str, str] = {}
    if not wishes:
        return runs
    hold_connections(instance)
    with opened_workspace(instance) as (workspace, location):
        (repository,) = location.get_repositories()
        graph = workspace.asset_graph
        prepared = asyncio.run(_prepare_all(workspace, repository, {frozenset(wish.stages) for wish in wishes}))

        def queue(wish: Wish) -> str:
            return _queue(instance, workspace, graph, wish, *prepared[frozenset(wish.stages)])

        # The first alone: it brings what all share (snapshots of the job) into the database.
        ids = [queue(wishes[0]), *each(queue, wishes[1:], width=_WIDTH)]
        runs = {wish.shot: run for wish, run in zip(wishes, ids, strict=True)}
    return runs


async def _prepare_all(
    workspace: Any, repository: str, selections: Iterable[frozenset[str]]
) -> dict[frozenset[str], tuple[RemoteJob, RemoteExecutionPlan]]:
    """One after the other, in one event loop: what the workspace has loaded belongs to it."""
    return {chosen: await _prepare(workspace, repository, chosen) for chosen in selections}


async def _prepare(workspace: Any, repository: str, stages: Iterable[str]) -> tuple[RemoteJob, RemoteExecutionPlan]:
    selector = JobSubsetSelector(
        location_name=LOCATION,
        repository_name=repository,
        job_name=JOB,
        op_selection=None,
        asset_selection=[dg.AssetKey(stage) for stage in sorted(stages)],
    )
    job, plan = await asyncio.gather(
        RemoteJob.gen(workspace, selector),
        RemoteExecutionPlan.gen(workspace, RemoteExecutionPlanSelector(job_selector=selector, run_config=_RUN_CONFIG)),
    )
    assert job is not None and plan is not None
    return job, plan


def _queue(
    instance: DagsterInstance, workspace: Any, graph: Any, wish: Wish, job: RemoteJob, plan: RemoteExecutionPlan
) -> str:
    run = instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config=_RUN_CONFIG,
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags=wish.tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=plan.execution_plan_snapshot,
        job_snapshot=job.job_snapshot,
        parent_job_snapshot=job.parent_job_snapshot,
        asset_selection=frozenset(dg.AssetKey(stage) for stage in wish.stages),
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
        asset_graph=graph,
    )
    instance.submit_run(run.run_id, workspace)
    return run.run_id
