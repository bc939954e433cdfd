"""What a captioner read from a clip's pixels: values of the taxonomy, measures with units, what it left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.directives import GROUPS, DirectiveValue
from studio_pipeline.schema.errors import InputError

__all__ = ["Caption"]


class Caption(BaseModel):
    """The reading of one clip. A field is in ``values`` or in ``abstained``; or nothing here reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: tuple[DirectiveValue, ...] = ()  # origin "measured" or "model"; several of a field that holds many
    measures: dict[str, float | int | str | bool | list[Any]] = Field(default_factory=dict)  # the unit ends the name
    abstained: tuple[str, ...] = ()  # fields that were looked at and could not be told
    narrative: str = ""  # subject, camera, motion, effects, environment, in this order
    frame_count: int = Field(ge=1)
    fps: str  # frames a second as a fraction, "24" or "24000/1001"

    def get(self, field: str, default: str | None = None) -> str | None:
        """The first value of ``field``, or ``default`` when there is none."""
        return next((item.value for item in self.values if item.field == field), default)

    def all(self, field: str) -> tuple[str, ...]:
        """Every value of ``field``."""
        return tuple(item.value for item in self.values if item.field == field)

    def confidence(self, field: str) -> float:
        """How sure the first value of ``field`` is; 0 when there is none."""
        return next((item.confidence for item in self.values if item.field == field), 0.0)

    def save(self, path: Path) -> None:
        """Write the record as JSON."""
        save_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the record back.

        Raises:
            InputError: The file is missing or no caption.
        """
        try:
            return cls.model_validate(load_json(path))
        except ValidationError as error:
            raise InputError(f"is no caption ({error.errors()[0]['msg']})", where=path) from None

    def by_group(self, groups: dict[str, str]) -> dict[str, tuple[DirectiveValue, ...]]:
        """The values in the six groups; ``groups`` names the group of every field."""
        return {name: tuple(v for v in self.values if groups.get(v.field) == name) for name in GROUPS}
