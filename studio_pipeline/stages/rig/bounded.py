"""A user's command with bounds: on its time, on what is kept of its output, and on what it leaves running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from studio_pipeline.schema.errors import BackendUnavailable, InputError, OutOfMemory, one_line, was_killed

__all__ = ["run_bounded"]

TAIL = 64 << 10  # bytes of output that are kept, the last ones


def run_bounded(words: Sequence[str], *, folder: Path, timeout_s: float, name: str, setting: str) -> str:
    """Run a command in ``folder``, with no shell between, and end whatever it started.

    Args:
        words: Program and arguments.
        folder: Working directory.
        timeout_s: Most time it may take [s].
        name: What it is, for errors.
        setting: The setting that names it, for errors.

    Returns:
        The last line of what it printed, empty when it said nothing.

    Raises:
        BackendUnavailable: The program can't be started.
        InputError: It fails or takes too long.
        OutOfMemory: Something else killed it.
    """
    process = _started(words, folder, setting)
    assert process.stdout is not None
    kept = bytearray()
    reader = threading.Thread(target=_drain, args=(process.stdout, kept), daemon=True)
    reader.start()
    late = False
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(5.0)  # a child in a session of its own may hold the pipe open: it isn't waited for
    said = _last_line(bytes(kept))
    if late:
        raise InputError(f"{name} took longer than {timeout_s:g} s{_quoted(said)}", where=setting, do="set timeout_s")
    if was_killed(process.returncode):
        raise OutOfMemory(f"{name} was killed{_quoted(said)}", where=setting)
    if process.returncode:
        raise InputError(f"{name} failed with code {process.returncode}{_quoted(said)}", where=setting)
    return said


def _started(words: Sequence[str], folder: Path, setting: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise BackendUnavailable(f"{words[0]} can't be started ({error.strerror})", where=setting) from None


def _drain(stream: IO[bytes], kept: bytearray) -> None:
    """Read to the end, keeping the last bytes only: output of any length costs neither memory nor disk."""
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(stream.fileno(), 1 << 16):
            kept += chunk
            del kept[:-TAIL]


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if line.strip() != "done"]  # what UniRig's scripts end with, whatever happened
    return one_line(told[-1])[:300] if told else ""


def _quoted(said: str) -> str:
    return f": {said}" if said else ""
