"""From frames to a caption: every measure is asked, what is unsure is not said, the network fills in."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.caption.looking import look
from studio_pipeline.caption.narrative import narrate
from studio_pipeline.caption.readings import LEAST_SURE, Reading
from studio_pipeline.schema.caption import Caption
from studio_pipeline.schema.directives import DirectiveValue
from studio_pipeline.schema.taxonomy import Taxonomy

__all__ = ["describe"]


def describe(
    frames: np.ndarray,
    fps: Fraction,
    *,
    alpha: np.ndarray | None = None,
    taxonomy: Taxonomy,
    network: Any = None,
) -> Caption:
    """Read a clip.

    Args:
        frames: The pictures [T, H, W, 3] uint8 sRGB, at least one.
        fps: Frames a second.
        alpha: The subject's coverage [T, H, W] uint8 where the clip has one.
        taxonomy: The vocabularies; what they don't hold is not said.
        network: Gives its opinion beside the measures; none when None.

    Raises:
        ValueError: Shapes or types are others.
    """
    looked = look(frames, fps, alpha=alpha)
    values, abstained = _said(looked.readings, taxonomy)
    return Caption(
        values=values, measures=looked.measures(), abstained=abstained, narrative=narrate(values, taxonomy),
        frame_count=len(frames), fps=str(fps),
    )  # fmt: skip


def _said(readings: Sequence[Reading], taxonomy: Taxonomy) -> tuple[tuple[DirectiveValue, ...], tuple[str, ...]]:
    """Values that are sure enough, in the taxonomy's order, and the fields that were left open."""
    values, abstained = [], []
    for field in taxonomy.fields:
        looked = [reading for reading in readings if field.field in reading.looked_at]
        found: dict[str, float] = {}
        for reading in looked:
            for value, confidence in reading.values.get(field.field, {}).items():
                if value in field.values and confidence >= LEAST_SURE:
                    found[value] = max(confidence, found.get(value, 0.0))
        ranked = sorted(found.items(), key=lambda item: -item[1])
        for value, confidence in ranked if field.many else ranked[:1]:
            values.append(
                DirectiveValue(field=field.field, value=value, confidence=round(confidence, 3), origin="measured")
            )
        if looked and not found and not field.many:
            abstained.append(field.field)
    return tuple(values), tuple(abstained)
