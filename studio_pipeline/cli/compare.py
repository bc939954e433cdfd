"""`studio compare`: two versions of a shot side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studio_pipeline.line.comparison import Side
    from studio_pipeline.schema.shot import Shot

__all__ = ["compare"]

WIPE, PAGE, TABLE = "wipe.mp4", "compare.html", "compare.json"


def compare(
    shot: Annotated[str, typer.Argument(help="Shot id.", show_default=False)],
    before: Annotated[str, typer.Argument(help="Version, such as v001.", show_default=False)],
    after: Annotated[str, typer.Argument(help="Version, such as v002.", show_default=False)],
    stage: Annotated[str, typer.Option("--stage", help="Stage whose versions they are.")] = "delivery",
    out: Annotated[Path | None, typer.Option("--out", help="Folder; else compare/<shot>_<stage>_<versions>.")] = None,
    take: Annotated[
        int | None, typer.Option("--take", min=0, help="Which of several takes is shown; else the first.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Leave a wipe video, a table of what differs, and a page with both."""
    from studio_pipeline.line.compare_page import compare_page
    from studio_pipeline.line.comparison import footage_of, load_side, tables
    from studio_pipeline.line.shots import load_shot, open_studio
    from studio_pipeline.schema.errors import StorageError

    store = open_studio(reading=True)
    known = load_shot(store, shot).shot
    sides = (load_side(store, shot, stage, before), load_side(store, shot, stage, after))
    folder = out or Path("compare") / f"{shot}_{stage}_{sides[0].label}_{sides[1].label}"
    if take is not None:
        folder = out or folder.with_name(f"{folder.name}_take_{take:03d}")
    shown = [footage_of(side, known.first_frame, take=take) for side in sides]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = _wipe(sides, shown, known, folder)
        previews = [] if pictures else _previews(sides, folder)
        found = {**tables(store, *sides), "pictures": pictures, "previews": previews}
        (folder / TABLE).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (folder / PAGE).write_text(compare_page(found), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"can't be written ({error.strerror})", where=folder, do="choose another --out") from error
    if as_json:
        typer.echo(json.dumps({**found, "folder": str(folder)}, indent=1, sort_keys=True))
    else:
        _print(found)
        typer.echo(str(folder / PAGE))


def _wipe(sides: tuple[Side, Side], shown: list[Any], shot: Shot, folder: Path) -> dict[str, Any] | None:
    """Write the wipe where both versions move and have frames in common."""
    from studio_pipeline.media.wipe import differences, write_wipe

    if shown[0] is None or shown[1] is None:
        return None
    (name, old), (_, new) = shown[0], shown[1]
    found = differences(old, new)
    if found is None:
        return None
    write_wipe(folder / WIPE, old, new, labels=(sides[0].label, sides[1].label), fps=sides[0].fps(shot.fps))
    frames = len(set(old.numbers) & set(new.numbers))
    return {"wipe": WIPE, "of": name, "frames": frames, "resized": old.size != new.size, **vars(found)}


def _previews(sides: tuple[Side, Side], folder: Path) -> list[dict[str, str]]:
    """Copies of both versions' best still pictures; empty when neither has one."""
    found = []
    for side in sides:
        name = next((n for n in side.artifact.previews if n.endswith((".png", ".jpg", ".gif"))), "")
        file = f"{side.label}{Path(name).suffix}" if name else ""
        if name:
            shutil.copyfile(side.folder / name, folder / file)
        found.append({"version": side.label, "file": file})
    return found if any(item["file"] for item in found) else []


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from studio_pipeline.cli.tables import console
    from studio_pipeline.line.compare_page import shown, signed

    labels = [item["version"] for item in found["versions"]]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", *labels, "change"):
        table.add_column(title, overflow="fold")
    table.add_row("status", *(item["status"] for item in found["versions"]), "")
    for row in found["figures"]:
        if not row["same"]:
            table.add_row(row["name"], shown(row["before"]), shown(row["after"]), signed(row["change"]))
    for row in found["verdicts"]:
        if row["before"] != row["after"]:
            words = [Text(f"{'passed' if s['passed'] else 'failed'} {s['message']}" if s else "-") for s in
                     (row["before"], row["after"])]  # fmt: skip
            table.add_row(row["name"], *words, "")
    for row in (*found["ingredients"], *found["upstream"]):
        own = row["stage"] == found["stage"]
        name = row["ingredient"] if own else f"{row['stage']} {row['ingredient']}"
        table.add_row(Text(name), Text(shown(row["before"])), Text(shown(row["after"])), "")
    console().print(table)
    files, pictures = found["files"], found["pictures"]
    changed = len(files["changed"]) + len(files["added"]) + len(files["removed"])
    typer.echo(f"files: {files['same']} the same, {changed} differ")
    if pictures:
        differ = pictures["frames"] - pictures["equal"]
        most = f", most at {pictures['worst']}" if differ else ""
        of = pictures["of"].removesuffix(".mp4").replace("_", " ") if pictures["of"].startswith("take_") else "pictures"
        typer.echo(f"{of}: {differ} of {pictures['frames']} frames differ{most}")
