"""From frames to a caption: every measure is asked, what is unsure is not said, the network fills in."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.caption.energy import energy, subject_flow
from studio_pipeline.caption.footage import prepare
from studio_pipeline.caption.global_motion import global_motion
from studio_pipeline.caption.moves import camera_move, camera_path
from studio_pipeline.caption.narrative import narrate
from studio_pipeline.caption.readings import LEAST_SURE, Reading
from studio_pipeline.caption.subject import find_subject
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
    footage = prepare(frames, fps, alpha)
    readings = _measured(footage)
    values, abstained = _said(readings, taxonomy)
    measures = {name: value for reading in readings for name, value in reading.measures.items()}
    return Caption(
        values=values, measures=measures, abstained=abstained, narrative=narrate(values, taxonomy),
        frame_count=len(frames), fps=str(fps),
    )  # fmt: skip


def _measured(footage: Any) -> list[Reading]:
    first = find_subject(footage)
    motion = global_motion(footage, first.masks if first.trust else None)
    subject = first if first.trust else find_subject(footage, motion)
    if subject is not first and subject.trust:
        motion = global_motion(footage, subject.masks)
    speeds = subject_flow(footage, motion, subject)
    return [camera_move(footage, camera_path(footage, motion, subject)), energy(footage, subject, speeds)]


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
