"""What Dagster knows of the studio: the graph of shots as assets, one job, one resource."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.storage.tags import RETRY_STRATEGY_TAG

from studio_pipeline.dag.assets import RefusingIOManager, Studio, build_assets
from studio_pipeline.dag.executors import chosen_executor
from studio_pipeline.dag.sensors import build_sensors
from studio_pipeline.line.graph import graph

__all__ = ["AGAIN", "JOB", "build_definitions"]

JOB = "shot_line"

# A run whose process dies after its last step has nothing left from where it failed, and Dagster gives it up for that.
# All of it is looked at once more instead: what is made is found made.
AGAIN: Mapping[str, str] = {RETRY_STRATEGY_TAG: ReexecutionStrategy.ALL_STEPS.value}


def build_definitions() -> dg.Definitions:
    """Everything that Dagster knows of the studio.

    Raises:
        InputError: The environment names an executor that isn't to be had.
    """
    job = dg.define_asset_job(JOB, selection=list(graph()), description="Make what a shot lacks.", run_tags=AGAIN)
    return dg.Definitions(
        assets=build_assets(),
        jobs=[job],
        sensors=build_sensors(job),
        resources={"studio": Studio(), "io_manager": RefusingIOManager()},
        executor=chosen_executor(),
    )
