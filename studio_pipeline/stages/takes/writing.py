"""What every backend of `takes` writes, and what it reads of the directives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio_pipeline.media.strips import write_strip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath

__all__ = ["load_directives", "write_take", "write_takes"]


def load_directives(folder: Path) -> Directives:
    """The directives in a payload folder.

    Raises:
        InputError: They are no valid record.
    """
    path = folder / "directives.json"
    try:
        return Directives.model_validate(load_json(path))
    except ValidationError as error:
        raise InputError(f"are no valid directives ({error.errors()[0]['msg']})", where=path) from None


def write_takes(out: Path, takes: Sequence[tuple[Clip, CameraPath | None, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Write every take as ``take_000/`` ... with its contact strip and video, and ``takes.json``.

    Args:
        out: The stage's empty payload folder.
        takes: Clip, the camera that saw it where that isn't canonical_view's (kept as ``camera.{npz,json}`` beside
            the frames), and what else ``takes.json`` says of it.

    Returns:
        Names of the contact strips.
    """
    records, strips = [], []
    for index, (clip, camera, record) in enumerate(takes):
        name = f"take_{index:03d}"
        (out / name).mkdir()
        clip.save(out / name)
        if camera is not None:
            camera.save(out / name)
        write_strip(out / f"{name}.png", clip.frames)
        write_mp4(out / f"{name}.mp4", clip.frames, clip.fps)
        records.append({"folder": name, "backend": clip.source, **record})
        strips.append(f"{name}.png")
    save_json(out / "takes.json", {"takes": records})
    return tuple(strips)


def write_take(out: Path, clip: Clip, record: Mapping[str, Any]) -> str:
    """`write_takes` of the only take, seen by canonical_view's camera; returns the strip's name."""
    return write_takes(out, [(clip, None, record)])[0]
