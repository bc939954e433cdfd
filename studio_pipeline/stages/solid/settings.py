"""Settings of the solid's backend."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from studio_pipeline.stages.base import Settings

__all__ = ["SolidSettings", "smaller"]


class SolidSettings(Settings):
    """How the character is filled with tetrahedra. Lengths are shares of the bounding box's diagonal."""

    epsilon: float = Field(default=0.004, ge=2e-4, le=0.05)  # how far the surface of the solid may stray
    edge_length: float | None = Field(default=None, ge=0.005, le=0.5)  # None: from the volume and the wanted number
    tets: tuple[int, int] = (2000, 8000)  # wanted range of the number of tetrahedra
    cells: int = Field(default=96, ge=24, le=256)  # voxels along the longest side when the skin is closed
    timeout_s: float = Field(default=180.0, gt=0.0, le=7200.0)  # for each attempt
    attempts: int = Field(default=4, ge=1, le=8)  # each coarser than the one before

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if not 50 <= self.tets[0] < self.tets[1] <= 500_000:
            raise ValueError("tets must be a rising range between 50 and 500000")
        return self


def smaller(settings: SolidSettings) -> SolidSettings | None:
    """Coarser: half as many tetrahedra, a looser surface, fewer voxels where the skin is closed. None below 500."""
    low, high = settings.tets
    if high // 2 < 500:
        return None
    changes = {
        "tets": (max(50, low // 2), high // 2),
        "epsilon": min(0.05, round(1.5 * settings.epsilon, 6)),
        "cells": max(24, settings.cells * 3 // 4),
    }
    if settings.edge_length is not None:
        changes["edge_length"] = min(0.5, round(1.26 * settings.edge_length, 6))
    return settings.changed(**changes)
