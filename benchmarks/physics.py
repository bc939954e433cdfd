"""Seconds for 24 simulated frames of a jointed bar at three sizes. Usage: physics.py [--json] [--frames N]."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
from studio_pipeline.render.runtime import initialize
from studio_pipeline.stages.refined_motion.fem import build_simulation
from studio_pipeline.stages.refined_motion.settings import FemSettings

CELLS = (4, 5, 7, 8, 10, 11)  # cubes across the bar; tetrahedra = 24 cells^3
JOINTS = 4


def measure(cells: int, frames: int, precision: str) -> dict[str, float | int | str]:
    solid = bar_solid(cells, JOINTS)
    rig = bar_rig(JOINTS, bar_character(solid).vertices)
    settings = FemSettings(precision=precision, youngs_modulus=1e5)
    motion = swing(frames, JOINTS)
    wall, cpu = time.perf_counter(), time.process_time()
    trajectory = build_simulation(rig, solid, motion, settings).run()
    return {
        "tets": len(solid.tets),
        "vertices": len(solid.vertices),
        "precision": precision,
        "seconds_cpu": round(time.process_time() - cpu, 3),
        "seconds_wall": round(time.perf_counter() - wall, 3),
        "newton_iterations": int(trajectory.newton_iterations.sum()),
        "linear_iterations": int(trajectory.linear_iterations.sum()),
        "unsolved_frames": int((~trajectory.solved).sum()),
        "min_det_f": round(float(trajectory.volume_ratio_min.min()), 4),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--cells", type=int, nargs="*", default=list(CELLS))
    arguments = parser.parse_args()
    initialize()
    rows = []
    for precision in ("float32", "float64"):
        measure(1, 2, precision)  # builds the kernels
        for cells in arguments.cells:
            rows.append(measure(cells, arguments.frames, precision))
            if not arguments.json:
                print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    if arguments.json:
        json.dump({"frames": arguments.frames, "rows": rows}, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
