"""What a worker that stays warm saves: one shot's steps in a process that has made another shot's, and in new ones.

    python benchmarks/warm_worker.py [--frames 4] [--resolution 64]

Two homes of their own in a temporary folder, two shots of two characters, every stage of the graph:

- `warm`: one process makes all steps of the first shot, then all of the second; the second's are timed;
- `cold`: a process for every step of the second shot, from its start to its end, as without warm workers.

Both make the steps as a farm's worker does (`dag.farm_step.make_step`, Dagster's instance in SQLite). The machine's
other work changes seconds, less so the ratios of one run. Models of networks are not loaded: that saving comes on top.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHOTS = """\
- {{show: warm, sequence: a, shot: '0010', character: pip, brief: Pip waves., frames: [1, {frames}],
   resolution: [{size}, {size}], seed: 1}}
- {{show: warm, sequence: a, shot: '0020', character: mochi, brief: Mochi hops., frames: [1, {frames}],
   resolution: [{size}, {size}], seed: 3, stages: {{refined_motion: {{youngs_modulus: 6.0e4}}}}}}
"""


def used() -> float:
    """CPU seconds of this process and of what it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def work(lines: list[str]) -> None:
    """A worker's process: makes the steps that are named (``shot stage``), says what each took."""
    from studio_pipeline.line.threads import fix_threads

    fix_threads()
    import dagster as dg
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._serdes import serialize_value

    from studio_pipeline.dag import farm_step
    from studio_pipeline.line.home import open_home

    open_home()
    farm_step.preload()
    state = serialize_value(KnownExecutionState())
    for line in lines:
        shot, stage = line.split()
        job = farm_step._definitions().resolve_job_def("shot_line")
        chosen = frozenset({dg.AssetKey(stage)})
        run = farm_step._instance().create_run_for_job(
            job.get_subset(asset_selection=chosen),
            tags={"dagster/partition": shot},
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=chosen,
        )
        began, cpu = time.monotonic(), used()
        told = farm_step.make_step(run.run_id, stage, state, worker="benchmark")
        print(json.dumps([shot, stage, told, time.monotonic() - began, used() - cpu]), flush=True)


def prepare(folder: Path, text: str) -> dict[str, str]:
    """A home that knows the shots; gives the environment that names it."""
    environment = {**os.environ, "STUDIO_HOME": str(folder), "DAGSTER_HOME": str(folder / "dagster")}
    environment.pop("STUDIO_STORE", None)
    folder.mkdir()
    (folder / "shots.yaml").write_text(text)
    code = (
        "import sys; from pathlib import Path; from studio_pipeline.line.shots import *;"
        "from studio_pipeline.dag.launch import open_instance, register_shots;"
        "store = open_studio(); shots = read_shot_lists([Path(sys.argv[1])]);"
        "[save_shot(store, shot) for shot in shots];"
        "instance = open_instance().__enter__(); register_shots(instance, [shot.id for shot in shots])"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "shots.yaml")], env=environment, check=True)
    return environment


def child(environment: dict[str, str], steps: list[str]) -> tuple[list[list], float, float]:
    """A worker's process that makes these steps; what it said, and its wall and CPU seconds from start to end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--steps", *steps], env=environment, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert all(row[2] == "done" for row in said), done.stdout + done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return said, time.monotonic() - began, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--steps", nargs="*")
    arguments = parser.parse_args()
    if arguments.steps:
        return work(arguments.steps)
    from studio_pipeline.line.graph import graph

    text = SHOTS.format(frames=arguments.frames, size=arguments.resolution)
    first, second = ([f"warm_a_{shot} {stage}" for stage in graph()] for shot in ("0010", "0020"))
    with tempfile.TemporaryDirectory(prefix="studio-warm-") as folder:
        warm, _, _ = child(prepare(Path(folder) / "warm", text), [*first, *second])
        environment = prepare(Path(folder) / "cold", text)
        cold = [child(environment, [step]) for step in second]
    print(f"{'stage':16}{'first':>9}{'warm':>9}{'new process':>13}   CPU s; wall in brackets")
    for index, (row, (_, wall, cpu)) in enumerate(zip(warm[len(first) :], cold, strict=True)):
        print(
            f"{row[1]:16}{warm[index][4]:9.2f}{row[4]:9.2f}{cpu:13.2f}   [{warm[index][3]:.2f} {row[3]:.2f} {wall:.2f}]"
        )
    rows = warm[len(first) :]
    for name, at, of_cold in (("CPU", 4, 2), ("wall", 3, 1)):
        kept, new = sum(row[at] for row in rows), sum(one[of_cold] for one in cold)
        print(f"{name}: warm {kept:.1f} s, a new process a step {new:.1f} s: {new / kept:.2f} times as much")


if __name__ == "__main__":
    main()
