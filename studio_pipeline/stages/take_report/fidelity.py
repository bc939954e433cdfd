"""Directive fidelity: what was asked of a take against what the captioner reads in it, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studio_pipeline.schema.directives import Directives, DirectiveValue

__all__ = ["FieldFidelity", "compare", "fidelity_score"]


@dataclass(frozen=True)
class FieldFidelity:
    """One field that somebody asked for."""

    field: str
    asked: str  # value
    origin: str  # who asked
    read: tuple[str, ...]  # values that the captioner reads in the take
    agrees: bool | None  # None: the captioner reads nothing of this field, or will not say
    confidence: float  # of the reading that decides; 0 when there is none


def compare(
    directives: Directives, read: Sequence[DirectiveValue], abstained: Sequence[str] = ()
) -> tuple[FieldFidelity, ...]:
    """Every value that was asked for, with what is read of its field; the taxonomy's defaults asked for nothing.

    Args:
        directives: What was asked.
        read: What the captioner reads in the take.
        abstained: Fields that it looked at and would not tell.
    """
    found = []
    for asked in directives.values():
        if asked.origin == "default":
            continue
        said = [value for value in read if value.field == asked.field] if asked.field not in abstained else []
        same = next((value for value in said if value.value == asked.value), None)
        surest = same or max(said, key=lambda value: value.confidence, default=None)
        found.append(
            FieldFidelity(
                field=asked.field,
                asked=asked.value,
                origin=asked.origin,
                read=tuple(value.value for value in said),
                agrees=None if surest is None else same is not None,
                confidence=0.0 if surest is None else round(surest.confidence, 4),
            )
        )
    return tuple(found)


def fidelity_score(fields: Sequence[FieldFidelity]) -> float | None:
    """Share of what was asked and could be read that agrees, each weighted by how sure the reading is; None: none."""
    weight = sum(field.confidence for field in fields if field.agrees is not None)
    if weight <= 0.0:
        return None
    return round(sum(field.confidence for field in fields if field.agrees) / weight, 4)
