"""A shipped character with its own rig, and the project's motions."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio_pipeline.geometry.bvh import Bvh, read_bvh
from studio_pipeline.schema.records import Character, Rig

__all__ = ["MOTIONS", "motions", "pip"]

MOTIONS = ("walk", "run", "wave", "jump")


@pytest.fixture(scope="module")
def pip(repository: Path) -> tuple[Character, Rig]:
    from studio_pipeline.stages.character.load import load_character

    loaded = load_character(repository / "assets" / "characters" / "pip.glb")
    assert loaded.own_rig is not None
    return loaded.character, loaded.own_rig


@pytest.fixture(scope="module")
def motions(repository: Path) -> dict[str, Bvh]:
    return {name: read_bvh(repository / "assets" / "motions" / f"{name}.bvh") for name in MOTIONS}
