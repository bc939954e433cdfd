"""`studio import-otio`: a shot list from an edit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["import_otio"]


def import_otio(
    timeline: Annotated[Path, typer.Argument(help="The edit, an OpenTimelineIO file (.otio).", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The shot list to write; never over another one.")] = Path(
        "shots.yaml"
    ),
    character: Annotated[
        list[str] | None,
        typer.Option("--character", help="NAME or file for all clips, or CODE=NAME for one; may be repeated."),
    ] = None,
    show: Annotated[str, typer.Option("--show", help="Show; else the clip's metadata, else the timeline's name.")] = "",
    sequence: Annotated[str, typer.Option("--sequence", help="Sequence; else metadata, else the track's name.")] = "",
    handles: Annotated[
        int | None, typer.Option("--handles", help="Handles; else metadata, else what the media has.", min=0, max=200)
    ] = None,
    first_frame: Annotated[
        int | None, typer.Option("--first-frame", help="Number of every cut's first frame; else as in the edit.", min=0)
    ] = None,
    resolution: Annotated[str, typer.Option("--resolution", help="Such as 1920x1080, for all clips.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Write over a shot list that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Turn an edit's clips into shots; what isn't made (gaps, transitions, sound, effects) is told and stays in it."""
    from studio_pipeline.line.otio_import import Wanted, shots_of
    from studio_pipeline.line.timelines import read_timeline

    wanted = Wanted(
        characters=_characters(character or (), out),
        show=show,
        sequence=sequence,
        handles=handles,
        first_frame=first_frame,
        resolution=_resolution(resolution),
    )
    shots, told = shots_of(read_timeline(timeline), wanted)
    _write(out, shots, timeline.name, replace)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "shots": shots, "told": told}, indent=1, ensure_ascii=False))
        return
    for line in told:
        sys.stderr.write(f"studio: {line}\n")
    for item in shots:
        first, last = item["frames"]
        handles_text = f", handles {item['handles']}" if item["handles"] else ""
        typer.echo(f"{item['show']}_{item['sequence']}_{item['shot']}  {first}-{last} at {item['fps']}{handles_text}")
    typer.echo(f"{out}: {len(shots)} shot{'s' if len(shots) != 1 else ''}; next: studio check {out}")


def _characters(given: tuple[str, ...] | list[str], out: Path) -> dict[str, str]:
    """By code, "" for all; a file is written as the shot list sees it."""
    import os

    found: dict[str, str] = {}
    for text in given:
        code, _, name = text.rpartition("=")
        path = Path(name)
        if path.suffix and path.is_file():
            name = Path(os.path.relpath(path, out.parent or ".")).as_posix()
        found[code] = name
    return found


def _resolution(text: str) -> tuple[int, int] | None:
    from studio_pipeline.schema.errors import InputError

    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"{text!r} is no resolution", where="--resolution", do="write it like 1920x1080")
    return int(width), int(height)


def _write(out: Path, shots: list[dict], source: str, replace: bool) -> None:
    """Write the list, read it back, and only then give it its name."""
    import os
    import tempfile

    import yaml

    from studio_pipeline.schema.errors import InputError, StorageError
    from studio_pipeline.schema.shotlist import load_shots

    if out.exists() and not replace:
        raise InputError("is there already", where=out, do="choose another --out, or write over it with --replace")
    text = f"# from {json.dumps(source)} by studio import-otio\n"
    text += yaml.safe_dump(shots, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=out.parent, prefix=".studio-", suffix=".yaml")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            load_shots(Path(temporary))
            Path(temporary).chmod(0o644)
            Path(temporary).replace(out)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"can't be written ({error.strerror})", where=out, do="choose another --out") from error
