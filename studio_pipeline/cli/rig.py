"""`studio rig`: one character in, a rigged file out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["rig"]


def rig(
    character: Annotated[str, typer.Argument(help="GLB, glTF, OBJ or USD, or a name of the asset library.")],
    out: Annotated[Path, typer.Option("--out", help="The rigged file: .glb, .usd, .usdc or .usda.")],
    backend: Annotated[str | None, typer.Option("--backend", help="How; the stage's default when absent.")] = None,
    height: Annotated[
        float | None, typer.Option("--height", help="Largest extent in metres, where the file's own unit is none.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="What random draws come from.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Rig one character and write it with its skeleton, in the file's own units."""
    from studio_pipeline.cli.adhoc import adhoc_shot, made_in, temporary_home
    from studio_pipeline.stages.delivery.rig_files import check_rig_path

    began = time.monotonic()
    check_rig_path(out)
    shot = adhoc_shot("rig", character, {"backend": backend} if backend is not None else {}, height_m=height, seed=seed)
    with temporary_home() as store:
        plan = made_in(store, shot, "rig")
        stages = {item.stage: item for item in plan.stages}
        files = _write(store, stages, out)
    made = stages["rig"]
    result = {
        "character": str(shot.shot.character.file) if shot.shot.character else character,
        "out": str(out),
        "files": [str(file) for file in files],
        "backend": made.backend,
        "figures": dict(made.figures),
        "warnings": stages["character"].figures.get("warnings", ""),
        "verdicts": [vars(verdict) for verdict in made.verdicts],
        "seconds": {item.stage: item.seconds for item in plan.stages} | {"all": round(time.monotonic() - began, 2)},
    }
    if as_json:
        sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    else:
        _tell(result)
    failed = [verdict for verdict in made.verdicts if verdict.blocking and not verdict.passed]
    for verdict in failed:
        sys.stderr.write(f"studio: rig failed {verdict.name}: {verdict.message}\n")
    if failed:
        raise typer.Exit(1)


def _write(store: Any, stages: Mapping[str, Any], out: Path) -> list[Path]:
    from studio_pipeline.schema.records import Character, Rig
    from studio_pipeline.stages.delivery.rig_files import write_rig

    folders = {name: store.checkout(item.artifact) for name, item in stages.items()}
    return write_rig(Character.load(folders["character"]), Rig.load(folders["rig"]), out)


def _tell(result: Mapping[str, Any]) -> None:
    """For people: figures, what each gate says, and where the file is."""
    from studio_pipeline.cli.tables import console, figures_text

    screen = console()
    if result["warnings"]:
        screen.print(f"warning: {result['warnings']}", markup=False, soft_wrap=True)
    screen.print(f"{result['backend']}: {figures_text(result['figures'], 8)}", markup=False, soft_wrap=True)
    for verdict in result["verdicts"]:
        word = "ok   " if verdict["passed"] else ("FAILS" if verdict["blocking"] else "warns")
        screen.print(f"  {word}  {verdict['name']}: {verdict['message']}", markup=False, soft_wrap=True)
    screen.print(f"{result['out']}  {result['seconds']['all']:.1f} s", markup=False, soft_wrap=True)
