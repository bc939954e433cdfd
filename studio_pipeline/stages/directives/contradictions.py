"""Values of different fields that exclude each other: the stronger origin stays, the other is told and left out."""

from __future__ import annotations

from collections.abc import Sequence

from studio_pipeline.schema.directives import DirectiveValue
from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["RANKS", "settle"]

RANKS = ("artist", "brief", "measured", "model", "default")
"""Origins, the strongest first."""

_SAYS = {
    "artist": "the artist's",
    "brief": "the brief's",
    "measured": "measured",
    "model": "a model's",
    "default": "the default",
}


def settle(values: Sequence[DirectiveValue], taxonomy: Taxonomy) -> tuple[list[DirectiveValue], list[str]]:
    """The values that hold together, and a line for each that was left out.

    Args:
        values: The strongest first; each is kept unless it contradicts one that is kept already.
        taxonomy: Says what contradicts what.
    """
    kept: list[DirectiveValue] = []
    told: list[str] = []
    for value in values:
        field = taxonomy.field(value.field)
        against = set(field.tag(value.value).contradicts) if field is not None else set()
        winner = next((other for other in kept if f"{other.field}={other.value}" in against), None)
        if winner is None:
            kept.append(value)
            continue
        first = ", given first," if winner.origin == value.origin else ""
        told.append(
            f"{value.field}={value.value} ({_SAYS[value.origin]}) contradicts {winner.field}={winner.value} "
            f"({_SAYS[winner.origin]}): {winner.value}{first} is used"
        )
    return kept, told
