"""`studio evaluate refine` without its command line: which clips, which settings, on how many processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio_pipeline.evaluation.cases import Case, find_cases, parse_case
from studio_pipeline.evaluation.processes import Row, Tell, work_through
from studio_pipeline.evaluation.rays import require
from studio_pipeline.evaluation.refine.trials import Work, cached, run_work
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError, one_line

__all__ = ["choose_cases", "evaluate", "parse_settings"]


def choose_cases(characters: Sequence[str], data: Path | None, count: int) -> tuple[list[Case], list[str]]:
    """Clips asked for by name, else the plainest clip of ``count`` characters; and what was left out.

    Args:
        characters: ``GLB`` (one clip of every kind) or ``GLB:CLIP`` each.
        data: Folder with ``rigs/``, whose characters are taken evenly; None: the shipped ones.
        count: At most as many clips.

    Raises:
        InputError: A named character or clip isn't there.
    """
    if characters:
        return [case for text in characters for case in parse_case(text)][:count], []
    folder = data / "rigs" if data else assets_folder() / "characters"
    cases, skipped = find_cases(sorted([*folder.glob("*.glb"), *folder.glob("*.gltf")]))
    first = list({case.path: case for case in reversed(cases)}.values())[::-1]  # one of each, in the order of files
    first.sort(key=lambda case: case.path)
    step = max(len(first) / count, 1.0)
    return [first[int(k * step)] for k in range(min(count, len(first)))], skipped


def parse_settings(given: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """``key=value`` texts, values as in YAML, to settings of the physics.

    Raises:
        InputError: One is not of that form, or the physics has no such setting or value.
    """
    import yaml
    from pydantic import ValidationError

    from studio_pipeline.stages.refined_motion.settings import FemSettings

    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise InputError(f"{one_line(text)!r} is not key=value", where="--set", do="give --set youngs_modulus=2e4")
    try:
        FemSettings(**found)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{'.'.join(str(part) for part in first['loc'])}: {one_line(first['msg'])}",
            where="--set",
            do=f"choose among {', '.join(FemSettings.model_fields)}",
        ) from None
    return tuple(sorted(found.items()))


def evaluate(works: Sequence[Work], *, jobs: int = 1, tell: Tell = lambda row, kept: None) -> list[Row]:
    """Refine all clips, or take results from an earlier run where file, numbers and code are the same.

    Args:
        works: What to refine.
        jobs: Processes. Seconds are honest with one.
        tell: See `Tell`.

    Returns:
        Rows in the order of the works.

    Raises:
        BackendUnavailable: Embree is missing.
        StudioError: A process died.
    """
    require("embreex")
    require("flip_evaluator")
    rows = work_through(
        works, cached=cached, unfinished=lambda work: bool(work.motions), run=run_work, jobs=jobs, tell=tell
    )
    return [row for found in rows for row in found]
