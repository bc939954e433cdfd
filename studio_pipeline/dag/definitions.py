"""The Dagster code location: the graph of shots as assets, one job, one resource."""

from __future__ import annotations

import dagster as dg

from studio_pipeline.dag.assets import SHOTS, RefusingIOManager, Studio, build_assets

__all__ = ["JOB", "defs"]

JOB = "shot_line"

defs = dg.Definitions(
    assets=build_assets(),
    jobs=[dg.define_asset_job(JOB, selection="*", partitions_def=SHOTS, description="Make what a shot lacks.")],
    resources={"studio": Studio(), "io_manager": RefusingIOManager()},
    executor=dg.in_process_executor,
)
