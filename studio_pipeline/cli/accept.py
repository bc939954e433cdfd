"""`studio accept`: results stay valid after a code change."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

__all__ = ["accept"]


def accept(
    what: Annotated[str, typer.Argument(metavar="SHOT|SHOTLIST", help="A shot id, or a shot list.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the results are still good.", show_default=False)],
    stage: Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option("--shot", help="Only this shot id of the list; repeat.")] = None,
    take_back: Annotated[bool, typer.Option("--withdraw", help="Take the acceptance back instead.")] = False,
    by: Annotated[str | None, typer.Option("--by", help="Who says so; else $STUDIO_USER, else the login name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Keep results valid whose code alone has changed, with a reason; anything else that changes ends it."""
    from studio_pipeline.line.accept import accept as let_stand
    from studio_pipeline.line.accept import withdraw
    from studio_pipeline.line.reviews import author
    from studio_pipeline.line.shots import named_shots, open_studio, save_shot

    store, who, stages = open_studio(), author(by), stage or ()
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for shot in named_shots(store, what, only=only):
        if take_back:
            entries = withdraw(store, shot, stages=stages, reason=reason, by=who)
        else:
            done = let_stand(store, shot, reason=reason, stages=stages, by=who)
            entries, refused = list(done.entries), [*refused, *done.refused]
            save_shot(store, shot)
        rows += [
            {"shot": shot.id, "stage": entry.stage, "version": entry.version, "changed": list(entry.changed)}
            for entry in entries
        ]
    if as_json:
        typer.echo(json.dumps({"withdrawn" if take_back else "accepted": rows, "refused": refused}, indent=1))
        return
    for row in rows:
        code = f": {', '.join(row['changed'][:4])}" if row["changed"] else ""
        more = f" and {len(row['changed']) - 4} more" if len(row["changed"]) > 4 else ""
        what = "is no longer accepted" if take_back else f"v{row['version']:03d} stands{code}{more}"
        typer.echo(f"{row['shot']} {row['stage']}: {what}")
    for line in refused:
        typer.echo(f"not accepted  {line}")
    if not rows and not refused:
        typer.echo("nothing was accepted" if take_back else "nothing is outdated")
