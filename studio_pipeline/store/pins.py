"""Hand-made files that take a stage's place in a shot: pinned, versioned, create-only.

::

    shots/<shot id>/pins/<stage>/p0001.json    what was pinned, or that it was taken off again
    pins/<content>/<name>                      the files, by what they hold
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.manifest import Corrupt, decode_record, encode_record
from studio_pipeline.store.primitive import Exists, Missing, Primitive

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
            try:
                self._primitive.create(f"pins/{content}/{name}", path)
            except Exists:
                continue  # the same content was pinned before
        return f"pins/{content}/{main}"

    def pin(self, shot_id: str, stage: str, *, file: str, content: str, source: str, note: str = "") -> Pin:
        """Add an entry and return it; without a ``file`` it takes the one before off."""
        while True:
            number = len(self._names(shot_id, stage)) + 1
            record = {
                "shot_id": shot_id,
                "stage": stage,
                "number": number,
                "file": file,
                "content": content,
                "source": source,
                "note": note,
                "time": self._primitive.now(),
            }
            try:
                self._primitive.create(f"{_folder(shot_id, stage)}p{number:04d}.json", encode_record(record))
            except Exists:
                continue
            return Pin(**record)

    def history(self, shot_id: str, stage: str) -> list[Pin]:
        """All entries, oldest first.

        Raises:
            StorageError: One is damaged: what stands now can't be told.
        """
        return [self._entry(shot_id, stage, name) for name in self._names(shot_id, stage)]

    def current(self, shot_id: str, stage: str) -> Pin | None:
        """What is pinned now, None when nothing is."""
        names = self._names(shot_id, stage)
        entry = self._entry(shot_id, stage, names[-1]) if names else None
        return entry if entry and entry.file else None

    def _entry(self, shot_id: str, stage: str, name: str) -> Pin:
        try:
            return Pin(**decode_record(self._primitive.read(name).data, name))
        except (Corrupt, Missing, TypeError) as error:
            raise StorageError(f"a pin of {shot_id} {stage} is damaged", where=name, do="override again") from error

    def _names(self, shot_id: str, stage: str) -> list[str]:
        return [entry.name for entry in self._primitive.list(_folder(shot_id, stage))]


def _folder(shot_id: str, stage: str) -> str:
    return f"shots/{shot_id}/pins/{stage}/"
