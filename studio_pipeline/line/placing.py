"""Where a step belongs: on a worker with a GPU, or on any."""

from __future__ import annotations

from studio_pipeline.line.overrides import with_overrides
from studio_pipeline.line.shots import load_shot
from studio_pipeline.store import Store

__all__ = ["wants_gpu"]


def wants_gpu(store: Store, shot_id: str, stage: str) -> bool:
    """Whether the backend that will make ``stage`` of the shot computes on a GPU; pinned files are taken into account.

    Raises:
        InputError: The store doesn't know the shot, or a file that it names has gone.
    """
    return stage in with_overrides(store, load_shot(store, shot_id)).gpu_stages()
