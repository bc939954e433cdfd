"""What Dagster knows of the studio: the graph of shots as assets, one job, one resource."""

from __future__ import annotations

import dagster as dg

from studio_pipeline.dag.assets import RefusingIOManager, Studio, build_assets
from studio_pipeline.dag.executors import chosen_executor
from studio_pipeline.dag.sensors import build_sensors
from studio_pipeline.line.graph import graph

__all__ = ["JOB", "build_definitions"]

JOB = "shot_line"


def build_definitions() -> dg.Definitions:
    """Everything that Dagster knows of the studio.

    Raises:
        InputError: The environment names an executor that isn't to be had.
    """
    job = dg.define_asset_job(JOB, selection=list(graph()), description="Make what a shot lacks.")
    return dg.Definitions(
        assets=build_assets(),
        jobs=[job],
        sensors=build_sensors(job),
        resources={"studio": Studio(), "io_manager": RefusingIOManager()},
        executor=chosen_executor(),
    )
