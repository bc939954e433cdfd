"""The reading as text: subject, camera, motion, effects, environment, in this order."""

from __future__ import annotations

from collections.abc import Sequence

from studio_pipeline.schema.directives import DirectiveValue
from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["narrate"]

_ORDER = ("subjects", "camera", "motion", "effects", "style", "environment")


def narrate(values: Sequence[DirectiveValue], taxonomy: Taxonomy) -> str:
    """One sentence a group that something is known of; meanings in the taxonomy's own words."""
    sentences = []
    for group in _ORDER:
        said = []
        for value in values:
            field = taxonomy.field(value.field)
            if field is not None and field.group == group and value.value in field.values:
                meaning = field.tag(value.value).meaning.rstrip(".")
                name = value.value.replace("_", " ")
                said.append(f"{name} ({meaning[0].lower() + meaning[1:]})")
        if said:
            sentences.append(f"{group.capitalize()}: {'; '.join(said)}.")
    return " ".join(sentences)
