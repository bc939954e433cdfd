"""Reading payload files whole: their digest, or a local copy that was hashed as it arrived."""

from __future__ import annotations

import hashlib
from pathlib import Path

from studio_pipeline.store.manifest import FileEntry
from studio_pipeline.store.primitive import Missing, Primitive, Unreadable

__all__ = ["digest_object", "fetch"]

CHUNK = 1 << 20


def digest_object(primitive: Primitive, name: str) -> str:
    """SHA-256 of an object's bytes, hex, or words when they can't be had."""
    digest = hashlib.sha256()
    try:
        with primitive.open(name) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except Missing:
        return "missing"
    except (OSError, Unreadable) as error:
        return f"unreadable: {error}"
    return digest.hexdigest()


def fetch(primitive: Primitive, prefix: str, file: FileEntry, target: Path) -> str:
    """Copy the object ``prefix + file.name`` to ``target``.

    Returns:
        What is wrong with it; empty when it is what was committed. Bytes that differ are fetched a second time: the
        store is only blamed for what it says twice.
    """
    problem = _copy(primitive, prefix, file, target)
    return _copy(primitive, prefix, file, target) if problem == _DIFFERS else problem


_DIFFERS = "its bytes have changed since the commit"


def _copy(primitive: Primitive, prefix: str, file: FileEntry, target: Path) -> str:
    digest = hashlib.sha256()
    try:
        with primitive.open(prefix + file.name) as source, target.open("wb") as sink:
            while chunk := _read(source):
                digest.update(chunk)
                sink.write(chunk)
    except Missing:
        return "is missing"
    except _Lost as lost:
        return f"cannot be read ({lost})"
    # Pinned files have no digest of their own: who reads them compares all of them together.
    return "" if digest.hexdigest() == file.sha256 or not file.sha256 else _DIFFERS


class _Lost(Exception):
    """The bytes can't be had; not to be taken for trouble with the local file."""


def _read(source: object) -> bytes:
    try:
        return source.read(CHUNK)  # type: ignore[attr-defined]
    except OSError as error:
        raise _Lost(str(error)) from error
