"""A delivery's folder on a disk of the user's: written whole or not at all, and checked against its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio_pipeline.line.processes import is_gone, process_name
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.store import Artifact, Corrupt, Store
from studio_pipeline.store.primitive import Missing, check_name

__all__ = ["MANIFEST", "FolderReport", "check_folder", "read_manifest", "write_folder"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_MAX_MANIFEST = 256 << 20
_PARTIAL = ".studio-delivery."


@dataclass(frozen=True)
class FolderReport:
    """What `check_folder` has seen."""

    files: int
    size: int  # [bytes]
    problems: tuple[str, ...]


def write_folder(
    store: Store,
    target: Path,
    payload: Mapping[str, tuple[Artifact, str]],
    small: Mapping[str, bytes],
    *,
    complete: Callable[[], None],
) -> None:
    """Write a delivery's folder; it appears under its name when everything is in it, the manifest last.

    Args:
        store: Where the payload's bytes come from; each file is hashed on its way.
        target: The folder, which must not be there.
        payload: By name in the folder: the artifact, and the name in it.
        small: Bytes by name; `MANIFEST` must be one of them.
        complete: Called when everything is written, before the folder gets its name; what it raises undoes all.

    Raises:
        Corrupt: Bytes in the store aren't what was committed.
        StorageError: The folder can't be written, or is there already.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{process_name()}.", dir=target.parent))
        try:
            for name, (artifact, inner) in payload.items():
                _copy(store, artifact, inner, folder / check_name(name))
            for name in sorted(small, key=lambda name: name == MANIFEST):
                _write(folder / check_name(name), small[name])
            folder.chmod(0o755)
            complete()
            folder.rename(target)
            _sync(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        what = "is there already" if target.exists() else f"can't be written ({error.strerror})"
        raise StorageError(what, where=target, do="choose another folder with --to, or free space") from error


def _copy(store: Store, artifact: Artifact, inner: str, target: Path) -> None:
    entry = next(file for file in artifact.files if file.name == inner)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, name = hashlib.sha256(), artifact.payload + inner
    do = f"studio run makes {artifact.stage} again"
    try:
        with store.primitive.open(name) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                sink.write(chunk)
            _seal(sink)
    except Missing:
        raise Corrupt("is missing", where=name, do=do) from None
    if digest.hexdigest() != entry.sha256:
        raise Corrupt("its bytes have changed since the commit", where=name, do=do)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as sink:
        sink.write(data)
        _seal(sink)


def _seal(sink: Any) -> None:
    """On the disk, and read only: a delivery isn't edited by accident."""
    sink.flush()
    os.fchmod(sink.fileno(), 0o444)
    os.fsync(sink.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what deliveries left here that were killed."""
    for folder in parent.glob(f"{_PARTIAL}*"):
        if folder.is_dir() and is_gone(folder.name.removeprefix(_PARTIAL).partition(".")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """A delivered folder's manifest.

    Raises:
        InputError: There is none, or it can't be read as one.
    """
    path = folder / MANIFEST
    do = "name a folder that studio deliver wrote"
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise InputError("is larger than any manifest", where=path, do=do)
        manifest = json.loads(path.read_bytes())
        files = manifest["files"]
        for name, said in files.items():
            check_name(name)
            if not isinstance(said["sha256"], str) or type(said["size"]) is not int:
                raise ValueError(name)
    except OSError:
        raise InputError("is no delivery, it has no manifest", where=folder, do=do) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StorageError):
        raise InputError("is no manifest of a delivery", where=path, do=do) from None
    return manifest


def check_folder(folder: Path) -> FolderReport:
    """Hash every file of a delivered folder and compare it with the manifest; what is too much is told as well.

    Raises:
        InputError: It has no manifest.
    """
    files = read_manifest(folder)["files"]
    problems = []
    for name, said in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{path}: is missing")
        elif path.stat().st_size != said["size"]:
            problems.append(f"{path}: has {path.stat().st_size} bytes, {said['size']} were delivered")
        elif _digest(path) != said["sha256"]:
            problems.append(f"{path}: its bytes have changed since the delivery")
    known = {*files, MANIFEST}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or (not path.is_dir() and path.relative_to(folder).as_posix() not in known):
            problems.append(f"{path}: is not part of the delivery")
    return FolderReport(len(files), sum(said["size"] for said in files.values()), tuple(problems))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
