"""What kind of trouble a stage had, and whether, when and how it is tried again."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from studio_pipeline.schema.errors import (
    OutOfMemory,
    StorageError,
    StorageFull,
    StorageRefused,
    StudioError,
    one_line,
    was_killed,
)

__all__ = ["Again", "Busy", "Retry", "decide", "is_passing", "kind_of_again", "out_of_memory"]

# By kind, the pauses before each further try [s]: on a farm, where nobody waits, and at somebody's desk.
FARM: Mapping[str, tuple[float, ...]] = {"hiccup": (5.0, 15.0, 45.0, 120.0, 300.0), "full": (60.0, 300.0, 900.0)}
DESK: Mapping[str, tuple[float, ...]] = {"hiccup": (1.0, 4.0, 10.0), "full": ()}
BUSY = (2.0, 2.0, 4.0, 8.0, 15.0)  # and so on, for as long as somebody else makes it [s]

_GPU_MEMORY = re.compile(
    r"out of memory|failed to allocate \d+ bytes|can't allocate memory|insufficient memory|std::bad_alloc"
    r"|unable to allocate|cannot allocate memory",
    re.IGNORECASE,
)
_NETWORK = {"ConnectionError", "TimeoutError", "URLError", "TransportError", "gaierror", "IncompleteRead"}
_FLAKY = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ECONNRESET,
    errno.EPIPE,
}


class Busy(Exception):
    """Another worker is making this very artifact now."""


@dataclass(frozen=True)
class Retry:
    """Try again."""

    kind: str  # "busy", "hiccup", "full" or "memory"
    wait: float  # before that [s]
    said: str  # one line for people


class Again(Exception):
    """Raised in the place of an error after which the step is tried again."""

    def __init__(self, retry: Retry) -> None:
        super().__init__(f"{retry.kind}: {retry.said}")
        self.retry = retry


def decide(error: Exception, spent: Mapping[str, int], *, farm: bool = True) -> Retry | None:
    """Whether to try again after an error; None: it stands.

    A busy key is waited for. Hiccups of the store and of the network pass; a full disk may be emptied. Memory is
    enough next time when something was made smaller. Bad input, a missing package, a closed gate, a crash and a
    stage that kills its workers stay what they are.

    Args:
        error: What was raised.
        spent: How often this step was tried again before, by kind.
        farm: Nobody sits and waits.
    """
    if isinstance(error, Busy):
        return Retry("busy", BUSY[min(spent.get("busy", 0), len(BUSY) - 1)], str(error))
    if isinstance(error, OutOfMemory):
        return Retry("memory", 1.0, error.reduced) if isinstance(error, Reduced) else None
    if isinstance(error, StorageRefused) or not isinstance(error, StorageError | Passing):
        return None
    kind = "full" if isinstance(error, StorageFull) else "hiccup"
    pauses, tried = (FARM if farm else DESK)[kind], spent.get(kind, 0)
    if tried >= len(pauses):
        return None
    return Retry(kind, pauses[tried], f"try {tried + 2} of {len(pauses) + 1} in {pauses[tried]:.0f} s after {error}")


class Passing(StudioError):
    """Trouble of the network that passes."""


class Reduced(OutOfMemory):
    """Memory ran out, and from now on the stage has smaller settings."""

    reduced = ""  # which


def kind_of_again(text: str) -> str:
    """The kind of retry of which an orchestrator's log has kept the text of `Again`; empty when it is none."""
    found = re.search(r"\bAgain: (busy|hiccup|full|memory): ", text)
    return found[1] if found else ""


def out_of_memory(error: BaseException) -> str:
    """What was said when memory ran out, here or in a child process; empty when it was something else."""
    for item in _chain(error):
        kinds = {kind.__name__ for kind in type(item).__mro__}
        if isinstance(item, MemoryError | OutOfMemory) or "OutOfMemoryError" in kinds:
            return one_line(item)[:200] or type(item).__name__
        if isinstance(item, OSError) and item.errno == errno.ENOMEM:
            return one_line(item)[:200]
        if was_killed(getattr(item, "returncode", None)):
            return "a child process was killed"
        # Warp, torch's CPU allocator, OpenCV and C++ say so in words only.
        if ("RuntimeError" in kinds or type(item).__module__.startswith("cv2")) and _GPU_MEMORY.search(str(item)):
            return one_line(item)[:200]
    return ""


def is_passing(error: BaseException) -> bool:
    """Whether an error of no class of ours is the network's, or a network drive's."""
    return any(
        bool({kind.__name__ for kind in type(item).__mro__} & _NETWORK) or getattr(item, "errno", None) in _FLAKY
        for item in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those behind it, also where ``from None`` hides them from people."""
    seen: set[int] = set()
    item: BaseException | None = error
    while item is not None and id(item) not in seen:
        seen.add(id(item))
        yield item
        item = item.__cause__ or item.__context__
