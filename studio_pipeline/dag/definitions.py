"""The code location that Dagster loads (`workspace.yaml`)."""

from studio_pipeline.line.threads import fix_threads

fix_threads()  # before NumPy is imported, hence above the next import

from studio_pipeline.dag.build import build_definitions  # noqa: E402

__all__ = ["defs"]

defs = build_definitions()
