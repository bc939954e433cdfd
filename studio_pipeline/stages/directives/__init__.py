"""Stage `directives`: what the director asks for, as values of the production taxonomy and a narrative.

Payload: ``directives.json`` (schema.directives.Directives), ``matches.json`` (which words of the brief gave what).
Figures: ``performance``, ``tags`` (values given by anyone but the defaults), ``conflicts``, ``negated``.
Verdict: ``directives_valid`` (every value belongs to the taxonomy's closed vocabulary).
"""

from __future__ import annotations

from collections.abc import Mapping

from studio_pipeline.schema.taxonomy import Taxonomy, load_taxonomy
from studio_pipeline.stages.base import Backend, Settings, Stage

__all__ = ["STAGE", "BriefSettings", "validate_directives"]


class BriefSettings(Settings):
    """The brief and the explicit values are fields of the shot: there is nothing to set here."""


def validate_directives(values: Mapping[str, str], taxonomy: Taxonomy | None = None) -> list[str]:
    """What is wrong with a shot's explicit directives, one clause each; empty when all are valid."""
    return (taxonomy or load_taxonomy()).problems(values) if values else []


STAGE = Stage(
    name="directives",
    version=1,
    summary="Production directives from the brief's words and explicit values",
    inputs=("canonical_view",),
    shot_fields=("brief", "directives", "reference"),
    backends={
        "brief": Backend(
            run="studio_pipeline.stages.directives.brief:run",
            settings=BriefSettings,
            distributions=("pydantic", "pyyaml"),
        )
    },
    default="brief",
    checks=("directives_valid",),
    assets=("taxonomy",),
)
