"""`studio caption`: what a clip shows, as a record."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studio_pipeline.schema.caption import Caption

__all__ = ["caption"]

_ACTOR = "pip"
"""Who stands in for the show's character: the asset wants one, a caption doesn't depend on it."""


def caption(
    clip: Annotated[Path, typer.Argument(help="A video, a folder of numbered pictures, or one picture.")],
    backend: Annotated[
        str | None, typer.Option("--backend", help="Backend of the asset directives; its default when absent.")
    ] = None,
    fps: Annotated[str, typer.Option("--fps", help="Frames a second of a folder of pictures.")] = "24",
    taxonomy: Annotated[Path | None, typer.Option("--taxonomy", help="A studio's own taxonomy file.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the record here too.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say what a clip shows in the taxonomy's words, with measures, confidences, and what could not be told."""
    found = _made(clip, backend, fps, taxonomy)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        found.save(out)
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
    else:
        _tell(found)


def _made(clip: Path, backend: str | None, fps: str, taxonomy: Path | None) -> Caption:
    """The caption in the asset ``directives`` of a show that lasts as long as the command."""
    from studio_pipeline.cli.adhoc import adhoc_shot, made_in, temporary_home
    from studio_pipeline.schema.arrays import load_json
    from studio_pipeline.schema.caption import Caption
    from studio_pipeline.schema.errors import InputError
    from studio_pipeline.schema.files import check_path
    from studio_pipeline.schema.shot import frame_rate

    check_path(clip)
    if not clip.exists():
        raise InputError("no such file or folder", where=clip, do="give a video or a folder of numbered pictures")
    block: dict[str, Any] = {"backend": backend} if backend is not None else {}
    if taxonomy is not None:
        block["taxonomy"] = str(taxonomy.resolve())
    try:
        fields = {"reference": str(clip.resolve()), "fps": frame_rate(fps)}
    except ValueError:
        raise InputError(f"{fps[:40]!r} is no frame rate", where="--fps", do="give 24, 23.976 or 24000/1001") from None
    shot = adhoc_shot("directives", _ACTOR, block, more={"rig": {"backend": "provided"}}, fields=fields)
    with temporary_home() as store:
        plan = made_in(store, shot, "directives")
        made = next(item.artifact for item in plan.stages if item.stage == "directives" and item.artifact)
        captions = load_json(store.checkout(made) / "captions.json")
    return Caption.model_validate(captions["reference"])


def _tell(found: Caption) -> None:
    """For people: values by group, what was left open, numbers."""
    from studio_pipeline.cli.tables import console
    from studio_pipeline.schema.taxonomy import load_taxonomy

    screen = console()
    groups = {field.field: field.group for field in load_taxonomy().fields}
    say = {"markup": False, "highlight": False, "soft_wrap": True}
    screen.print(f"{found.frame_count} frames at {found.fps} a second", **say)
    for group, values in found.by_group(groups).items():
        for value in values:
            screen.print(
                f"  {group:12} {value.field:22} {value.value:18} {value.confidence:.2f}  {value.origin}", **say
            )
    if found.abstained:
        screen.print(f"  not told: {', '.join(found.abstained)}", **say)
    screen.print(_numbers(found.measures), **say)
    screen.print(found.narrative, **say)


def _numbers(measures: Mapping[str, Any]) -> str:
    told = [f"{name} {value}" for name, value in measures.items() if isinstance(value, (int, float))]
    lines = [told[start : start + 4] for start in range(0, len(told), 4)]
    return "\n".join("    " + ", ".join(line) for line in lines)
