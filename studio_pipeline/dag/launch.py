"""Running shots through Dagster in this process, and telling its instance what it does not know yet."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._config.errors import PostProcessingError
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterInvalidConfigError
from sqlalchemy.exc import DBAPIError

from studio_pipeline.dag.assets import PROCESS, SHOTS, check_result, describe
from studio_pipeline.dag.build import JOB, build_definitions
from studio_pipeline.dag.presence import home_instance
from studio_pipeline.line.make import Outcome
from studio_pipeline.line.processes import is_gone, process_name
from studio_pipeline.schema.errors import InputError, StorageError, one_line

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = ["mend_runs", "open_instance", "register_shots", "report_known", "report_review", "run_shot"]


@contextmanager
def open_instance(*, lasting: bool = True) -> Iterator[DagsterInstance]:
    """Dagster's instance of the current home (``DAGSTER_HOME``), or one in memory for a home that won't last.

    Raises:
        StorageError: Its database can't be opened or written, by whatever is done inside the block.
        InputError: Its settings are wrong, or name what the environment lacks.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_no_retry)
    try:
        with home_instance() if lasting else dg.DagsterInstance.ephemeral() as instance:
            yield instance
    except DBAPIError as error:
        where = os.environ.get("DAGSTER_HOME", "")
        raise StorageError(
            f"Dagster's database can't be used ({one_line(error.orig)})",
            where=where,
            do="free space or check permissions",
        ) from error
    except (DagsterInvalidConfigError, PostProcessingError) as error:
        raise InputError(
            f"Dagster's settings can't be used ({_in_short(error)})",
            where=f"{os.environ.get('DAGSTER_HOME', '')}/dagster.yaml",
            do="set what they name in the environment: deploy/farm.env.example has a farm's",
        ) from None
    except Exception as error:
        # dagster-postgres has its own kind for a server that doesn't answer, and need not be installed.
        if type(error).__name__ != "DagsterPostgresException":
            raise
        cause = getattr(error.__cause__, "orig", None) or error.__cause__
        raise StorageError(
            f"Dagster's database doesn't answer ({one_line(cause)[:200]})", do="start it, or check STUDIO_PG_*"
        ) from None
    finally:
        logging.getLogger().removeFilter(_is_no_retry)


def _is_no_retry(record: logging.LogRecord) -> bool:
    """dagster-postgres tells every try to connect, with a warning to the root logger; here the end is told, once."""
    return not str(record.msg).startswith("Retrying failed database")


def _in_short(error: Exception) -> str:
    """What is wrong with Dagster's settings; its own text begins with a description of all that they may hold."""
    missing = re.search(r'environment variable "(\w+)"', str(error))
    return f"{missing[1]} isn't set" if missing else one_line(error)[:200]


def register_shots(instance: DagsterInstance, shots: Sequence[str]) -> None:
    """Make the shots known as partitions; known ones cost nothing."""
    name = SHOTS.name
    assert name is not None
    known = set(instance.get_dynamic_partitions(name))
    if new := [shot for shot in shots if shot not in known]:
        instance.add_dynamic_partitions(name, new)


def mend_runs(instance: DagsterInstance) -> int:
    """Mark runs as failed whose process on this machine was killed; returns how many."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    dead = [run for run in instance.get_runs(unfinished) if is_gone(run.tags.get(PROCESS, ""))]
    for run in dead:
        instance.report_run_failed(run, "The process of this run was killed.")
    return len(dead)


def run_shot(
    instance: DagsterInstance,
    shot: str,
    stages: Sequence[str],
    *,
    failed: Callable[[str], None] = lambda run_id: None,
) -> list[str]:
    """One run for one shot: makes ``stages`` in order, stops a branch where a stage or gate fails.

    Args:
        instance: Dagster's instance.
        shot: The shot's id.
        stages: Which to make.
        failed: Called with the run's id when it didn't succeed.

    Returns:
        One line for every step that failed; empty when all is well.

    Raises:
        KeyboardInterrupt: The user interrupted; Dagster has noted it in the run.
    """
    try:
        result = _job().execute_in_process(
            instance=instance,
            partition_key=shot,
            asset_selection=[dg.AssetKey(stage) for stage in stages],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
            tags={"studio/shot": shot, PROCESS: process_name()},
        )
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    if not result.success:
        failed(result.run_id)
    failures = [event for event in result.all_events if event.is_step_failure]
    if any(_interrupted(event.step_failure_data.error) for event in failures):
        raise KeyboardInterrupt
    lines = [one_line(event.step_failure_data.error_display_string)[:300] for event in failures]
    return lines if lines or result.success else ["the run failed before its first step: see Dagster's log"]


def report_known(instance: DagsterInstance, outcomes: Sequence[tuple[str, str, Outcome]]) -> int:
    """Report cached artifacts (shot, stage, outcome) that this instance has no materialisation of.

    Returns:
        How many were reported.
    """
    reported = 0
    by_stage: dict[str, list[tuple[str, Outcome]]] = {}
    for shot, stage, outcome in outcomes:
        by_stage.setdefault(stage, []).append((shot, outcome))
    for stage, items in by_stage.items():
        key = dg.AssetKey(stage)
        known = instance.event_log_storage.get_latest_tags_by_partition(
            key,
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            tag_keys=[DATA_VERSION_TAG],
            asset_partitions=[shot for shot, _ in items],
        )
        for shot, outcome in items:
            if known.get(shot, {}).get(DATA_VERSION_TAG) != outcome.content_hash:
                _report(instance, key, shot, stage, outcome)
                reported += 1
    return reported


def report_review(
    instance: DagsterInstance, shot: str, stage: str, *, version: str, status: str, text: str, by: str
) -> None:
    """Show in the asset's timeline what somebody said of a version. The store's own record is what counts."""
    said = {"review_version": version, "review_status": status, "review_note": text, "review_by": by}
    instance.report_runless_asset_event(
        dg.AssetObservation(
            asset_key=dg.AssetKey(stage),
            partition=shot,
            metadata={name: value for name, value in said.items() if value},
        )
    )


def _interrupted(error: Any) -> bool:
    """Whether a step ended because of Ctrl-C; in process Dagster reports that as a failure of the step."""
    while error is not None:
        if error.cls_name in ("KeyboardInterrupt", DagsterExecutionInterruptedError.__name__):
            return True
        error = error.cause
    return False


@cache
def _job() -> dg.JobDefinition:
    return build_definitions().resolve_job_def(JOB)


def _report(instance: DagsterInstance, key: dg.AssetKey, shot: str, stage: str, outcome: Outcome) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=key,
            partition=shot,
            metadata=describe(outcome, shot=shot),
            tags={DATA_VERSION_TAG: outcome.content_hash},
        )
    )
    for verdict in outcome.verdicts:
        result = check_result(stage, verdict)
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=verdict.name,
                passed=result.passed,
                metadata={},
                severity=result.severity,
                description=verdict.message,
                partition=shot,
            )
        )
