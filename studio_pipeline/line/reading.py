"""Reading artifacts for work: what turns out to be damaged is taken out of use, so the next plan makes it again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Artifact, Corrupt, Store

__all__ = ["checkout"]


def checkout(store: Store, artifact: Artifact) -> Path:
    """`Store.checkout`, but a damaged generation is quarantined before the error is told.

    Raises:
        Corrupt: It differs from what was committed.
    """
    try:
        return store.checkout(artifact)
    except Corrupt as error:
        with suppress(StorageError):
            store.quarantine(artifact.key, artifact.generation, str(error))
        raise
