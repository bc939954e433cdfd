"""The code location that Dagster loads (`workspace.yaml`)."""

from studio_pipeline.dag.build import build_definitions

__all__ = ["defs"]

defs = build_definitions()
