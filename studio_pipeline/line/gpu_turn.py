"""One large model at a time on a machine's GPU: who starts two `studio run` gets both, one after the other.

Without it the second runs out of memory, and has its settings made smaller for good. A farm has one worker a GPU, with
``CUDA_VISIBLE_DEVICES`` of its own: their turns don't meet.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["gpu_turn"]

LOOK_EVERY = 1.0  # [s]


@contextmanager
def gpu_turn(wanted: bool, say: Callable[[float, str], None]) -> Iterator[None]:
    """Hold this machine's GPU for the block, among the processes of one user that see the same devices.

    A process that dies gives it back at once (the system drops its lock). Where there is no GPU nobody waits.

    Args:
        wanted: Whether the block computes there with a model of its own.
        say: Takes progress and words while it is waited for.
    """
    if not wanted or not _has_gpu():
        yield
        return
    lock = _acquired(say)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquired(say: Callable[[float, str], None]) -> FileLock | None:
    while True:
        try:
            lock = FileLock(_place())
            lock.acquire(timeout=LOOK_EVERY)
            return lock
        except Timeout:
            say(0.0, "waits for the GPU, which another process of this machine uses")
        except OSError:  # where no lock can be kept, all is as it would be without
            return None


def _place() -> Path:
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    name = hashlib.sha256(devices.encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"studio-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"gpu-{name}.lock"


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
