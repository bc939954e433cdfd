"""The manifest: the last thing written of a generation, and what makes it one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import StorageError, StudioError
from studio_pipeline.store.keys import canonical_json, content_hash, plain
from studio_pipeline.store.primitive import check_name

__all__ = ["Artifact", "Corrupt", "FileEntry", "InputRef", "decode_record", "encode_record"]

FORMAT = 1
RESERVED = frozenset({"format", "key", "generation", "payload", "files", "content_hash", "committed_at", "digest"})

MAX_KNOWN = 200_000

# SHA-256 of records that were checked: a plan of many shots reads the same manifests again and again.
_sound: set[bytes] = set()

_ZEROS = b"0" * 64
# Where a record's own digest stands: deeper fields are indented more, and text holds no line break.
_MARK = b'\n "digest": "'

_key = re.compile(r"[0-9a-f]{64}")


class Corrupt(StudioError):
    """Bytes in the store are not what was committed; making the artifact again repairs it."""

    exit_code = 5


@dataclass(frozen=True)
class FileEntry:
    """One payload file."""

    name: str  # relative POSIX path inside the payload
    size: int  # [bytes]
    sha256: str
    etag: str  # as the store gave it at the commit; for the quick check only, not part of the content hash


@dataclass(frozen=True)
class InputRef:
    """The exact generation of an upstream artifact that was read."""

    name: str  # upstream asset
    key: str
    generation: int
    content_hash: str


@dataclass(frozen=True)
class Artifact:
    """One committed generation of a key."""

    key: str
    generation: int
    payload: str  # prefix of the payload files in the store, ends in "/"
    content_hash: str  # of the payload only
    files: tuple[FileEntry, ...]
    manifest: Mapping[str, Any]  # everything, as it was committed
    joined: bool = False  # `commit` found that somebody else's commit had won and returned that one

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(file.size for file in self.files)

    @property
    def stage(self) -> str:
        """Name of the stage that made it; empty when the committer didn't say."""
        return self.manifest.get("stage", "")

    @property
    def ingredients(self) -> dict[str, Any]:
        """What the key is the hash of."""
        return self.manifest.get("ingredients", {})

    @property
    def inputs(self) -> tuple[InputRef, ...]:
        """The upstream generations that it was made from."""
        return tuple(InputRef(**item) for item in self.manifest.get("inputs", ()))

    @property
    def figures(self) -> dict[str, Any]:
        """Key figures."""
        return self.manifest.get("figures", {})

    @property
    def verdicts(self) -> tuple[dict[str, Any], ...]:
        """Verdicts of the quality gates, as the committer wrote them."""
        return tuple(self.manifest.get("verdicts", ()))

    @property
    def previews(self) -> tuple[str, ...]:
        """Names of the pictures in the payload, the best first."""
        return tuple(self.manifest.get("previews", ()))

    @property
    def provenance(self) -> dict[str, Any]:
        """Host, device, seconds: true of this generation, no part of its content."""
        return self.manifest.get("provenance", {})

    def as_input(self, name: str) -> InputRef:
        """How a downstream manifest names this generation."""
        return InputRef(name, self.key, self.generation, self.content_hash)


def check_key(key: str) -> str:
    """``key`` if it is 64 hex digits."""
    if not _key.fullmatch(key):
        raise StorageError(f"{ascii(key)[:80]} is not a key (64 hex digits)")
    return key


def encode_record(record: Mapping[str, Any]) -> bytes:
    """A small record as bytes that carry their own digest, so that every changed byte shows.

    The digest is that of the very bytes, zeros standing in its own place: to check it costs no more than to read them.
    """
    body = plain(record)
    data = (
        json.dumps({**body, "digest": _ZEROS.decode()}, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"
    )
    place = data.index(_MARK) + len(_MARK)
    return data[:place] + hashlib.sha256(data).hexdigest().encode() + data[place + len(_ZEROS) :]


def _carries_its_digest(data: bytes) -> bool:
    place = data.find(_MARK) + len(_MARK)
    end = place + len(_ZEROS)
    found = hashlib.sha256(data[:place])
    found.update(_ZEROS)
    found.update(data[end:])
    return place > len(_MARK) and found.hexdigest().encode() == data[place:end]


def known_sound(sha256: bytes) -> None:
    """Bytes with this SHA-256 are a record that `decode_record` has found whole: it need not be encoded again."""
    if len(_sound) >= MAX_KNOWN:
        _sound.clear()
    _sound.add(sha256)


def decode_record(data: bytes, where: str) -> dict[str, Any]:
    """The record back.

    Raises:
        Corrupt: A byte differs from what was written.
    """
    try:
        if _carries_its_digest(data):
            record = json.loads(data)
            del record["digest"]
            return record
        seen = hashlib.sha256(data).digest()
        record = json.loads(data)
        digest = record.pop("digest")
        if seen in _sound or (digest, data) == _as_once(record):
            known_sound(seen)
            return record
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        pass
    raise Corrupt("the record's bytes have changed since it was written", where=where)


def check_belongs(record: Mapping[str, Any], name: str) -> None:
    """Refuse a record of a shot's books that is whole but says that it is another one: somebody moved it.

    Args:
        record: The record.
        name: ``shots/<shot>/<book>/[<stage>/]<number>.json``.

    Raises:
        Corrupt: Its shot, its stage, its version or its number is another one.
    """
    parts, numbers = name.split("/"), [int(number) for number in re.findall(r"[0-9]+", name.rpartition("/")[2])]
    said = [record.get("shot_id", parts[1]), record.get("stage", parts[3] if len(parts) > 4 else None)]
    here = [parts[1], parts[3] if len(parts) > 4 else record.get("stage")]
    if "number" in record and numbers:
        said.append(record["number"])
        here.append(numbers[-1])
    elif "version" in record and parts[2] in ("published", "record"):
        said += [record["version"], *([record["revision"]] if "revision" in record else [])]
        here += numbers
    if parts[2] == "reviews" and len(parts) > 5:
        said.append(f"v{record.get('version', 0):03d}")
        here.append(parts[4])
    if said != here:
        raise Corrupt("the record belongs to another place", where=name)


def _as_once(record: Mapping[str, Any]) -> tuple[str, bytes]:
    """Digest and bytes of a record as versions before 0.9 wrote it: the digest was that of its canonical JSON."""
    digest = hashlib.sha256(canonical_json(record)).hexdigest()
    text = json.dumps({**record, "digest": digest}, sort_keys=True, indent=1, ensure_ascii=False)
    return digest, text.encode() + b"\n"


def manifest_record(
    key: str, generation: int, payload: str, files: tuple[FileEntry, ...], fields: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The manifest of a payload that has been stored under ``payload``."""
    if clash := RESERVED & set(fields):
        raise StorageError(f"manifest fields {sorted(clash)} are written by the store itself")
    return {
        **plain(fields),
        "format": FORMAT,
        "key": key,
        "generation": generation,
        "payload": payload,
        "files": {file.name: {"size": file.size, "sha256": file.sha256, "etag": file.etag} for file in files},
        "content_hash": content_hash({file.name: file.sha256 for file in files}),
        "committed_at": now,
    }


def artifact_of(record: Mapping[str, Any], where: str) -> Artifact:
    """The artifact that a manifest describes.

    Raises:
        Corrupt: It was written by another version of the store.
    """
    if record.get("format") != FORMAT:
        raise Corrupt(f"the manifest has format {record.get('format')}, this version reads {FORMAT}", where=where)
    files = tuple(FileEntry(check_name(name), **entry) for name, entry in record["files"].items())
    return Artifact(record["key"], record["generation"], record["payload"], record["content_hash"], files, record)
