"""Work of an evaluation, kept from earlier runs or done on several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from studio_pipeline.schema.errors import StudioError

__all__ = ["Row", "Tell", "work_through"]

Work = TypeVar("Work")
Row = dict[str, Any]
Tell = Callable[[Row, bool], None]
"""Told every row as soon as it is there, and whether it was kept from an earlier run."""


def work_through(
    works: Sequence[Work],
    *,
    cached: Callable[[Work], tuple[list[Row], Work]],
    unfinished: Callable[[Work], bool],
    run: Callable[..., list[Row]],
    jobs: int,
    tell: Tell,
) -> list[list[Row]]:
    """Rows of every work, in the order of the works.

    Args:
        works: What to do; with several jobs picklable.
        cached: Rows of a work that an earlier run kept, and what is left of it.
        unfinished: Whether something is left of a work.
        run: Does a work; called with it, and with a function that is told every row when there is one process.
        jobs: Processes.
        tell: See `Tell`.

    Raises:
        StudioError: A process died.
    """
    rows: list[list[Row]] = []
    left: dict[int, Work] = {}
    for index, work in enumerate(works):
        kept, rest = cached(work)
        rows.append(kept)
        for row in kept:
            tell(row, True)
        if unfinished(rest):
            left[index] = rest
    if jobs == 1 or len(left) < 2:
        for index, work in left.items():
            rows[index] += run(work, lambda row: tell(row, False))
        return rows
    for index, found in _in_processes(left, run, jobs):
        rows[index] += found
        for row in found:
            tell(row, False)
    return rows


def _in_processes(works: dict[int, Work], run: Callable, jobs: int) -> Iterator[tuple[int, list[Row]]]:
    """Rows of every work as they are done."""
    with ProcessPoolExecutor(min(jobs, len(works)), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run, work): index for index, work in works.items()}
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool:
                raise StudioError(
                    "a process of the evaluation died, out of memory perhaps",
                    do="run again with fewer --jobs: what was finished is kept",
                ) from None
