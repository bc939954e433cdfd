"""Backend `provided`: the skeleton and weights that the character's file, or another file of the shape, carries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.schema.shot import CharacterRef
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig.carrying import carry_weights, shape_difference
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import ProvidedSettings

__all__ = ["check_file", "mirrors_itself", "rig_from_file", "run"]

_SHAPE_SHARE = 0.01  # of the diagonal that the other file's surface may be off


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
    return report(character, rig, context.out, symmetric=mirrors_itself(rig, character))


def rig_from_file(character: Character, path: Path) -> Rig:
    """The rig of another file of the same shape, its weights carried over by position.

    Raises:
        InputError: The file is unreadable, has no rig or another shape.
    """
    from studio_pipeline.stages.character.load import load_character

    other = load_character(path, height_m=character.height_m)
    if other.own_rig is None:
        raise InputError("has no skeleton", where=path, do="give a file with one, or use backend geometric")
    difference, vertex, theirs = shape_difference(character, other.character)
    if not difference <= _SHAPE_SHARE:
        whose = "its" if theirs else "the character's"
        raise InputError(
            f"is not the shape of character {character.name}: {whose} vertex {vertex} is {difference:.1%} of the "
            f"diagonal off, at most {_SHAPE_SHARE:.0%}",
            where=path,
            do="export the rig on the same mesh in the same rest pose",
        )
    return dataclasses.replace(other.own_rig, weights=carry_weights(character, other.character, other.own_rig.weights))


def check_file(file: Path, reference: CharacterRef) -> None:
    """Refuse a file whose rig can't be the rig of a shot's character.

    Raises:
        InputError: As `rig_from_file`.
    """
    from studio_pipeline.stages.character.load import load_character

    rig_from_file(load_character(Path(reference.file), height_m=reference.height_m).character, file)


def mirrors_itself(rig: Rig, character: Character) -> bool:
    """Whether the joints mirror each other at x = 0, within 2 % of the diagonal."""
    mirrored = rig.heads * np.array([-1.0, 1.0, 1.0])
    return bool(cKDTree(rig.heads).query(mirrored)[0].max() <= 0.02 * character.diagonal)
