"""What people say of published versions: a status, notes. Create-only, so nobody's word is ever lost or changed.

::

    shots/<shot id>/reviews/<stage>/v001/n0001.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store.logbook import LogEntry, append_entry, check_part, read_entries
from studio_pipeline.store.primitive import Primitive

__all__ = ["PENDING", "STATUSES", "UNREADABLE", "Note", "ReviewBook", "Standing"]

PENDING = "pending"
STATUSES = (PENDING, "approved", "changes")
UNREADABLE = "unreadable"  # the last word was damaged in the store: say it again
MAX_TEXT = 4000


@dataclass(frozen=True)
class Note:
    """One thing that somebody said of a version."""

    shot_id: str
    stage: str
    version: int
    number: int
    status: str  # one of `STATUSES`; empty: a note that leaves the status as it is
    text: str
    by: str  # who; empty when nobody said
    time: float  # by the store's clock [s since the epoch]


@dataclass(frozen=True)
class Standing:
    """A version's status, and all that was said of it, oldest first."""

    status: str = PENDING
    by: str = ""  # who gave it
    notes: tuple[Note, ...] = ()


class ReviewBook:
    """Reads and writes what people say."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def add(self, shot_id: str, stage: str, version: int, *, status: str = "", text: str = "", by: str = "") -> Note:
        """Add a word on a version; the last status that anybody gave stands.

        Raises:
            InputError: The status is unknown, or the text too long or no valid text.
        """
        if status and status not in STATUSES:
            raise InputError(f"no status is called {status!r}", do=f"one of: {', '.join(STATUSES)}")
        for said in (text, by):
            if len(said) > MAX_TEXT or said.encode("utf-8", "ignore").decode() != said:
                raise InputError(f"is not text of at most {MAX_TEXT} characters", where="the note")
        record = {"shot_id": shot_id, "stage": stage, "version": version, "status": status, "text": text, "by": by}
        return Note(**append_entry(self._primitive, _folder(shot_id, stage, version), "n", record))

    def standing(self, shot_id: str, stage: str, version: int) -> Standing:
        """What stands of one version; a version of which nothing was said is pending."""
        return _standing(read_entries(self._primitive, _folder(shot_id, stage, version)))

    def of_shot(self, shot_id: str) -> dict[tuple[str, int], Standing]:
        """What stands, by stage and version, of those versions of which something was said."""
        prefix = f"shots/{check_part(shot_id)}/reviews/"
        groups: dict[tuple[str, int], list[LogEntry]] = {}
        for entry in read_entries(self._primitive, prefix):
            stage, version, *_ = entry.name.removeprefix(prefix).split("/")
            groups.setdefault((stage, int(version[1:])), []).append(entry)
        return {place: _standing(entries) for place, entries in groups.items()}


def _standing(entries: Sequence[LogEntry]) -> Standing:
    notes, status, by = [], PENDING, ""
    for entry in entries:
        note = _note(entry.record)
        if note is None:
            status, by = UNREADABLE, ""  # it may have been a status
            continue
        notes.append(note)
        if note.status:
            status, by = note.status, note.by
    return Standing(status, by, tuple(notes))


def _note(record: dict[str, Any] | None) -> Note | None:
    try:
        return None if record is None else Note(**record)
    except TypeError:
        return None


def _folder(shot_id: str, stage: str, version: int) -> str:
    return f"shots/{check_part(shot_id)}/reviews/{check_part(stage)}/v{version:03d}/"
