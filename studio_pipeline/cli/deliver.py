"""`studio deliver`, `deliveries` and `provenance`: what leaves the house, what has left, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["deliver", "deliveries", "provenance"]

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def deliver(
    what: Annotated[str, typer.Argument(metavar="SHOT|SHOTLIST", help="A shot id, or a shot list.")],
    name: Annotated[str, typer.Argument(help="Name of the delivery, for good.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Folder of deliveries; this one becomes TO/NAME.")],
    only: Annotated[list[str] | None, typer.Option("--shot", help="Only this shot id of the list; repeat.")] = None,
    version: Annotated[str, typer.Option("--version", help="This version of the one shot, such as v001.")] = "",
    review: Annotated[bool, typer.Option("--review", help="The review page goes too.")] = False,
    approved: Annotated[bool, typer.Option("--approved", help="Refuse what nobody has approved.")] = False,
    even_outdated: Annotated[
        bool, typer.Option("--even-outdated", help="The last version made, though outdated, failed or waiting.")
    ] = False,
    even_failed: Annotated[bool, typer.Option("--even-failed", help="Though a gate of it failed.")] = False,
    even_changes: Annotated[bool, typer.Option("--even-changes", help="Though somebody asked for changes.")] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="NAME.otio too: the shots in their order.")] = False,
    edit: Annotated[
        Path | None, typer.Option("--edit", help="NAME.otio too: this edit (.otio) with the delivered media.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who delivers; else $STUDIO_USER, else the login.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Leave an immutable, named folder of deliveries with a manifest; no name ever stands for two contents."""
    from studio_pipeline.line.deliverable import Allowed, choose
    from studio_pipeline.line.deliveries import leave
    from studio_pipeline.line.otio_export import timeline_extra
    from studio_pipeline.line.reviews import author
    from studio_pipeline.line.shots import named_shots, open_studio

    store = open_studio()
    allowed = Allowed(outdated=even_outdated, failed=even_failed, changes=even_changes, pending=not approved)
    shots = named_shots(store, what, only=only)
    chosen = choose(store, shots, allowed=allowed, version=version, review=review)
    extras = timeline_extra(name, edit) if timeline or edit else None
    left = leave(store, chosen, name, to, by=author(by), extras=extras)
    if as_json:
        typer.echo(json.dumps({**left.manifest, "folder": str(left.folder), "before": left.before}, indent=1))
        return
    for item in chosen:
        outdated = f"  ({item.outdated})" if item.outdated else ""
        typer.echo(f"{item.shot.id}  {item.version.label}  {item.standing.status}{outdated}")
    size = sum(said["size"] for said in left.manifest["files"].values())
    said = "was there already, every byte checked" if left.before else "delivered"
    typer.echo(f"{left.folder}: {said}, {len(left.manifest['files'])} files, {size / 1e6:.1f} MB")


def deliveries(
    shot: Annotated[str, typer.Option("--shot", help="Only those that hold this shot.")] = "",
    as_json: _AsJson = False,
) -> None:
    """Every named delivery of this home: when, by whom, which versions."""
    from studio_pipeline.line.deliveries import delivered
    from studio_pipeline.line.shots import load_shot, open_studio

    store = open_studio(reading=True)
    if shot:
        load_shot(store, shot)  # an id that nobody knows is told
    found, problems = delivered(store, shot=shot)
    if as_json:
        typer.echo(json.dumps({"deliveries": found, "problems": problems}, indent=1, ensure_ascii=False))
    else:
        for item in found:
            held = ", ".join(f"{name} {version}" for name, version in item["versions"].items())
            typer.echo(f"{item['name']}  {item['time']}  {item['by'] or 'nobody named'}  {held}")
        if not found and not problems:
            typer.echo("nothing was delivered" + (f" of {shot}" if shot else ""))
    for line in problems:
        typer.echo(f"studio: {line}", err=True)
    raise typer.Exit(1 if problems else 0)


def provenance(
    shot: Annotated[str, typer.Argument(help="Shot id.", show_default=False)],
    stage: Annotated[str, typer.Option("--stage", help="Stage whose version it is.")] = "delivery",
    version: Annotated[str, typer.Option("--version", help="Such as v001; the latest when absent.")] = "",
    as_json: _AsJson = False,
) -> None:
    """Where a version comes from: every artifact, setting, file and hand behind it."""
    from studio_pipeline.line.provenance import provenance_of
    from studio_pipeline.line.reviews import version_of
    from studio_pipeline.line.shots import load_shot, open_studio

    store = open_studio(reading=True)
    load_shot(store, shot)
    latest = store.shots.published(shot, stage)
    meant = version_of(store, shot, stage, version or (latest.label if latest else "latest"))
    found = provenance_of(store, {shot: [(meant, store.get(meant.key, meant.generation))]})
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))
    else:
        for line in _lines(shot, found):
            typer.echo(line)


def _lines(shot: str, found: dict[str, Any]) -> Iterator[str]:
    mine = found["shots"][shot]
    labels = {said["artifact"]: said["version"] for said in mine["versions"].values()}
    pins = {pin["stage"]: pin for pin in mine["pins"]}
    for name, item in found["artifacts"].items():
        made_of, place = item["ingredients"], f"{item['key'][:12]} g{item['generation']}"
        yield (
            f"{item['stage']} {labels.get(name, '-')}  {made_of['backend']}  key {place}"
            f"  content {item['content_hash'][:12]}  code {made_of['code'][:12]}  {item['committed']}"
        )
        for file in item["input_files"]:
            yield f"  {file['field']}  {file['name']}  {file['content'][:12]}"
        for folder, digest in made_of.get("assets", {}).items():
            yield f"  assets  {folder}  {digest[:12]}"
        if pin := pins.get(item["stage"]):
            yield f"  {pin['pin']}  {pin['file']}  by {pin['by'] or 'nobody named'}  {pin['note']}".rstrip()
