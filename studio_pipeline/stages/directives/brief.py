"""Backend `brief`: the words of the brief, the artist's explicit values, and the taxonomy's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from studio_pipeline.schema.arrays import save_json
from studio_pipeline.schema.directives import GROUPS, Directives, DirectiveValue
from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.schema.taxonomy import Taxonomy, TaxonomyField, load_taxonomy, split_values
from studio_pipeline.stages.base import StageContext, StageResult, Verdict
from studio_pipeline.stages.directives.narrative import narrate
from studio_pipeline.stages.directives.words import Match, find_matches

__all__ = ["direct", "run"]

_FROM_WORDS = 0.9  # confidence of a value that the brief names; the artist's own is certain
_FROM_DEFAULT = 0.3


def run(context: StageContext) -> StageResult:
    """Make the shot's directives (see `direct`)."""
    shot = context.shot
    if shot.reference:
        raise BackendUnavailable(
            "reading a reference needs the backend 'measured', which is not in this version",
            where="reference",
            do="delete the field and give the directives explicitly",
        )
    camera = CameraPath.load(context.inputs["canonical_view"])
    taxonomy = load_taxonomy()
    directives, matches = direct(shot.brief, shot.directives, taxonomy, moving_camera=_moves(camera))
    save_json(context.out / "directives.json", directives.model_dump(mode="json"))
    save_json(context.out / "matches.json", [vars(match) for match in matches])
    wrong = [problem for value in directives.values() for problem in taxonomy.problems({value.field: value.value})]
    given = [value for value in directives.values() if value.origin != "default"]
    return StageResult(
        figures={
            "performance": directives.get("motion.performance", "") or "",
            "tags": len(given),
            "conflicts": len(directives.conflicts),
            "negated": sum(match.negated for match in matches),
        },
        verdicts=(
            Verdict(
                "directives_valid",
                not wrong,
                "; ".join(wrong) or f"{len(directives.values())} values of taxonomy {taxonomy.version}",
            ),
        ),
    )


def _moves(camera: CameraPath) -> bool:
    return bool(np.ptp(camera.world_to_camera, axis=0).max() > 1e-6 or np.ptp(camera.focal) > 1e-6)


def direct(
    brief: str, explicit: Mapping[str, str], taxonomy: Taxonomy, *, moving_camera: bool = False
) -> tuple[Directives, list[Match]]:
    """Directives from a brief and explicit values; the explicit ones win.

    Args:
        brief: Free text, English or Japanese.
        explicit: Values by taxonomy field.
        taxonomy: The vocabularies.
        moving_camera: The shot's own camera moves, so no default claims that it stands still.

    Returns:
        The directives, and what was found in the brief.

    Raises:
        InputError: An explicit value is not in the taxonomy; the nearest valid ones are named.
    """
    if problems := taxonomy.problems(explicit):
        raise InputError("; ".join(problems), where="directives")
    matches = find_matches(brief, taxonomy)
    groups: dict[str, list[DirectiveValue]] = {group: [] for group in GROUPS}
    conflicts: list[str] = []
    for field in taxonomy.fields:
        said = [match for match in matches if match.field == field.field]
        own = split_values(field, explicit[field.field]) if field.field in explicit else []
        values, clashes = _decide(field, said, own)
        conflicts += clashes
        if not values and field.default and not (moving_camera and field.field == "camera.move"):
            values = [_value(field, field.default, "default", _FROM_DEFAULT)]
        groups[field.group] += values
    record = Directives.model_validate({"taxonomy": taxonomy.version, "conflicts": tuple(conflicts), **groups})
    return record.model_copy(update={"narrative": narrate(brief, record, taxonomy)}), matches


def _value(field: TaxonomyField, value: str, origin: str, confidence: float) -> DirectiveValue:
    return DirectiveValue.model_validate(
        {"field": field.field, "value": value, "confidence": confidence, "origin": origin}
    )


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
