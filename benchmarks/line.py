"""What a user waits for: the command's start, the code location, the demo made and found again.

``python benchmarks/line.py [--shots FILE] [--json]`` runs in a temporary home on this machine. The cached run is also
given as a ratio of the first one, both from the same call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUDIO = [sys.executable, "-m", "studio_pipeline.cli"]


def seconds(command: list[str], folder: Path, home: Path, runs: int = 1) -> float:
    """Median wall time of ``command``."""
    environment = {**os.environ, "STUDIO_HOME": str(home)}
    environment.pop("DAGSTER_HOME", None)
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path, default=ROOT / "assets" / "shots" / "demo.yaml")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    shots = str(arguments.shots.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Path(name) / "home"
        figures = {
            "help_s": seconds([*STUDIO, "--help"], folder, home, 5),
            "code_location_s": seconds(
                [sys.executable, "-c", "import studio_pipeline.dag.definitions"], folder, home, 3
            ),
            "first_run_s": seconds([*STUDIO, "run", shots], folder, home),
            "second_run_s": seconds([*STUDIO, "run", shots], folder, home, 3),
            "plan_s": seconds([*STUDIO, "plan", shots], folder, home, 3),
        }
        stages: dict[str, float] = {}
        for report in (folder / "out").glob("*/report.json"):
            for row in json.loads(report.read_text())["stages"]:
                stages[row["stage"]] = stages.get(row["stage"], 0.0) + row["seconds"]
    figures["second_over_first"] = figures["second_run_s"] / figures["first_run_s"]
    if arguments.json:
        print(json.dumps({**figures, "stages_s": stages}, indent=1))
        return
    for label, value in figures.items():
        print(f"{label:18} {value:8.3f}")
    for stage, value in stages.items():
        print(f"  {stage:16} {value:8.1f} s over all shots")


if __name__ == "__main__":
    main()
