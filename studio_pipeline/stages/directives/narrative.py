"""The directives as running text: subject, camera, motion, effects, environment, in this order."""

from __future__ import annotations

import unicodedata

from studio_pipeline.schema.directives import Directives, DirectiveValue
from studio_pipeline.schema.errors import one_line
from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["full_stop", "narrate"]


def narrate(brief: str, directives: Directives, taxonomy: Taxonomy) -> str:
    """One paragraph that says what the values say; the brief itself stands first, about the subject."""
    told = {
        group: [_phrase(value, taxonomy) for value in getattr(directives, group)]
        for group in ("subjects", "style", "camera", "motion", "effects", "environment")
    }
    parts = [
        full_stop(brief),
        _sentence("Subject", told["subjects"] + told["style"]),
        _sentence("Camera", told["camera"]),
        _sentence("Motion", told["motion"]),
        _sentence("Effects", told["effects"] or ["none"]),
        _sentence("Environment", told["environment"]),
    ]
    return " ".join(part for part in parts if part)


def full_stop(text: str) -> str:
    """A text on one line that ends as a sentence; an empty one stays empty."""
    words = one_line(text).strip()
    if words and unicodedata.normalize("NFKC", words[-1]) not in ".!?。":
        words += "."
    return words


def _phrase(value: DirectiveValue, taxonomy: Taxonomy) -> str:
    field = taxonomy.field(value.field)
    assert field is not None
    prefix, _, kind = value.field.replace("_", " ").partition(".")
    kind = f"light {kind}" if prefix == "lighting" else kind  # "light source", but "camera move" is under Camera
    text = value.value.replace("_", " ")
    meaning = field.tag(value.value).meaning
    if value.origin == "default":
        return f"{kind} {text}"
    return f"{kind} {text} ({meaning[0].lower()}{meaning[1:]})"


def _sentence(title: str, phrases: list[str]) -> str:
    return f"{title}: {', '.join(phrases)}." if phrases else ""
