"""`studio train judge`: make the weights of the judge."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from studio_pipeline.models.judge.damage import DamageNet

__all__ = ["train_judge"]


def train_judge(
    out: Annotated[Path, typer.Option("--out", help="Keeps the clips' measures: a second fit takes seconds.")],
    bases: Annotated[int, typer.Option("--bases", min=4, max=5000, help="Sound clips the heads start from.")] = 80,
    regions: Annotated[
        int, typer.Option("--regions", min=2, max=5000, help="Sound clips the network for damage starts from.")
    ] = 55,
    region_steps: Annotated[int, typer.Option("--region-steps", min=1, max=100_000)] = 500,
    damage: Annotated[
        Path | None,
        typer.Option("--damage", help="A network for damage that is trained already.", dir_okay=False, exists=True),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, max=100_000)] = 600,
    hidden: Annotated[int, typer.Option("--hidden", min=1, max=4096)] = 32,
    members: Annotated[int, typer.Option("--members", min=1, max=64)] = 4,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write the heads here (safetensors), damage.safetensors beside.", dir_okay=False),
    ] = None,
) -> None:
    """Train the judge of takes on previz clips: deformed on purpose is good, synthetic collapse is bad.

    First the network for damage, on regions that anything was done to, then the heads, on named collapses.
    """
    from studio_pipeline.models.judge.damage import load_damage
    from studio_pipeline.models.judge.judging import DAMAGE_FILE
    from studio_pipeline.training.judge.dataset import training_set
    from studio_pipeline.training.judge.fit import Fit, export_judge, fit_judge
    from studio_pipeline.training.judge.fit_regions import copy_damage

    path = export or out / "judge.safetensors"
    found = damage or _damage(out, regions, region_steps, seed)
    beside: DamageNet = load_damage(found)
    examples = training_set(out, bases, beside, _tell)
    began = time.process_time()
    how = Fit(steps=steps, hidden=hidden, members=members, seed=seed)
    net = fit_judge(examples, how)
    seconds = time.process_time() - began
    export_judge(path, net, examples, how, bases=bases, damage=beside)
    copy_damage(found, path.with_name(DAMAGE_FILE))
    typer.echo(f"{path}: {len(examples)} clips, {how.steps} steps, {seconds:.0f} CPU seconds")


def _damage(out: Path, bases: int, steps: int, seed: int) -> Path:
    """The network for damage kept in ``out``, trained when it isn't there."""
    from studio_pipeline.training.judge.fit_regions import RegionFit, export_damage, fit_damage, kept_damage, stacked
    from studio_pipeline.training.judge.regions import FIRST, region_clips

    how = RegionFit(steps=steps, seed=seed)
    path = out / kept_damage(bases, how)
    if not path.is_file():
        clips = stacked(region_clips(range(FIRST, FIRST + bases)), _tell)
        export_damage(path, fit_damage(clips, how, _tell), how, bases=bases, clips=len(clips.maps))
    return path


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
