"""From frames to a caption: every measure is asked, a network too if there is one, and what is unsure is not said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np

from studio_pipeline.caption.evidence import gather
from studio_pipeline.caption.looking import Looked, look
from studio_pipeline.caption.narrative import narrate
from studio_pipeline.caption.readings import LEAST_SURE, Reading
from studio_pipeline.schema.caption import Caption
from studio_pipeline.schema.directives import DirectiveValue
from studio_pipeline.schema.evidence import Evidence
from studio_pipeline.schema.taxonomy import Taxonomy, TaxonomyField

__all__ = ["Network", "caption_of", "describe", "measured_words"]

Word = tuple[Mapping[str, float], str]
"""Values with confidences, and whose word it is: "measured" or "model"."""


class Network(Protocol):
    """Reads evidence beside the measures; `models.caption.CaptionReader` is one."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that it reads."""
        ...

    def read(self, evidence: Evidence, said: Mapping[str, Mapping[str, float]]) -> Mapping[str, Word]:
        """By field what is said, the measures' word ``said`` considered."""
        ...


def describe(
    frames: np.ndarray,
    fps: Fraction,
    *,
    alpha: np.ndarray | None = None,
    taxonomy: Taxonomy,
    network: Network | None = None,
) -> Caption:
    """Read a clip.

    Args:
        frames: The pictures [T, H, W, 3] uint8 sRGB, at least one.
        fps: Frames a second.
        alpha: The subject's coverage [T, H, W] uint8 where the clip has one.
        taxonomy: The vocabularies; what they don't hold is not said.
        network: Joins the measures on the fields that it reads; None: the measures alone.

    Raises:
        ValueError: Shapes or types are others.
    """
    return caption_of(look(frames, fps, alpha=alpha), fps, taxonomy=taxonomy, network=network)


def caption_of(looked: Looked, fps: Fraction, *, taxonomy: Taxonomy, network: Network | None = None) -> Caption:
    """The caption of a clip that was looked at; see `describe`."""
    words: dict[str, Word] = {
        name: (values, "measured") for name, values in measured_words(looked.readings).items()
    }  # fmt: skip
    if network is not None:
        said = {name: values for name, (values, _) in words.items()}
        words |= network.read(gather(looked), said)
    values, abstained = _said(words, taxonomy, decided=() if network is None else network.fields)
    return Caption(
        values=values, measures=looked.measures(), abstained=abstained, narrative=narrate(values, taxonomy),
        frame_count=looked.footage.count, fps=str(fps),
    )  # fmt: skip


def measured_words(readings: Sequence[Reading]) -> dict[str, dict[str, float]]:
    """What the measures say by field, values with confidences; none where they looked and can't tell."""
    found: dict[str, dict[str, float]] = {}
    for reading in readings:
        for name in reading.looked_at:
            found.setdefault(name, {})
        for name, values in reading.values.items():
            kept = found.setdefault(name, {})
            for value, confidence in values.items():
                kept[value] = round(max(float(confidence), kept.get(value, 0.0)), 4)
    return found


def _said(
    words: Mapping[str, Word], taxonomy: Taxonomy, *, decided: Sequence[str]
) -> tuple[tuple[DirectiveValue, ...], tuple[str, ...]]:
    """Values in the taxonomy's order, and fields left open; ``decided``: fields whose silence is already settled."""
    values: list[DirectiveValue] = []
    abstained: list[str] = []
    for field in taxonomy.fields:
        if field.field not in words:
            continue
        found = _values(field, *words[field.field], least=0.0 if field.field in decided else LEAST_SURE)
        values += found
        if not found and not field.many:
            abstained.append(field.field)
    return tuple(values), tuple(abstained)


def _values(field: TaxonomyField, said: Mapping[str, float], origin: str, *, least: float) -> list[DirectiveValue]:
    kept = sorted(((c, v) for v, c in said.items() if v in field.values and c >= least), reverse=True)
    return [
        DirectiveValue(
            field=field.field, value=value, confidence=round(min(confidence, 1.0), 3),
            origin="measured" if origin == "measured" else "model",
        )
        for confidence, value in (kept if field.many else kept[:1])
    ]  # fmt: skip
