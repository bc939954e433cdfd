"""Keeps a board of many shots up to date without planning all of them again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from studio_pipeline.line.board import Board, RunNow, Timings, board_of
from studio_pipeline.line.plan import ShotPlan, plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import known_shots
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store import LeaseState, Store

__all__ = ["BoardKeeper"]

CYCLE = 60.0  # within this time every shot is looked at once, whatever happens [s]
REREAD = 30.0  # and the list of shots and what their lists say [s]

Runs = Callable[[frozenset[str]], list[RunNow]]
"""Gives the orchestrator's unfinished runs, told of which runs a lease speaks."""


class BoardKeeper:
    """Plans each shot once, and again when it may have changed: a lease on it or a run of it began or ended."""

    def __init__(self, store: Store, *, only: Sequence[str] | None = None, runs: Runs = lambda known: []) -> None:
        self._store, self._only, self._runs = store, only, runs
        self.problems: dict[str, StudioError] = {}
        self.plans: dict[str, ShotPlan] = {}
        self.planned = 0  # shots that the last look had to plan
        self._shots: dict[str, ResolvedShot] = {}
        self._seen: dict[str, object] = {}  # by shot: its leases and runs at the last look
        self._timings = Timings()
        self._read = self._looked = float("-inf")
        self._round: list[str] = []

    def look(self) -> Board:
        """The board as it is now.

        Raises:
            StorageError: The store doesn't answer.
        """
        now = time.monotonic()
        if now - self._read >= REREAD:
            self._reread()
            self._read = now
        # Whoever only looks writes nothing, and a file system tells its time by a file that is written.
        clock = time.time() if self._store.primitive.folder("") is not None else self._store.primitive.now()
        leases = self._store.leases.standing(now=clock)
        runs = self._runs(frozenset(lease.work.run for lease in leases if lease.state == "live"))
        wanted = self._changed(leases, runs)
        wanted |= self._next_in_turn(now - self._looked)
        self._looked = now
        self._plan([shot for shot in self._shots if shot in wanted or shot not in self.plans])
        plans = [self.plans[shot] for shot in self._shots if shot in self.plans]
        return board_of(plans, leases, runs, self._timings, clock)

    def _reread(self) -> None:
        shots, self.problems = known_shots(self._store, only=self._only)
        new = {shot.id: shot for shot in shots}
        for shot_id in [name for name in self.plans if new.get(name) != self._shots.get(name)]:
            del self.plans[shot_id]
        self._shots = new

    def _changed(self, leases: Sequence[LeaseState], runs: Sequence[RunNow]) -> set[str]:
        now: dict[str, list[object]] = {}
        for lease in leases:
            now.setdefault(lease.work.shot, []).append((lease.key, lease.state, lease.attempt))
        for run in runs:
            now.setdefault(run.shot, []).append((run.run, run.started))
        changed = {shot for shot in {*now, *self._seen} if now.get(shot) != self._seen.get(shot)}
        self._seen = dict(now)
        return changed

    def _next_in_turn(self, passed: float) -> set[str]:
        count = min(len(self._shots), int(len(self._shots) * min(passed, CYCLE) / CYCLE) + 1)
        if len(self._round) < count:
            self._round += [shot for shot in self._shots if shot not in self._round]
        turn, self._round = set(self._round[:count]), self._round[count:]
        return turn

    def _plan(self, shots: Sequence[str]) -> None:
        self.planned = len(shots)
        seen = self._store.snapshot(shots) if shots else self._store
        for shot_id in shots:
            try:
                self.plans[shot_id] = plan_shot(seen, self._shots[shot_id]).told()
            except StudioError as error:
                self.problems[shot_id] = error
                self.plans.pop(shot_id, None)
        self._timings.learn(self.plans[shot_id] for shot_id in shots if shot_id in self.plans)
