"""`studio train`: make the weights that are shipped, in pieces of any length."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train_app"]

train_app = typer.Typer(name="train", no_args_is_help=True, help="Train the networks that are shipped.")


class Part(StrEnum):
    """Which network of the rig."""

    SKELETON = "skeleton"
    SKIN = "skin"


@train_app.callback()
def _group() -> None:
    """Train the networks that are shipped."""


@train_app.command()
def rig(
    out: Annotated[Path, typer.Option("--out", help="The training's folder; goes on if it was begun.")],
    part: Annotated[Part, typer.Option("--part", help="Which network.")] = Part.SKELETON,
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, max=100_000, help="Length of this piece.")] = 30.0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "auto",
    batch: Annotated[int, typer.Option("--batch", min=1, max=1024)] = 16,
    rate: Annotated[float, typer.Option("--rate", min=1e-6, max=0.1, help="Learning rate.")] = 1e-3,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that draw characters.")] = 1,
    reuse: Annotated[float, typer.Option("--reuse", min=1.0, help="How often a character is shown.")] = 2.0,
    cooldown: Annotated[bool, typer.Option("--cooldown", help="Let the rate fall to nothing: the last piece.")] = False,
    mixed: Annotated[bool, typer.Option("--mixed/--full", help="bfloat16 where it pays, or float32 all along.")] = True,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="Begin a new training from these exported weights.", dir_okay=False),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the weights for use here (safetensors).", dir_okay=False)
    ] = None,
) -> None:
    """Train a network of the rig on procedural characters. An interrupted piece keeps what was done ten minutes ago."""
    from studio_pipeline.training.loop import Piece
    from studio_pipeline.training.rig.skeletons import SkeletonTraining
    from studio_pipeline.training.rig.skins import SkinTraining

    piece = Piece(
        minutes=minutes, batch=batch, rate=rate, workers=workers, reuse=reuse, cooldown=cooldown, mixed=mixed,
        seed=seed, device=_device(device),
    )  # fmt: skip
    made = {Part.SKELETON: SkeletonTraining, Part.SKIN: SkinTraining}[part]
    training = made(out, piece, start=start)
    last = training.run(_tell)
    typer.echo(f"{training.path}: {training.history['steps']} steps, {last}")
    if export is not None:
        training.export(export)
        typer.echo(str(export))


@train_app.command()
def caption(
    out: Annotated[Path, typer.Option("--out", help="The training's folder with its clips; goes on if it was begun.")],
    clips: Annotated[int, typer.Option("--clips", min=25, help="Clips to learn from; a fifth more to judge.")] = 4000,
    height: Annotated[int, typer.Option("--height", min=48, max=512, help="Of the clips [px], even.")] = 128,
    minutes: Annotated[float, typer.Option("--minutes", min=0.02, max=100_000, help="Length of this piece.")] = 10.0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "auto",
    batch: Annotated[int, typer.Option("--batch", min=2, max=1024)] = 32,
    rate: Annotated[float, typer.Option("--rate", min=1e-6, max=0.1, help="Learning rate.")] = 2e-3,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that film clips.")] = 1,
    cooldown: Annotated[bool, typer.Option("--cooldown", help="Let the rate fall to nothing: the last piece.")] = False,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the weights for use here (safetensors).", dir_okay=False)
    ] = None,
) -> None:
    """Train the captioner's network on clips that previz draws, tags known. Clips are filmed once and kept."""
    from studio_pipeline.schema.errors import InputError
    from studio_pipeline.training.caption.training import CaptionTraining, prepare_clips
    from studio_pipeline.training.loop import Piece

    if height % 2:
        raise InputError(f"{height} is odd", where="--height", do="give an even number of pixels")
    prepare_clips(out, clips, height=height, workers=workers, tell=lambda line: typer.echo(line, err=True))
    piece = Piece(
        minutes=minutes, batch=batch, rate=rate, warmup=50, workers=workers, cooldown=cooldown, mixed=False, seed=seed,
        device=_device(device), judge_seconds=120.0, report_seconds=30.0,
    )  # fmt: skip
    training = CaptionTraining(out, piece)
    last = training.run(_tell)
    typer.echo(f"{training.path}: {training.history['steps']} steps, {last}")
    if export is not None:
        training.export(export)
        typer.echo(str(export))


def _device(asked: str) -> str:
    import torch

    from studio_pipeline.schema.errors import InputError

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked not in ("cpu", "cuda"):
        raise InputError(f"there is no device {asked!r}", where="--device", do="give cpu, cuda or auto")
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here", where="--device", do="give cpu, or run where there is one")
    return asked


def _tell(row: dict[str, Any]) -> None:
    """One line on standard error."""
    sys.stderr.write("  ".join(f"{name} {value}" for name, value in row.items()) + "\n")
    sys.stderr.flush()
