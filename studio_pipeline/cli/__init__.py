"""The `studio` command."""

from studio_pipeline.cli.main import main

__all__ = ["main"]
