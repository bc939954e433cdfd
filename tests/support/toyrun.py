"""The toy studio in a process of its own: what may be killed, paused and watched from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SCRIPT = """
import os, pathlib, signal, socket, sys, time
import support.toys as toys, studio_pipeline.line.graph as graph, studio_pipeline.line.keys as keys
graph._load = lambda: toys.STAGES
keys.code_digest, keys.code_units = lambda target: 'code', lambda target: {}
toy = toys.CURRENT


def wait(context, gate, seconds=60.0):
    '''Work slowly until the file ``gate`` is there.'''
    began = time.monotonic()
    while not pathlib.Path(gate).exists() and time.monotonic() - began < seconds:
        context.progress(min(0.9, (time.monotonic() - began) / 10), 'counting sheep')
        time.sleep(0.02)

"""


def start_toy(
    folder: Path, script: str, *, environment: Mapping[str, str] | None = None, terminal: int | None = None
) -> subprocess.Popen[str]:
    """Run ``script`` after the toy studio is set up (``toy``, ``wait``); output goes to ``folder/toy.log``.

    With a ``terminal``, a descriptor of a pseudo terminal, it goes there.
    """
    here = Path(__file__)
    given = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    paths = os.pathsep.join([str(here.parents[1]), str(here.parents[2]), *given])
    variables = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
    with (folder / "toy.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT + script],
            cwd=folder, env=variables, stdout=terminal or log, stderr=terminal or log, text=True,
        )  # fmt: skip


def until(true, seconds: float = 60.0, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something holds; fail when it doesn't in time, or when the process that brings it about has ended."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline and (process is None or process.poll() is None)
        time.sleep(0.05)
