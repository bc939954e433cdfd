"""Whose work is this: names of this process, and whether the process of a name is gone."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

__all__ = ["is_gone", "lives_here", "process_name", "sweep"]


def process_name() -> str:
    """This process as ``host-pid``; safe in file names and tags."""
    return f"{_host()}-{os.getpid()}"


def is_gone(name: str) -> bool:
    """Whether the process called ``name`` ran on this machine and has ended. Of other machines nobody can say."""
    host, _, pid = name.rpartition("-")
    if host != _host() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def lives_here(name: str) -> bool:
    """Whether the process called ``name`` is one of this machine and hasn't ended."""
    return name.rpartition("-")[0] == _host() and not is_gone(name)


def sweep(scratch: Path) -> int:
    """Remove scratch folders (``host-pid.shot.stage.xxxx``) whose process was killed; returns how many."""
    removed = 0
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        if folder.is_dir() and is_gone(folder.name.partition(".")[0]):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
