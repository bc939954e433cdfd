"""Memory that a training on the CPU keeps instead of giving it back and asking for it again at every step."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's mallopt
_KEPT = 2**31 - 1  # bytes


def keep_memory() -> None:
    """Tell glibc to keep freed memory; elsewhere nothing happens. See `benchmarks/rig.py`."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, 64 * 2**20)):
        mallopt(option, value)
