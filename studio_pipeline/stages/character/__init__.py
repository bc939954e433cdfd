"""Stage `character`: a file of the asset library becomes one mesh in metres, one texture, and its own rig.

Payload: ``character.{npz,json}``, ``own_rig/rig.{npz,json}`` when the file has a skeleton, ``preview.png``.
Figures: ``vertices``, ``faces``, ``height_m``, ``parts`` (primitives of the file), ``has_rig``, ``joints``,
``unit_scale``, ``degenerate_faces_fraction`` (without area), ``warnings`` (joined by "; ").
Verdicts: ``extent`` (every side of the bounding box is there and the largest is ``height_m``), ``faces_have_area``
(at most 10 % of the faces are degenerate), ``texture_used`` (UV lie inside the atlas).
"""

from __future__ import annotations

from studio_pipeline.stages.base import Backend, Settings, Stage
from studio_pipeline.stages.character.formats import input_files
from studio_pipeline.stages.character.library import library_names, resolve_character

__all__ = ["STAGE", "FileSettings", "input_files", "library_names", "resolve_character"]


class FileSettings(Settings):
    """The character's file, height and seed are fields of the shot: there is nothing to set here."""


STAGE = Stage(
    name="character",
    version=1,
    summary="One mesh in metres, one texture and the file's own rig",
    inputs=(),
    shot_fields=("character",),
    backends={
        "file": Backend(
            run="studio_pipeline.stages.character.stage:run",
            settings=FileSettings,
            distributions=("numpy", "scipy", "pillow", "opencv-python-headless", "usd-core", "warp-lang"),
        )
    },
    default="file",
    checks=("extent", "faces_have_area", "texture_used"),
)
