"""`studio evaluate`: measure the product against ground truth."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["data_folder", "evaluate_app", "left_out", "write_results"]

evaluate_app = typer.Typer(
    name="evaluate", no_args_is_help=True, help="Measure against ground truth.", rich_markup_mode="rich"
)


class RigChoice(StrEnum):
    """Which rigs are lifted."""

    PROVIDED = "provided"
    GEOMETRIC = "geometric"
    NETWORK = "network"
    AUTO = "auto"
    BOTH = "both"


class DepthChoice(StrEnum):
    """Whether (simulated) depth is given."""

    WITHOUT = "without"
    WITH = "with"
    BOTH = "both"


@evaluate_app.callback()
def _group() -> None:
    """Measure against ground truth."""


@evaluate_app.command()
def lift(
    more: Annotated[list[str] | None, typer.Argument(metavar="[GLB[:CLIP]]...", help="As --characters.")] = None,
    characters: Annotated[
        list[str] | None,
        typer.Option("--characters", metavar="GLB[:CLIP]", help="Only these, all kinds of clip or the one named."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with rigs/, beside the shipped characters.", file_okay=False)
    ] = None,
    rig: Annotated[RigChoice, typer.Option("--rig", help="Which rig is lifted.")] = RigChoice.BOTH,
    depth: Annotated[
        DepthChoice, typer.Option("--depth", help="Simulated depth beside the pixels.")
    ] = DepthChoice.BOTH,
    frames: Annotated[int, typer.Option("--frames", min=8, max=480)] = 24,
    size: Annotated[int, typer.Option("--size", min=32, max=2048, help="Side of the plates in pixels, even.")] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Draws lights, backdrops and noise.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Where results and videos go.")] = Path("out/evaluate_lift"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here too.", dir_okay=False)
    ] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Leave out one term after the other; provided rig, with depth.")
    ] = False,
    hard: Annotated[bool, typer.Option("--hard", help="The hard cases instead of the protocol's.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes.")] = 1,
    cases: Annotated[int | None, typer.Option("--cases", min=1, help="At most as many clips.")] = None,
    lpips: Annotated[
        Path | None, typer.Option("--lpips", help="Folder with lpips_alex.npz; without it LPIPS is left out.")
    ] = None,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Write side-by-side videos.")] = True,
) -> None:
    """Film true motions, lift them from the pixels alone, compare. An interrupted run goes on where it was."""
    from studio_pipeline.evaluation.lift import choose_cases, evaluate, trials_of
    from studio_pipeline.evaluation.shots import HARD
    from studio_pipeline.evaluation.trials import Work
    from studio_pipeline.schema.errors import InputError

    if size % 2:
        raise InputError(f"{size} is odd", where="--size", do="give an even number of pixels")
    chosen, skipped = choose_cases([*(characters or ()), *(more or ())], data_folder(data), cases)
    trials = trials_of(rig, depth, ablate=ablate)
    works = [
        Work(case, trials, frames=frames, size=size, seed=seed, hard=name, out=out, lpips=lpips, videos=video)
        for name in (HARD if hard else (None,))
        for case in chosen
    ]
    rows = evaluate(works, jobs=jobs, tell=_Progress(len(works) * len(trials)).tell)
    rows.sort(key=lambda row: row["rig"] != "provided")  # stable: provided, then geometric
    skipped += list(dict.fromkeys(row["skipped"] for row in rows if "skipped" in row))
    text, groups = _report([row for row in rows if "still" in row], skipped, ablate=ablate, hard=hard)
    typer.echo(text)
    settings = {"frames": frames, "size": size, "seed": seed, "ablate": ablate, "hard": hard}
    found = {"settings": settings, "medians": groups, "skipped": skipped, "rows": rows}
    write_results(found, text, out, json_file)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def write_results(found: dict[str, Any], text: str, out: Path, json_file: Path | None) -> None:
    """Leave tables and figures in ``out``, and the figures in ``json_file`` if given."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    for path in filter(None, (out / "results.json", json_file)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def data_folder(given: Path | None) -> Path | None:
    """The folder with sample data: as given, by STUDIO_SHARED_DATA, or beside the checkout."""
    from studio_pipeline.schema.assets import assets_folder
    from studio_pipeline.schema.errors import InputError

    if given is not None and not (given / "rigs").is_dir():
        raise InputError("has no folder rigs", where=given, do="give --data the folder that holds rigs/")
    named = os.environ.get("STUDIO_SHARED_DATA")
    folder = given or (Path(named) if named else assets_folder().parent.parent / "shared" / "data")
    return folder if (folder / "rigs").is_dir() else None


class _Progress:
    """One line on standard error for every lift that is done."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def tell(self, row: dict[str, Any], kept: bool) -> None:
        """Say what a row says."""
        self.done += 1
        label = f"{row['character']} {row['clip']}" + (f" [{row['hard']}]" if row["hard"] else "")
        label += f", {row['rig']}, {'with' if row['depth'] else 'without'} depth"
        label += f", no {'/'.join(row['without'])}" if row["without"] else ""
        if "lift" in row:
            lifted, spent = row["lift"], row["seconds"]["observations"] + row["seconds"]["lift"]
            said = (
                f"IoU {lifted['iou_mean']:.3f}, in-plane {lifted['in_plane_percent']:.2f} %, "
                f"3D {lifted['spatial_percent']:.2f} %, SSIM {lifted['ssim']:.3f}, {spent:.0f} s"
                + (", DIVERGED" if lifted["diverged"] else "")
                + (", kept from an earlier run" if kept else "")
            )
        else:
            said = f"skipped: {row['skipped']}" if "skipped" in row else f"FAILED: {row['error']}"
        sys.stderr.write(f"[{self.done}/{self.total}] {label}: {said}\n")
        sys.stderr.flush()


def _report(
    rows: list[dict[str, Any]], skipped: list[str], *, ablate: bool, hard: bool
) -> tuple[str, list[dict[str, Any]]]:
    """The text that is printed, and the medians in it."""
    from studio_pipeline.evaluation import summary

    if ablate:
        text = "Ablation: medians over the clips that every variant lifted\n\n" + summary.ablation_table(rows)
        return text + left_out(skipped), []
    lively, quiet = [row for row in rows if summary.counted(row)], [row for row in rows if not summary.counted(row)]
    parts, groups = [], []
    title = "Hard cases" if hard else "Clips"
    if lively:
        parts.append(f"{title} (in brackets: a still pose; slide: the truth)\n\n{summary.case_table(lively)}")
    if quiet:
        least = summary.LEAST_STILL_PERCENT
        parts.append(f"Apart: a still pose errs by under {least:g} % in-plane\n\n{summary.case_table(quiet)}")
    if hard:
        groups = [{"hard": name, **group} for name in dict.fromkeys(row["hard"] for row in lively)
                  for group in summary.medians([row for row in lively if row["hard"] == name])]  # fmt: skip
    else:
        groups = summary.medians(lively)
        if groups:
            parts.append("Medians, goals beside them\n\n" + summary.medians_table(groups))
    if any(row["depth"] for row in rows):
        parts.append("Depth is simulated: z after an unknown scale and shift, at half size, with 2 % noise.")
    return "\n\n".join(parts) + left_out(skipped), groups


def left_out(skipped: list[str]) -> str:
    """What ends a report: a line for everything that was skipped, and why."""
    return "".join(f"\n\nSkipped: {line}" if k == 0 else f"\nSkipped: {line}" for k, line in enumerate(skipped))
