"""Content digests of the files that a shot names: characters with all they refer to, plates, hand-made rigs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.formats import KINDS, input_files

__all__ = ["digest_input"]

MAX_FILES = 20_000
MAX_BYTES = 64 << 30

_known: dict[tuple[str, int, int], str] = {}


def digest_input(path: Path, *, where: str = "") -> str:
    """Digest of a file or folder by content: base names and bytes, no path outside it, no times.

    A mesh file counts with every file that it refers to. Within one process an unchanged file (size and
    modification time) is read once.

    Raises:
        InputError: The file is missing, unreadable or no regular file.
    """
    try:
        return _digest(path)
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
    found, size = [], 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found.append(path)
            size += path.stat().st_size
        if len(found) > MAX_FILES or size > MAX_BYTES:
            raise InputError(f"folder {folder} holds more than {MAX_FILES} files or {MAX_BYTES} bytes")
    return found


def _digest_many(members: dict[str, Path]) -> str:
    total = hashlib.sha256()
    for name in sorted(members):
        total.update(f"{len(name)}:{name}:{_digest_file(members[name])}\n".encode())
    return total.hexdigest()


def _digest_file(path: Path) -> str:
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _known:
        with path.open("rb") as stream:
            _known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _known[key]
