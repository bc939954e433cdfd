"""One thread for the numeric libraries: the same bytes everywhere, and faster beside Warp's own two threads."""

from __future__ import annotations

import os

__all__ = ["fix_threads"]


def fix_threads() -> None:
    """Give OpenMP and OpenBLAS one thread each unless the environment says otherwise.

    Call it before NumPy or torch are imported: they read the environment once. Small solves between Warp launches lose
    more to waking threads than they gain (a lift of 24 frames: 23 s wall with one, 28 s and twice the processor time
    with two, on 2 cores).
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
