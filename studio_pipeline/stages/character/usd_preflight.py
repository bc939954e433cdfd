"""Reading a USD file once in a process of its own, because pxr may abort or take all memory on a hostile one."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from studio_pipeline.schema.errors import InputError

__all__ = ["preflight"]

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
        done = subprocess.run(
            [sys.executable, "-m", __name__, path], capture_output=True, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"takes the USD reader more than {MAX_SECONDS} s", path, redo
    if done.returncode == 0:
        return None
    if done.returncode == InputError.exit_code:
        what, where, do = json.loads(done.stdout.decode("utf-8").splitlines()[-1])
        return what, where, do
    return f"breaks the USD reader (exit {done.returncode})", path, redo


def _main(path: str) -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from studio_pipeline.stages.character.source_usd import read_model_here

    try:
        read_model_here(Path(path))
    except InputError as error:
        sys.stdout.write(json.dumps([error.what, error.where, error.do]) + "\n")
        return InputError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
