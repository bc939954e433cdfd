"""The shots' books: versions published per shot and stage, shot records, failures. Create-only, so history stays.

::

    shots/<shot id>/published/<stage>/v001_r01.json    a version; a new revision says where the same content lies now
    shots/<shot id>/record/v0001.json                  the shot as it was submitted
    shots/<shot id>/failures/<stage>/f0001.json        why a step failed
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store.keys import canonical_json, plain
from studio_pipeline.store.manifest import Corrupt, check_belongs, check_key, decode_record, encode_record
from studio_pipeline.store.primitive import Exists, Missing, Primitive

__all__ = ["Failure", "Published", "ShotBook", "ShotRecord"]

_safe = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")


class Publishable(Protocol):
    """What `ShotBook.publish` needs of an artifact."""

    @property
    def key(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def content_hash(self) -> str: ...


@dataclass(frozen=True)
class Published:
    """One version of one stage of one shot."""

    shot_id: str
    stage: str
    version: int
    revision: int  # above 1: the same content, made again under another key or as another generation
    key: str
    generation: int
    content_hash: str
    time: float  # by the store's clock [s since the epoch]
    note: Mapping[str, Any] = field(default_factory=dict)  # whatever the publisher added

    @property
    def label(self) -> str:
        """The version as people write it: ``v001``."""
        return f"v{self.version:03d}"


@dataclass(frozen=True)
class ShotRecord:
    """A shot as it was submitted."""

    shot_id: str
    version: int
    shot: Mapping[str, Any]
    time: float


@dataclass(frozen=True)
class Failure:
    """A step that failed."""

    shot_id: str
    stage: str
    key: str
    error: str  # one line
    time: float
    after: tuple[int, int]  # version and revision that stood when it failed, (0, 0) when there was none
    details: Mapping[str, Any] = field(default_factory=dict)


class ShotBook:
    """Reads and writes the shots' books."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def shot_ids(self) -> list[str]:
        """All shots that anything is known of."""
        return sorted({entry.name.split("/")[1] for entry in self._primitive.list("shots/")})

    def publish(
        self, shot_id: str, stage: str, artifact: Publishable, *, note: Mapping[str, Any] | None = None
    ) -> Published:
        """Make an artifact the shot's latest version of the stage, and return it.

        The same key, generation and content as the latest adds nothing; the same content from elsewhere keeps its
        version number and adds a revision; other content is a new version.
        """
        while True:
            names = self._names(_folder(shot_id, "published", stage))
            latest = self.published(shot_id, stage)
            if latest and _place(latest) == _place(artifact):
                return latest
            # Numbers of damaged records stay taken.
            numbers = [_version_of(name) for name in names] or [(0, 0)]
            if latest and latest.content_hash == artifact.content_hash and latest.version == max(numbers)[0]:
                version, revision = latest.version, max(numbers)[1] + 1
            else:
                version, revision = max(numbers)[0] + 1, 1
            record = {
                "shot_id": shot_id,
                "stage": stage,
                "version": version,
                "revision": revision,
                "key": check_key(artifact.key),
                "generation": artifact.generation,
                "content_hash": artifact.content_hash,
                "time": self._primitive.now(),
                "note": plain(note or {}),
            }
            if self._create(f"{_folder(shot_id, 'published', stage)}v{version:03d}_r{revision:02d}.json", record):
                return Published(**record)

    def published(self, shot_id: str, stage: str) -> Published | None:
        """The shot's latest version of a stage."""
        names = sorted(self._names(_folder(shot_id, "published", stage)), key=_version_of)
        record = self._last(names)
        return Published(**record) if record else None

    def history(self, shot_id: str, stage: str, *, revisions: bool = False) -> list[Published]:
        """All versions, oldest first: of each its last revision, or every one. Damaged records are left out."""
        records = [Published(**record) for record in self._records(_folder(shot_id, "published", stage))]
        records.sort(key=lambda record: (record.version, record.revision))
        return records if revisions else list({record.version: record for record in records}.values())

    def stages(self, shot_id: str) -> list[str]:
        """Stages of which the shot has a version."""
        prefix = _folder(shot_id, "published")
        return sorted({entry.name.removeprefix(prefix).split("/")[0] for entry in self._primitive.list(prefix)})

    def save_shot_record(self, shot_id: str, shot: Mapping[str, Any]) -> int:
        """Keep the shot as it is now; returns its version. Saving the same again adds none."""
        while True:
            latest = self.latest_shot_record(shot_id)
            if latest and canonical_json(latest.shot) == canonical_json(plain(shot)):
                return latest.version
            version = len(self._names(_folder(shot_id, "record"))) + 1
            record = {"shot_id": shot_id, "version": version, "shot": plain(shot), "time": self._primitive.now()}
            if self._create(f"{_folder(shot_id, 'record')}v{version:04d}.json", record):
                return version

    def latest_shot_record(self, shot_id: str) -> ShotRecord | None:
        """The shot as it was last saved."""
        record = self._last(self._names(_folder(shot_id, "record")))
        return ShotRecord(**record) if record else None

    def record_failure(
        self, shot_id: str, stage: str, key: str, error: str, *, details: Mapping[str, Any] | None = None
    ) -> Failure:
        """Note that a step failed. A version published later clears it."""
        latest = self.published(shot_id, stage)
        record = {
            "shot_id": shot_id,
            "stage": stage,
            "key": key,
            "error": error,
            "time": self._primitive.now(),
            "after": [latest.version, latest.revision] if latest else [0, 0],
            "details": plain(details or {}),
        }
        folder = _folder(shot_id, "failures", stage)
        while not self._create(f"{folder}f{len(self._names(folder)) + 1:04d}.json", record):
            pass
        return _failure(record)

    def last_failure(self, shot_id: str, stage: str, *, key: str | None = None) -> Failure | None:
        """The failure that still stands: no version was published since, and, if given, it was of this key."""
        record = self._last(self._names(_folder(shot_id, "failures", stage)))
        if record is None:
            return None
        last, latest = _failure(record), self.published(shot_id, stage)
        cleared = latest is not None and (latest.version, latest.revision) > last.after
        return None if cleared or (key is not None and key != last.key) else last

    def problems(self, shot_id: str) -> list[tuple[str, str]]:
        """Name and trouble of every damaged record of a shot, and of those that are gone from between others.

        Numbers are taken one after the other and never given back. Only of the last entry of a folder nobody can tell
        that it was there.
        """
        found: list[tuple[str, str]] = []
        numbers: dict[str, set[int]] = {}
        for name in self._names(_folder(shot_id)):
            self._read(name, lambda name, what: found.append((name, what)))
            folder, _, last = name.rpartition("/")
            if match := re.match(r"[a-z]([0-9]+)", last):
                numbers.setdefault(folder, set()).add(int(match[1]))
        for folder, taken in numbers.items():
            for number in sorted(set(range(1, max(taken))) - taken):
                found.append((f"{folder}/", f"number {number} is missing"))
        return found

    def _create(self, name: str, record: Mapping[str, Any]) -> bool:
        try:
            self._primitive.create(name, encode_record(record))
        except Exists:
            return False
        return True

    def _names(self, prefix: str) -> list[str]:
        return [entry.name for entry in self._primitive.list(prefix)]

    def _last(self, names: Sequence[str]) -> dict[str, Any] | None:
        """The last record that isn't damaged; the others aren't read."""
        return next((record for name in reversed(names) if (record := self._read(name)) is not None), None)

    def _records(self, prefix: str) -> list[dict[str, Any]]:
        return [record for name in self._names(prefix) if (record := self._read(name)) is not None]

    def _read(self, name: str, tell: Callable[[str, str], None] = lambda name, what: None) -> dict[str, Any] | None:
        try:
            record = decode_record(self._primitive.read(name).data, name)
            check_belongs(record, name)
            return record
        except Corrupt as error:
            tell(name, error.what)
        except Missing:
            tell(name, "is missing")
        return None


def _failure(record: Mapping[str, Any]) -> Failure:
    return Failure(**{**record, "after": tuple(record["after"])})


def _place(item: Publishable) -> tuple[str, int, str]:
    return item.key, item.generation, item.content_hash


def _version_of(name: str) -> tuple[int, int]:
    match = re.search(r"/v(\d+)_r(\d+)\.json$", name)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _folder(shot_id: str, *parts: str) -> str:
    for part in (shot_id, *parts):
        if not _safe.fullmatch(part):
            raise InputError(f"{ascii(part)[:80]} cannot name a shot or a stage", do="studio status lists the shots")
    return "/".join(("shots", shot_id, *parts)) + "/"
