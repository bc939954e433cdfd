"""Progress of a run on standard error: a live line a stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["Terminal"]


class Terminal:
    """Watches a run (see `line.progress.Watcher`)."""

    def __init__(self, *, total: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = sys.stderr.isatty()
        self._done, self._total = 0, total
        self.made: set[tuple[str, str]] = set()
        self._began: dict[tuple[str, str], float] = {}
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._live,
        )

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, shot: str, stage: str) -> None:
        """Show the stage as running."""
        self._began[shot, stage] = time.monotonic()
        self._task = self._progress.add_task(f"{shot}  {stage}", total=1.0, note="")
        if not self._live:
            self._console.print(f"{self._count()} {shot}  {stage} ...")

    def advanced(self, shot: str, stage: str, fraction: float, message: str) -> None:
        """Move the stage's bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=min(max(fraction, 0.0), 1.0), note=message)

    def finished(self, shot: str, stage: str, outcome: Any) -> None:
        """Leave a line that says what was made."""
        if outcome.made:
            self.made.add((shot, stage))
        now = time.monotonic()  # read once: a stage that never began took no time, not less
        took = now - self._began.pop((shot, stage), now)
        word = "made" if outcome.made else "cached"
        self._leave(f"{self._count(1)} {shot}  {stage} {outcome.version}  {word} in {took:.1f} s")

    def again(self, shot: str, stage: str, line: str) -> None:
        """Leave a line that says why the stage is tried again."""
        self._began.pop((shot, stage), None)
        self._leave(f"{self._count()} {shot}  {stage} tried again: {line}", style="yellow")

    def failed(self, shot: str, stage: str, line: str) -> None:
        """Leave a line that says why."""
        self._began.pop((shot, stage), None)
        self._leave(f"{self._count(1)} {shot}  {stage} failed: {line}", style="red")

    def _count(self, step: int = 0) -> str:
        self._done += step
        return f"[{max(self._done, 1):>{len(str(self._total))}}/{self._total}]"

    def _leave(self, text: str, style: str = "") -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._console.print(text, style=style, markup=False, soft_wrap=True)
