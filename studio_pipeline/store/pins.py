"""Hand-made files that take a stage's place in a shot: pinned, versioned, create-only.

::

    shots/<shot id>/pins/<stage>/p0001.json    what was pinned, or that it was taken off again
    pins/<content>/<name>                      the files, by what they hold
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio_pipeline.schema.errors import StorageRefused
from studio_pipeline.store.logbook import append_entry, last_entry, read_entries
from studio_pipeline.store.primitive import Exists, Primitive

__all__ = ["Pin", "PinBook"]


@dataclass(frozen=True)
class Pin:
    """One entry: from then on the shot's stage takes this file, or, without a ``file``, none."""

    shot_id: str
    stage: str
    number: int
    file: str  # name in the store of the file itself; what it refers to lies beside it
    content: str  # digest of it and of what it refers to
    source: str  # where it was, for people
    note: str
    time: float  # by the store's clock [s since the epoch]
    by: str = ""  # who; empty when nobody said

    @property
    def label(self) -> str:
        """The entry as people write it: ``p0001``."""
        return f"p{self.number:04d}"


class PinBook:
    """Reads and writes the pins of a store."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def keep(self, content: str, members: Mapping[str, Path], main: str) -> str:
        """Copy files under ``pins/<content>/``; gives the name of the one called ``main``."""
        for name, path in members.items():
            with suppress(Exists):  # the same content was pinned before
                self._primitive.create(f"pins/{content}/{name}", path)
        return f"pins/{content}/{main}"

    def pin(
        self, shot_id: str, stage: str, *, file: str, content: str, source: str, note: str = "", by: str = ""
    ) -> Pin:
        """Add an entry and return it; without a ``file`` it takes the one before off."""
        record = {"shot_id": shot_id, "stage": stage, "file": file, "content": content, "source": source, "note": note}
        return Pin(**append_entry(self._primitive, _folder(shot_id, stage), "p", {**record, "by": by}))

    def history(self, shot_id: str, stage: str) -> list[Pin]:
        """All entries that can be read, oldest first."""
        found = (_pin(entry.record) for entry in read_entries(self._primitive, _folder(shot_id, stage)))
        return [pin for pin in found if pin is not None]

    def current(self, shot_id: str, stage: str) -> Pin | None:
        """What is pinned now, None when nothing is.

        Raises:
            StorageRefused: The last entry is damaged: what stands now can't be told.
        """
        entry = last_entry(self._primitive, _folder(shot_id, stage))
        if entry is None:
            return None
        if (last := _pin(entry.record)) is None:
            do = "override or unpin it again"
            raise StorageRefused(f"a pin of {shot_id} {stage} is damaged", where=entry.name, do=do)
        return last if last.file else None


def _pin(record: dict[str, Any] | None) -> Pin | None:
    try:
        return None if record is None else Pin(**record)
    except TypeError:
        return None


def _folder(shot_id: str, stage: str) -> str:
    return f"shots/{shot_id}/pins/{stage}/"
