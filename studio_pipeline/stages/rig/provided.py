"""Backend `provided`: the skeleton and weights that the character's file, or another file of the shape, carries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import ProvidedSettings

__all__ = ["rig_from_file", "run"]

_MATCH_SHARE = 0.01  # of the diagonal within which a vertex of the other file is the same vertex


def run(context: StageContext) -> StageResult:
    """Take the rig that is there."""
    settings: ProvidedSettings = context.settings
    character = Character.load(context.inputs["character"])
    own = context.inputs["character"] / "own_rig"
    if settings.file is not None:
        rig = rig_from_file(character, settings.file)
    elif own.is_dir():
        rig = Rig.load(own)
    else:
        raise InputError(
            f"character {character.name} has no skeleton of its own", where="stages.rig", do="use backend geometric"
        )
    rig = dataclasses.replace(rig, backend="provided")
    rig.save(context.out)
    context.progress(0.8, "checks and preview")
    return report(character, rig, context.out, symmetric=_pairs_up(rig, character))


def rig_from_file(character: Character, path: Path) -> Rig:
    """The rig of another file of the same shape, its weights carried over by position.

    Raises:
        InputError: The file is unreadable, has no rig or another shape.
    """
    from studio_pipeline.stages.character.load import load_character

    other = load_character(path, height_m=character.height_m)
    if other.own_rig is None:
        raise InputError("has no skeleton", where=path, do="give a file with one, or use backend geometric")
    tree = cKDTree(other.character.vertices)
    distance, match = tree.query(character.vertices.astype(np.float64))
    worst = int(np.argmax(distance))
    if distance[worst] > _MATCH_SHARE * character.diagonal:
        raise InputError(
            f"is not the shape of character {character.name}: its vertex {worst} is "
            f"{distance[worst] / character.diagonal:.1%} of the diagonal from the nearest, at most {_MATCH_SHARE:.0%}",
            where=path,
            do="export the rig on the same mesh in the same rest pose",
        )
    return dataclasses.replace(other.own_rig, weights=other.own_rig.weights[match])


def _pairs_up(rig: Rig, character: Character) -> bool:
    """Whether the joints mirror each other at x = 0, within 2 % of the diagonal."""
    mirrored = rig.heads * np.array([-1.0, 1.0, 1.0])
    return bool(cKDTree(rig.heads).query(mirrored)[0].max() <= 0.02 * character.diagonal)
