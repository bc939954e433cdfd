"""Leases save work: whoever holds a key's lease makes it, the others wait. Correctness is the commit's business."""

from __future__ import annotations

import functools
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.manifest import Corrupt, check_key, decode_record, encode_record
from studio_pipeline.store.primitive import Changed, Exists, Missing, Primitive

__all__ = ["Busy", "Lease", "Leases"]

DEFAULT_TTL = 60.0  # [s]


@dataclass(frozen=True)
class Busy:
    """Somebody else is making this key."""

    key: str
    holder: str  # who, for people
    expires: float  # by the store's clock [s since the epoch]
    seconds_left: float


@functools.cache
def _place() -> str:
    """This machine since it started, and this process table: within them a process id means something."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _started(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None when it is gone, "" when nobody can say."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if fields[0] in "ZX" else fields[19]


def _is_dead(record: dict[str, Any]) -> bool:
    # A killed worker on this machine need not be waited for until its lease expires.
    if record.get("place") != _place() or not record["place"].split("/")[1]:
        return False
    started = _started(record["pid"])
    return started is None or (started != "" and started != record["started"])


class Lease:
    """A held lease. Renewed by a thread until `release`; use it in a ``with`` statement."""

    def __init__(self, primitive: Primitive, key: str, record: dict[str, Any], etag: str, ttl: float) -> None:
        self.key, self.holder = key, record["holder"]
        self._primitive, self._record, self._etag, self._ttl = primitive, record, etag, ttl
        self._expires = time.monotonic() + ttl
        self._lost = False
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name=f"lease-{key[:8]}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def renew(self) -> bool:
        """Push the expiry out by the full time; False when the lease is lost."""
        with self._mutex:
            if self._lost or self._stop.is_set():
                return not self._lost
            started = time.monotonic()
            record = {**self._record, "expires": self._primitive.now() + self._ttl, "nonce": uuid.uuid4().hex}
            try:
                self._etag = self._primitive.replace_if(_name(self.key), encode_record(record), self._etag).etag
                self._record, self._expires = record, started + self._ttl
            except Changed:
                self._lost = True
            return not self._lost

    def lost(self) -> bool:
        """Whether somebody else has taken the key over; asks the store."""
        if self._lost:
            return True
        with self._mutex, suppress(Corrupt):
            try:
                record = decode_record(self._primitive.read(_name(self.key)).data, _name(self.key))
                self._lost = record["holder"] != self.holder
            except Missing:
                self._lost = True
        return self._lost

    def release(self) -> None:
        """Let the next one in. Losing it meanwhile is no error."""
        self._stop.set()
        self._thread.join()
        with self._mutex:
            if self._lost:
                return
            self._lost = True
            with suppress(Changed, StorageError):
                self._primitive.replace_if(_name(self.key), encode_record({**self._record, "expires": 0.0}), self._etag)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._ttl / 3):
            try:
                if not self.renew():
                    return
            except StorageError:  # a hiccup; try again as long as the lease still lives
                if time.monotonic() > self._expires:
                    self._lost = True
                    return


class Leases:
    """Hands out leases, one per key at a time."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def acquire(self, key: str, *, ttl: float = DEFAULT_TTL, who: str = "") -> Lease | Busy:
        """The key's lease, or who has it.

        A free, released or expired lease is taken, and so is one of a process of this machine that is gone.

        Args:
            key: The key to be made.
            ttl: How long the lease outlives a holder that stops renewing it [s].
            who: What to tell others about the holder, e.g. a run id.
        """
        name, now = _name(key), self._primitive.now()
        record = {
            "holder": f"{who or 'pid ' + str(os.getpid())} on {socket.gethostname()} [{uuid.uuid4().hex[:8]}]",
            "key": key,
            "expires": now + ttl,
            "place": _place(),
            "pid": os.getpid(),
            "started": _started(os.getpid()) or "",
        }
        data = encode_record(record)
        for _ in range(10):
            try:
                return Lease(self._primitive, key, record, self._primitive.create(name, data).etag, ttl)
            except Exists:
                pass
            try:
                current = self._primitive.read(name)
                if isinstance(busy := self._judge(key, current.data, now), Busy):
                    return busy
                return Lease(
                    self._primitive, key, record, self._primitive.replace_if(name, data, current.etag).etag, ttl
                )
            except (Missing, Changed):
                continue
        return Busy(key, "several workers at once", now + 1.0, 1.0)

    def holder(self, key: str) -> Busy | None:
        """Who holds the key now; None when nobody does."""
        try:
            return self._judge(key, self._primitive.read(_name(key)).data, self._primitive.now())
        except Missing:
            return None

    @staticmethod
    def _judge(key: str, data: bytes, now: float) -> Busy | None:
        try:
            record = decode_record(data, _name(key))
        except Corrupt:  # a lease is no artifact: a damaged one is free
            return None
        if record["expires"] <= now or _is_dead(record):
            return None
        return Busy(key, record["holder"], record["expires"], record["expires"] - now)


def _name(key: str) -> str:
    return f"leases/{check_key(key)[:2]}/{key}.json"
