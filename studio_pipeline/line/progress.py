"""Who watches the work: the command line or nobody. Dagster's own log has the same events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["Watcher", "watched_by", "watcher"]


class Watcher(Protocol):
    """Gets told what happens in this process."""

    def started(self, shot: str, stage: str) -> None:
        """A stage began to be made."""

    def advanced(self, shot: str, stage: str, fraction: float, message: str) -> None:
        """A stage is ``fraction`` [0, 1] done."""

    def finished(self, shot: str, stage: str, outcome: Any) -> None:
        """A stage has its artifact."""

    def again(self, shot: str, stage: str, line: str) -> None:
        """A stage will be tried again, for the reason in ``line``."""

    def failed(self, shot: str, stage: str, line: str) -> None:
        """A stage failed, for the reason in ``line``."""


class _Nobody:
    def started(self, shot: str, stage: str) -> None: ...

    def advanced(self, shot: str, stage: str, fraction: float, message: str) -> None: ...

    def finished(self, shot: str, stage: str, outcome: Any) -> None: ...

    def again(self, shot: str, stage: str, line: str) -> None: ...

    def failed(self, shot: str, stage: str, line: str) -> None: ...


_watcher: Watcher = _Nobody()


def watcher() -> Watcher:
    """The current watcher."""
    return _watcher


@contextmanager
def watched_by(new: Watcher) -> Iterator[None]:
    """Let ``new`` watch inside the block."""
    global _watcher
    old, _watcher = _watcher, new
    try:
        yield
    finally:
        _watcher = old
