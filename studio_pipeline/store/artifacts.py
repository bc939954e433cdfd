"""Artifacts: what a stage made, kept by key and generation, committed once and never overwritten.

::

    artifacts/<ab>/<key>/g0001/<attempt>/<payload files>
    artifacts/<ab>/<key>/g0001/manifest.json    created last; names the attempt whose files are the payload
    artifacts/<ab>/<key>/g0001/quarantined      created when the generation failed verification

The current generation is the lowest that has a manifest and isn't quarantined. Writers of one generation write into
folders of their own and race for the manifest's name only: the first wins, whoever comes later, however late, loses.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.leases import Lease, Leases
from studio_pipeline.store.manifest import (
    Artifact,
    Corrupt,
    FileEntry,
    artifact_of,
    check_key,
    decode_record,
    encode_record,
    manifest_record,
)
from studio_pipeline.store.primitive import Entry, Exists, Missing, Primitive, check_name
from studio_pipeline.store.published import ShotBook

__all__ = ["LeaseLost", "Problem", "Store", "key_prefix"]

CHUNK = 1 << 20
MANIFEST, QUARANTINED = "manifest.json", "quarantined"


class LeaseLost(StorageError):
    """A commit came after another worker had taken the key over: its result is dropped, the other's will stand."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a generation."""

    where: str  # name in the store
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def key_prefix(key: str) -> str:
    """Where a key's generations lie."""
    return f"artifacts/{check_key(key)[:2]}/{key}/"


def generation_prefix(key: str, generation: int) -> str:
    """Where one generation lies."""
    return f"{key_prefix(key)}g{generation:04d}/"


class Store:
    """Artifacts, the leases that save double work, and the shots' books; all on one `Primitive`."""

    def __init__(self, primitive: Primitive, *, cache: Path | None = None) -> None:
        self.primitive = primitive
        self.leases = Leases(primitive)
        self.shots = ShotBook(primitive)
        self._cache = cache  # where payloads are fetched to when the primitive isn't local

    @property
    def url(self) -> str:
        """Where the store is, for people."""
        return self.primitive.url

    def find(self, key: str, *, thorough: bool = False) -> Artifact | None:
        """The current generation of a key, or None when there is none or it is damaged (`damage` says how).

        Args:
            key: The key.
            thorough: Hash every byte (`run`); otherwise sizes and etags decide, and only files whose etag changed
                are hashed (`plan`).
        """
        entries = self._entries(key)
        generation = self._current(key, entries)
        if generation is None:
            return None
        artifact, problems = self._examine(key, generation, entries, thorough=thorough)
        return None if problems else artifact

    def damage(self, key: str, *, thorough: bool = False) -> list[Problem]:
        """What is wrong with the current generation of a key; empty when nothing is, or when there is none."""
        entries = self._entries(key)
        generation = self._current(key, entries)
        return [] if generation is None else self._examine(key, generation, entries, thorough=thorough)[1]

    def get(self, key: str, generation: int) -> Artifact:
        """One exact generation, quarantined or not, from its manifest alone.

        Raises:
            StorageError: It is not in the store.
            Corrupt: Its manifest is damaged.
        """
        name = generation_prefix(key, generation) + MANIFEST
        try:
            return artifact_of(decode_record(self.primitive.read(name).data, name), name)
        except Missing:
            raise StorageError("this version is no longer in the store", where=name) from None

    def generations(self, key: str) -> list[int]:
        """Numbers of all generations with a manifest, quarantined ones too."""
        return self._numbered(key, self._entries(key), MANIFEST)

    def is_quarantined(self, key: str, generation: int) -> bool:
        """Whether the generation was taken out of use."""
        return self.primitive.stat(generation_prefix(key, generation) + QUARANTINED) is not None

    def verify(self, artifact: Artifact) -> list[Problem]:
        """Hash every byte of a generation, its manifest included, and list what is wrong."""
        return self._examine(artifact.key, artifact.generation, self._entries(artifact.key), thorough=True)[1]

    def checkout(self, artifact: Artifact) -> Path:
        """A local folder with the payload, every byte of it hashed. To be read only, never written.

        Raises:
            Corrupt: It differs from what was committed; quarantine the generation and make it again.
        """
        if (folder := self.primitive.folder(artifact.payload)) is None:
            return self._fetch(artifact)
        if problems := self.verify(artifact):
            raise self._corrupt(artifact, problems)
        return folder

    def quarantine(self, key: str, generation: int, reason: Iterable[Problem] | str) -> None:
        """Take a generation out of use for good; nothing is deleted. Doing it twice is fine."""
        text = reason if isinstance(reason, str) else "; ".join(map(str, reason))
        record = {"reason": text[:4000], "time": self.primitive.now()}
        with suppress(Exists):
            self.primitive.create(generation_prefix(key, generation) + QUARANTINED, encode_record(record))

    def commit(self, key: str, folder: Path, fields: Mapping[str, Any], *, lease: Lease | None = None) -> Artifact:
        """Keep the files below ``folder`` as the key's payload; the folder itself stays as it is.

        If the key has an undamaged current generation already, that one is returned (``joined``) and nothing is
        written. A damaged one is quarantined and the next generation made.

        Args:
            key: The key (`keys.key_of`).
            folder: Payload: regular files at relative paths; empty folders are not kept.
            fields: What else the manifest holds, JSON values. By convention ``stage``, ``ingredients``, ``inputs``
                (`InputRef` as dictionaries), ``figures``, ``verdicts``, ``previews``, ``provenance``, ``timings``.
            lease: The lease under which it was made.

        Raises:
            LeaseLost: The lease was taken over by somebody who hasn't committed yet.
            StorageError: The store cannot keep it; nothing of it can be found afterwards.
        """
        files = payload_files(folder)
        while True:
            generation, existing = self._standing(key)
            if existing is not None:
                return replace(existing, joined=True)
            if lease is not None and lease.lost():
                raise LeaseLost("another worker took this step over; its result will be used", where=key[:12])
            artifact = self._attempt(key, generation, files, fields, lease)
            # Quarantined meanwhile, or somebody else's manifest won: look again.
            if artifact is not None and not self.is_quarantined(key, generation):
                return artifact

    def _attempt(
        self, key: str, generation: int, files: dict[str, Path], fields: Mapping[str, Any], lease: Lease | None
    ) -> Artifact | None:
        """Write one generation; None when another commit won."""
        base = generation_prefix(key, generation)
        payload = f"{base}{uuid.uuid4().hex[:12]}/"
        done = False
        try:
            stored = []
            for name, path in files.items():
                written = self.primitive.create(payload + name, path)
                stored.append(FileEntry(name, written.size, written.sha256, written.etag))
            record = manifest_record(key, generation, payload, tuple(stored), fields, self.primitive.now())
            if lease is not None and lease.lost():
                return None
            self.primitive.create(base + MANIFEST, encode_record(record))
            done = True
            return artifact_of(record, base + MANIFEST)
        except Exists:
            return None
        finally:
            if not done and not self._owns(base, payload):
                self._discard(payload, files)

    def _owns(self, base: str, payload: str) -> bool:
        # An interrupt between the manifest's creation and its return must not cost the committed files.
        try:
            return decode_record(self.primitive.read(base + MANIFEST).data, base)["payload"] == payload
        except Missing:
            return False
        except (Corrupt, StorageError):
            return True

    def _discard(self, payload: str, files: Iterable[str]) -> None:
        for name in files:
            with suppress(StorageError):
                self.primitive.delete(payload + name)

    def _standing(self, key: str) -> tuple[int, Artifact | None]:
        """The number that a commit has to write, or the good generation that stands there already."""
        while True:
            entries = self._entries(key)
            generation = self._current(key, entries)
            if generation is None:
                quarantined = set(self._numbered(key, entries, QUARANTINED))
                return next(n for n in range(1, len(quarantined) + 2) if n not in quarantined), None
            artifact, problems = self._examine(key, generation, entries, thorough=True)
            if artifact is not None and not problems:
                return generation, artifact
            self.quarantine(key, generation, problems)

    def _entries(self, key: str) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.primitive.list(key_prefix(key))}

    @staticmethod
    def _numbered(key: str, entries: Iterable[str], leaf: str) -> list[int]:
        prefix, numbers = key_prefix(key), []
        for name in entries:
            parts = name.removeprefix(prefix).split("/")
            if len(parts) == 2 and parts[1] == leaf and parts[0][:1] == "g" and parts[0][1:].isdecimal():
                numbers.append(int(parts[0][1:]))
        return sorted(numbers)

    def _current(self, key: str, entries: Iterable[str]) -> int | None:
        quarantined = self._numbered(key, entries, QUARANTINED)
        return next((n for n in self._numbered(key, entries, MANIFEST) if n not in quarantined), None)

    def _examine(
        self, key: str, generation: int, entries: Mapping[str, Entry], *, thorough: bool
    ) -> tuple[Artifact | None, list[Problem]]:
        name = generation_prefix(key, generation) + MANIFEST
        try:
            artifact = artifact_of(decode_record(self.primitive.read(name).data, name), name)
        except Missing:
            return None, [Problem(name, "the manifest is missing")]
        except Corrupt as error:
            return None, [Problem(name, error.what)]
        if (artifact.key, artifact.generation) != (key, generation):
            return None, [Problem(name, "the manifest belongs to another artifact")]
        problems = [p for file in artifact.files if (p := self._check(artifact, file, entries, thorough)) is not None]
        known = {artifact.payload + file.name for file in artifact.files}
        strangers = [n for n in entries if n.startswith(artifact.payload) and n not in known]
        return artifact, problems + [Problem(n, "is not part of what was committed") for n in strangers]

    def _check(
        self, artifact: Artifact, file: FileEntry, entries: Mapping[str, Entry], thorough: bool
    ) -> Problem | None:
        name = artifact.payload + file.name
        entry = entries.get(name)
        if entry is None:
            return Problem(name, "is missing")
        if entry.size != file.size:
            return Problem(name, f"has {entry.size} bytes, {file.size} were committed")
        # A changed time alone (a restored backup) is no damage: the bytes decide.
        if (thorough or entry.etag != file.etag) and self._digest(name) != file.sha256:
            return Problem(name, "its bytes have changed since the commit")
        return None

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        try:
            with self.primitive.open(name) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
        except Missing:
            return "missing"
        except OSError as error:
            return f"unreadable: {error}"
        return digest.hexdigest()

    def _fetch(self, artifact: Artifact) -> Path:
        """Copy the payload here from a store that isn't local, hashing what arrives."""
        folder = Path(tempfile.mkdtemp(prefix="payload-", dir=self._cache))
        try:
            for file in artifact.files:
                if (
                    problem := self._fetch_file(artifact.payload + file.name, folder / file.name, file.sha256)
                ) is not None:
                    raise self._corrupt(artifact, [problem])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _fetch_file(self, name: str, target: Path, sha256: str) -> Problem | None:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with self.primitive.open(name) as source, target.open("wb") as sink:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    sink.write(chunk)
        except Missing:
            return Problem(name, "is missing")
        return None if digest.hexdigest() == sha256 else Problem(name, "its bytes have changed since the commit")

    @staticmethod
    def _corrupt(artifact: Artifact, problems: list[Problem]) -> Corrupt:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Corrupt(
            f"{problems[0].what}{more}",
            where=problems[0].where,
            do=f"make {artifact.stage or 'it'} again: a new generation replaces it",
        )


def payload_files(folder: Path) -> dict[str, Path]:
    """Path by relative name of the regular files below a folder, sorted by name.

    Raises:
        StorageError: There are none, or something is a link or a device, or has a name that the store refuses.
    """
    files: dict[str, Path] = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        name = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(mode):
            raise StorageError("a payload holds plain files only, this is a link or a device", where=path)
        files[check_name(name)] = path
    if not files:
        raise StorageError("the stage left no file to keep", where=folder)
    return dict(sorted(files.items()))
