"""From a brief, explicit values and what was seen or proposed to directives: who wins, and what contradicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio_pipeline.schema.directives import GROUPS, Directives, DirectiveValue
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.taxonomy import Taxonomy, TaxonomyField, split_values
from studio_pipeline.stages.directives.contradictions import RANKS, settle
from studio_pipeline.stages.directives.narrative import narrate
from studio_pipeline.stages.directives.words import Match, find_matches

__all__ = ["Seen", "direct"]

_FROM_WORDS = 0.9  # confidence of a value that the brief names; the artist's own is certain
_FROM_DEFAULT = 0.3


@dataclass(frozen=True)
class Seen:
    """A value that somebody else than brief and artist gives."""

    value: DirectiveValue  # origin "measured" or "model"
    where: str  # for people: "the reference", "the plate", "the body plan"


def direct(
    brief: str,
    explicit: Mapping[str, str],
    taxonomy: Taxonomy,
    *,
    moving_camera: bool = False,
    seen: Sequence[Seen] = (),
) -> tuple[Directives, list[Match]]:
    """Directives from all who say something: the artist wins over the brief, over measures, over models, over defaults.

    Args:
        brief: Free text, English or Japanese.
        explicit: Values by taxonomy field; names of older versions are understood.
        taxonomy: The vocabularies.
        moving_camera: The shot's own camera moves, so no default claims that it stands still.
        seen: What was measured in a clip or proposed by a model; of equal rank the first wins. What the taxonomy
            doesn't hold, or is less sure than a default, doesn't count.

    Returns:
        The directives, and what was found in the brief.

    Raises:
        InputError: An explicit value is not in the taxonomy; the nearest valid ones are named.
    """
    if problems := taxonomy.problems(explicit):
        raise InputError("; ".join(problems), where="directives")
    explicit = taxonomy.migrate(explicit)[0]
    matches = find_matches(brief, taxonomy)
    conflicts: list[str] = []
    given: list[DirectiveValue] = []
    denied: set[str] = set()
    for field in taxonomy.fields:
        said = [match for match in matches if match.field == field.field]
        own = split_values(field, explicit[field.field]) if field.field in explicit else []
        values, clashes = _decide(field, said, own)
        excluded = {match.value for match in said if match.negated}
        more, told = _add_seen(field, values, [item for item in seen if item.value.field == field.field], excluded)
        given += [*values, *more]
        conflicts += [*clashes, *told]
        denied |= {f"{field.field}={value}" for value in excluded}
    kept, told = settle(_in_order(given, explicit, matches), taxonomy)
    record = _record(kept, denied, taxonomy, moving_camera=moving_camera)
    record = record.model_copy(update={"conflicts": (*conflicts, *told)})
    return record.model_copy(update={"narrative": narrate(brief, record, taxonomy)}), matches


def _record(kept: Sequence[DirectiveValue], denied: set[str], taxonomy: Taxonomy, *, moving_camera: bool) -> Directives:
    """The values in their groups and the taxonomy's order; a default where nobody spoke and nothing is against it."""
    groups: dict[str, list[DirectiveValue]] = {group: [] for group in GROUPS}
    for field in taxonomy.fields:
        values = [value for value in kept if value.field == field.field]
        if not values and field.default and not (moving_camera and field.field == "camera.move"):
            against = {*field.tag(field.default).contradicts} & {f"{v.field}={v.value}" for v in kept}
            if not against and f"{field.field}={field.default}" not in denied:
                values = [_value(field, field.default, "default", _FROM_DEFAULT)]
        groups[field.group] += values
    return Directives.model_validate({"taxonomy": taxonomy.version, **groups})


def _value(field: TaxonomyField, value: str, origin: str, confidence: float) -> DirectiveValue:
    return DirectiveValue.model_validate(
        {"field": field.field, "value": value, "confidence": confidence, "origin": origin}
    )


def _in_order(
    values: Sequence[DirectiveValue], explicit: Mapping[str, str], matches: Sequence[Match]
) -> list[DirectiveValue]:
    """The strongest first: by rank, then as written by the artist, as named in the brief, by confidence."""
    written = {name: index for index, name in enumerate(explicit)}
    named = {(match.field, match.value): match.start for match in reversed(matches)}

    def place(value: DirectiveValue) -> tuple[float, ...]:
        order = {"artist": written.get(value.field, 0), "brief": named.get((value.field, value.value), 0)}
        return (RANKS.index(value.origin), order.get(value.origin, 0), -value.confidence)

    return sorted(values, key=place)


def _decide(field: TaxonomyField, said: Sequence[Match], own: Sequence[str]) -> tuple[list[DirectiveValue], list[str]]:
    """Values of one field, and what contradicted: the artist wins over the brief, the first word over later ones."""
    denied = {match.value for match in said if match.negated}
    named = list(dict.fromkeys(match.value for match in said if not match.negated))
    conflicts = [f"{field.field}: the brief both asks for and excludes {v}; it is used" for v in named if v in denied]
    if own:
        against = [value for value in named if value not in own]
        if against and not field.many:
            said_words = ", ".join(against)
            conflicts.append(f"{field.field}: the brief says {said_words}, the artist {own[0]}: {own[0]} is used")
        conflicts += [f"{field.field}: the artist asks for {v}, which the brief excludes" for v in own if v in denied]
        extra = against if field.many else []
        values = [_value(field, value, "artist", 1.0) for value in own]
        return values + [_value(field, value, "brief", _FROM_WORDS) for value in extra], conflicts
    if len(named) > 1 and not field.many:
        conflicts.append(f"{field.field}: the brief says {', '.join(named)}: {named[0]}, named first, is used")
        named = named[:1]
    return [_value(field, value, "brief", _FROM_WORDS) for value in named], conflicts


def _add_seen(
    field: TaxonomyField, values: Sequence[DirectiveValue], seen: Sequence[Seen], denied: set[str]
) -> tuple[list[DirectiveValue], list[str]]:
    """What was seen or proposed of one field beside ``values``, and where it differs from what was asked for."""
    added: list[DirectiveValue] = []
    told: list[str] = []
    for item in sorted(seen, key=lambda item: RANKS.index(item.value.origin)):
        value = item.value
        there = [*values, *added]
        if value.value not in field.values or value.confidence < _FROM_DEFAULT:
            continue
        if value.value in {other.value for other in there}:
            continue
        if value.value in denied:
            told.append(f"{field.field}: {item.where} has {value.value}, which the brief excludes; it is left out")
        elif field.many or not there:
            added.append(value)
        elif values and value.origin == "measured":
            first = values[0]
            who = "artist" if first.origin == "artist" else "brief"
            told.append(
                f"{field.field}: {item.where} has {value.value}, the {who} says {first.value}: {first.value} is used"
            )
    return added, told
