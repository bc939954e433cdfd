"""`studio evaluate judge`: does the judge tell collapse from artistry, also collapse that it never saw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio_pipeline.cli.evaluate import data_folder, write_results

if TYPE_CHECKING:
    from studio_pipeline.evaluation.judge.summary import Judged
    from studio_pipeline.models.judge.judging import Judge
    from studio_pipeline.models.judge.network import JudgeNet
    from studio_pipeline.training.judge.dataset import Example

__all__ = ["evaluate_judge"]


def evaluate_judge(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with rigs/: the held-out characters.", file_okay=False)
    ] = None,
    bases: Annotated[int, typer.Option("--bases", min=4, max=5000, help="Sound clips that training starts from.")] = 80,
    held_out: Annotated[int, typer.Option("--held-out", min=1, max=1000, help="Sound clips of held-out ones.")] = 20,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Another judge than the shipped one.", dir_okay=False)
    ] = None,
    leave_out: Annotated[bool, typer.Option("--leave-out/--no-leave-out", help="Train without each kind.")] = True,
    out: Annotated[Path, typer.Option("--out", help="Where clips' measures, results and the sheet go.")] = Path(
        "out/evaluate_judge"
    ),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here too.", dir_okay=False)
    ] = None,
) -> None:
    """Collapse held-out characters in every way, judge them, and count; clips that were measured before are kept."""
    from studio_pipeline.evaluation.judge.summary import report_text, summarise
    from studio_pipeline.models.judge.judging import shipped_judge
    from studio_pipeline.schema.errors import InputError
    from studio_pipeline.training.judge.collapse import HEAD_OF
    from studio_pipeline.training.judge.dataset import held_out_set, training_set
    from studio_pipeline.training.judge.fit import Fit, fit_judge

    folder = data_folder(data)
    if folder is None:
        raise InputError("no held-out characters", where="--data", do="give the folder that holds rigs/")
    files = sorted(path for path in (folder / "rigs").iterdir() if path.suffix in (".glb", ".gltf"))
    judge = shipped_judge(weights)
    tested = held_out_set(out, held_out, files, judge.damage, _tell)
    shipped = _judged(judge.heads, tested)
    apart: dict[str, list[Judged]] = {}
    if leave_out:
        trained = training_set(out, bases, judge.damage, _tell)
        for kind in HEAD_OF:
            apart[kind] = _judged(fit_judge(trained, Fit(false_alarms=0.0), without=(kind,)), tested)
            _tell(f"fitted without {kind}")
    found = summarise(shipped, apart, HEAD_OF)
    text = report_text(found)
    typer.echo(text)
    settings = {"bases": bases, "held_out": held_out, "weights": "shipped" if weights is None else weights.name}
    write_results({"settings": settings, **found}, text, out, json_file)
    _sheet(judge, files, out / "sheet.jpg")


def _judged(net: JudgeNet, examples: list[Example]) -> list[Judged]:
    import torch

    from studio_pipeline.evaluation.judge.summary import Judged
    from studio_pipeline.models.judge.network import HEADS, scores_of
    from studio_pipeline.training.judge.fit import table_of

    with torch.no_grad():
        scores = scores_of(net(torch.from_numpy(table_of(examples))), float(net.bound), float(net.scale)).numpy()
    return [
        Judged(one.actor, one.kind, one.severity, dict(zip(HEADS, map(float, row), strict=True)))
        for one, row in zip(examples, scores, strict=True)
    ]


def _sheet(judge: Judge, files: list[Path], path: Path) -> None:
    """One clip, sound, deformed on purpose, and collapsed in every way at the least and the middle severity."""
    from studio_pipeline.evaluation.judge.sheet import write_sheet
    from studio_pipeline.models.judge.judging import judge_clip
    from studio_pipeline.training.judge.dataset import sample_clips

    rows: list[tuple[str, Any, dict[str, float]]] = []
    for title, frames in sample_clips(files):
        rows.append((title, frames, judge_clip(frames, judge) or {}))
    write_sheet(path, rows)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
