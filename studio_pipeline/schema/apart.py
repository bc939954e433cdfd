"""Work on a file from elsewhere in a process that has nothing to lose: bounded memory, time and output.

Native parsers (FFmpeg, OpenUSD, OpenTimelineIO) crash, hang or take all memory on some wrong files, and some corrupt
their own memory and fail later. So a plain function of the product meets such a file in a child, and its answer comes
back as bytes; whatever becomes of the child, the caller gets the answer or one `InputError`.

    text = run_apart(written_again, path, data=text, where=path, reader="its reader", do="export the edit again")

The function gets the arguments as words and its standard input as bytes, and writes to the stream that it is given.
It is named by its module, so that the digest of a stage's code follows it like any other call.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from studio_pipeline.schema.errors import InputError, one_line

__all__ = ["Apart", "child_environment", "run_apart", "stream_apart"]

Apart = Callable[[list[str], BinaryIO, BinaryIO], None]
"""A function of its arguments, its input and its output; an `InputError` of it is the caller's."""

MEMORY = 4 << 30  # [bytes] of address space
SECONDS = 120
MAX_ANSWER = 1 << 30  # bytes that the child may write to a file, its messages included
_REFUSED = 42  # exit code of a child whose function raised an InputError
_ROOT = str(Path(__file__).resolve().parents[2])


def run_apart(
    function: Apart,
    *arguments: object,
    where: object,
    reader: str,
    do: str,
    data: bytes = b"",
    memory: int = MEMORY,
    seconds: float = SECONDS,
) -> bytes:
    """What ``function`` writes when it is called in a process of its own.

    Args:
        function: Public function of a module of this package.
        arguments: Its words.
        where: The file, for the error.
        reader: What reads it, for the error, such as "the USD reader".
        do: What the user can do, for the error.
        data: Its input.
        memory: Most address space [bytes].
        seconds: Most time, of the clock and of the CPU [s].

    Raises:
        InputError: The function raised one, or its process broke, took too long or wanted too much memory.
    """
    with stream_apart(
        function, *arguments, where=where, reader=reader, do=do, data=data, memory=memory, seconds=seconds
    ) as stream:
        return stream.read()


@contextmanager
def stream_apart(
    function: Apart,
    *arguments: object,
    where: object,
    reader: str,
    do: str,
    data: bytes = b"",
    memory: int = MEMORY,
    seconds: float = SECONDS,
) -> Iterator[BinaryIO]:
    """`run_apart`, but the answer is read while it is being made.

    The block raises EOFError where the answer breaks off: the error that says why takes its place.

    Raises:
        InputError: As `run_apart`.
    """
    target = f"{function.__module__}:{function.__qualname__}"
    # -P: nothing in the folder where somebody calls the command may stand in for a module.
    command = [sys.executable, "-P", "-m", __name__, target, f"{memory}", f"{int(seconds) + 1}", *map(str, arguments)]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(data)
        given.seek(0)
        child = subprocess.Popen(
            command, stdin=given, stdout=subprocess.PIPE, stderr=said, start_new_session=True, env=child_environment()
        )
        late = threading.Event()
        clock = threading.Timer(seconds, _end, (child, late))
        clock.daemon = True
        clock.start()
        assert child.stdout is not None
        try:
            yield child.stdout  # type: ignore[misc]
        except EOFError:
            pass  # it broke off; why, the child's end says
        except BaseException:
            child.kill()
            raise
        finally:
            child.stdout.close()
            child.wait()
            clock.cancel()
        if late.is_set():
            raise InputError(f"takes {reader} more than {seconds:g} s", where=where, do=do)
        if child.returncode:
            raise _problem(child.returncode, said, where, reader, do)


def child_environment() -> dict[str, str]:
    """This process's, and where a checkout of this package lies: the child shall run the same code."""
    before = os.environ.get("PYTHONPATH")
    if Path(_ROOT).name in ("site-packages", "dist-packages"):
        return dict(os.environ)  # every child looks there, and there it comes after the standard library
    return {**os.environ, "PYTHONPATH": _ROOT + (os.pathsep + before if before else "")}


def _end(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _problem(code: int, said: IO[bytes], where: object, reader: str, do: str) -> InputError:
    """What the child's exit code and its last line say."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - (1 << 16)))
    last = (said.read().decode("utf-8", "replace").strip().splitlines() or [""])[-1]
    if code == _REFUSED:
        with contextlib.suppress(ValueError):
            what, place, advice = json.loads(last)
            return InputError(what, where=place or where, do=advice or do)
    ended = f"signal {-code}" if code < 0 else f"{one_line(last)[:160]}" if code == 1 and last else f"exit {code}"
    return InputError(f"breaks {reader} ({ended})", where=where, do=do)


def _limit(memory: int, seconds: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_ANSWER, MAX_ANSWER))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(target: str, memory: int, seconds: int, arguments: list[str]) -> int:
    _limit(memory, seconds)
    module, _, name = target.partition(":")
    function: Apart = getattr(importlib.import_module(module), name)
    try:
        function(arguments, sys.stdin.buffer, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except InputError as error:
        sys.stderr.write("\n" + json.dumps([error.what, error.where, error.do]) + "\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
