"""Leases save work: whoever holds a key's lease makes it, the others wait. Correctness is the commit's business.

::

    leases/<ab>/<key>.json    who makes the key, for which shot, how far it is; renewed for as long as its holder lives

The record is the worker's heartbeat too: nobody else has to be asked whether it lives and how far it is. A holder that
ends well leaves a short record. One that doesn't leaves its last one behind, by which the next taker counts attempts.
"""

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

from studio_pipeline.schema.errors import StorageError, one_line
from studio_pipeline.store.manifest import Corrupt, check_key, decode_record, encode_record
from studio_pipeline.store.parallel import each
from studio_pipeline.store.primitive import Changed, Exists, Missing, Primitive

__all__ = ["Busy", "Lease", "LeaseState", "Leases", "Loss", "Work"]

DEFAULT_TTL = 60.0  # [s]
LOCAL_BEAT, REMOTE_BEAT = 2.0, 10.0  # progress is told no more often than this [s]
MESSAGE_LENGTH = 200
KEPT_LOSSES = 5
_WIDTH = 32  # records read at a time where that pays
# A released record is at most this long; one that says who holds the key never is so short. A listing tells them apart.
RELEASED_BYTES = 260


@dataclass(frozen=True)
class Work:
    """What is made under a lease, and where; for people, and for those who look after the workers."""

    shot: str = ""
    stage: str = ""
    run: str = ""  # the orchestrator's run
    queue: str = ""  # that the worker serves


@dataclass(frozen=True)
class Loss:
    """An attempt whose worker was never heard of again."""

    worker: str  # host and process id
    seen: float  # until then its lease was good, by the store's clock [s since the epoch]
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class LeaseState:
    """A lease as it stands in the store."""

    key: str
    state: str  # "live"; "lost": its holder has gone without a word; "given up": after too many lost attempts
    holder: str
    work: Work
    host: str
    pid: int
    attempt: int  # 1 when no attempt before was lost
    began: float  # by the store's clock [s since the epoch], as all times here; 0 when it wasn't told
    renewed: float  # the last sign of life
    expires: float
    fraction: float  # how far the work is [0, 1]
    message: str
    moved: float  # when it last said how far it is; 0 when it hasn't yet
    losses: tuple[Loss, ...] = ()


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
        self.attempt: int = record["attempt"]  # 1 when no attempt before was lost
        self.losses = tuple(Loss(**loss) for loss in record["losses"])
        self._primitive, self._record, self._etag, self._ttl = primitive, record, etag, ttl
        self._expires = time.monotonic() + ttl
        self._written = time.monotonic()
        self._progress: tuple[float, str, float] | None = None  # not yet told: fraction, message, when
        self._lost = False
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name=f"lease-{key[:8]}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def progress(self, fraction: float, message: str = "") -> None:
        """Remember how far the work is; the next renewal tells it. Costs nothing, however often it is called."""
        fraction = min(max(float(fraction), 0.0), 1.0) if fraction == fraction else 0.0
        self._progress = (fraction, one_line(message)[:MESSAGE_LENGTH], time.monotonic())

    def renew(self) -> bool:
        """Push the expiry out by the full time and tell how far the work is; False when the lease is lost."""
        with self._mutex:
            if self._lost or self._stop.is_set():
                return not self._lost
            started, now, told = time.monotonic(), self._primitive.now(), self._progress
            record = {**self._record, "expires": now + self._ttl, "renewed": now, "nonce": uuid.uuid4().hex}
            if told is not None:
                record |= {"fraction": told[0], "message": told[1], "moved": now - (started - told[2])}
            try:
                self._etag = self._primitive.replace_if(_name(self.key), encode_record(record), self._etag).etag
            except Changed:
                self._lost = True
                return False
            self._record, self._expires, self._written = record, started + self._ttl, started
            if self._progress is told:
                self._progress = None
            return True

    def lost(self) -> bool:
        """Whether somebody else has taken the key over; asks the store."""
        if self._lost:
            return True
        with self._mutex, suppress(Corrupt):
            try:
                record = decode_record(self._primitive.read(_name(self.key)).data, _name(self.key))
                self._lost = record.get("holder") != self.holder
            except Missing:
                self._lost = True
        return self._lost

    def release(self) -> None:
        """Let the next one in; lost attempts are forgotten. Losing it meanwhile is no error."""
        self._end(_released(self.key))

    def give_up(self) -> None:
        """Let the next one in, but keep the count of lost attempts, so that it needn't find out by itself."""
        self._end({**self._record, "expires": 0.0, "given_up": True, "nonce": uuid.uuid4().hex})

    def _end(self, record: dict[str, Any]) -> None:
        self._stop.set()
        self._thread.join()
        with self._mutex:
            if self._lost:
                return
            self._lost = True
            with suppress(Changed, StorageError):
                self._primitive.replace_if(_name(self.key), encode_record(record), self._etag)

    def _renew_until_stopped(self) -> None:
        beat = min(self._ttl / 3, LOCAL_BEAT if self._primitive.folder("") is not None else REMOTE_BEAT)
        while not self._stop.wait(beat):
            if self._progress is None and time.monotonic() - self._written < self._ttl / 3 - beat / 2:
                continue  # nothing new to tell, and nobody is worried yet
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

    def acquire(self, key: str, *, ttl: float = DEFAULT_TTL, who: str = "", work: Work | None = None) -> Lease | Busy:
        """The key's lease, or who has it.

        A free, released or expired lease is taken, and so is one of a process of this machine that is gone. When the
        one before wasn't released, this is one attempt more (`Lease.attempt`).

        Args:
            key: The key to be made.
            ttl: How long the lease outlives a holder that stops renewing it [s].
            who: What to tell others about the holder, e.g. a run id.
            work: What is made.
        """
        name, now = _name(key), self._primitive.now()
        record = _fresh(key, who, work or Work(), now, ttl)
        for _ in range(10):
            try:
                created = self._primitive.create(name, encode_record(record))
                return Lease(self._primitive, key, record, created.etag, ttl)
            except Exists:
                pass
            try:
                current = self._primitive.read(name)
                if isinstance(busy := self._judge(key, current.data, now), Busy):
                    return busy
                mine = {**record, **_count(key, current.data)}
                written = self._primitive.replace_if(name, encode_record(mine), current.etag)
                return Lease(self._primitive, key, mine, written.etag, ttl)
            except (Missing, Changed):
                continue
        return Busy(key, "several workers at once", now + 1.0, 1.0)

    def forgive(self, key: str) -> bool:
        """Forget a key's lost attempts, so that it is tried afresh; False when there are none or somebody makes it."""
        name = _name(key)
        with suppress(Missing, Changed):
            current = self._primitive.read(name)
            if (
                _count(key, current.data)["attempt"] > 1
                and self._judge(key, current.data, self._primitive.now()) is None
            ):
                self._primitive.replace_if(name, encode_record(_released(key)), current.etag)
                return True
        return False

    def standing(self, *, now: float | None = None) -> list[LeaseState]:
        """All leases that weren't released: live ones, and those whose holder was never heard of again.

        Args:
            now: By the store's clock [s since the epoch]; asked of it when None, which on a disk writes a file.
        """
        now = self._primitive.now() if now is None else now
        names = [entry.name for entry in self._primitive.list("leases/") if entry.size > RELEASED_BYTES]
        found = each(lambda name: self._state(name, now), names, width=_WIDTH if self._primitive.parallel > 1 else 1)
        return [state for state in found if state is not None]

    def last_write(self) -> float:
        """When anybody last took, renewed or released any lease; 0 when nobody ever did."""
        return max((entry.modified for entry in self._primitive.list("leases/")), default=0.0)

    def _state(self, name: str, now: float) -> LeaseState | None:
        key = name.rpartition("/")[2].removesuffix(".json")
        try:
            data = self._primitive.read(name).data
            record = decode_record(data, name)
            if _is_released(record):
                return None
            state = "given up" if record.get("given_up") else "live" if self._judge(key, data, now) else "lost"
            return _state_of(key, state, record)
        except (Corrupt, Missing, TypeError, ValueError, KeyError):  # a lease is no artifact: a damaged one is free
            return None

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


def _fresh(key: str, who: str, work: Work, now: float, ttl: float) -> dict[str, Any]:
    return {
        "holder": f"{who or 'pid ' + str(os.getpid())} on {socket.gethostname()} [{uuid.uuid4().hex[:8]}]",
        "key": key,
        "expires": now + ttl,
        "place": _place(),
        "pid": os.getpid(),
        "started": _started(os.getpid()) or "",
        "host": socket.gethostname(),
        "work": vars(work),
        "began": now,
        "renewed": now,
        "attempt": 1,
        "losses": [],
    }


def _released(key: str) -> dict[str, Any]:
    return {"key": key, "expires": 0.0, "nonce": uuid.uuid4().hex}


def _is_released(record: dict[str, Any]) -> bool:
    return not record["expires"] and not record.get("given_up")


def _count(key: str, data: bytes) -> dict[str, Any]:
    """Which attempt it is after the record that stands there, and what became of those before."""
    try:
        record = decode_record(data, _name(key))
        if _is_released(record):
            return {"attempt": 1, "losses": []}
        before = _state_of(key, "lost", record)
    except (Corrupt, TypeError, ValueError, KeyError):
        return {"attempt": 1, "losses": []}
    losses = [vars(loss) for loss in before.losses]
    if not record.get("given_up"):
        worker = f"{before.host} pid {before.pid}" if before.host else before.holder
        losses.append(vars(Loss(worker, before.renewed, before.fraction, before.message)))
    return {"attempt": before.attempt + 1, "losses": losses[-KEPT_LOSSES:]}


def _state_of(key: str, state: str, record: dict[str, Any]) -> LeaseState:
    """What a record says. Those of earlier versions of this package say less."""
    return LeaseState(
        key=key,
        state=state,
        holder=record["holder"],
        work=Work(**record.get("work", {})),
        host=record.get("host", ""),
        pid=record.get("pid", 0),
        attempt=record.get("attempt", 1),
        began=record.get("began", 0.0),
        renewed=record.get("renewed", record["expires"]),
        expires=record["expires"],
        fraction=record.get("fraction", 0.0),
        message=record.get("message", ""),
        moved=record.get("moved", 0.0),
        losses=tuple(Loss(**loss) for loss in record.get("losses", ())),
    )


def _name(key: str) -> str:
    return f"leases/{check_key(key)[:2]}/{key}.json"
