"""`studio evaluate refine`: the same clips with and without the physics, and scenes made to wobble."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from studio_pipeline.cli.evaluate import data_folder, left_out, write_results

__all__ = ["evaluate_refine"]


def evaluate_refine(
    more: Annotated[list[str] | None, typer.Argument(metavar="[GLB[:CLIP]]...", help="As --characters.")] = None,
    characters: Annotated[
        list[str] | None,
        typer.Option("--characters", metavar="GLB[:CLIP]", help="Only these, all kinds of clip or the one named."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with rigs/; without one, the shipped characters.", file_okay=False),
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Refine what the lift finds in the pixels, too.")] = False,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the physics; may be repeated.")
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=11, max=480)] = 24,
    size: Annotated[int, typer.Option("--size", min=32, max=2048, help="Side of the plates in pixels, even.")] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Draws lights and backdrops.")] = 0,
    cases: Annotated[int, typer.Option("--cases", min=1, help="At most as many clips.")] = 6,
    wobble: Annotated[
        bool, typer.Option("--wobble", help="The made scenes instead: lag, overshoot and the elbow's volume.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Where results and videos go.")] = Path("out/evaluate_refine"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here too.", dir_okay=False)
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes; seconds are honest with 1.")] = 1,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Write side-by-side videos.")] = True,
) -> None:
    """Drive solids with true joint motion, with and without physics. An interrupted run goes on where it was."""
    from studio_pipeline.evaluation.refine.evaluate import choose_cases, evaluate, parse_settings
    from studio_pipeline.evaluation.refine.trials import LIFTED, TRUE, Work
    from studio_pipeline.schema.errors import InputError

    settings = parse_settings(given or ())
    if wobble:
        _wobble(settings, out, json_file, size=size, video=video)
        return
    if size % 2:
        raise InputError(f"{size} is odd", where="--size", do="give an even number of pixels")
    chosen, skipped = choose_cases([*(characters or ()), *(more or ())], data_folder(data), cases)
    motions = (TRUE, LIFTED) if lift else (TRUE,)
    works = [
        Work(case, motions, settings, frames=frames, size=size, seed=seed, out=out, videos=video) for case in chosen
    ]
    rows = evaluate(works, jobs=jobs, tell=_Progress(len(works) * len(motions)).tell)
    skipped += list(dict.fromkeys(row["skipped"] for row in rows if "skipped" in row))
    if all("skipped" in row for row in rows):
        raise InputError(skipped[0] if skipped else "no clips", do="name rigged characters, or give --data")
    text, verdicts = _report(rows)
    text += left_out(skipped)
    typer.echo(text)
    told = {"settings": dict(settings), "frames": frames, "size": size, "seed": seed}
    write_results({**told, "verdicts": verdicts, "skipped": skipped, "rows": rows}, text, out, json_file)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def _report(rows: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The text that is printed, and the verdicts in it."""
    from studio_pipeline.evaluation.refine import summary

    verdicts = summary.fit_verdicts(rows)
    parts = [f"Clips (percent of the diagonal; pairs: crossing triangles over rest)\n\n{summary.case_table(rows)}"]
    if verdicts:
        parts.append(f"Medians over the clips\n\n{summary.medians_table(rows)}")
        parts.append("\n".join(verdict["line"] for verdict in verdicts))
    return "\n\n".join(parts), verdicts


def _wobble(
    settings: tuple[tuple[str, Any], ...], out: Path, json_file: Path | None, *, size: int, video: bool
) -> None:
    from studio_pipeline.evaluation.refine.wobble import measure_elbow, measure_wobble, wobble_table, write_pictures

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    jolts = measure_wobble(dict(settings), tell=say)
    elbow = measure_elbow(dict(settings), tell=say)
    text = wobble_table(jolts, elbow)
    typer.echo(text)
    write_results({"wobble": [jolt.figures() for jolt in jolts], "elbow": elbow.figures()}, text, out, json_file)
    for path in write_pictures(out, jolts, elbow, size=size, video=video):
        typer.echo(str(path))


class _Progress:
    """One line on standard error for every motion that is refined."""

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
            from studio_pipeline.evaluation.refine.summary import iou_drop

            said = (
                f"IoU drop {iou_drop(row):+.4f}, moved {row['moved_percent']:.2f} %, "
                f"least det F {row['with']['min_det_f']:.3f}, fallback {row['fallback_frames']}, "
                f"{row['tets']} tets, {row['seconds']['processor']:.1f} s"
                + (", kept from an earlier run" if kept else "")
            )
        sys.stderr.write(
            f"[{self.done}/{self.total}] {row['character']} {row['clip']}, {row['motion']} joints: {said}\n"
        )
        sys.stderr.flush()
