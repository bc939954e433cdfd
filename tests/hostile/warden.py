"""Run as a script: forks itself for every command that it is told, watches what the command does, says what it cost.

One process imports the product once; every command runs in a fork of it, under limits of memory and CPU time, with a
hook on what Python does (`sys.addaudithook`): what it opens for writing, connects to, starts, executes or unpickles.
A request is one line of JSON on standard input, the answer one line on standard output.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from memory import own_peak

MEMORY = 12 << 30  # [bytes] address space; what counts is the resident size, which the tests look at
CPU = 120  # [s]


def watch(log: int, allowed: list[str]) -> None:
    """Write a line to ``log`` for everything that a command reading files has no business doing."""
    busy = False

    def told(what: str, detail: object) -> None:
        os.write(log, (json.dumps([what, str(detail)[:300]]) + "\n").encode())

    def inside(path: object) -> bool:
        if isinstance(path, int) or path is None:
            return True
        full = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return full.startswith(tuple(allowed)) or full == os.devnull

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            if event == "open" and isinstance(arguments[2], int):
                if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not inside(arguments[0]):
                    told("writes", arguments[0])
            elif event in ("os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.symlink", "os.link", "os.truncate"):
                for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                    if isinstance(path, (str, bytes, os.PathLike)) and Path(os.fsdecode(path)).is_absolute():
                        inside(path) or told(event, path)
            elif event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
                told(event, arguments[1:])
            elif event in ("os.system", "os.exec", "os.posix_spawn", "pty.spawn"):
                told(event, arguments)
            elif event == "subprocess.Popen" and str(arguments[0]) not in (sys.executable, "uname", "tail"):
                told(event, arguments[:2])
            elif event == "pickle.find_class" and str(arguments[0]).split(".")[0] not in _LIBRARIES:
                told(event, arguments)
        finally:
            busy = False

    sys.addaudithook(hook)


_LIBRARIES = ("numpy", "dagster", "copyreg", "builtins", "collections", "_codecs")


def command(request: dict[str, Any], log: int) -> None:
    """In the fork: become the command, never return."""
    os.setsid()
    os.chdir(request["folder"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import tempfile

    tempfile.tempdir = None
    sys.argv = ["studio", *request["words"]]
    from studio_pipeline.cli.main import main

    watch(log, [*request["allowed"], "/dev/shm", "/proc/self", f"/proc/{os.getpid()}"])
    code = 70
    try:
        if request["words"][:1] == ["read"]:
            sys.argv = request["words"]
            import readers

            readers.main(request["words"][1], Path(request["words"][2]))
        if request["words"][:1] == ["python"]:  # the tests' own proof that this hook sees
            exec(request["words"][1])
            sys.exit(0)
        main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command to its end."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        command(request, log)
    os.close(log)
    late = False
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > request["seconds"] and not late:
            late = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.003)
    try:
        os.killpg(pid, signal.SIGKILL)  # what it left running
        left = True
    except ProcessLookupError:
        left = False
    return {
        "code": os.waitstatus_to_exitcode(status),
        "late": late,
        "left": left,
        "resident": used.ru_maxrss << 10,
        "cpu": used.ru_utime + used.ru_stime,
        "did": [json.loads(line) for line in Path(request["log"]).read_text().splitlines()],
    }


def main() -> None:
    """Import what commands import, then answer until the input ends."""
    from studio_pipeline.line.threads import fix_threads

    fix_threads()
    import av  # noqa: F401
    import cv2  # noqa: F401
    import dagster  # noqa: F401
    import opentimelineio  # noqa: F401
    import PIL.Image  # noqa: F401
    import torch  # noqa: F401
    from pxr import Usd  # noqa: F401

    from studio_pipeline.cli.main import app  # noqa: F401
    from studio_pipeline.line.graph import graph

    for stage in graph().values():
        for backend in stage.backends.values():
            backend.missing()
    import studio_pipeline.dag.definitions
    import studio_pipeline.stages.character.load
    import studio_pipeline.stages.rig.auto

    gc.collect()
    gc.freeze()  # or every fork would write to every page
    base = own_peak() << 10
    sys.stdout.write(json.dumps({"ready": base, "package": studio_pipeline.__file__}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answered(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
