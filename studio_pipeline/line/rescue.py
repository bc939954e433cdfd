"""Telling slow from dead: which runs have lost their worker, from the store's leases alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from studio_pipeline.line.processes import is_gone, lives_here
from studio_pipeline.store import LeaseState, Store

__all__ = ["MAX_RESCUES", "Patience", "RunSeen", "lost_runs"]

MAX_RESCUES = 10
"""How often one piece of work is launched again. What kills its workers is given up earlier (`line.make`)."""


@dataclass(frozen=True)
class RunSeen:
    """A run in progress, as the orchestrator knows it."""

    run: str
    shot: str
    silent: float  # since its last event [s]
    running: Mapping[str, float]  # stages that were started and haven't ended: since when [s]
    process: str = ""  # of a run in process, `line.processes.process_name`


@dataclass(frozen=True)
class Patience:
    """How long nothing may be heard before somebody counts as lost."""

    lease: float = 90.0  # of a worker that held a lease; those are renewed three times a minute [s]
    start: float = 300.0  # of a step that has no lease: it opens the store, plans, publishes [s]
    quiet: float = 900.0  # of a run without a started step, while no worker at all does anything [s]


def lost_runs(store: Store, runs: Iterable[RunSeen], patience: Patience | None = None) -> dict[str, str]:
    """The runs whose work nobody does any more, each with the reason in one line.

    Args:
        store: Its leases say who lives.
        runs: Those in progress.
        patience: How long to wait.
    """
    patience, seen = patience or Patience(), list(runs)
    if not seen:
        return {}
    now, leases = store.primitive.now(), store.leases.standing()
    by_run: dict[str, list[LeaseState]] = {}
    for lease in leases:
        by_run.setdefault(lease.work.run, []).append(lease)
    farm_silent: float | None = None
    found: dict[str, str] = {}
    for run in seen:
        mine = by_run.get(run.run, [])
        if lives_here(run.process) or any(lease.state == "live" for lease in mine):
            continue
        if is_gone(run.process):
            found[run.run] = f"its process {run.process} was killed"
        elif run.running:
            found[run.run] = _lost_step(run, mine, now, patience)
        elif run.silent > patience.quiet:
            if farm_silent is None:
                farm_silent = now - store.leases.last_write()
            if farm_silent > patience.quiet:
                found[run.run] = (
                    f"nothing was heard of it for {_minutes(run.silent)}, nor of any worker: its task got lost"
                )
    return {run: reason for run, reason in found.items() if reason}


def _lost_step(run: RunSeen, mine: Sequence[LeaseState], now: float, patience: Patience) -> str:
    for stage, age in run.running.items():
        lease = next((lease for lease in mine if lease.work.stage == stage and lease.state == "lost"), None)
        if lease is not None and now - lease.renewed > patience.lease:
            how_far = f" at {lease.fraction:.0%}" if lease.moved else ""
            worker = f"{lease.host} pid {lease.pid}"
            return (
                f"worker lost: {worker} made {stage}{how_far} and was last heard of {_minutes(now - lease.renewed)} ago"
            )
        if lease is None and min(age, run.silent) > patience.start:
            return f"worker lost: {stage} was started {_minutes(age)} ago and nobody is making it"
    return ""


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
