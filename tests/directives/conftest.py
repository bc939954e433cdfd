"""Payload folders upstream of `directives`, of a shipped character."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.motions import pip

from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.directives import STAGE

__all__ = ["pip"]


class _Shot:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update({"brief": "", "directives": {}, "reference": None, "fps": Fraction(24), **fields})


@pytest.fixture
def context(tmp_path: Path, pip: tuple[Character, Rig]) -> Callable[..., StageContext]:
    """The stage's context; shot fields by name, settings as ``settings={...}``."""
    camera = CameraPath(
        world_to_camera=np.repeat(look_at(np.array([0.0, 1, 4]), np.zeros(3), np.array([0.0, 1, 0]))[None], 3, 0),
        focal=np.full(3, 100.0), width=64, height=64,
    )  # fmt: skip
    folders = {name: tmp_path / "in" / name for name in ("canonical_view", "character", "rig")}
    for (name, folder), record in zip(folders.items(), (camera, *pip), strict=True):
        folder.mkdir(parents=True)
        record.save(folder)
        assert name
    made: list[Path] = []

    def make(*, settings: dict[str, object] | None = None, **fields: object) -> StageContext:
        made.append(tmp_path / f"out{len(made)}")
        made[-1].mkdir()
        values = STAGE.backends["measured"].settings.model_validate(settings or {})
        return StageContext(settings=values, inputs=folders, shot=_Shot(**fields), out=made[-1])

    return make
