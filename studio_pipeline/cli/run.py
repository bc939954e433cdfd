"""`studio run` and `studio retry`: plan, launch one Dagster run a shot, deliver, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from studio_pipeline.cli.tables import console, print_results, print_warnings
from studio_pipeline.cli.watch import Terminal
from studio_pipeline.line.afresh import at_full_size, start_afresh
from studio_pipeline.line.deliver import check_writable, deliver
from studio_pipeline.line.home import open_home
from studio_pipeline.line.hooks import FailureTold, Hooks, hooks_present
from studio_pipeline.line.make import adopt, outcome_of, place_of
from studio_pipeline.line.plan import ShotPlan, plan_shot, selection
from studio_pipeline.line.processes import sweep
from studio_pipeline.line.progress import watched_by
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.reviews import author
from studio_pipeline.line.shots import failed_shots, open_studio, read_shot_lists, save_shot
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.store import Corrupt

__all__ = ["retry_failed", "run_lists"]


def run_lists(
    files: Sequence[Path],
    *,
    out: Path,
    only: Sequence[str] | None,
    until: Sequence[str] | None,
    from_stage: str | None,
    as_json: bool,
) -> int:
    """Run the shots of some shot lists; returns the exit code."""
    check_writable(out)
    shots = read_shot_lists(files, only=only)
    print_warnings(shots)
    return _run(open_studio(), shots, out=out, chosen=selection(until, from_stage), as_json=as_json)


def retry_failed(*, out: Path, only: Sequence[str] | None, full_size: bool, as_json: bool) -> int:
    """Run the known shots that have a failed stage; returns the exit code.

    With ``full_size`` also those that were made with smaller settings, from now on with their own.
    """
    check_writable(out)
    store = open_studio()
    shots, problems = failed_shots(store, only=only)
    if full_size:
        shots = [*shots, *at_full_size(store, {shot.id for shot in shots}, only=only, by=author(None))]
    for shot, error in problems.items():
        sys.stderr.write(f"studio: {shot}: {error}\n")
    if not shots:
        if not problems:
            sys.stderr.write("studio: nothing has failed\n")
        return InputError.exit_code if problems else 0
    print_warnings(shots)
    start_afresh(store, shots)
    code = _run(store, shots, out=out, chosen=None, as_json=as_json)
    return code or (InputError.exit_code if problems else 0)


def _run(store: Any, shots: Sequence[ResolvedShot], *, out: Path, chosen: set[str] | None, as_json: bool) -> int:
    for shot in shots:
        save_shot(store, shot)
    seen = store.snapshot([shot.id for shot in shots])
    plans = [adopt(store, plan_shot(seen, shot, only=chosen, deep=True)) for shot in shots]
    rows: list[dict[str, Any]] = []
    undelivered: list[StorageError] = []

    def finish(now: ShotPlan, made: Set[tuple[str, str]]) -> None:
        # A shot's delivery is there as soon as the shot is done, whatever happens to the next one.
        shot_rows = _rows(store, now, made)
        try:
            deliver(store, now, shot_rows, out / now.shot.id)
        except StorageError as error:
            undelivered.append(error)
        rows.extend(shot_rows)

    broken = _go(store, plans, chosen, finish)
    if as_json:
        sys.stdout.write(json.dumps({"out": str(out), "stages": rows}, indent=1, sort_keys=True) + "\n")
    else:
        print_results(rows)
        console().print(_closing(rows, shots, out), soft_wrap=True, markup=False)
    if not any(row["state"] in ("failed", "waits") for row in rows):
        for line in broken:
            # Not a stage's own failure, which the table has: say what Dagster says.
            sys.stderr.write(f"studio: {line}\n")
    for error in undelivered:
        sys.stderr.write(f"studio: {error}\n")
    if undelivered:
        return StorageError.exit_code
    return 1 if any(row["state"] not in ("cached", "made") for row in rows) else 0


def _go(
    store: Any,
    plans: Sequence[ShotPlan],
    chosen: set[str] | None,
    finish: Callable[[ShotPlan, Set[tuple[str, str]]], None],
) -> list[str]:
    """Launch what has to run, shot by shot; Dagster is imported only here.

    Gives a line for each step that Dagster saw fail.
    """
    from studio_pipeline.dag.failures import failures_of
    from studio_pipeline.dag.launch import mend_runs, open_instance, register_shots, report_known, run_shot

    broken: list[str] = []

    def bring_up(instance: Any, plan: ShotPlan) -> ShotPlan:
        launched: set[str] = set()
        # A second time only for an input that turned out to be damaged when a stage read it.
        while new := set(stages := plan.to_launch()) - launched:
            told = partial(_tell, hooks, instance, store, failures_of)
            broken.extend(run_shot(instance, plan.shot.id, stages, failed=told))
            launched |= new
            plan = adopt(store, plan_shot(store, plan.shot, only=chosen))
        return plan

    sweep(open_home().scratch)
    with Hooks() as hooks, open_instance() as instance:
        mend_runs(instance)
        register_shots(instance, [plan.shot.id for plan in plans])
        known = [
            (plan.shot.id, item.stage, outcome_of(store, item.artifact, version=item.version, made=False))
            for plan in plans
            for item in plan.stages
            if item.artifact
        ]
        report_known(instance, known)
        with Terminal(total=sum(len(plan.to_launch()) for plan in plans)) as terminal, watched_by(terminal):
            for plan in plans:
                plan = bring_up(instance, plan)
                try:
                    finish(plan, terminal.made)
                except Corrupt:  # found out when it was read; it is out of use now, so it is made again
                    now = plan_shot(store, plan.shot, only=chosen)
                    finish(bring_up(instance, now), terminal.made)
    return broken


def _tell(hooks: Hooks, instance: Any, store: Any, failures_of: Callable[..., list[FailureTold]], run_id: str) -> None:
    if hooks_present():
        hooks.tell(failures_of(instance, store, run_id))


def _rows(store: Any, now: ShotPlan, made: Set[tuple[str, str]]) -> list[dict[str, Any]]:
    rows = []
    for new in now.stages:
        state = "made" if (now.shot.id, new.stage) in made and new.artifact else new.state
        if new.failure and not new.artifact:
            state = "failed"
        elif state == "would run":
            # It was launched or hung on something that was; what it needs did not come.
            state = "waits"
        rows.append(
            {
                "shot": now.shot.id,
                "stage": new.stage,
                "state": state,
                "reason": new.failure if state == "failed" else new.reason,
                "version": new.version,
                "seconds": new.seconds,
                "figures": dict(new.figures),
                "verdicts": [vars(verdict) for verdict in new.verdicts],
                "artifact": place_of(store, new.artifact) if new.artifact else None,
                "backend": new.backend,
            }
        )
    return rows


def _closing(rows: Sequence[dict[str, Any]], shots: Sequence[ResolvedShot], out: Path) -> str:
    # A stage's own reason begins with shot and stage already; the store's begins with a place.
    failed = [
        row["reason"] if row["reason"].startswith(row["shot"]) else f"{row['shot']} {row['stage']}: {row['reason']}"
        for row in rows
        if row["state"] == "failed"
    ]
    made = sum(row["state"] == "made" for row in rows)
    lines = [f"\n{made} made, {sum(row['state'] == 'cached' for row in rows)} cached"]
    lines += [f"failed  {line}" for line in failed]
    lines += [f"results  {out / shot.id}/review.html" for shot in shots if (out / shot.id / "review.html").exists()]
    return "\n".join(lines)
