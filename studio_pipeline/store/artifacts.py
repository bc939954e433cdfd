"""Artifacts: what a stage made, kept by key and generation, committed once and never overwritten.

::

    artifacts/<ab>/<key>/g0001/<attempt>/<payload files>
    artifacts/<ab>/<key>/g0001/manifest.json    created last; names the attempt whose files are the payload
    artifacts/<ab>/<key>/g0001/quarantined      created when the generation failed verification

The current generation is the lowest that has a manifest and isn't quarantined. Writers of one generation write into
folders of their own and race for the manifest's name only: the first wins, whoever comes later, however late, loses.
"""

from __future__ import annotations

import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.cache import PayloadCache
from studio_pipeline.store.fetching import digest_object, fetch
from studio_pipeline.store.keys import content_hash
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
from studio_pipeline.store.moment import Moment
from studio_pipeline.store.parallel import each
from studio_pipeline.store.primitive import Entry, Exists, Missing, Primitive, check_name
from studio_pipeline.store.published import ShotBook
from studio_pipeline.store.records import RecordCache
from studio_pipeline.store.snapshot import Snapshot

__all__ = ["LeaseLost", "Problem", "Store", "key_prefix"]

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

    def __init__(
        self,
        primitive: Primitive,
        *,
        cache: PayloadCache | None = None,
        records: RecordCache | None = None,
        moment: Moment | None = None,
    ) -> None:
        self.primitive = primitive
        self.leases = Leases(primitive)
        self.shots = ShotBook(primitive)
        self.cache = cache  # where payloads are fetched to when the primitive isn't local
        self._records = records  # what was read of the primitive when it isn't local
        self.moment = moment  # of a `snapshot`: what was found out at that moment

    @property
    def url(self) -> str:
        """Where the store is, for people."""
        return self.primitive.url

    def snapshot(self, shot_ids: Iterable[str]) -> Store:
        """This store as it is now, for planning these shots: read in few requests, never written to.

        On a disk, where looking costs little, only what many shots share is remembered.
        """
        if self.moment is not None:
            return self
        if self.primitive.folder("") is not None:
            return Store(self.primitive, moment=Moment())
        seen = Snapshot(self.primitive, self._records)
        seen.preload(list(shot_ids))
        return Store(seen, cache=self.cache, records=self._records, moment=Moment())

    @contextmanager
    def using(self) -> Iterator[None]:
        """Until the block ends, what this thread checks out inside it stays; without one, until the process ends."""
        with self.cache.using() if self.cache is not None else nullcontext():
            yield

    def find(self, key: str, *, thorough: bool = False) -> Artifact | None:
        """The current generation of a key, or None when there is none or it is damaged (`damage` says how).

        Args:
            key: The key.
            thorough: Hash every byte (`run`) where etags don't prove that nothing was written since the commit;
                otherwise sizes and etags decide, and only files whose etag changed are hashed (`plan`).
        """
        if self.moment is not None and (known := self.moment.artifacts.get((key, thorough))) is not None:
            return known
        entries = self._entries(key)
        generation = self._current(key, entries)
        if generation is None:
            return None
        artifact, problems = self._examine(key, generation, entries, thorough=thorough)
        sound = None if problems else artifact
        if sound is not None and self.moment is not None:
            self.moment.remember(sound, thorough=thorough)
        return sound

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
            artifact = artifact_of(decode_record(self.primitive.read(name).data, name), name)
        except Missing:
            raise StorageError("this version is no longer in the store", where=name) from None
        if (artifact.key, artifact.generation) != (key, generation):
            raise Corrupt("the manifest belongs to another artifact", where=name, do="make it again")
        return artifact

    def generations(self, key: str) -> list[int]:
        """Numbers of all generations with a manifest, quarantined ones too."""
        return self._numbered(key, self._entries(key), MANIFEST)

    def is_quarantined(self, key: str, generation: int) -> bool:
        """Whether the generation was taken out of use."""
        return self.primitive.stat(generation_prefix(key, generation) + QUARANTINED) is not None

    def verify(self, artifact: Artifact) -> list[Problem]:
        """Hash every byte of a generation, its manifest included, and list what is wrong."""
        entries = self._entries(artifact.key)
        return self._examine(artifact.key, artifact.generation, entries, thorough=True, every_byte=True)[1]

    def checkout(self, artifact: Artifact) -> Path:
        """A local folder with the payload, every byte of it hashed. To be read only, never written.

        Raises:
            Corrupt: It differs from what was committed; quarantine the generation and make it again.
        """
        if (folder := self.primitive.folder(artifact.payload)) is None:
            return self._fetched(artifact, artifact.content_hash, artifact.files)
        if problems := self.verify(artifact):
            raise self._corrupt(artifact, problems)
        return folder

    def local_file(self, artifact: Artifact, name: str) -> Path | None:
        """One file of the payload on this machine, such as a preview; None when the payload has none of that name.

        Raises:
            Corrupt: It had to be fetched and differs from what was committed.
        """
        file = next((file for file in artifact.files if file.name == name), None)
        if file is None:
            return None
        if (folder := self.primitive.folder(artifact.payload)) is None:
            folder = self._fetched(artifact, content_hash({name: file.sha256}), [file])
        return folder / name

    def pinned_file(self, name: str, sound: Callable[[Path], bool]) -> Path | None:
        """A pinned file with all that lies beside it, on this machine; None when it is gone or isn't ``sound``."""
        if (path := self.primitive.folder(name)) is not None:
            return path if sound(path) else None
        prefix = "/".join(name.split("/")[:2]) + "/"
        entries = list(self.primitive.list(prefix))
        files = [FileEntry(entry.name.removeprefix(prefix), entry.size, "", entry.etag) for entry in entries]
        content = content_hash({file.name: file.etag for file in files})
        for again in (True, False):
            folder = self._cached(content, files, lambda file, target: fetch(self.primitive, prefix, file, target))
            if sound(folder / name.removeprefix(prefix)):
                return folder / name.removeprefix(prefix)
            if again and self.cache is not None:
                self.cache.drop(content)  # only sizes told that the local copy was good
        return None

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
            StorageError: The store cannot keep it; nothing of it can be found afterwards. Or this is a `snapshot`.
        """
        if self.moment is not None:
            raise StorageError("a plan writes nothing", where=self.url)
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

            def store(name: str) -> FileEntry:
                written = self.primitive.create(payload + name, files[name])
                return FileEntry(name, written.size, written.sha256, written.etag)

            stored = tuple(each(store, files, width=self.primitive.parallel))
            record = manifest_record(key, generation, payload, stored, fields, self.primitive.now())
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
        def delete(name: str) -> None:
            with suppress(StorageError):
                self.primitive.delete(payload + name)

        each(delete, files, width=self.primitive.parallel)

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
        self, key: str, generation: int, entries: Mapping[str, Entry], *, thorough: bool, every_byte: bool = False
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
        doubt = every_byte or (thorough and not self.primitive.trusted_etags)
        found = each(
            lambda file: self._check(artifact, file, entries, doubt),
            artifact.files,
            width=self.primitive.parallel if doubt else 1,
        )
        problems = [problem for problem in found if problem is not None]
        known = {artifact.payload + file.name for file in artifact.files}
        strangers = [n for n in entries if n.startswith(artifact.payload) and n not in known]
        return artifact, problems + [Problem(n, "is not part of what was committed") for n in strangers]

    def _check(self, artifact: Artifact, file: FileEntry, entries: Mapping[str, Entry], doubt: bool) -> Problem | None:
        name = artifact.payload + file.name
        entry = entries.get(name)
        if entry is None:
            return Problem(name, "is missing")
        if entry.size != file.size:
            return Problem(name, f"has {entry.size} bytes, {file.size} were committed")
        # A changed time alone (a restored backup) is no damage: the bytes decide.
        if not doubt and entry.etag == file.etag:
            return None
        digest = digest_object(self.primitive, name)
        what = digest if digest.startswith("unreadable") else "its bytes have changed since the commit"
        return None if digest == file.sha256 else Problem(name, what)

    def _fetched(self, artifact: Artifact, content: str, files: Sequence[FileEntry]) -> Path:
        """The folder of the read cache that holds these files of an artifact."""

        def bring(file: FileEntry, target: Path) -> None:
            if problem := fetch(self.primitive, artifact.payload, file, target):
                raise self._corrupt(artifact, [Problem(artifact.payload + file.name, problem)])

        return self._cached(content, files, bring)

    def _cached(self, content: str, files: Sequence[FileEntry], bring: Callable[[FileEntry, Path], object]) -> Path:
        if self.cache is None:
            raise StorageError("this store isn't local and has no read cache", where=self.url)
        return self.cache.checkout(content, files, bring, width=self.primitive.parallel)

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
