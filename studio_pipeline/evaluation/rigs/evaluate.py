"""`studio evaluate rig` without its command line: which works, on how many processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from studio_pipeline.evaluation.rigs.trials import Work, cached, run_work
from studio_pipeline.schema.errors import StudioError

__all__ = ["evaluate"]


def evaluate(
    works: Sequence[Work], *, jobs: int = 1, tell: Callable[[dict[str, Any], bool], None] = lambda row, kept: None
) -> list[dict[str, Any]]:
    """Measure all works, or take results from an earlier run where subject and code are the same.

    Args:
        works: What to measure.
        jobs: Processes. Seconds are honest with one.
        tell: Told every row as soon as it is there, and whether it was kept from an earlier run.

    Returns:
        Rows in the order of the works and of their backends.

    Raises:
        StudioError: A process died.
    """
    rows: dict[int, list[dict[str, Any]]] = {}
    open_: dict[int, Work] = {}
    for index, work in enumerate(works):
        rows[index], left = cached(work)
        for row in rows[index]:
            tell(row, True)
        if left.backends:
            open_[index] = left
    if jobs == 1 or len(open_) < 2:
        for index, work in open_.items():
            rows[index] += run_work(work, lambda row: tell(row, False))
    else:
        for index, found in _in_processes(open_, jobs):
            rows[index] += found
            for row in found:
                tell(row, False)
    for index, work in enumerate(works):
        order = [name for name, _ in work.backends]
        rows[index].sort(key=lambda row, order=order: order.index(row["backend"]))
    return [row for index in sorted(rows) for row in rows[index]]


def _in_processes(works: dict[int, Work], jobs: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows of every work as they are done."""
    with ProcessPoolExecutor(min(jobs, len(works)), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run_work, work): index for index, work in works.items()}
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool:
                raise StudioError(
                    "a process of the evaluation died, out of memory perhaps",
                    do="run again with fewer --jobs: what was finished is kept",
                ) from None
