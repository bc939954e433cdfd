"""Every stage of every shot at this moment: what is made, by whom, how far it is, and what the rest waits for."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio_pipeline.line.plan import ShotPlan, StagePlan
from studio_pipeline.line.queues import CPU, GPU, needs_gpu
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.trouble import kind_of_again
from studio_pipeline.store import LeaseState

__all__ = ["STATES", "Board", "Cell", "RunNow", "ShotRow", "Timings", "board_of"]

STATES = ("running", "failed", "queued", "waits", "to do", "done")
"""What a stage can be, most urgent first; a shot is as its most urgent stage."""


@dataclass(frozen=True)
class RunNow:
    """A run of a shot that the orchestrator hasn't finished."""

    run: str
    shot: str
    started: bool  # False: it waits in the queue
    created: float  # [s since the epoch]
    priority: int = 0
    stages: frozenset[str] = frozenset()  # empty: all
    retry: str = ""  # why a step of it will be tried again, as `trouble.Again` says it

    def wants(self, stage: str) -> bool:
        """Whether the run is to make a stage."""
        return not self.stages or stage in self.stages


@dataclass(frozen=True)
class Cell:
    """One stage of one shot."""

    stage: str
    state: str  # see `STATES`
    reason: str = ""  # why it is so, or what it waits for
    version: str = ""
    fraction: float | None = None  # how far it is [0, 1]
    message: str = ""
    worker: str = ""  # host, process id and queue of whoever makes it
    attempt: int = 0  # 0: nobody is at it
    since: float | None = None  # for how long it has been so [s]
    left: float | None = None  # as past timings have it [s]


@dataclass(frozen=True)
class ShotRow:
    """One shot."""

    shot: str
    cells: tuple[Cell, ...]

    @property
    def state(self) -> str:
        """The most urgent of its stages'."""
        return min((cell.state for cell in self.cells), key=STATES.index, default="done")


@dataclass(frozen=True)
class Board:
    """All shots."""

    rows: tuple[ShotRow, ...]
    workers: int = 0  # that make something
    machine_seconds: float | None = None  # that what was launched will still take, as far as past timings tell

    def counts(self) -> Counter[str]:
        """Stages by state."""
        return Counter(cell.state for row in self.rows for cell in row.cells)

    def shots(self) -> Counter[str]:
        """Shots by state."""
        return Counter(row.state for row in self.rows)


@dataclass
class Timings:
    """How long stages have taken, by stage and backend."""

    seconds: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)  # further by key

    def learn(self, plans: Iterable[ShotPlan]) -> None:
        """Take in what these plans' artifacts say."""
        for plan in plans:
            for item in plan.stages:
                if item.key and (seconds := item.seconds) is not None:
                    self.seconds.setdefault((item.stage, item.backend), {})[item.key] = seconds

    def usual(self, item: StagePlan) -> float | None:
        """The median of a stage's backend [s]; None when it was never made."""
        known = self.seconds.get((item.stage, item.backend))
        return statistics.median(known.values()) if known else None


def board_of(
    plans: Sequence[ShotPlan], leases: Sequence[LeaseState], runs: Sequence[RunNow], timings: Timings, now: float
) -> Board:
    """Put together what the plans, the leases and the orchestrator say.

    Args:
        plans: Of the shots to show.
        leases: All of the store that weren't released.
        runs: All unfinished ones, of other shots too: they are what a shot is queued behind.
        timings: Of stages made before.
        now: By the store's clock [s since the epoch].
    """
    by_key = {lease.key: lease for lease in leases}
    queue = sorted((run for run in runs if not run.started), key=lambda run: (-run.priority, run.created))
    place = {run.run: index for index, run in enumerate(queue)}
    by_shot: dict[str, list[RunNow]] = {}
    for run in runs:
        by_shot.setdefault(run.shot, []).append(run)
    ours: dict[str, ShotRow] = {}
    rest: list[float] = []
    for plan in plans:
        shot_runs = by_shot.get(plan.shot.id, [])
        cells = []
        for item in plan.stages:
            cell = _cell(plan.shot, item, by_key.get(item.key or ""), shot_runs, place, timings, now)
            cells.append(cell)
            going_on = bool(shot_runs) or cell.state == "running"
            if going_on and cell.state not in ("done", "failed") and (usual := timings.usual(item)) is not None:
                rest.append(cell.left if cell.left is not None else usual)
        ours[plan.shot.id] = ShotRow(plan.shot.id, tuple(cells))
    workers = len({(lease.host, lease.pid) for lease in leases if lease.state == "live"})
    return Board(tuple(ours.values()), workers, sum(rest) if rest else None)


def _cell(
    shot: ResolvedShot,
    item: StagePlan,
    lease: LeaseState | None,
    runs: Sequence[RunNow],
    place: Mapping[str, int],
    timings: Timings,
    now: float,
) -> Cell:
    if item.state == "cached":
        return Cell(item.stage, "done", item.reduced or item.reason, item.version)
    mine = [run for run in runs if run.wants(item.stage)]
    if lease is not None and lease.state == "live":
        return _being_made(shot.id, item, lease, timings, now)
    if item.state == "waits" or not (item.key or mine):
        word = "waits" if item.state == "waits" else "to do"
        return Cell(item.stage, word, item.reason, item.version)
    if lease is not None and lease.state == "lost" and mine:
        seen = f"{lease.host} pid {lease.pid}"
        reason = f"lost its worker ({seen}{_at(lease)}), attempt {lease.attempt}: is tried again"
        return Cell(item.stage, "queued", reason, item.version, attempt=lease.attempt, since=now - lease.renewed)
    started = [run for run in mine if run.started]
    if item.failure and not any(run.retry or run.created > item.failed_at for run in mine):
        return Cell(item.stage, "failed", item.failure, item.version)
    if not item.key and mine:
        return Cell(item.stage, "waits", item.reason, item.version)
    if started:
        kind = GPU if needs_gpu(shot, item.stage) else CPU
        retry = next((run.retry for run in started if run.retry), "")
        return Cell(item.stage, "queued", _retry_words(retry) or f"next for a {kind} worker", item.version)
    if mine:
        ahead = min(place.get(run.run, 0) for run in mine)
        reason = f"queued behind {ahead} run{'s' if ahead != 1 else ''}" if ahead else "next in the queue"
        return Cell(item.stage, "queued", reason, item.version, since=now - min(run.created for run in mine))
    return Cell(item.stage, "to do", item.reason, item.version)


def _being_made(shot: str, item: StagePlan, lease: LeaseState, timings: Timings, now: float) -> Cell:
    took, usual = max(0.0, now - lease.began) if lease.began else None, timings.usual(item)
    left = None
    if usual is not None:
        # A stage that says how far it is knows better than the clock, and one that is late better than others' times.
        whole = max(usual, took / lease.fraction) if took and lease.fraction and took > usual else usual
        left = whole * (1.0 - lease.fraction) if lease.fraction else max(0.0, usual - (took or 0.0))
    told: dict[str, Any] = {
        "fraction": lease.fraction,
        "message": lease.message,
        "worker": " ".join(part for part in (f"{lease.host}:{lease.pid}", lease.work.queue) if part),
        "attempt": lease.attempt,
        "since": took,
        "left": left,
    }
    if lease.work.shot in (shot, ""):
        return Cell(item.stage, "running", lease.message, item.version, **told)
    reason = f"another worker makes it, for {lease.work.shot}"
    return Cell(item.stage, "waits", reason, item.version, **told)


def _at(lease: LeaseState) -> str:
    return f" at {lease.fraction:.0%}" if lease.moved else ""


def _retry_words(text: str) -> str:
    kind = kind_of_again(text)
    return text.partition(f"Again: {kind}: ")[2] if kind and kind != "busy" else ""
