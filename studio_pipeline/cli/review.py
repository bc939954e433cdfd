"""`studio note`, `approve`, `changes`, `pending` and `review`: what people say of a version, and where it is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["approve", "changes", "note", "pending", "review"]

_Shot = Annotated[str, typer.Argument(help="Shot id.", show_default=False)]
_Version = Annotated[str, typer.Argument(help="Version, such as v002.", show_default=False)]
_Stage = Annotated[str, typer.Option("--stage", help="Stage whose version it is.")]
_By = Annotated[str | None, typer.Option("--by", help="Who says it; else $STUDIO_USER, else the login name.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
_Note = Annotated[str, typer.Option("--note", help="Why, for whoever looks later.")]


def note(
    shot: _Shot,
    version: _Version,
    text: Annotated[str, typer.Argument(help="What is to be said.", show_default=False)],
    stage: _Stage = "delivery",
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Say something of a version; its status stays as it is."""
    _say(shot, version, stage, "", text, by, as_json)


def approve(
    shot: _Shot, version: _Version, stage: _Stage = "delivery", text: _Note = "", by: _By = None,
    as_json: _AsJson = False,
) -> None:  # fmt: skip
    """Approve a version."""
    _say(shot, version, stage, "approved", text, by, as_json)


def changes(
    shot: _Shot,
    version: _Version,
    text: Annotated[str, typer.Option("--note", help="What must change.", show_default=False)],
    stage: _Stage = "delivery",
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Ask for changes to a version; studio deliver then refuses it."""
    _say(shot, version, stage, "changes", text, by, as_json)


def pending(
    shot: _Shot, version: _Version, stage: _Stage = "delivery", text: _Note = "", by: _By = None,
    as_json: _AsJson = False,
) -> None:  # fmt: skip
    """Take an approval, or a wish for changes, back: the version waits to be looked at again."""
    _say(shot, version, stage, "pending", text, by, as_json)


def review(
    shot: _Shot,
    out: Annotated[Path | None, typer.Option("--out", help="The page; else <shot id>_review.html here.")] = None,
) -> None:
    """Write the shot's review page with its status and notes as they are now."""
    from studio_pipeline.line.review_page import review_page
    from studio_pipeline.line.shots import open_studio
    from studio_pipeline.schema.errors import StorageError

    target = out or Path(f"{shot}_review.html")
    page = review_page(open_studio(reading=True), shot)
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"can't be written ({error.strerror})", where=target, do="choose another with --out"
        ) from error
    typer.echo(str(target))


def _say(shot: str, version: str, stage: str, status: str, text: str, by: str | None, as_json: bool) -> None:
    from studio_pipeline.line.reviews import author, say, standing_as_json
    from studio_pipeline.line.shots import load_shot, open_studio
    from studio_pipeline.store.reviews import ReviewBook

    store = open_studio()
    load_shot(store, shot)
    said = say(store, shot, version, stage=stage, status=status, text=text, by=author(by))
    standing = ReviewBook(store.primitive).standing(shot, stage, said.version)
    label = f"v{said.version:03d}"
    if as_json:
        row = {"shot": shot, "stage": stage, "version": label, **standing_as_json(standing)}
        typer.echo(json.dumps(row, indent=1, ensure_ascii=False, sort_keys=True))
    else:
        who = f" by {said.by}" if said.by else ""
        asked = f"needs changes, says {said.by}" if said.by else "needs changes"
        words = {"": f"noted{who}, it is {standing.status}", "changes": asked}
        typer.echo(f"{shot} {stage} {label} {words.get(status, f'is {standing.status}{who}')}")
    _tell_dagster(shot, stage, label, standing.status, said.text, said.by)


def _tell_dagster(shot: str, stage: str, label: str, status: str, text: str, by: str) -> None:
    """The word is kept already; that Dagster can't show it now is worth a warning, no failure."""
    from studio_pipeline.schema.errors import one_line

    try:
        from studio_pipeline.dag.launch import open_instance, report_review

        with open_instance() as instance:
            report_review(instance, shot, stage, version=label, status=status, text=text, by=by)
    except Exception as error:  # whatever ails Dagster or its database
        sys.stderr.write(f"studio: warning: Dagster's UI won't show it: {one_line(error)[:300]}\n")
