"""`studio cancel`: take shots off the queue, stop those under way; what is finished is kept."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from studio_pipeline.line.home import open_home
from studio_pipeline.schema.errors import InputError

__all__ = ["cancel"]


def cancel(
    shots: Annotated[list[str] | None, typer.Argument(help="Shot ids.", show_default=False)] = None,
    batch: Annotated[str, typer.Option("--batch", help="All shots of this batch.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every shot that is queued or under way.")] = False,
    wait: Annotated[float, typer.Option("--wait", help="How long to wait for running ones to end [s].", min=0)] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Take shots off the queue and stop those under way. Artifacts that are finished stay; run again to go on."""
    if not shots and not batch and not everything:
        raise InputError("nothing was named", do="name shots, --batch NAME or --all")
    open_home()
    from studio_pipeline.dag.cancel import cancel_runs
    from studio_pipeline.dag.launch import open_instance
    from studio_pipeline.dag.submit import BATCH, SHOT, unfinished_runs

    with open_instance() as instance:
        chosen = [
            run
            for run in unfinished_runs(instance)
            if (not shots or run.tags[SHOT] in shots) and (not batch or run.tags.get(BATCH) == batch)
        ]
        found = cancel_runs(instance, chosen, wait=wait)
    rows = [
        {"shot": run.tags[SHOT], "batch": run.tags.get(BATCH, ""), "run": item.run, "was": item.was, "now": item.now}
        for run, item in zip(chosen, found, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps({"runs": rows}, indent=1, ensure_ascii=False, sort_keys=True))
    else:
        _print(rows)
    raise typer.Exit(1 if any(row["now"] == "ending" for row in rows) else 0)


def _print(rows: list[dict[str, str]]) -> None:
    from studio_pipeline.cli.tables import console

    if not rows:
        typer.echo("nothing of that is queued or under way")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("shot", "batch", "was", "now"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(row["shot"], row["batch"], row["was"], row["now"])
    console().print(table)
    ended = sum(row["now"] == "cancelled" for row in rows)
    rest = len(rows) - ended
    typer.echo(f"{ended} cancelled" + (f", {rest} not: see above" if rest else ""))
