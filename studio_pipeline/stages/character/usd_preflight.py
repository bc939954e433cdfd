"""Reading a USD file once in a process of its own, because pxr may abort or take all memory on a hostile one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from studio_pipeline.schema.apart import run_apart
from studio_pipeline.schema.errors import InputError

__all__ = ["preflight", "try_reading"]

MAX_BYTES = 6 << 30
MAX_SECONDS = 180


def preflight(path: Path) -> None:
    """Refuse a USD file that cannot be read within limits of memory and time.

    Raises:
        InputError: What reading it raised, or that it broke the reader.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, do="check the path of the character"
        ) from error
    problem = _try(str(path), state.st_mtime_ns, state.st_size)
    if problem:
        raise InputError(problem[0], where=problem[1], do=problem[2])


@lru_cache(maxsize=64)
def _try(path: str, mtime_ns: int, size: int) -> tuple[str, str, str] | None:
    """What is wrong (what, where, do), None when nothing is; asked once for the same state of a file."""
    redo = "export the character again, or as GLB"
    try:
        run_apart(
            try_reading, path, where=path, reader="the USD reader", do=redo, memory=MAX_BYTES, seconds=MAX_SECONDS
        )
    except InputError as error:
        return error.what, error.where, error.do
    return None


def try_reading(arguments: list[str], _given: BinaryIO, _out: BinaryIO) -> None:
    """In a process of its own: read the file named by the one argument, and forget it.

    Raises:
        InputError: As `source_usd.read_model_here`.
    """
    from studio_pipeline.stages.character.source_usd import read_model_here

    read_model_here(Path(arguments[0]))
