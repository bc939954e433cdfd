"""`studio takes` and `studio select`: look at a shot's takes, and choose the one that is followed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studio_pipeline.line.takes import TakesView

__all__ = ["select", "takes"]

_Shot = Annotated[str, typer.Argument(help="Shot id.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def takes(shot: _Shot, as_json: _AsJson = False) -> None:
    """Show a shot's takes: the judge's scores, filters, fidelity, which is followed and why."""
    from studio_pipeline.line.shots import current_shot, open_studio
    from studio_pipeline.line.takes import view_takes

    store = open_studio(reading=True)
    view = view_takes(store, current_shot(store, shot))
    if as_json:
        typer.echo(json.dumps(_as_json(view), indent=1, ensure_ascii=False, sort_keys=True))
    else:
        _print(view)


def select(
    shot: _Shot,
    take: Annotated[int | None, typer.Argument(help="Number of the take that is to be followed.", min=0)] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Take the choice off: by score, or as the list says.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for whoever looks later.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who chooses; else $STUDIO_USER, else the login name.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Choose the take that the rest of the line follows; the takes are not made again."""
    from studio_pipeline.line.graph import downstream
    from studio_pipeline.line.reviews import author
    from studio_pipeline.line.shots import current_shot, open_studio
    from studio_pipeline.line.takes import STAGE, select_best, select_take
    from studio_pipeline.schema.errors import InputError

    if (take is None) == (not auto):
        raise InputError("needs the number of a take, or --auto", where="select", do="studio takes SHOT lists them")
    store = open_studio()
    found = current_shot(store, shot)
    who = author(by)
    if take is None:
        pin = select_best(store, found, note=note, by=who)
    else:
        pin = select_take(store, found, take, note=note, by=who)
    below = sorted(downstream(STAGE))
    if as_json:
        said = {"shot": shot, "take": take, "auto": auto, "label": pin.label if pin else None, "note": note}
        typer.echo(json.dumps({**said, "outdated": [STAGE, *below]}, indent=1, sort_keys=True))
    elif pin is None:
        typer.echo(f"{shot}: nobody had chosen a take; it goes by the shot list and by score")
    else:
        what = (
            f"{pin.label}, take {take} is followed" if take is not None else "goes by the shot list and by score again"
        )
        typer.echo(f"{shot}: {what}; studio run makes anew: {', '.join([STAGE, *below])}")


def _as_json(view: TakesView) -> dict[str, Any]:
    rows = []
    for said, made in zip(view.report["takes"], view.made, strict=True):
        rows.append(
            {**said, "obeyed": made.get("obeyed", []), "not_obeyed": made.get("not_obeyed", []),
             "chosen": said["take"] == view.chosen.take, "video": str(view.folder / f"{said['folder']}.mp4")}
        )  # fmt: skip
    return {
        "shot": view.shot,
        "takes": rows,
        "ranking": view.report["ranking"],
        "chosen": {"take": view.chosen.take, "by": view.chosen.by, "reason": view.chosen.reason},
        "followed": view.followed,
        "pin": None if view.pin is None else {"label": view.pin.label, "note": view.pin.note},
    }


def _print(view: TakesView) -> None:
    from rich.table import Table
    from rich.text import Text

    from studio_pipeline.cli.tables import console

    heads = list(view.report["takes"][0]["heads"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("take", "backend", "seed", "score", *heads, "fidelity", "filters not passed", "verdict"):
        table.add_column(title, justify="left" if title in ("backend", "filters not passed", "verdict") else "right")
    for said in view.report["takes"]:
        chosen = said["take"] == view.chosen.take
        missed = ", ".join(one["name"] for one in said["filters"] if not one["passed"])
        verdict = Text("passed" if said["passed"] else "failed", style="green" if said["passed"] else "red")
        table.add_row(
            ("> " if chosen else "") + str(said["take"]), said["backend"],
            "-" if said["seed"] is None else str(said["seed"]), f"{said['composite']:.3f}",
            *(f"{said['heads'][head]:.1f}" for head in heads),
            "-" if said["fidelity"] is None else f"{said['fidelity']:.2f}", missed or "-", verdict,
        )  # fmt: skip
    console().print(table)
    for said in view.report["takes"]:
        for line in (*said["reasons"], *said["remarks"]):
            console().print(Text(f"take {said['take']}: {line}"))
        for item in said["fields"]:
            if item["agrees"] is False:
                read = ", ".join(item["read"])
                console().print(Text(f"take {said['take']}: {item['field']} was asked {item['asked']}, reads {read}"))
    console().print(Text(view.chosen.reason))
    if view.followed != view.chosen.take:
        console().print(Text("not followed yet: studio run"))
