"""Settings that were made smaller after a stage ran out of memory: per shot and stage, numbered, create-only.

::

    shots/<shot id>/reduced/<stage>/r0001.json    what was made smaller, or that it was taken off again
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio_pipeline.store.logbook import append_entry, check_part, last_entry, read_entries
from studio_pipeline.store.primitive import Primitive

__all__ = ["Reduction", "ReductionBook"]


@dataclass(frozen=True)
class Reduction:
    """From then on the stage is made with these settings instead of the shot's own; without ``changes``, with those."""

    shot_id: str
    stage: str
    number: int
    base: str  # digest of the shot's own way to do the stage; another one makes the entry void
    backend: str
    changes: Mapping[str, tuple[Any, Any]]  # by setting: the shot's own value, and the one in its place
    host: str  # where memory ran out
    reason: str  # what was said there
    by: str  # who took it off; empty otherwise
    time: float  # by the store's clock [s since the epoch]

    @property
    def label(self) -> str:
        """The entry as people write it: ``r0001``."""
        return f"r{self.number:04d}"


class ReductionBook:
    """Reads and writes what was made smaller."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def add(
        self,
        shot_id: str,
        stage: str,
        *,
        base: str,
        backend: str,
        changes: Mapping[str, tuple[Any, Any]],
        host: str = "",
        reason: str = "",
        by: str = "",
    ) -> Reduction:
        """Add an entry and return it; one without ``changes`` takes the one before off."""
        record = {"shot_id": shot_id, "stage": stage, "base": base, "backend": backend, "changes": dict(changes)}
        record |= {"host": host, "reason": reason, "by": by}
        found = _reduction(append_entry(self._primitive, _folder(shot_id, stage), "r", record))
        assert found is not None
        return found

    def history(self, shot_id: str, stage: str) -> list[Reduction]:
        """All entries that can be read, oldest first."""
        found = (_reduction(entry.record) for entry in read_entries(self._primitive, _folder(shot_id, stage)))
        return [entry for entry in found if entry is not None]

    def current(self, shot_id: str, stage: str) -> Reduction | None:
        """What stands now. A damaged entry reduces nothing: the stage runs out of memory once more, and says so."""
        entry = last_entry(self._primitive, _folder(shot_id, stage))
        found = _reduction(entry.record) if entry else None
        return found if found is not None and found.changes else None


def _reduction(record: dict[str, Any] | None) -> Reduction | None:
    try:
        if record is None:
            return None
        changes = {name: (old, new) for name, (old, new) in record["changes"].items()}
        return Reduction(**{**record, "changes": changes})
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _folder(shot_id: str, stage: str) -> str:
    return f"shots/{check_part(shot_id)}/reduced/{check_part(stage)}/"
