"""Numbered, create-only entries below a prefix: what people decided, in the order in which they did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.manifest import Corrupt, check_belongs, decode_record, encode_record
from studio_pipeline.store.primitive import Exists, Missing, Primitive

__all__ = ["LogEntry", "append_entry", "check_part", "last_entry", "read_entries"]

_safe = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")


@dataclass(frozen=True)
class LogEntry:
    """One entry as it lies in the store."""

    name: str  # in the store
    record: dict[str, Any] | None  # None: its bytes have changed since it was written


def check_part(part: str) -> str:
    """``part`` if it may be one step of a record's name.

    Raises:
        StorageError: It holds other characters than letters, digits, "_" and "-", or is too long.
    """
    if not _safe.fullmatch(part):
        raise StorageError(f"{ascii(part)[:80]} cannot name a record")
    return part


def append_entry(primitive: Primitive, prefix: str, letter: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Add an entry ``<prefix><letter>0001.json`` with the next free number; gives the record as it was written.

    The store adds ``number`` and ``time`` (by its own clock [s since the epoch]).
    """
    while True:
        # Numbers of damaged entries stay taken.
        numbers = [_number(entry.name) for entry in primitive.list(prefix)]
        number = max(numbers, default=0) + 1
        written = {**record, "number": number, "time": primitive.now()}
        try:
            primitive.create(f"{prefix}{letter}{number:04d}.json", encode_record(written))
        except Exists:
            continue
        return written


def read_entries(primitive: Primitive, prefix: str) -> list[LogEntry]:
    """All entries below a prefix, deeper ones too, in the order of their names."""
    return [LogEntry(entry.name, _read(primitive, entry.name)) for entry in primitive.list(prefix)]


def last_entry(primitive: Primitive, prefix: str) -> LogEntry | None:
    """The last entry; the others aren't read."""
    names = [entry.name for entry in primitive.list(prefix)]
    return LogEntry(names[-1], _read(primitive, names[-1])) if names else None


def _read(primitive: Primitive, name: str) -> dict[str, Any] | None:
    try:
        record = decode_record(primitive.read(name).data, name)
        check_belongs(record, name)
        return record
    except (Corrupt, Missing):
        return None


def _number(name: str) -> int:
    match = re.search(r"(\d+)\.json$", name)
    return int(match[1]) if match else 0
