"""`studio submit`: queue a batch of shots for the farm."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from studio_pipeline.line.batch import Estimate, content_of, estimate
from studio_pipeline.line.plan import ShotPlan, plan_shot, selection
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import open_studio, read_shot_lists, save_shot
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Store
from studio_pipeline.store.parallel import each

__all__ = ["submit"]


def submit(
    lists: Annotated[list[str], typer.Argument(help="Shot lists (YAML), or patterns of their names.")],
    only: Annotated[list[str] | None, typer.Option("--shot", help="Only this shot id; may be repeated.")] = None,
    stage: Annotated[list[str] | None, typer.Option("--stage", help="Only up to this stage; may be repeated.")] = None,
    from_stage: Annotated[str | None, typer.Option("--from-stage", help="Only this stage and what follows.")] = None,
    priority: Annotated[int, typer.Option("--priority", help="More is sooner.", min=-5, max=4)] = 0,
    batch: Annotated[str, typer.Option("--batch", help="A name to cancel or filter by; the time when absent.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be queued and estimate it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Queue what shots lack for the farm, one run a shot; what is there already launches nothing."""
    from studio_pipeline.cli.tables import print_warnings

    shots = read_shot_lists(_files(lists), only=only)
    chosen = selection(stage, from_stage)
    print_warnings(shots)
    name = _batch_name(batch)
    store = open_studio(reading=dry_run)
    if not dry_run:
        each(lambda shot: save_shot(store, shot), shots, width=store.primitive.parallel)
    plans = _plans(store, shots, chosen, write=not dry_run)
    if dry_run:
        found = estimate(store, plans)
        rows = [_row(plan, "would queue" if plan.to_launch() else "cached") for plan in plans]
        _print(rows, batch="", as_json=as_json, estimated=found)
        return
    rows, waiting = _queue(plans, name, priority)
    _print(rows, batch=name, as_json=as_json)
    if waiting:
        typer.echo(f"studio: {waiting}", err=True)


def _files(lists: Sequence[str]) -> list[Path]:
    """The lists; a pattern that the shell left alone stands for what it matches, in order."""
    found: list[Path] = []
    for name in lists:
        pattern = glob.has_magic(name) and not Path(name).exists()
        matches = sorted(glob.glob(name, recursive=True)) if pattern else [name]  # noqa: PTH207
        if not matches:
            raise InputError("no shot list has such a name", where=name)
        found += [path for match in matches if (path := Path(match)) not in found]
    return found


def _batch_name(given: str) -> str:
    name = given or time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    if len(name) > 63 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
        raise InputError("a batch's name holds letters, digits, '.', '_' and '-', 63 at most", where="--batch")
    return name


def _plans(store: Store, shots: Sequence[ResolvedShot], chosen: set[str] | None, *, write: bool) -> list[ShotPlan]:
    from studio_pipeline.line.make import adopt

    seen = store.snapshot([shot.id for shot in shots])
    plans = [plan_shot(seen, shot, only=chosen) for shot in shots]
    return [adopt(store, plan) for plan in plans] if write else plans


def _queue(plans: Sequence[ShotPlan], batch: str, priority: int) -> tuple[list[dict[str, Any]], str]:
    """Queue what isn't queued yet; gives a row a shot, and what is to be started before anything happens."""
    from studio_pipeline.dag.launch import open_instance, register_shots, report_known
    from studio_pipeline.dag.submit import (
        CONTENT,
        SHOT,
        Wish,
        check_queue,
        daemon_is_alive,
        queue_runs,
        unfinished_runs,
    )

    lacking = {plan.shot.id: content_of(plan) for plan in plans if plan.to_launch()}
    with open_instance() as instance:
        if lacking:
            check_queue(instance)
        register_shots(instance, [plan.shot.id for plan in plans])
        there = {(run.tags[SHOT], run.tags.get(CONTENT)): run for run in unfinished_runs(instance)} if lacking else {}
        wishes = [
            Wish(plan.shot.id, plan.shot.shot.show, tuple(plan.to_launch()), content, batch, priority)
            for plan in plans
            if (content := lacking.get(plan.shot.id)) and (plan.shot.id, content) not in there
        ]
        runs = queue_runs(instance, wishes)
        report_known(instance, _known(plans))
        waits = lacking and not daemon_is_alive(instance)
        start = f"dagster-daemon run --workspace {instance.root_directory}/workspace.yaml" if waits else ""
    rows = []
    for plan in plans:
        old = there.get((plan.shot.id, lacking.get(plan.shot.id)))
        state = "queued" if plan.shot.id in runs else "already " + _word(old) if old else "cached"
        rows.append(_row(plan, state, run=runs.get(plan.shot.id) or (old.run_id if old else "")))
    return rows, f"the runs wait: no daemon of Dagster is running - start: {start}" if waits else ""


def _known(plans: Sequence[ShotPlan]) -> list[tuple[str, str, Any]]:
    from studio_pipeline.line.make import outcome_of

    return [
        (plan.shot.id, item.stage, outcome_of(_store(), item.artifact, version=item.version, made=False))
        for plan in plans
        for item in plan.stages
        if item.artifact
    ]


def _store() -> Store:
    return open_studio()


def _word(run: Any) -> str:
    return "queued" if run.status.value in ("QUEUED", "NOT_STARTED") else "running"


def _row(plan: ShotPlan, state: str, *, run: str = "") -> dict[str, Any]:
    states = [item.state for item in plan.stages]
    reasons = [item.reason for item in plan.stages if item.state == "waits"]
    return {
        "shot": plan.shot.id,
        "state": "waits" if state == "cached" and "waits" in states else state,
        "stages": plan.to_launch(),
        "cached": states.count("cached"),
        "reason": reasons[0] if reasons else "",
        "run": run,
    }


def _print(rows: Sequence[Mapping[str, Any]], *, batch: str, as_json: bool, estimated: Estimate | None = None) -> None:
    from studio_pipeline.cli.tables import console

    if as_json:
        found: dict[str, Any] = {"batch": batch, "shots": list(rows)}
        if estimated is not None:
            found["estimate"] = estimated.as_json()
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("shot", "state", "cached", "to make"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(row["shot"], row["state"], str(row["cached"]), row["reason"] or ", ".join(row["stages"]))
    console().print(table)
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    typer.echo(f"{counts}" + (f"; batch {batch}" if batch and any("queued" in state for state in states) else ""))
    if estimated is not None:
        typer.echo(_in_words(estimated))


def _in_words(found: Estimate) -> str:
    parts = [f"{hours:.2f} machine-hours {queue} ({found.steps[queue]} steps)" for queue, hours in found.hours.items()]
    missing = sum(found.untimed.values())
    more = ", ".join(f"{count} {stage}" for stage, count in found.untimed.items())
    return "estimate: " + ", ".join(parts) + (f"; {missing} steps have no timing yet ({more})" if missing else "")
