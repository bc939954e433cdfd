"""What Dagster's daemon looks at from time to time. Thin: what follows from what it finds is decided in `line`."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from studio_pipeline.dag.assets import Studio
from studio_pipeline.dag.rescue import rescue_runs

__all__ = ["build_sensors"]

RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def build_sensors(job: Any) -> list[dg.SensorDefinition]:
    """The sensors; each runs by itself where its setting is present, the rescue where there is a farm."""
    return [_rescue(job)]


def _when(present: object) -> dg.DefaultSensorStatus:
    return RUNNING if present else STOPPED


def _rescue(job: Any) -> dg.SensorDefinition:
    farm = os.environ.get("STUDIO_EXECUTOR", "in_process") != "in_process"

    @dg.sensor(
        name="rescue",
        job=job,
        minimum_interval_seconds=30,
        default_status=_when(farm),
        description="Fails runs whose worker was lost and launches them again from there.",
    )
    def _sensor(context: dg.SensorEvaluationContext, studio: Studio) -> Any:
        requests = rescue_runs(context.instance, studio.store())
        for request in requests:
            context.log.info(f"{request.partition_key}: launched again from where its worker was lost")
        return requests or dg.SkipReason("nobody is lost")

    return _sensor
