"""The primitive on a file system that has hard links and flock: a local disk or NFS 4."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from studio_pipeline.schema.errors import StorageError, StorageFull, StorageRefused
from studio_pipeline.store.primitive import Changed, Content, Entry, Exists, Missing, Written, check_name

__all__ = ["DiskPrimitive"]

CHUNK = 1 << 20
_TEMPORARY, _LOCKS = ".tmp", ".locks"

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space (studio gc), or put STUDIO_HOME on another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space (studio gc), or put STUDIO_HOME on another disk"),
    errno.EFBIG: ("a file exceeds the size limit of this disk or process", "raise the limit (ulimit -f)"),
    errno.EACCES: ("no permission", "make the folder writable, or put STUDIO_HOME elsewhere"),
    errno.EPERM: ("not permitted here", "use a file system with hard links, or put STUDIO_HOME elsewhere"),
    errno.EROFS: ("the file system is read-only", "put STUDIO_HOME elsewhere"),
    errno.ENOTSUP: ("the file system has no hard links or locks", "put STUDIO_HOME on another disk"),
}

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def _told(where: Path) -> Iterator[None]:
    """Turn an operating system's error into one clear line."""
    try:
        yield
    except OSError as error:
        reason, do = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
        kind = StorageFull if error.errno in _FULL else StorageRefused if error.errno in _REASONS else StorageError
        raise kind(f"cannot store here: {reason}", where=where, do=do) from error


def _write(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _etag(status: os.stat_result) -> str:
    # Not the inode: a store that was copied with its times (cp -a, rsync -t) stays valid.
    return f"{status.st_mtime_ns:x}"


class DiskPrimitive:
    """Objects are files below ``root``.

    A write goes to a temporary file of the same file system, is synced, gets its final name by a hard link (which
    fails when the name exists) or a rename (under a lock that the kernel frees when its holder dies), and the folder
    is synced.
    """

    parallel = 1
    trusted_etags = False

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        with _told(self.root):
            for folder in (_TEMPORARY, _LOCKS):
                (self.root / folder).mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """The root folder."""
        return str(self.root)

    def create(self, name: str, data: bytes | Path) -> Written:
        """See `Primitive.create`."""
        target = self._path(name)
        if os.path.lexists(target):  # spares writing a large file for nothing; the link below is what decides
            raise Exists(name)
        with _told(self.root), self._temporary(data) as (temporary, written):
            try:
                self._link(temporary, target)
            except FileExistsError:
                raise Exists(name) from None
        return written

    def replace_if(self, name: str, data: bytes, etag: str) -> Written:
        """See `Primitive.replace_if`."""
        target = self._path(name)
        with _told(self.root), self._locked(name), self._temporary(data) as (temporary, written):
            try:
                status = target.stat()
            except FileNotFoundError:
                raise Changed(name) from None
            if _etag(status) != etag:
                raise Changed(name)
            # File times tick in milliseconds: two quick writes must not look alike.
            if temporary.stat().st_mtime_ns <= status.st_mtime_ns:
                os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
                written = Written(written.size, written.sha256, _etag(temporary.stat()))
            temporary.replace(target)
            _sync_folder(target.parent)
        return written

    def read(self, name: str) -> Content:
        """See `Primitive.read`."""
        with self.open(name) as stream, _told(self.root):
            return Content(stream.read(), _etag(os.fstat(stream.fileno())))

    def open(self, name: str) -> BinaryIO:
        """See `Primitive.open`."""
        try:
            with _told(self.root):
                return self._path(name).open("rb")
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError | IsADirectoryError | NotADirectoryError):
                raise Missing(name) from None
            raise

    def stat(self, name: str) -> Entry | None:
        """See `Primitive.stat`."""
        with _told(self.root):
            try:
                status = self._path(name).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Entry(name, status.st_size, _etag(status), status.st_mtime)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Primitive.list`."""
        with _told(self.root):
            found = self._walk(self.folder(prefix), prefix)
        return iter(sorted(found, key=lambda entry: entry.name))

    def _walk(self, folder: Path, prefix: str) -> list[Entry]:
        found: list[Entry] = []
        try:
            with os.scandir(folder) as children:
                for child in children:
                    if not prefix and child.name in (_TEMPORARY, _LOCKS):
                        continue
                    with suppress(FileNotFoundError):  # deleted while we look
                        if child.is_dir(follow_symlinks=False):
                            found += self._walk(Path(child.path), f"{prefix}{child.name}/")
                        else:
                            status = child.stat(follow_symlinks=False)
                            found.append(Entry(prefix + child.name, status.st_size, _etag(status), status.st_mtime))
        except (FileNotFoundError, NotADirectoryError):
            pass
        return found

    def delete(self, name: str) -> None:
        """See `Primitive.delete`. Folders that became empty go too."""
        target = self._path(name)
        with _told(self.root):
            target.unlink(missing_ok=True)
            for folder in target.parents:
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def sweep(self, older_than_s: float) -> int:
        """See `Primitive.sweep`."""
        limit, count = self.now() - older_than_s, 0
        with _told(self.root):
            for path in (self.root / _TEMPORARY).iterdir():
                with suppress(FileNotFoundError):
                    if path.lstat().st_mtime < limit:
                        path.unlink()
                        count += 1
        return count

    def folder(self, prefix: str) -> Path:
        """See `Primitive.folder`."""
        return self._path(prefix.rstrip("/")) if prefix else self.root

    def now(self) -> float:
        """The file system's clock, which machines that share it over NFS have in common."""
        with _told(self.root), self._temporary(b"clock", durable=False) as (temporary, _):
            return temporary.stat().st_mtime

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    @contextmanager
    def _temporary(self, data: bytes | Path, *, durable: bool = True) -> Iterator[tuple[Path, Written]]:
        """A temporary file with these bytes, gone afterwards whatever happens."""
        path = self.root / _TEMPORARY / uuid.uuid4().hex
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                digest = self._fill(descriptor, data)
                if durable:
                    os.fsync(descriptor)
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            yield path, Written(status.st_size, digest, _etag(status))
        finally:
            path.unlink(missing_ok=True)

    @staticmethod
    def _fill(descriptor: int, data: bytes | Path) -> str:
        digest = hashlib.sha256()
        if isinstance(data, bytes):
            digest.update(data)
            _write(descriptor, data)
        else:
            with data.open("rb", buffering=0) as source:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    _write(descriptor, chunk)
        return digest.hexdigest()

    def _link(self, temporary: Path, target: Path) -> None:
        for _ in range(100):
            self._make_folder(target.parent)
            try:
                os.link(temporary, target)
                return _sync_folder(target.parent)
            except FileNotFoundError:  # another process has just removed the empty folder
                time.sleep(0.001)
        raise StorageError("the folder keeps disappearing while it is written to", where=target.parent)

    def _make_folder(self, folder: Path) -> None:
        if folder == self.root or folder.is_dir():
            return
        self._make_folder(folder.parent)
        with suppress(FileExistsError, FileNotFoundError):
            folder.mkdir()
            _sync_folder(folder.parent)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        # flock, not a lock file that somebody must remove: the kernel frees it when the holder is killed.
        path = self.root / _LOCKS / hashlib.sha256(name.encode()).hexdigest()[:2]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
