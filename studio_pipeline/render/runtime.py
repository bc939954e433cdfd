"""Warp, started quietly, and frames spread over a few threads without changing results."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import warp as wp

__all__ = ["FRAME_THREADS", "initialize", "over_frames", "side_by_side"]

Item = TypeVar("Item")
Result = TypeVar("Result")

FRAME_THREADS = min(2, os.cpu_count() or 1)
"""Threads that frames are spread over on the CPU; `wp.launch` releases the GIL, and a CPU launch is one thread."""

_lock = threading.Lock()
_ready = False
_inside = threading.local()  # has `busy` on threads of `side_by_side`


def initialize(*modules: str) -> None:
    """Start Warp without its banner and build the kernels of ``modules`` (Python module names) for the CPU."""
    global _ready
    with _lock:
        if not _ready:
            wp.config.log_level = wp.LOG_ERROR
            _init_silently()
            _ready = True
        for name in modules:
            wp.load_module(sys.modules[name], device="cpu")


def over_frames(count: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` on slices that cover frames 0..count-1, on `FRAME_THREADS` threads.

    Frames must not depend on each other, so the result is the same for any number of threads.
    """
    parts = min(1 if getattr(_inside, "busy", False) else FRAME_THREADS, count)
    bounds = [count * part // parts for part in range(parts + 1)] if parts else []
    slices = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    if len(slices) == 1:
        work(slices[0])
    elif slices:
        with ThreadPoolExecutor(len(slices)) as pool:
            list(pool.map(work, slices))


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``work`` of every item, in their order, on `FRAME_THREADS` threads; frames inside it are not spread again.

    Items must not depend on each other, so the result is the same for any number of threads.
    """

    def busy(item: Item) -> Result:
        _inside.busy = True
        return work(item)

    with ThreadPoolExecutor(FRAME_THREADS) as pool:
        return list(pool.map(busy, items))


def _init_silently() -> None:
    # Without a CUDA driver, Warp's native code writes a warning straight to stderr; on a CPU worker it is noise.
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        wp.init()
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
