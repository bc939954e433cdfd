"""Previz takes of the shipped character Pip from an artist's tags, made once a session."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.character.library import resolve_character
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.takes.previz import Previz, make_previz

__all__ = ["FPS", "directives", "pip", "take"]

FPS = 12


@lru_cache(maxsize=1)
def pip() -> tuple[Character, Rig]:
    """The character and its own rig."""
    loaded = load_character(resolve_character("pip", assets_folder() / "characters"))
    assert loaded.own_rig is not None
    return loaded.character, loaded.own_rig


def directives(tags: tuple[str, ...]) -> Directives:
    """An artist's tags "field=value", whether the taxonomy of this version has them or not."""
    values = []
    for tag in tags:
        field, _, value = tag.partition("=")
        values.append(DirectiveValue(field=field, value=value, origin="artist"))
    return Directives(taxonomy="test", style=tuple(values))


@lru_cache(maxsize=64)
def take(*tags: str, frames: int = 9, size: int = 64, seed: int = 3) -> Previz:
    """A take of Pip under ``tags``."""
    character, rig = pip()
    camera = frame_points(character.vertices, width=size, height=size, fill=0.8).at(np.zeros(frames, dtype=int))
    options = {"fps": Fraction(FPS), "frame_count": frames, "first_frame": 1, "seed": seed}
    return make_previz(character, rig, camera, directives(tags), **options)
