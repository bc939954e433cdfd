"""What Dagster's daemon looks at from time to time. Thin: what follows from what it finds is decided in `line`."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from studio_pipeline.dag.assets import Studio
from studio_pipeline.dag.failures import untold
from studio_pipeline.dag.rescue import rescue_runs
from studio_pipeline.line.home import watched_folder
from studio_pipeline.line.hooks import Hooks, hooks_present

__all__ = ["build_sensors"]

RESCUE_EVERY, WATCH_EVERY, TELL_EVERY = 30, 15, 15  # [s]
RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def build_sensors(job: Any) -> list[dg.SensorDefinition]:
    """The sensors; each runs by itself where its setting is present, the rescue where there is a farm."""
    return [_rescue(job), _watch(job), _failures()]


def _when(present: object) -> dg.DefaultSensorStatus:
    return RUNNING if present else STOPPED


def _rescue(job: Any) -> dg.SensorDefinition:
    farm = os.environ.get("STUDIO_EXECUTOR", "in_process") != "in_process"

    @dg.sensor(
        name="rescue",
        job=job,
        minimum_interval_seconds=RESCUE_EVERY,
        default_status=_when(farm),
        description="Fails runs whose worker was lost and launches them again from there.",
    )
    def _sensor(context: dg.SensorEvaluationContext, studio: Studio) -> Any:
        requests = rescue_runs(context.instance, studio.store())
        for request in requests:
            context.log.info(f"{request.partition_key}: launched again from where its worker was lost")
        return requests or dg.SkipReason("nobody is lost")

    return _sensor


def _watch(job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name="watch",
        job=job,
        minimum_interval_seconds=WATCH_EVERY,
        default_status=_when(watched_folder()),
        description="Launches what the shots of a watched folder (STUDIO_WATCH) lack when a list is new or changed.",
    )
    def _sensor(context: dg.SensorEvaluationContext, studio: Studio) -> Any:
        from studio_pipeline.dag.watch import watch_folder  # which needs the definitions that these are part of

        folder = watched_folder()
        if folder is None:
            return dg.SkipReason("no folder is watched: set STUDIO_WATCH, or watch in studio.yaml")
        found = watch_folder(context.instance, studio.store(), folder, context.cursor or "")
        for line in found.told:
            context.log.warning(line)
        return dg.SensorResult(
            run_requests=found.requests,
            skip_reason=None if found.requests else f"nothing new in {folder}",
            cursor=found.cursor,
        )

    return _sensor


def _failures() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="failures",
        minimum_interval_seconds=TELL_EVERY,
        default_status=_when(hooks_present()),
        description="Tells failures to STUDIO_HOOK_URL and STUDIO_HOOK_FILE.",
    )
    def _sensor(context: dg.RunFailureSensorContext, studio: Studio) -> None:
        with Hooks() as hooks:
            hooks.tell(untold(context.instance, studio.store(), context.dagster_run.run_id))
        for problem in hooks.problems:
            context.log.warning(problem)

    return _sensor
