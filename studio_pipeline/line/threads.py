"""One thread for the numeric libraries: the same bytes everywhere, and faster beside Warp's own two threads."""

from __future__ import annotations

import os

__all__ = ["fix_threads"]


def fix_threads() -> None:
    """Give OpenMP and OpenBLAS one thread each unless the environment says otherwise.

    Call it before NumPy or torch are imported: they read the environment once. Small solves between Warp launches lose
    more to waking threads than they gain; compare ``studio evaluate lift`` with ``OMP_NUM_THREADS`` set to 1 and 2.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
