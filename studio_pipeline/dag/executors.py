"""Where the steps of a run are made: the environment says so (``STUDIO_EXECUTOR``), the graph is the same."""

from __future__ import annotations

import os
from collections.abc import Callable

import dagster as dg

from studio_pipeline.schema.errors import InputError

__all__ = ["EXECUTOR", "chosen_executor"]

EXECUTOR = "STUDIO_EXECUTOR"


def chosen_executor() -> dg.ExecutorDefinition:
    """The executor that the environment names; steps run in the run's own process when it names none.

    Raises:
        InputError: It names none that exists, or one whose packages or settings aren't there.
    """
    name = os.environ.get(EXECUTOR) or "in_process"
    if name not in _MAKERS:
        raise InputError(f"there is no executor {name!r}", where=EXECUTOR, do=f"one of: {', '.join(_MAKERS)}")
    try:
        return _MAKERS[name]()
    except ImportError as error:
        raise InputError(
            f"executor {name!r} needs a package that isn't here ({error.name})",
            where=EXECUTOR,
            do="pip install 'studio_pipeline[farm]'",
        ) from None


def _in_process() -> dg.ExecutorDefinition:
    return dg.in_process_executor


def _celery() -> dg.ExecutorDefinition:
    from studio_pipeline.dag.celery_app import broker_url
    from studio_pipeline.dag.celery_executor import farm_executor

    broker_url()  # says what is missing before a run has to
    return farm_executor


def _kubernetes() -> dg.ExecutorDefinition:
    from studio_pipeline.dag.kubernetes import kubernetes_executor

    return kubernetes_executor()


_MAKERS: dict[str, Callable[[], dg.ExecutorDefinition]] = {
    "in_process": _in_process,
    "celery": _celery,
    "kubernetes": _kubernetes,
}
