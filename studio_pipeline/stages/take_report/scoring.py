"""One figure a take, and the order of takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from studio_pipeline.stages.take_report import ReportSettings, Weights
from studio_pipeline.stages.take_report.fidelity import FieldFidelity, fidelity_score
from studio_pipeline.stages.take_report.filters import Filter

__all__ = ["TakeScore", "composite", "ranked", "score_take"]


@dataclass(frozen=True, kw_only=True)
class TakeScore:
    """All that the report says of a take."""

    take: int  # index
    folder: str
    backend: str
    seed: int | None
    filters: tuple[Filter, ...]
    heads: Mapping[str, float]  # the judge's scores, 1 (collapsed) to 5 (sound)
    lowest: float | None  # of the heads
    lowest_head: str
    fidelity: float | None  # 0-1; None: nothing that was asked could be read
    fields: tuple[FieldFidelity, ...]
    caption: Mapping[str, Any]
    composite: float  # 0-1
    passed: bool
    reasons: tuple[str, ...]  # why it failed
    remarks: tuple[str, ...] = field(default=())  # what it lost score for without failing

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def score_take(
    index: int,
    made: Mapping[str, Any],
    filters: Sequence[Filter],
    heads: Mapping[str, float] | None,
    fields: Sequence[FieldFidelity],
    caption: Mapping[str, Any],
    settings: ReportSettings,
) -> TakeScore:
    """Judge a take from what was found.

    Args:
        index: Of the take.
        made: Its entry in ``takes.json``.
        filters: What the filters say.
        heads: The judge's scores by head, 1-5; None where it doesn't judge.
        fields: What was asked against what is read.
        caption: The captioner's reading, as JSON.
        settings: Bounds and weights.
    """
    remarks = [f"{one.name}: {one.message}" for one in filters if not one.fails and not one.passed]
    if heads is None:
        remarks.append("the judge keeps silent: the subject can't be told from what is behind it")
    heads = heads or {}
    lowest_head = min(heads, key=lambda name: heads[name], default="")
    lowest = heads[lowest_head] if heads else None
    reasons = [f"{one.name}: {one.message}" for one in filters if one.fails and not one.passed]
    if lowest is not None and lowest < settings.least_head:
        # A plate was chosen by somebody: a network's doubt is told, and doesn't hold up the line.
        told = remarks if made.get("backend") == "plate" else reasons
        told.append(f"{lowest_head}: the judge gives {lowest:.1f} of 5, at least {settings.least_head:g}")
    fidelity = fidelity_score(fields)
    share = sum(one.passed for one in filters) / len(filters) if filters else 1.0
    mean = sum(heads.values()) / len(heads) if heads else None
    return TakeScore(
        take=index,
        folder=str(made["folder"]),
        backend=str(made.get("backend", "")),
        seed=made.get("seed"),
        filters=tuple(filters),
        heads={name: round(value, 3) for name, value in heads.items()},
        lowest=None if lowest is None else round(lowest, 3),
        lowest_head=lowest_head,
        fidelity=fidelity,
        fields=tuple(fields),
        caption=caption,
        composite=round(composite(lowest, mean, fidelity, share, settings.weights), 4),
        passed=not reasons,
        reasons=tuple(reasons),
        remarks=tuple(remarks),
    )


def composite(
    lowest: float | None, mean: float | None, fidelity: float | None, filters: float, weights: Weights
) -> float:
    """Weighted mean of what is known, 0-1: heads count from 1 to 5, fidelity and filters as shares."""
    parts = [
        (weights.lowest, None if lowest is None else (lowest - 1.0) / 4.0),
        (weights.mean, None if mean is None else (mean - 1.0) / 4.0),
        (weights.fidelity, fidelity),
        (weights.filters, filters),
    ]
    known = [(weight, value) for weight, value in parts if value is not None and weight > 0.0]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else filters


def ranked(scores: Sequence[TakeScore]) -> list[int]:
    """Indices of the takes, the best first: those that passed before those that failed, the first of equals first."""
    return [score.take for score in sorted(scores, key=lambda score: (not score.passed, -score.composite, score.take))]
