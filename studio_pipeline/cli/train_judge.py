"""`studio train judge`: make the weights of the judge."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train_judge"]


def train_judge(
    out: Annotated[Path, typer.Option("--out", help="Keeps the clips' measures: a second fit takes seconds.")],
    bases: Annotated[int, typer.Option("--bases", min=4, max=5000, help="Sound clips that training starts from.")] = 80,
    steps: Annotated[int, typer.Option("--steps", min=1, max=100_000)] = 900,
    hidden: Annotated[int, typer.Option("--hidden", min=1, max=4096)] = 32,
    members: Annotated[int, typer.Option("--members", min=1, max=64)] = 3,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the weights here (safetensors).", dir_okay=False)
    ] = None,
) -> None:
    """Train the judge of takes on previz clips: deformed on purpose is good, synthetic collapse is bad."""
    from studio_pipeline.training.judge.dataset import training_set
    from studio_pipeline.training.judge.fit import Fit, export_judge, fit_judge

    def tell(text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    examples = training_set(out, bases, tell)
    began = time.process_time()
    how = Fit(steps=steps, hidden=hidden, members=members, seed=seed)
    net = fit_judge(examples, how)
    seconds = time.process_time() - began
    path = export or out / "judge.safetensors"
    export_judge(path, net, examples, how, bases=bases)
    typer.echo(f"{path}: {len(examples)} clips, {how.steps} steps, {seconds:.0f} CPU seconds")
