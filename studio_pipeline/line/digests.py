"""Content digests of the files that a shot names: characters with all they refer to, plates, hand-made rigs."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.formats import KINDS, input_files

__all__ = ["digest_input", "one_moment"]

MAX_FILES = 20_000
MAX_BYTES = 64 << 30

_known: dict[tuple[str, int, int], str] = {}
_moment: ContextVar[dict[Path, str] | None] = ContextVar("moment", default=None)


@contextmanager
def one_moment(told: dict[Path, str] | None = None) -> Iterator[None]:
    """Within the block a file is looked at once, however many shots name it: whatever it is then, it counts as.

    Args:
        told: Digests of an earlier block of the same moment, which are added to.
    """
    around = _moment.get()
    token = _moment.set(told if told is not None else around if around is not None else {})
    try:
        yield
    finally:
        _moment.reset(token)


def digest_input(path: Path, *, where: str = "") -> str:
    """Digest of a file or folder by content: base names and bytes, no path outside it, no times.

    A mesh file counts with every file that it refers to. Within one process an unchanged file (size and
    modification time) is read once.

    Raises:
        InputError: The file is missing, unreadable or no regular file.
    """
    told = _moment.get()
    if told is not None and path in told:
        return told[path]
    try:
        digest = _digest(path)
        if told is not None:
            told[path] = digest
        return digest
    except InputError as error:
        inner = f": {error.where}" if where and error.where else error.where
        raise InputError(error.what, where=f"{where}{inner}", do=error.do) from None
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror}): {path}", where=where) from error


def _digest(path: Path) -> str:
    if path.is_dir():
        return _digest_many({str(p.relative_to(path)): p for p in _files_below(path)})
    if not path.is_file():
        raise InputError(f"no such file: {path}", do="paths are relative to the shot file")
    members = input_files(path) if path.suffix.lower() in KINDS else [path]
    if members == [path]:
        return _digest_file(path)
    return _digest_many({str(p.relative_to(path.parent)): p for p in members})


def _files_below(folder: Path) -> list[Path]:
    """Regular files below a folder, sorted; it is left as soon as there is too much in it (somebody may name ``/``)."""
    found: list[Path] = []
    seen = size = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        seen += len(folders) + len(names)
        for name in names:
            path = Path(parent) / name
            if not name.startswith(".") and path.is_file():
                found.append(path)
                size += path.stat().st_size
        if seen > MAX_FILES or size > MAX_BYTES:
            raise InputError(f"folder {folder} holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GB")
    return sorted(found)


def _digest_many(members: dict[str, Path]) -> str:
    total = hashlib.sha256()
    for name in sorted(members):
        total.update(f"{len(name)}:{name}:{_digest_file(members[name])}\n".encode())
    return total.hexdigest()


def _digest_file(path: Path) -> str:
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _known:
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is a device or a pipe, expected a file")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 30} GB")
        _known[key] = _hashed(path, status.st_size)
    return _known[key]


def _hashed(path: Path, size: int) -> str:
    """Digest of the file's bytes, as many as it says that it has: those of a file of ``/proc`` may never end."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while size > 0 and (chunk := stream.read(min(size, 1 << 20))):
            found.update(chunk)
            size -= len(chunk)
    return found.hexdigest()
