"""`studio worker`: a farm's worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from studio_pipeline.schema.errors import InputError

__all__ = ["worker"]


def worker(
    queue: Annotated[list[str] | None, typer.Option("--queue", help="cpu or gpu; may be repeated.")] = None,
    alive: Annotated[
        Path | None, typer.Option("--alive", help="File to touch while it listens, for health checks.")
    ] = None,
) -> None:
    """Make steps for a farm until told to end (SIGTERM or Ctrl-C: after its step; once more: at once)."""
    try:
        from studio_pipeline.dag.farm_worker import work
    except ImportError as error:
        raise InputError(
            f"a worker needs a package that isn't here ({error.name})", do="pip install 'studio_pipeline[farm]'"
        ) from None
    os.environ["STUDIO_QUEUE"] = "+".join(queue or ["cpu"])  # what its leases say of it
    raise typer.Exit(work(queue or ["cpu"], alive=alive))
