"""Which kind of worker makes a stage of a shot: one with a GPU, or any."""

from __future__ import annotations

from studio_pipeline.line.graph import graph
from studio_pipeline.line.overrides import with_overrides
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import load_shot
from studio_pipeline.store import Store

__all__ = ["CPU", "GPU", "needs_gpu", "queue_of"]

CPU, GPU = "cpu", "gpu"


def needs_gpu(shot: ResolvedShot, stage: str) -> bool:
    """Whether the backend that the shot chose for a stage wants a GPU."""
    return shot.backend(stage).uses_gpu


def queue_of(store: Store, shot_id: str, stage: str) -> str:
    """The queue for a stage of a shot, pinned files taken into account; empty when it is no stage of the graph.

    Raises:
        StudioError: The store doesn't know the shot, or its record can't be read.
    """
    if stage not in graph():
        return ""
    return GPU if needs_gpu(with_overrides(store, load_shot(store, shot_id)), stage) else CPU
