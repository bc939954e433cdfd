"""Bytes and JSON of files from elsewhere: regular files only, never more than is allowed, sizes before contents."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from studio_pipeline.schema.errors import InputError, one_line

__all__ = ["MAX_JSON_VALUES", "check_path", "json_value", "regular_bytes"]

MAX_JSON_VALUES = 4_000_000
"""Values of one JSON text; each costs some hundred bytes once it is read, however short it was written."""


def check_path(path: Path) -> None:
    """Refuse a path that the system has no use for; one where nothing is yet is fine.

    Raises:
        InputError: It is too long, links to itself, holds a null character, or nobody may look at it.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or one_line(error)[:120]
        raise InputError(f"can't be opened ({what})", where=str(path)[:120], do="check the path") from None


def regular_bytes(path: Path, *, limit: int, where: object = "", do: str = "") -> bytes:
    """All bytes of a regular file, as many as it had when it was opened.

    A device, a pipe or a socket is refused before anything is read: reading one may never end. So is what lies about
    its size, as the files of ``/proc`` do, which have none.

    Args:
        path: The file; a link is followed.
        limit: Most bytes.
        where: What to call it in an error; its path when empty.
        do: What the user can do about a file that is too large.

    Raises:
        InputError: It is missing, unreadable, no regular file, or larger than ``limit``.
    """
    where = where or path
    try:
        # Opening a pipe would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise InputError("no such file", where=where, do="check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"can't be read ({getattr(error, 'strerror', None) or error})", where=where) from None
    try:
        with os.fdopen(descriptor, "rb") as stream:
            state = os.fstat(stream.fileno())
            if not stat.S_ISREG(state.st_mode):
                what = "a folder" if stat.S_ISDIR(state.st_mode) else "a device or a pipe"
                raise InputError(f"is {what}, expected a file", where=where, do="name the file itself")
            if state.st_size > limit:
                size = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit} bytes"
                raise InputError(f"is larger than {size}", where=where, do=do)
            return stream.read(state.st_size) if state.st_size else b""
    except IsADirectoryError:
        raise InputError("is a folder, expected a file", where=where, do="name the file itself") from None
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror or error})", where=where) from None


def json_value(
    data: bytes,
    *,
    where: object,
    do: str,
    constants: bool = True,
    max_values: int = MAX_JSON_VALUES,
    what: str = "is not JSON",
) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Args:
        data: The text.
        where: The file, for the error.
        do: What the user can do, for the error.
        constants: Whether NaN and infinities may be written.
        max_values: Most values; counted before anything is built.
        what: How the error begins.

    Raises:
        InputError: It is something else, is nested too deep, or holds too much.
    """
    # Commas and brackets inside strings count too: the count is never too low.
    if data.count(b",") + data.count(b"[") + data.count(b"{") > max_values:
        raise InputError(f"holds more than {max_values} values", where=where, do=do)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not text in UTF-8", where=where, do=do) from None
    try:
        return json.loads(text) if constants else json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{what} (too deep)", where=where, do=do) from None
    except ValueError as error:
        raise InputError(f"{what} ({one_line(error)[:120]})", where=where, do=do) from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
