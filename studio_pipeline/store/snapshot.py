"""A store that isn't local, seen at one moment: listed in few requests, its small records read once and kept here.

Planning asks for the versions, pins and failures of every stage of a shot and for the presence of every file of every
artifact: request by request that would be fifty a shot. A snapshot lists whole shots and whole keys, or everything
where that is less, and reads records that it has seen before from `records.RecordCache`: they are create-only, so an
equal etag means equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.bulk import helped
from studio_pipeline.store.manifest import Corrupt, decode_record
from studio_pipeline.store.parallel import each
from studio_pipeline.store.primitive import Content, Entry, Missing, Primitive
from studio_pipeline.store.records import RecordCache

__all__ = ["Snapshot"]

WIDTH = 32  # requests at a time; what they bring is small
PAGE = 1000  # entries of one listing request
# A page costs about as much as this many listings of one key (28 ms and 2 ms of CPU, here and in SeaweedFS together).
PAGE_WORTH = 14


class Snapshot:
    """A `Primitive` to read from. What was listed once is answered from then on as it was."""

    parallel = 1
    trusted_etags = True

    def __init__(self, primitive: Primitive, records: RecordCache | None) -> None:
        self._primitive, self._records = primitive, records
        self._listed: dict[str, list[Entry]] = {}  # by unit: "shots/<id>/" or "artifacts/<ab>/<key>/"
        self._complete: set[str] = set()  # prefixes below which every unit that exists is listed
        self._entries: dict[str, Entry] = {}
        self._recent: dict[str, Content] = {}

    @property
    def url(self) -> str:
        """See `Primitive.url`."""
        return self._primitive.url

    def preload(self, shot_ids: Sequence[str]) -> None:
        """List these shots and the artifacts that their latest versions name, and read their records."""
        shots = [f"shots/{shot_id}/" for shot_id in dict.fromkeys(shot_ids)]
        self._list_units("shots/", [""], shots)
        latest = self._latest(shots)
        self._read_all(latest)
        keys = dict.fromkeys(key for name in latest if "/published/" in name and (key := self._key_in(name)))
        units = [f"artifacts/{key[:2]}/{key}/" for key in keys]
        self._list_units("artifacts/", "0123456789abcdef", units)
        self._read_all([name for unit in units for name in self._manifests(unit)])
        if self._records is not None:
            self._records.trim()

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Primitive.list`, but as of the moment when this part was first listed."""
        unit = _unit(prefix)
        if unit is None:
            return self._primitive.list(prefix)
        if unit not in self._listed and not any(unit.startswith(known) for known in self._complete):
            self._keep(unit, list(self._primitive.list(unit)))
        return iter([entry for entry in self._listed.get(unit, ()) if entry.name.startswith(prefix)])

    def read(self, name: str) -> Content:
        """See `Primitive.read`."""
        if (entry := self._entries.get(name)) is not None:
            if name in self._recent and self._recent[name].etag == entry.etag:
                return self._recent[name]
            if self._records is not None and (data := self._records.get(name, entry.etag)) is not None:
                return Content(data, entry.etag)
        content = self._primitive.read(name)
        if entry is not None:
            self._remember(name, content)
        return content

    def stat(self, name: str) -> Entry | None:
        """See `Primitive.stat`."""
        return self._entries.get(name) or self._primitive.stat(name)

    def open(self, name: str) -> BinaryIO:
        """See `Primitive.open`."""
        return self._primitive.open(name)

    def folder(self, prefix: str) -> Path | None:
        """See `Primitive.folder`."""
        return self._primitive.folder(prefix)

    def now(self) -> float:
        """See `Primitive.now`."""
        return self._primitive.now()

    def create(self, name: str, data: bytes | Path) -> Any:
        """Refused."""
        raise StorageError("a plan writes nothing", where=self.url)

    def replace_if(self, name: str, data: bytes, etag: str) -> Any:
        """Refused."""
        raise StorageError("a plan writes nothing", where=self.url)

    def delete(self, name: str) -> None:
        """Refused."""
        raise StorageError("a plan writes nothing", where=self.url)

    def sweep(self, older_than_s: float) -> int:
        """Refused."""
        raise StorageError("a plan writes nothing", where=self.url)

    def _list_units(self, root: str, starts: Sequence[str], units: Sequence[str]) -> None:
        """List these units one by one, or everything below ``root`` where that is no more work."""
        pages = len(units) // PAGE_WORTH // len(starts)

        def list_all(start: str) -> list[Entry] | None:
            found = list(islice(self._primitive.list(root + start), pages * PAGE + 1))
            return None if len(found) > pages * PAGE else found

        wanted = [unit for unit in units if unit not in self._listed]
        if pages:
            for start, found in zip(starts, each(list_all, starts, width=WIDTH), strict=True):
                if found is None:
                    continue  # much more is there than was asked for
                self._complete.add(root + start)
                by_unit: dict[str, list[Entry]] = {}
                for entry in found:
                    by_unit.setdefault(_unit(entry.name) or "", []).append(entry)
                for unit, entries in by_unit.items():
                    self._keep(unit, entries)
        wanted = [unit for unit in wanted if not any(unit.startswith(known) for known in self._complete)]
        listings = each(lambda unit: list(self._primitive.list(unit)), wanted, width=WIDTH)
        for unit, entries in zip(wanted, listings, strict=True):
            self._keep(unit, entries)

    def _keep(self, unit: str, entries: list[Entry]) -> None:
        self._listed[unit] = entries
        self._entries.update((entry.name, entry) for entry in entries)

    def _latest(self, shots: Sequence[str]) -> list[str]:
        """The last record of every folder of these shots."""
        last: dict[str, str] = {}
        for shot in shots:
            for entry in self._listed.get(shot, ()):
                folder = entry.name.rpartition("/")[0]
                last[folder] = max(last.get(folder, ""), entry.name, key=_numbers)
        return list(last.values())

    def _manifests(self, unit: str) -> list[str]:
        return [entry.name for entry in self._listed.get(unit, ()) if entry.name.endswith("/manifest.json")]

    def _read_all(self, names: Sequence[str]) -> None:
        """Read what isn't kept yet, many at a time."""

        def read(name: str) -> None:
            with suppress(Missing):  # gone since it was listed
                self._remember(name, self._primitive.read(name))

        records = self._records
        if records is None:
            each(read, names, width=WIDTH)
            return

        def missing() -> list[str]:
            return [name for name in names if not records.holds(name, self._entries[name].etag)]

        with helped(records, self.url, missing()) as mine:
            each(read, mine, width=WIDTH)
        each(read, missing(), width=WIDTH)

    def _remember(self, name: str, content: Content) -> None:
        if self._records is not None:
            self._records.put(name, content.etag, content.data)
        else:
            self._recent[name] = content

    def _key_in(self, name: str) -> str:
        try:
            return str(decode_record(self.read(name).data, name)["key"])
        except (Corrupt, Missing, KeyError):
            return ""


def _unit(name: str) -> str | None:
    """The part of the store that is listed in one go and that a name or prefix lies in."""
    parts = name.split("/")
    count = {"shots": 2, "artifacts": 3}.get(parts[0], 0)
    return "/".join(parts[:count]) + "/" if count and len(parts) > count else None


def _numbers(name: str) -> tuple[int, ...]:
    """Versions and revisions by number, not by letter: v1000 comes after v999."""
    digits = "".join(c if c.isdecimal() else " " for c in name.rpartition("/")[2])
    return tuple(int(part) for part in digits.split())
