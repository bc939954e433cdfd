"""Readers of files from elsewhere, called as the stages call them, with errors told as the command tells them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from studio_pipeline.schema.errors import StudioError

READERS = {
    "clip": "studio_pipeline.media.reading:read_clip",
    "picture": "studio_pipeline.media.images:read_image",
    "arrays": "studio_pipeline.schema.arrays:load_arrays",
    "json": "studio_pipeline.schema.arrays:load_json",
    "character": "studio_pipeline.stages.character.load:load_character",
    "bvh": "studio_pipeline.geometry.bvh:read_bvh",
    "timeline": "readers:shots_of_timeline",
    "shots": "studio_pipeline.schema.shotlist:load_shots",
    "vocabulary": "studio_pipeline.schema.taxonomy_merge:read_source",
    "weights": "studio_pipeline.models.rig.skin:load_skin_net",
    "animations": "studio_pipeline.stages.character.animation:open_animated",
}


def shots_of_timeline(path: Path) -> object:
    from studio_pipeline.line.otio_import import Wanted, shots_of
    from studio_pipeline.line.timelines import read_timeline

    return shots_of(read_timeline(path), Wanted({"": "pip"}))


def main(name: str, path: Path) -> None:
    """Read and leave: 0, or a line and the error's exit code."""
    module, _, function = READERS[name].partition(":")
    try:
        getattr(importlib.import_module(module), function)(path)
    except StudioError as error:
        for line in getattr(error, "lines", None) or [str(error)]:
            sys.stderr.write(f"studio: {line}\n")
        sys.exit(error.exit_code)
    sys.exit(0)
