"""Telling others of failures: a webhook (``STUDIO_HOOK_URL``) and a file of JSON lines (``STUDIO_HOOK_FILE``).

Neither ever blocks or fails a run. The address may hold a token: it is named nowhere.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from studio_pipeline.line.scrub import redact
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.schema.errors import one_line

__all__ = ["FailureTold", "Hooks", "hooks_present", "tell_failures"]

TIMEOUT = 5.0  # of each request [s]
PAUSES = (1.0, 4.0)  # before each further try [s]
LEAVE = 15.0  # how long a command that is done waits for what it still has to tell [s]
LONGEST = 2000  # characters of a cause

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailureTold:
    """What is told of one failure."""

    shot: str
    stage: str  # empty when the run failed as a whole
    cause: str  # one line
    run: str  # the orchestrator's run id
    attempt: int = 1  # 1 when no attempt before was lost


def hooks_present() -> bool:
    """Whether anybody wants to be told."""
    return bool(os.environ.get("STUDIO_HOOK_URL") or os.environ.get("STUDIO_HOOK_FILE"))


def tell_failures(failures: Iterable[FailureTold]) -> list[str]:
    """Tell the hooks of failures now; gives a line for each that could not be told, without its address."""
    problems: list[str] = []
    for failure in failures:
        record = _record(failure)
        if path := os.environ.get("STUDIO_HOOK_FILE"):
            try:
                append_line(path, record)
            except OSError as error:
                problems.append(f"STUDIO_HOOK_FILE can't be written ({error.strerror})")
        if (url := os.environ.get("STUDIO_HOOK_URL")) and (problem := _post(url, record)):
            problems.append(f"STUDIO_HOOK_URL: {problem}")
    for problem in problems:
        _log.warning("a failure could not be told: %s", problem)
    return problems


class Hooks:
    """Tells failures from a thread of its own while a command goes on; use it in a ``with`` statement."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Hooks:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + LEAVE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def tell(self, failures: Iterable[FailureTold]) -> None:
        """Tell the hooks, without waiting for them."""
        wanted = list(failures)
        if wanted and hooks_present():
            thread = threading.Thread(target=self._tell, args=(wanted,), name="hooks", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _tell(self, failures: list[FailureTold]) -> None:
        self.problems += tell_failures(failures)


def append_line(path: str, record: Mapping[str, Any]) -> None:
    """Append a record as one whole line, whoever else appends; a line that was cut off before stays one line.

    Raises:
        OSError: The file can't be written.
    """
    line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    try:
        _lock(descriptor)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        view = memoryview(line)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _record(failure: FailureTold) -> dict[str, Any]:
    told = asdict(failure)
    told["cause"] = redact(one_line(failure.cause))[:LONGEST]
    return {**told, "time": timestamp(time.time())}


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never: an address with a token in it is for whom it was written."""
        return


def _post(url: str, record: Mapping[str, Any]) -> str:
    """Post a record as JSON; why it couldn't be, in words without the address, empty when it could."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "is no http or https address"
        body = json.dumps(record, ensure_ascii=False, sort_keys=True).encode()
        request = Request(url, body, {"Content-Type": "application/json", "User-Agent": "studio_pipeline"})
    except ValueError:
        return "is no http or https address"
    opener = build_opener(_NoRedirects, *([ProxyHandler({})] if parts.hostname in ("localhost", "127.0.0.1") else []))
    problem = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            opener.open(request, timeout=TIMEOUT).close()  # what it answers is of no interest
            return ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            code = getattr(error, "code", None)
            problem = f"HTTP {code}" if code else type(getattr(error, "reason", error)).__name__
            if code is not None and 300 <= code < 500 and code not in (408, 425, 429):
                break  # it will say the same next time
    return problem
