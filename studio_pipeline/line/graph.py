"""The graph of stages in the order in which they can be made."""

from __future__ import annotations

import difflib
import importlib
from functools import cache

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import Stage

__all__ = ["backend_of", "downstream", "graph", "stage_named", "upstream"]

_PACKAGES = (
    "character",
    "rig",
    "solid",
    "canonical_view",
    "directives",
    "takes",
    "take_report",
    "reference_clip",
    "observations",
    "lifted_motion",
    "refined_motion",
    "delivery",
    "review",
)


@cache
def graph() -> dict[str, Stage]:
    """All stages by name, upstream before downstream."""
    stages: dict[str, Stage] = {}
    for stage in _load():
        assert set(stage.inputs) <= set(stages), f"stage {stage.name} is out of order"
        stages[stage.name] = stage
    return stages


def _load() -> list[Stage]:
    return [importlib.import_module(f"studio_pipeline.stages.{name}").STAGE for name in _PACKAGES]


def stage_named(name: str, *, where: str = "") -> Stage:
    """The stage called ``name``.

    Raises:
        InputError: There is none; the nearest names are offered.
    """
    if name in graph():
        return graph()[name]
    near = difflib.get_close_matches(name, graph(), 3, 0.5)
    raise InputError(f"no stage is called {name!r}", where=where, do=f"one of: {', '.join(near or graph())}")


def backend_of(stage: Stage, name: str, *, where: str = "") -> str:
    """The stage's backend called ``name``, under its present name.

    Raises:
        InputError: It has not; its backends are listed.
    """
    name = stage.renamed.get(name, name)
    if name in stage.backends:
        return name
    raise InputError(
        f"stage {stage.name} has no backend {name!r} in this installation",
        where=where,
        do=f"one of: {', '.join(stage.backends)}",
    )


def upstream(name: str) -> set[str]:
    """Every stage that ``name`` depends on, directly or not."""
    found: set[str] = set()
    for parent in graph()[name].inputs:
        found |= {parent} | upstream(parent)
    return found


def downstream(name: str) -> set[str]:
    """Every stage that depends on ``name``, directly or not."""
    return {other for other in graph() if name in upstream(other)}
