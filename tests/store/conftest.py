"""What the store's tests share: a second primitive with no file system behind it, payloads, keys."""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from support.s3server import s3, s3_server

from studio_pipeline.store import PayloadCache, Store, open_store
from studio_pipeline.store.primitive import Changed, Content, Entry, Exists, Missing, Written, check_name
from studio_pipeline.store.s3 import S3Primitive

__all__ = ["s3", "s3_server"]


class MemoryPrimitive:
    """An object service as S3 is one: no folders, no paths, etags that mean nothing."""

    url = "memory://"
    parallel = 4
    trusted_etags = False

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, float]] = {}
        self._mutex = threading.Lock()
        self._count = itertools.count()

    def create(self, name: str, data: bytes | Path) -> Written:
        check_name(name)
        body = data if isinstance(data, bytes) else data.read_bytes()
        with self._mutex:
            if name in self.objects:
                raise Exists(name)
            return self._put(name, body)

    def replace_if(self, name: str, data: bytes, etag: str) -> Written:
        with self._mutex:
            if self.objects.get(name, (b"", None, 0.0))[1] != etag:
                raise Changed(name)
            return self._put(name, data)

    def _put(self, name: str, body: bytes) -> Written:
        etag = f"tag-{next(self._count)}"
        self.objects[name] = (body, etag, time.time())
        return Written(len(body), hashlib.sha256(body).hexdigest(), etag)

    def read(self, name: str) -> Content:
        if name not in self.objects:
            raise Missing(name)
        return Content(*self.objects[name][:2])

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name).data)

    def stat(self, name: str) -> Entry | None:
        if name not in self.objects:
            return None
        body, etag, modified = self.objects[name]
        return Entry(name, len(body), etag, modified)

    def list(self, prefix: str) -> Iterator[Entry]:
        entries = [self.stat(name) for name in sorted(self.objects) if name.startswith(prefix)]
        return iter([entry for entry in entries if entry is not None])

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)

    def sweep(self, older_than_s: float) -> int:
        return 0

    def folder(self, prefix: str) -> Path | None:
        return None

    def now(self) -> float:
        return time.time()


@pytest.fixture
def disk_store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The same store on every primitive: whatever holds above the primitive must hold on each."""
    if request.param == "disk":
        return open_store(tmp_path / "store")
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3").place(), reading=True, cache=tmp_path / "cache")
    return Store(MemoryPrimitive(), cache=PayloadCache(tmp_path / "cache"))


@pytest.fixture
def clock_step(store: Store) -> float:
    """How coarse the store's clock is [s]: S3 tells whole seconds."""
    return 1.0 if isinstance(store.primitive, S3Primitive) else 0.0


@pytest.fixture
def memory() -> MemoryPrimitive:
    return MemoryPrimitive()


@pytest.fixture
def key() -> Callable[[object], str]:
    """A valid key by any label."""
    return lambda label: hashlib.sha256(repr(label).encode()).hexdigest()


@pytest.fixture
def payload(tmp_path: Path) -> Callable[..., Path]:
    """Makes a payload folder: ``payload(rig=b"...", frames__0001=b"...")``; two underscores make a folder."""
    count = itertools.count()

    def make(**files: bytes) -> Path:
        folder = tmp_path / f"payload{next(count)}"
        folder.mkdir()
        for name, data in (files or {"rig": b"bones", "frames__0001": b"picture" * 100}).items():
            path = folder / (name.replace("__", "/") + ".bin")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return folder

    return make
