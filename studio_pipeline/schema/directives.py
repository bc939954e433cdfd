"""The production directives of a shot: six groups of tagged values and a narrative."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["GROUPS", "DirectiveValue", "Directives"]

GROUPS = ("subjects", "motion", "effects", "style", "camera", "environment")


class DirectiveValue(BaseModel):
    """One tag: a field of the taxonomy, its value, how sure we are and who said so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str  # e.g. "camera.move"
    value: str  # e.g. "pan_left"
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)
    origin: Literal["brief", "artist", "measured", "model", "default"]


class Directives(BaseModel):
    """What the director asks for, validated against the taxonomy named in ``taxonomy``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: str  # version of the taxonomy that the values belong to
    subjects: tuple[DirectiveValue, ...] = ()
    motion: tuple[DirectiveValue, ...] = ()
    effects: tuple[DirectiveValue, ...] = ()
    style: tuple[DirectiveValue, ...] = ()
    camera: tuple[DirectiveValue, ...] = ()
    environment: tuple[DirectiveValue, ...] = ()
    narrative: str = ""  # subject, camera, motion, effects, environment, in this order
    conflicts: tuple[str, ...] = ()  # what contradicted, and which side won

    def values(self) -> tuple[DirectiveValue, ...]:
        """All values of all groups."""
        return tuple(value for group in GROUPS for value in getattr(self, group))

    def get(self, field: str, default: str | None = None) -> str | None:
        """The value of ``field``, or ``default`` when nobody gave one."""
        return next((value.value for value in self.values() if value.field == field), default)
