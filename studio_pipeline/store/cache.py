"""A read cache for stores that aren't local: payloads by content, hashed at every use, bounded, safe between processes.

::

    payload/<ab>/<content hash>/<files>   a payload; every file in it came whole and got its name by a rename
    used/<content hash>.<bytes>           how large it is; its time is the last use
    locks/<three hex digits>.use          shared by who uses a payload, exclusive for who removes it
    locks/<three hex digits>.fetch        exclusive for who fetches it, so that one process does
    locks/room                            exclusive for who makes room
    tmp/                                  files on their way

Nothing has to be cleaned up after a killed process: the kernel frees its locks, and what it has left counts, is
completed by the next use or goes when room is made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from studio_pipeline.schema.errors import StorageError, StorageFull
from studio_pipeline.store.keys import digest_file
from studio_pipeline.store.manifest import FileEntry
from studio_pipeline.store.parallel import each

__all__ = ["DEFAULT_BYTES", "PayloadCache"]

DEFAULT_BYTES = 20 << 30
STALE = 3600.0  # temporary files older than this belong to nobody any more [s]

Fetch = Callable[[FileEntry, Path], object]


class PayloadCache:
    """Payload folders below ``root``, at most ``limit`` bytes of them, the least recently used go first.

    What `checkout` has given stays while this process, or the innermost `using` block around the call, lasts.
    """

    def __init__(self, root: Path, *, limit: int = DEFAULT_BYTES) -> None:
        self.root, self.limit = root.absolute(), limit
        self._scope = threading.local()
        self._forever: dict[str, int] = {}  # descriptor by lock
        self._mutex = threading.Lock()
        try:
            for name in ("payload", "used", "locks", "tmp"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the read cache can't be written ({error.strerror})", where=self.root, do="set STUDIO_CACHE"
            ) from error

    @contextmanager
    def using(self) -> Iterator[None]:
        """Until the block ends nothing goes that was checked out inside it by this thread."""
        outer = getattr(self._scope, "held", None)
        held: dict[str, int] = {}
        self._scope.held = held
        try:
            yield
        finally:
            self._scope.held = outer
            for descriptor in held.values():
                os.close(descriptor)

    def checkout(self, content: str, files: Sequence[FileEntry], fetch: Fetch, *, width: int = 1) -> Path:
        """The folder that holds exactly these files, each of them hashed just now.

        Args:
            content: The payload's content hash.
            files: What belongs to it. An entry without a digest is only compared by size: the caller checks it.
            fetch: Called with an entry and a path to put its bytes at; has to raise when they are wrong.
            width: How many files to fetch at a time.

        Raises:
            StorageError: The cache is full of what is in use, or its disk is.
        """
        folder = self.root / "payload" / content[:2] / content
        try:
            self._hold(f"{content[:3]}.use")
            self._reserve(content, sum(file.size for file in files))
            if self._bad(folder, files):
                with self._lock(f"{content[:3]}.fetch", fcntl.LOCK_EX):
                    missing = self._bad(folder, files)  # somebody else may have fetched some meanwhile
                    each(lambda file: self._bring(folder / file.name, file, fetch), missing, width=width)
            self._drop_strangers(folder, files)
        except OSError as error:
            raise StorageError(
                f"the read cache can't be used ({error.strerror})",
                where=self.root,
                do="free some space, or set STUDIO_CACHE",
            ) from error
        return folder

    def drop(self, content: str) -> None:
        """Forget a payload whose files turned out to be wrong; the next checkout fetches it."""
        shutil.rmtree(self.root / "payload" / content[:2] / content, ignore_errors=True)

    def size(self) -> int:
        """Bytes of all payloads that are here or on their way."""
        return sum(size for _, size, _ in self._stamps())

    def _bring(self, target: Path, file: FileEntry, fetch: Fetch) -> None:
        temporary = self.root / "tmp" / uuid.uuid4().hex
        try:
            fetch(file, temporary)
            temporary.chmod(0o444)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def _bad(folder: Path, files: Sequence[FileEntry]) -> list[FileEntry]:
        """What is missing or isn't what it should be."""

        def sound(file: FileEntry) -> bool:
            path = folder / file.name
            try:
                if path.is_symlink() or path.stat().st_size != file.size:
                    return False
            except OSError:
                return False
            return not file.sha256 or digest_file(path) == file.sha256

        return [file for file in files if not sound(file)]

    @staticmethod
    def _drop_strangers(folder: Path, files: Sequence[FileEntry]) -> None:
        known = {file.name for file in files}
        for path in folder.rglob("*"):
            if not path.is_dir() and path.relative_to(folder).as_posix() not in known:
                path.unlink(missing_ok=True)

    def _reserve(self, content: str, size: int) -> None:
        """Note the use, and make room first when it is a new payload."""
        stamp = self.root / "used" / f"{content}.{size}"
        with suppress(FileNotFoundError):
            os.utime(stamp)
            return
        with self._lock("room", fcntl.LOCK_EX):
            self._make_room(size)
            stamp.touch()

    def _make_room(self, size: int) -> None:
        stamps = sorted(self._stamps(), key=lambda stamp: stamp[2])
        total = sum(held for _, held, _ in stamps)
        for path in (self.root / "tmp").iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - STALE:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        for stamp, freed, _ in stamps:
            if total + size <= self.limit:
                return
            if self._remove(stamp):
                total -= freed
        if total + size > self.limit:
            raise StorageFull(
                f"the read cache may hold {self.limit / 1e9:.3g} GB; {total / 1e9:.3g} GB are in use and "
                f"{size / 1e9:.3g} GB more are needed",
                where=self.root,
                do="raise STUDIO_CACHE_GB",
            )

    def _remove(self, stamp: Path) -> bool:
        """Remove a payload unless somebody uses it."""
        content = stamp.name.partition(".")[0]
        try:
            with self._lock(f"{content[:3]}.use", fcntl.LOCK_EX | fcntl.LOCK_NB):
                # Aside first: a half-removed payload has no name.
                aside = self.root / "tmp" / uuid.uuid4().hex
                with suppress(FileNotFoundError):
                    (self.root / "payload" / content[:2] / content).rename(aside)
                stamp.unlink(missing_ok=True)
                shutil.rmtree(aside, ignore_errors=True)
        except BlockingIOError:
            return False
        return True

    def _stamps(self) -> list[tuple[Path, int, float]]:
        """Stamp, bytes and last use of every payload."""
        found = []
        for path in (self.root / "used").iterdir():
            with suppress(OSError, ValueError):
                found.append((path, int(path.name.rpartition(".")[2]), path.stat().st_mtime))
        return found

    def _hold(self, name: str) -> None:
        """Share a lock until the scope ends, once however often it is asked for."""
        held = getattr(self._scope, "held", None)
        with self._mutex:
            if name not in (held := self._forever if held is None else held):
                held[name] = self._take(name, fcntl.LOCK_SH)

    @contextmanager
    def _lock(self, name: str, how: int) -> Iterator[None]:
        descriptor = self._take(name, how)
        try:
            yield
        finally:
            os.close(descriptor)

    def _take(self, name: str, how: int) -> int:
        # flock: the kernel frees it when its holder dies, and two holders in one process count as two.
        descriptor = os.open(self.root / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
