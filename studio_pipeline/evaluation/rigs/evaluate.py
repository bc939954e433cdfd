"""`studio evaluate rig` without its command line: which works, on how many processes."""

from __future__ import annotations

from collections.abc import Sequence

from studio_pipeline.evaluation.processes import Row, Tell, work_through
from studio_pipeline.evaluation.rigs.trials import Work, cached, run_work

__all__ = ["evaluate"]


def evaluate(works: Sequence[Work], *, jobs: int = 1, tell: Tell = lambda row, kept: None) -> list[Row]:
    """Measure all works, or take results from an earlier run where subject and code are the same.

    Args:
        works: What to measure.
        jobs: Processes. Seconds are honest with one.
        tell: See `Tell`.

    Returns:
        Rows in the order of the works and of their backends.

    Raises:
        StudioError: A process died.
    """
    rows = work_through(
        works, cached=cached, unfinished=lambda work: bool(work.backends), run=run_work, jobs=jobs, tell=tell
    )
    for work, found in zip(works, rows, strict=True):
        order = [name for name, _ in work.backends]
        found.sort(key=lambda row, order=order: order.index(row["backend"]))
    return [row for found in rows for row in found]
