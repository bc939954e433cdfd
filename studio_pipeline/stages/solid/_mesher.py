"""Runs fTetWild once, in a process that may be killed: ``python -m ..._mesher input.npz output.npz``.

Input: vertices [N, 3] float64, faces [M, 3] int32, epsilon and edge_length (shares of the diagonal), cpu_s.
Output: vertices [P, 3] float64, tets [E, 4] int32, reproducible (bool).
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import numpy as np

from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.stages.solid._seed import fix_random_device

__all__ = ["main"]


def main(source: Path, target: Path) -> None:
    """Mesh ``source`` into ``target``."""
    data = load_arrays(source)
    try:
        import resource

        # Ends this process even when whoever started it is gone.
        seconds = int(data["cpu_s"].item()) + 10
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    except ImportError:
        pass
    # One thread and constant entropy: else the result differs from run to run.
    alone = _stay_on_one_core()
    from wildmeshing import wildmeshing

    reproducible = fix_random_device(Path(wildmeshing.__file__)) and alone
    mesher = wildmeshing.Tetrahedralizer(
        epsilon=data["epsilon"].item(), edge_length_r=data["edge_length"].item(), max_threads=1
    )
    mesher.set_log_level(6)
    mesher.set_mesh(np.ascontiguousarray(data["vertices"], dtype=np.float64), data["faces"].astype(np.int32))
    mesher.tetrahedralize()
    vertices, tets = mesher.get_tet_mesh()[:2]
    save_arrays(
        target,
        vertices=np.asarray(vertices, dtype=np.float64),
        tets=np.asarray(tets, dtype=np.int32),
        reproducible=np.array(reproducible),
    )


def _stay_on_one_core() -> bool:
    """Let what is loaded from now on find one core; False where the system can't.

    fTetWild's ``max_threads=1`` leaves TBB a worker beside the caller, and the two race in its smoothing (one result in
    a hundred is another). TBB, OpenMP and libigl make no worker where the process may use one core only.
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    here = ctypes.CDLL(None).sched_getcpu()  # where the scheduler put this process, so that two don't meet on one core
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {here if here in allowed else min(allowed)})
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
