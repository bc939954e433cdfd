"""24 frames of a swinging jointed bar, forward and backward, at three sizes, with Newton's solver beside ours.

Usage: physics.py [--json] [--frames N] [--device D] [--newton FOLDER]. Each row is measured in a process of its own.
Newton (https://pypi.org/project/newton) is no dependency: --newton takes it from FOLDER (as left by `pip install
--no-deps --target FOLDER newton`), or from the environment; without it the benchmark says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from studio_pipeline.physics.simulate import Simulation

SIZES = {"2k": (4, 21), "10k": (7, 34), "28k": (10, 47)}  # cubes across and along the bar, six tetrahedra each
GOALS = {"2k": 1.5, "10k": 3.0, "28k": 8.0}  # CPU seconds, forward + backward, 24 frames
RATIO_GOAL = 0.35  # backward over forward
JOINTS = 4
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def make_simulation(
    cells: int, along: int, frames: int, precision: str, *, device: str = "cpu", **settings: float
) -> Simulation:
    """The bar, its bones and its swing as the stage builds them, recording for the way back."""
    from studio_pipeline.physics.body import Body, Material
    from studio_pipeline.physics.scenes import bar_character, bar_rig, bar_solid, swing
    from studio_pipeline.physics.simulate import Simulation
    from studio_pipeline.stages.refined_motion.build import build_simulation
    from studio_pipeline.stages.refined_motion.settings import FemSettings

    solid = bar_solid(cells, JOINTS, along=along)
    rig = bar_rig(JOINTS, bar_character(solid).vertices)
    chosen = FemSettings(**{"precision": precision, "youngs_modulus": 1e5, **settings})
    simulation = build_simulation(rig, solid, swing(frames, JOINTS), chosen, record=True)
    if device == "cpu":
        return simulation
    body = simulation.body
    material = Material(
        youngs_modulus=body.youngs_modulus, poisson=chosen.poisson, density=chosen.density, damping=chosen.damping
    )
    ties = {"attachment": body.attachment.numpy(), "contact": body.contact.numpy()}
    moved = Body(body.topology, material, **ties, precision=precision, device=device)
    return Simulation(moved, simulation.drive, simulation.options, record=True)


def memory(key: str) -> float:
    """VmRSS or VmHWM (its peak) of this process [MB]; the peak by getrusage where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0**2 if sys.platform == "darwin" else 1024.0)
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024.0


def measure(size: str, frames: int, precision: str, device: str) -> dict[str, float | int | str]:
    """One row, in this process."""
    from studio_pipeline.physics.adjoint import backward
    from studio_pipeline.render.runtime import initialize

    initialize()
    warm = make_simulation(1, 4, 2, precision, device=device)  # builds or loads the kernels
    backward(warm, np.ones_like(warm.run().positions))
    base, wall, start = memory("VmRSS"), time.perf_counter(), time.process_time()
    simulation = make_simulation(*SIZES[size], frames, precision, device=device)
    built = time.process_time()
    trajectory = simulation.run()
    ran = time.process_time()
    gradient = np.random.default_rng(0).normal(size=trajectory.positions.shape)
    asked = time.process_time()
    gradients = backward(simulation, gradient)
    done, wall = time.process_time(), time.perf_counter() - wall
    tets = len(simulation.body.topology.tets)
    forward, back = ran - built, done - asked
    return {
        "size": size,
        "tets": tets,
        "precision": precision,
        "device": device,
        "build_s": round(built - start, 3),
        "forward_s": round(forward, 3),
        "backward_s": round(back, 3),
        "total_s": round(built - start + forward + back, 3),
        "goal_s": GOALS[size],
        "wall_s": round(wall, 3),
        "ratio": round(back / forward, 3),
        "memory_mb": round(memory("VmHWM") - base, 1),
        "mb_per_1000_tets": round((memory("VmHWM") - base) / tets * 1000.0, 2),
        "newton_iterations": int(trajectory.newton_iterations.sum()),
        "linear_iterations": int(trajectory.linear_iterations.sum()),
        "backward_linear_iterations": gradients.linear_iterations,
        "projected_steps": gradients.indefinite,
        "unsolved_frames": int((~trajectory.solved).sum()),
    }


def child(*arguments: str) -> Any:
    """What this script, or the one for Newton, prints as JSON when run with ``arguments``."""
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **THREADS}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def linear_memory(rows: list[dict]) -> dict[str, float]:
    """Megabytes for each thousand tetrahedra more, between neighbouring sizes: equal where memory is linear."""
    return {
        f"{a['size']} to {b['size']}": round((b["memory_mb"] - a["memory_mb"]) / (b["tets"] - a["tets"]) * 1000.0, 2)
        for a, b in pairwise(rows)
    }


def beside_newton(folder: str | None, sizes: list[str], moduli: list[float], frames: int) -> list[dict] | str:
    """The comparison's rows, or a line that says why there are none."""
    if folder is None and find_spec("newton") is None:
        return "Newton is not installed: pip install --no-deps --target FOLDER newton, then --newton FOLDER"
    script, place = str(Path(__file__).with_name("physics_newton.py")), [folder] if folder else []
    asked = [(size, modulus) for size in sizes for modulus in moduli]
    return [row for size, modulus in asked for row in child(script, size, str(frames), str(modulus), *place)]


def show(row: dict) -> None:
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def table(arguments: argparse.Namespace) -> dict:
    """Every row; printed as it comes unless for JSON."""
    result: dict = {"frames": arguments.frames, "ratio_goal": RATIO_GOAL, "rows": [], "mb_for_1000_tets_more": {}}
    for precision in ("float32", "float64"):
        rows = []
        for size in arguments.sizes:
            place = ["--frames", str(arguments.frames), "--device", arguments.device]
            rows.append(child(__file__, "--one", size, precision, *place))
            if not arguments.json:
                show(rows[-1])
        result["rows"] += rows
        result["mb_for_1000_tets_more"][precision] = linear_memory(rows)
        if not arguments.json:
            print(f"{precision}, MB for each thousand tetrahedra more: {linear_memory(rows)}", flush=True)
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--device", default="cpu", help="Warp's; on a GPU (cuda:0) only wall seconds count")
    parser.add_argument("--newton", metavar="FOLDER", help="where `newton` is installed, if not in the environment")
    parser.add_argument("--newton-sizes", nargs="*", choices=list(SIZES), default=["2k", "10k"])
    parser.add_argument("--newton-moduli", nargs="*", type=float, default=[1e5, 1e6], help="Young's moduli [Pa]")
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.newton is not None and not (Path(arguments.newton) / "newton").is_dir():
        parser.error(f"--newton {arguments.newton}: holds no package `newton`")
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], arguments.frames, arguments.one[1], arguments.device)))
        return
    result = table(arguments)
    newton = beside_newton(arguments.newton, arguments.newton_sizes, arguments.newton_moduli, arguments.frames)
    if arguments.json:
        json.dump({**result, "newton": newton}, sys.stdout, indent=1)
        print()
    elif isinstance(newton, str):
        print(newton)
    else:
        for row in newton:
            show(row)


if __name__ == "__main__":
    main()
