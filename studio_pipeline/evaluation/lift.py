"""`studio evaluate lift` without its command line: which plates, in which order, on how many processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studio_pipeline.evaluation.cases import Case, find_cases, parse_case
from studio_pipeline.evaluation.lpips import load_lpips
from studio_pipeline.evaluation.processes import Row, Tell, work_through
from studio_pipeline.evaluation.rays import require
from studio_pipeline.evaluation.trials import TERMS, Trial, Work, cached, run_work
from studio_pipeline.schema.assets import assets_folder

__all__ = ["choose_cases", "evaluate", "trials_of"]

FORMATS = ("*.glb", "*.gltf")


def choose_cases(characters: Sequence[str], data: Path | None, count: int | None) -> tuple[list[Case], list[str]]:
    """Cases asked for by name, else those of the shipped characters and of ``data``/rigs; and what was left out.

    Args:
        characters: ``GLB`` or ``GLB:CLIP`` each.
        data: Folder with ``rigs/``; None: only what is shipped.
        count: At most as many; None: all.

    Raises:
        InputError: A named character or clip isn't there.
    """
    if characters:
        return [case for text in characters for case in parse_case(text)][:count], []
    folders = [assets_folder() / "characters", *([data / "rigs"] if data else [])]
    files = [path for folder in folders for path in sorted(p for form in FORMATS for p in folder.glob(form))]
    cases, skipped = find_cases(files)
    return cases[:count], skipped


def trials_of(rig: str, depth: str, *, ablate: bool = False) -> tuple[Trial, ...]:
    """Trials of every plate: rig ``provided``, then ``geometric``; without depth, then with.

    Args:
        rig: "provided", "both", which is that and "geometric", or a way of making one.
        depth: "with", "without" or "both".
        ablate: All terms, then each of `TERMS` left out; "both" then means the provided rig, with depth.
    """
    rigs = (("provided",) if ablate else ("provided", "geometric")) if rig == "both" else (rig,)
    depths = ((True,) if ablate else (False, True)) if depth == "both" else (depth == "with",)
    found = [Trial(one, given) for one in rigs for given in depths]
    if ablate:
        found = [
            Trial(trial.rig, trial.depth, without)
            for trial in found
            for without in ((), *((term,) for term in TERMS if trial.depth or term != "depth"))
        ]
    return tuple(found)


def evaluate(works: Sequence[Work], *, jobs: int = 1, tell: Tell = lambda row, kept: None) -> list[Row]:
    """Run all trials, or take them from an earlier run where file, numbers and code are the same.

    Args:
        works: What to run.
        jobs: Processes.
        tell: See `Tell`.

    Returns:
        Rows in the order of the works.

    Raises:
        BackendUnavailable: Embree or FLIP is missing.
        InputError: LPIPS is asked for and its weights aren't there.
        StudioError: A process died.
    """
    require("embreex")
    require("flip_evaluator")
    for folder in {work.lpips for work in works if work.lpips}:
        load_lpips(folder)
    rows = work_through(
        works, cached=cached, unfinished=lambda work: bool(work.trials), run=run_work, jobs=jobs, tell=tell
    )
    return [row for found in rows for row in found]
