"""The small interface that everything in the store stands on, and the probe that tests an implementation.

Names are relative POSIX paths ("artifacts/ab/..."). An object is small (`read`) or streamed (`open`, `create` from
a file). Two conditions carry the whole design: `create` fails when the name exists, `replace_if` fails when the object
is no longer the one that was read.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from studio_pipeline.schema.errors import StorageError, StorageRefused

__all__ = [
    "Changed",
    "Content",
    "Entry",
    "Exists",
    "Missing",
    "Primitive",
    "Unreadable",
    "Written",
    "check_name",
    "probe",
    "refusal",
]

MAX_NAME_BYTES = 900  # S3 allows 1024 for a whole key; the rest is left for the store's own folders
MAX_PART_BYTES = 200  # file systems allow 255

_unsafe = re.compile(r"[\x00-\x1f\x7f\\]")


class Exists(Exception):
    """`create`: there is an object of that name already."""


class Missing(Exception):
    """There is no object of that name."""


class Unreadable(StorageError):
    """The place answers, but not with this object's bytes: they may be lost, or their disk is away for a while."""


class Changed(Exception):
    """`replace_if`: the object is not the one whose etag was given, or is gone."""


@dataclass(frozen=True)
class Entry:
    """What a listing says of one object."""

    name: str
    size: int  # [bytes]
    etag: str  # changes whenever the object is replaced; on disk its modification time
    modified: float  # by the store's clock [s since the epoch]


@dataclass(frozen=True)
class Content:
    """A small object with the etag that belongs to exactly these bytes."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class Written:
    """What `create` and `replace_if` have stored."""

    size: int  # [bytes]
    sha256: str  # hex digest of the bytes that were sent
    etag: str


class Primitive(Protocol):
    """What a place has to offer to be a store. Every write is atomic and durable when the call returns.

    All methods raise `StorageError` when the place fails (disk full, no permission, no connection).
    """

    @property
    def parallel(self) -> int:
        """How many calls at a time pay; 1 where the place answers at once."""
        ...

    @property
    def trusted_etags(self) -> bool:
        """Whether the place computes an etag from the bytes that arrive, so that no write leaves it as it was.

        A file's modification time can be set back, hence on disk only the bytes themselves prove anything.
        """
        ...

    @property
    def url(self) -> str:
        """Where it is, for people."""
        ...

    def create(self, name: str, data: bytes | Path) -> Written:
        """Store bytes, or stream a file's bytes, under a name that must be free; raises `Exists`.

        Of writers at the same moment one wins - of small objects. Files that are sent in parts some services let two
        write; whoever needs to win writes a small object, as commits do.
        """
        ...

    def replace_if(self, name: str, data: bytes, etag: str) -> Written:
        """Replace the object that has this etag; raises `Changed`. The new etag differs from the old one.

        The bytes have to be new to this name (a nonce in them does): where an etag is a digest of the bytes, old ones
        would bring the old etag back.
        """
        ...

    def read(self, name: str) -> Content:
        """A small object whole; raises `Missing`."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A stream of an object's bytes, to be closed by the caller; raises `Missing`.

        An ``OSError`` while reading means that the bytes are lost (the artifact is made again); trouble that may pass,
        such as a broken connection, has to be a `StorageError`; `Unreadable` when nobody can tell.
        """
        ...

    def stat(self, name: str) -> Entry | None:
        """Size and etag without the bytes; None when there is no such object."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects below ``prefix`` (which ends in "/" or is empty), sorted by name, never cached."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object if it is there. Only `gc`, leases and the clean-up of failed commits do this."""
        ...

    def sweep(self, older_than_s: float) -> int:
        """Remove what killed writers left outside the names (temporary files); returns how many."""
        ...

    def folder(self, prefix: str) -> Path | None:
        """The local folder that holds the objects under ``prefix``, or None when they must be fetched."""
        ...

    def now(self) -> float:
        """The store's own clock [s since the epoch]: one for all machines that share the store."""
        ...


def check_name(name: str) -> str:
    """``name`` if it is a safe relative path.

    Raises:
        StorageError: It is absolute, climbs out, has control characters, empty parts or is too long.
    """
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        raise StorageError(f"the file name {name!a} is not valid text") from None
    parts = name.split("/")
    if _unsafe.search(name) or any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"the file name {name!a} is not a plain relative path")
    if len(encoded) > MAX_NAME_BYTES or any(len(part.encode("utf-8")) > MAX_PART_BYTES for part in parts):
        raise StorageError(f"the file name {ascii(name)[:80]}... is too long")
    return name


def probe(primitive: Primitive) -> None:
    """Write twice and refuse a store that ignores conditions.

    Raises:
        StorageError: A write that had to fail went through, or a read doesn't see the last write.
    """
    name = f"probe/{uuid.uuid4().hex}"
    first = primitive.create(name, b"first")
    try:
        problem = _broken_promise(primitive, name, first)
    finally:
        primitive.delete(name)
    if not problem and primitive.stat(name) is not None:
        problem = "still shows an object after it was deleted"
    if problem:
        raise refusal(problem, primitive.url)


def refusal(problem: str, url: str) -> StorageError:
    """Why a place can't be a store."""
    return StorageRefused(
        f"this store {problem}: artifacts would get lost",
        where=url,
        do="use a place with conditional writes (a local disk, NFS 4, or an S3 service that honours If-None-Match)",
    )


def _broken_promise(primitive: Primitive, name: str, first: Written) -> str:
    try:
        primitive.create(name, b"second")
        return "ignores create-only writes"
    except Exists:
        pass
    try:
        primitive.replace_if(name, b"third", first.etag + "x")
        return "ignores conditional replacement"
    except Changed:
        pass
    if primitive.read(name).data != b"first":
        return "changed an object by a write that it refused"
    second = primitive.replace_if(name, b"fourth", first.etag)
    if second.etag == first.etag or primitive.read(name) != Content(b"fourth", second.etag):
        return "doesn't return what was last written"
    try:
        primitive.replace_if(name, b"fifth", first.etag)
        return "ignores conditional replacement"
    except Changed:
        pass
    if [entry.name for entry in primitive.list("probe/") if entry.name == name] != [name]:
        return "doesn't list an object that was just written"
    return ""
