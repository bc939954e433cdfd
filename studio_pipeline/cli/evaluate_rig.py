"""`studio evaluate rig`: measure ways of making a rig on characters that bring their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio_pipeline.cli.evaluate import data_folder, left_out, write_results

if TYPE_CHECKING:
    import numpy as np

    from studio_pipeline.evaluation.rigs.sources import RiggedArrays

__all__ = ["evaluate_rig"]


def evaluate_rig(
    more: Annotated[list[str] | None, typer.Argument(metavar="[GLB]...", help="As --characters.")] = None,
    characters: Annotated[
        list[str] | None, typer.Option("--characters", metavar="GLB", help="Only these; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with rigs/; without one, the shipped characters.", file_okay=False),
    ] = None,
    backends: Annotated[str, typer.Option("--backends", metavar="A,B", help="Only these; else all here.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Where results and pictures go.")] = Path("out/evaluate_rig"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here too.", dir_okay=False)
    ] = None,
    procedural: Annotated[
        int, typer.Option("--procedural", min=0, max=10_000, help="Procedural characters that training never saw, too.")
    ] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes; seconds are honest with 1.")] = 1,
) -> None:
    """Rig characters from their shape alone, compare with their own rigs. An interrupted run goes on where it was."""
    from studio_pipeline.evaluation.rigs.backends import choose_backends
    from studio_pipeline.evaluation.rigs.evaluate import evaluate
    from studio_pipeline.evaluation.rigs.pictures import write_sheet
    from studio_pipeline.evaluation.rigs.sources import choose_sources
    from studio_pipeline.evaluation.rigs.summary import case_table, group_medians, medians_table
    from studio_pipeline.evaluation.rigs.trials import Work
    from studio_pipeline.schema.errors import InputError

    chosen = tuple(choose_backends(backends).items())
    named = [*(characters or ()), *(more or ())]
    sources = [] if procedural and not (named or data) else choose_sources(named, data_folder(data))
    works = [Work(source, chosen, out) for source in [*sources, *_procedural(procedural)]]
    rows = evaluate(works, jobs=jobs, tell=_Progress(len(works) * len(chosen)).tell)
    skipped = list(dict.fromkeys(row["skipped"] for row in rows if "skipped" in row))
    if all("skipped" in row for row in rows):
        raise InputError(
            skipped[0] if skipped else "no characters", do="name characters with rigs of their own, or give --data"
        )
    groups = group_medians(rows)
    text = (
        f"Characters (chamfer x 1e-2 in a [-1, 1] box; joints: rig/truth)\n\n{case_table(rows)}\n\n"
        "Medians, goals under them; last the published figures, which are on other sets\n\n" + medians_table(groups)
    ) + left_out(skipped)
    typer.echo(text)
    write_results({"medians": groups, "skipped": skipped, "rows": rows}, text, out, json_file)
    write_sheet(out / "sheet.png", out / "cases", rows)
    typer.echo(f"\n{out / 'sheet.png'}")
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def _procedural(count: int) -> list[RiggedArrays]:
    """Characters of the generator that trains the network, from seeds that no training draws."""
    from studio_pipeline.evaluation.rigs.sources import RiggedArrays
    from studio_pipeline.schema.records import Rig
    from studio_pipeline.stages.rig.geometric import bone_frames
    from studio_pipeline.training.rig_data import held_out

    found = []
    for made in held_out(count, 0) if count else ():
        body = made.body
        rig = Rig(
            names=body.names, parents=body.parents, rest_world=bone_frames(*map(_double, (body.joints, body.tails))),
            tails=body.tails, weights=made.weights, backend="procedural",
        )  # fmt: skip
        found.append(RiggedArrays(name=made.name, vertices=made.vertices, faces=made.faces, rig=rig))
    return found


def _double(values: np.ndarray) -> np.ndarray:
    return values.astype("float64")


class _Progress:
    """One line on standard error for every rig that is measured."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def tell(self, row: dict[str, Any], kept: bool) -> None:
        """Say what a row says."""
        self.done += 1
        if "skipped" in row:
            said = f"skipped: {row['skipped']}"
        elif "error" in row:
            said = f"FAILED: {row['error']}"
        else:
            found, moved = row["skeleton"], row["motion"]
            said = (
                f"{row['joints']['rig']} joints for {row['joints']['truth']}, J2J {found['j2j']:.2f}, "
                f"J2B {found['j2b']:.2f}, B2B {found['b2b']:.2f}, skin L1 {row['skin']['l1']:.2f}, "
                + (f"motion {moved['percent']:.2f} %, " if moved else "")
                + f"{row['seconds']['wall']:.1f} s"
                + (", kept from an earlier run" if kept else "")
            )
        sys.stderr.write(f"[{self.done}/{self.total}] {row['character']}, {row['backend']}: {said}\n")
        sys.stderr.flush()
