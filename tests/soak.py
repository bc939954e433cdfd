"""Run the full counts one test at a time; what is done is kept, so an interrupted soak goes on where it stopped.

``python -m tests.soak [--fresh]`` writes docs/soak.json: per test its outcome, seconds, the commit it ran on and
what it printed last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "soak.json"


def collected() -> list[str]:
    """Node ids of all soak tests, the cases of one parametrised test together."""
    listing = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "soak", "--collect-only"], cwd=ROOT, capture_output=True, text=True
    )
    return list(dict.fromkeys(line.partition("[")[0] for line in listing.stdout.splitlines() if "::" in line))


def commit() -> str:
    """The commit that is being tested, marked when the tree has changes."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "studio_pipeline", "tests"], cwd=ROOT, capture_output=True, text=True
    )
    return head + ("+changes" if changed.stdout.strip() else "")


def run_one(node: str) -> dict[str, object]:
    """Run one test and keep the tail of what it printed."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-m", "soak", "--timeout=14400", node],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    words = {0: "passed", 5: "not found"}
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    shown = [line[line.index("soak:") :] for line in lines if "soak:" in line] + lines[-1:]
    return {
        "outcome": words.get(done.returncode, "failed"),
        "seconds": round(time.monotonic() - began, 1),
        "commit": commit(),
        "printed": shown if done.returncode == 0 else lines[-30:],
    }


def main() -> int:
    """Run what has no result yet; exit non-zero when a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    arguments = parser.parse_args()
    results = {} if arguments.fresh or not RESULTS.exists() else json.loads(RESULTS.read_text())
    for node in collected():
        if results.get(node, {}).get("outcome") == "passed":
            continue
        print(f"{node} ...", flush=True)
        results[node] = run_one(node)
        print(f"  {results[node]['outcome']} in {results[node]['seconds']} s", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    failed = [node for node, result in results.items() if result["outcome"] != "passed"]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
