"""`studio evaluate caption`: how well clips are read whose tags are known, and what is said of real ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio_pipeline.cli.evaluate import data_folder, left_out, write_results

if TYPE_CHECKING:
    from studio_pipeline.evaluation.caption import Work
    from studio_pipeline.models.caption import CaptionReader
    from studio_pipeline.schema.tags import Taxonomy

__all__ = ["evaluate_caption"]

_SEED = 909  # of the cases; training has others
_CAST = 60  # procedural characters beside the files
_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif", ".avi")
_LONGEST = 240  # frames of a real clip that are read


def evaluate_caption(
    clips: Annotated[int, typer.Option("--clips", min=1, max=100_000, help="Clips to film and read.")] = 900,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with rigs/ (the cast) and video/ (real clips).", file_okay=False),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Of the network; the shipped ones when absent.", dir_okay=False)
    ] = None,
    alone: Annotated[bool, typer.Option("--measured", help="The measures alone, without a network.")] = False,
    alpha: Annotated[
        bool, typer.Option("--alpha/--pixels", help="Whether the clips' own alpha may be looked at.")
    ] = True,
    height: Annotated[int, typer.Option("--height", min=48, max=512, help="Of the clips [px], even.")] = 128,
    seed: Annotated[int, typer.Option("--seed", help="Draws cases.")] = _SEED,
    out: Annotated[Path, typer.Option("--out", help="Where results go.")] = Path("out/evaluate_caption"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here too.", dir_okay=False)
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes.")] = 1,
) -> None:
    """Film clips with characters that training never saw, read them, compare. An interrupted run goes on."""
    from studio_pipeline.evaluation.caption import evaluate
    from studio_pipeline.models.caption import load_reader
    from studio_pipeline.schema.taxonomy import load_taxonomy
    from studio_pipeline.training.caption.filming import what_previz_draws

    folder, taxonomy = data_folder(data), load_taxonomy()
    used = None if alone else weights or _shipped_weights()
    drawable = what_previz_draws(taxonomy)
    works = _works(clips, folder, drawable, taxonomy, seed=seed, height=height, alpha=alpha, out=out)
    reader = load_reader(used) if used else None
    rows = evaluate(works, reader, jobs=jobs, tell=_Progress(len(works)).tell)
    read = [row for row in rows if "said" in row]
    text, found = _report(read, taxonomy, out)
    real = _real_clips(folder, reader, taxonomy, out)
    text += f"\n\n{real}" if real else ""
    broken = [f"{row['name']}: {row['error']}" for row in rows if "error" in row]
    text += "".join(f"\n\nFAILED: {line}" for line in broken)
    text += left_out(list(dict.fromkeys(row["skipped"] for row in rows if "skipped" in row)))
    typer.echo(text)
    settings = {
        "clips": clips,
        "height": height,
        "seed": seed,
        "alpha": alpha,
        "weights": str(used.name) if used else None,
    }
    write_results({"settings": settings, **found, "rows": rows}, text, out, json_file)
    if broken:
        raise typer.Exit(1)


def _shipped_weights() -> Path:
    from studio_pipeline.models.caption.reader import WEIGHTS
    from studio_pipeline.schema.assets import assets_folder
    from studio_pipeline.schema.errors import InputError

    path = assets_folder() / "weights" / WEIGHTS
    if not path.is_file():
        raise InputError("no weights are shipped here", where=path, do="give --weights, or --measured")
    return path


def _works(
    clips: int, folder: Path | None, drawable: Mapping[str, tuple[str, ...]], taxonomy: Taxonomy,
    *, seed: int, height: int, alpha: bool, out: Path,
) -> list[Work]:  # fmt: skip
    from studio_pipeline.evaluation.caption import Work
    from studio_pipeline.training.caption.cast import cast_names
    from studio_pipeline.training.caption.drawing import draw_cases
    from studio_pipeline.training.caption.filming import film

    files = sorted((folder / "rigs").glob("*.gl*")) if folder else []
    actors = cast_names(0, _CAST, [str(file) for file in files], held_out=True)
    return [
        Work(
            name=f"{index:05d}", actor=Path(case.actor).stem, identity=repr((case, sorted(drawable.items()))),
            film=partial(film, case, taxonomy, dict(drawable)), alpha=alpha, out=out,
        )
        for index, case in enumerate(draw_cases(clips, actors, drawable, taxonomy, seed=seed, height=height))
    ]  # fmt: skip


def _report(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy, out: Path) -> tuple[str, dict[str, Any]]:
    """Tables, figures, and the pictures beside them."""
    from studio_pipeline.evaluation.caption import WAYS
    from studio_pipeline.evaluation.caption.figures import axis_figures, field_figures
    from studio_pipeline.evaluation.caption.tables import axis_table, field_table, value_table

    figures = [
        found
        for field in taxonomy.fields
        for way in WAYS
        if (found := field_figures(rows, field.field, way, many=field.many)) is not None
    ]
    axes = axis_figures(figures, taxonomy)
    last = [
        item for item in figures if item["way"] == ("both" if any(i["way"] == "both" for i in figures) else WAYS[0])
    ]
    _pictures(rows, last, out)
    parts = [
        f"Axes: mean recall over values, then fields; silence is wrong ({len(rows)} clips)\n\n{axis_table(axes)}",
        f"Fields\n\n{field_table(figures)}",
        f"Values\n\n{value_table(last)}",
    ]
    return "\n\n".join(parts), {"axes": axes, "fields": figures}


def _pictures(rows: Sequence[dict[str, Any]], figures: Sequence[Mapping[str, Any]], out: Path) -> None:
    from studio_pipeline.evaluation.caption.figures import confusion
    from studio_pipeline.evaluation.caption.pictures import write_confusions, write_reliability

    out.mkdir(parents=True, exist_ok=True)
    tables, curves = [], []
    for item in figures:
        values = sorted(item["values"])
        if not item["many"] and len(values) > 1:
            tables.append((item["field"], values, confusion(rows, item["field"], item["way"], values)))
    if tables:
        write_confusions(out / "confusion.png", tables)
    for way in dict.fromkeys(item["way"] for item in figures):
        for group in ("camera.", "motion.", "style.", "vfx."):
            fields = [item["field"] for item in figures if item["field"].startswith(group)]
            pairs = [
                (confidence, value in row["truth"][field])
                for row in rows for field in fields if row["truth"].get(field) is not None
                for value, confidence in row["said"][way].get(field, {}).items()
            ]  # fmt: skip
            curves.append((f"{group[:-1]} ({way})", pairs))
    write_reliability(out / "reliability.png", curves)


def _real_clips(folder: Path | None, reader: CaptionReader | None, taxonomy: Taxonomy, out: Path) -> str:
    """Read the sample videos, leave a sheet of frames and captions; what was said, as text."""
    from fractions import Fraction

    from studio_pipeline.caption import describe
    from studio_pipeline.evaluation.caption.pictures import ClipSheet, write_sheet
    from studio_pipeline.media.reading import read_clip

    videos = sorted((folder / "video").glob("*")) if folder and (folder / "video").is_dir() else []
    sheets, lines = [], []
    for path in (path for path in videos if path.suffix.lower() in _VIDEOS):
        clip = read_clip(path)
        frames, fps = clip.frames[:_LONGEST], clip.fps or Fraction(24)
        found = describe(frames, fps, taxonomy=taxonomy, network=reader)
        sheets.append(ClipSheet(path.name, frames, found))
        said = ", ".join(f"{v.field}={v.value} ({v.confidence:.2f})" for v in found.values)
        lines.append(f"- {path.name}: {said}; not told: {', '.join(found.abstained) or '-'}")
    if not sheets:
        return ""
    write_sheet(out / "real_clips.png", sheets)
    return "Real clips, for a person to judge (real_clips.png)\n\n" + "\n".join(lines)


class _Progress:
    """Now and then a line on standard error."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def tell(self, row: dict[str, Any], kept: bool) -> None:
        """Count."""
        self.done += 1
        if {"error", "skipped"} & set(row) or self.done % 25 == 0 or self.done == self.total:
            said = "kept from an earlier run" if kept else "filmed"
            said = f"FAILED: {row['error']}" if "error" in row else row.get("skipped", said)
            sys.stderr.write(f"[{self.done}/{self.total}] {row['name']} {row['actor']}: {said}\n")
            sys.stderr.flush()
