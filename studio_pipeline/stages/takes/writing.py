"""What every backend of `takes` writes, and what it reads of the directives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio_pipeline.media.strips import write_strip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.errors import InputError

__all__ = ["load_directives", "write_take"]


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


def write_take(out: Path, clip: Clip, record: Mapping[str, Any]) -> str:
    """Write the only take, its contact strip, its video and ``takes.json``; returns the strip's name."""
    name = "take_000"
    (out / name).mkdir()
    clip.save(out / name)
    write_strip(out / f"{name}.png", clip.frames)
    write_mp4(out / f"{name}.mp4", clip.frames, clip.fps)
    save_json(out / "takes.json", {"takes": [{"folder": name, "backend": clip.source, **record}]})
    return f"{name}.png"
