"""`studio override` and `studio unpin`: a hand-made file in a stage's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["override", "unpin"]

_Shot = Annotated[str, typer.Argument(help="Shot id.")]
_Note = Annotated[str, typer.Option("--note", help="Why, for whoever looks later.")]
_By = Annotated[str | None, typer.Option("--by", help="Who does it; else $STUDIO_USER, else the login name.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def override(
    shot: _Shot,
    stage: Annotated[str, typer.Argument(help="Stage whose place the file takes, such as rig.")],
    file: Annotated[Path, typer.Argument(help="The hand-made file; it is copied.")],
    note: _Note = "",
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Pin a hand-made file in a stage's place; what hangs on the stage goes out of date."""
    from studio_pipeline.line.graph import downstream
    from studio_pipeline.line.overrides import override as pin_file
    from studio_pipeline.line.reviews import author
    from studio_pipeline.line.shots import current_shot, open_studio

    store = open_studio()
    pin = pin_file(store, current_shot(store, shot), stage, file, note=note, by=author(by))
    below = sorted(downstream(stage))
    if as_json:
        typer.echo(json.dumps({**vars(pin), "label": pin.label, "outdated": below}, indent=1, sort_keys=True))
    else:
        typer.echo(f"{shot} {stage}: {pin.label} is {file.name}; studio run makes anew: {', '.join([stage, *below])}")


def unpin(
    shot: _Shot,
    stage: Annotated[str, typer.Argument(help="Stage that a file was pinned to.")],
    note: _Note = "",
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Take a pinned file off: the shot list says again how the stage is made."""
    from studio_pipeline.line.graph import downstream
    from studio_pipeline.line.overrides import unpin as take_off
    from studio_pipeline.line.reviews import author
    from studio_pipeline.line.shots import current_shot, open_studio

    store = open_studio()
    pin = take_off(store, current_shot(store, shot), stage, note=note, by=author(by))
    below = [stage, *sorted(downstream(stage))]
    if as_json:
        said = {"shot": shot, "stage": stage, "unpinned": pin is not None, "outdated": below if pin else []}
        typer.echo(json.dumps(said, indent=1, sort_keys=True))
    elif pin is None:
        typer.echo(f"{shot} {stage}: nothing was pinned")
    else:
        typer.echo(
            f"{shot} {stage}: unpinned; studio run finds what was made before, or makes anew: {', '.join(below)}"
        )
