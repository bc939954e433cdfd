"""The errors a user can act on: what is wrong, where, and what to do about it."""

from __future__ import annotations

from studio_pipeline.schema.secrets import hide_secrets

__all__ = [
    "BackendUnavailable",
    "InputError",
    "OutOfMemory",
    "StorageError",
    "StorageFull",
    "StorageRefused",
    "StudioError",
    "one_line",
    "was_killed",
]


def one_line(text: object) -> str:
    """Fold ``text`` onto one printable line; control characters become visible escapes."""
    folded = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in folded)


def _short(text: str, most: int) -> str:
    """The text, its middle left out where it is longer: both ends of a path and of a sentence say something."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 3 :]}"


class StudioError(Exception):
    """An error told to the user as one line, never as a traceback.

    Args:
        what: What is wrong, in one clause.
        where: File, line, field, shot or stage it concerns; empty when obvious.
        do: What the user can do about it; empty when ``what`` says it.
    """

    exit_code = 1

    def __init__(self, what: object, *, where: object = "", do: object = "") -> None:
        self.what, self.where = (
            _short(hide_secrets(one_line(text)), most) for text, most in ((what, 2000), (where, 600))
        )
        self.do = one_line(do)
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} - {self.do}" if self.do else line

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.do))


def _rebuild(kind: type[StudioError], what: str, where: str, do: str) -> StudioError:
    return kind(what, where=where, do=do)


class InputError(StudioError):
    """Bad input: a shot list, a character, a plate or a setting. Never retried."""

    exit_code = 2


class BackendUnavailable(StudioError):
    """A backend needs a package, weights or a service that is not there."""

    exit_code = 3


class StorageError(StudioError):
    """The store cannot keep or return what it was asked for (disk full, no permission)."""

    exit_code = 4


class StorageFull(StorageError):
    """The disk, the bucket or a quota is full: it takes somebody to make room."""


class StorageRefused(StorageError):
    """The store says no, or isn't fit (rights, credentials, a damaged record): asking again changes nothing."""


class OutOfMemory(StudioError):
    """A stage needs more memory than there is."""


def was_killed(returncode: int | None) -> bool:
    """Whether a child process was ended by SIGKILL though nobody here sent it: so ends what takes too much memory."""
    return returncode in (-9, 137)
