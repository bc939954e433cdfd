"""From scores to what is said: measures and network joined as a validation split chose, calibrated, or silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

__all__ = ["SOURCES", "FieldReading", "joined", "said_of"]

SOURCES = ("network", "measured", "both")
_LEAST = 1e-3


@dataclass(frozen=True, kw_only=True)
class FieldReading:
    """How one field is read; chosen on clips that are neither trained on nor reported."""

    source: str = "network"  # of `SOURCES`
    weight: float = 1.0  # of the measure's logarithm where both speak
    slope: float = 1.0  # of the confidence's logit ...
    shift: float = 0.0  # ... and what is added, so that confidences are shares of right answers
    threshold: float = 0.0  # calibrated confidence under which the field is left open
    thresholds: Mapping[str, float] = field(default_factory=dict)  # by value, where a field holds many

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def joined(
    reading: FieldReading, values: Sequence[str], network: np.ndarray, said: Mapping[str, float], *, many: bool
) -> np.ndarray:
    """Scores [V] of a field's values, by the source that it is read from.

    Args:
        reading: How.
        values: Of the field.
        network: Its probabilities [V].
        said: Confidences of the measure by value; empty where it is silent.
        many: Whether several values may hold.
    """
    measured = np.array([said.get(value, 0.0) for value in values])
    if reading.source == "network":
        return network
    if reading.source == "measured":
        return measured
    if many:
        return np.maximum(network, reading.weight * measured)
    rest = max(0.0, 1.0 - measured.sum()) / len(values)
    scores = np.log(network + _LEAST) + reading.weight * np.log(measured + rest + _LEAST)
    scores = np.exp(scores - scores.max())
    return scores / scores.sum()


def said_of(reading: FieldReading, values: Sequence[str], scores: np.ndarray, *, many: bool) -> dict[str, float]:
    """Values that are said, with calibrated confidences; empty: nothing is."""
    if many:
        chosen = [i for i, value in enumerate(values) if scores[i] >= reading.thresholds.get(value, 2.0)]
        return {values[i]: calibrated(reading, float(scores[i])) for i in chosen}
    best = int(np.argmax(scores))
    confidence = calibrated(reading, float(scores[best]))
    return {values[best]: confidence} if scores[best] > 0.0 and confidence >= reading.threshold else {}


def calibrated(reading: FieldReading, score: float) -> float:
    """The share of right answers among answers with such a score."""
    score = min(max(score, 1e-4), 1.0 - 1e-4)
    logit = reading.slope * np.log(score / (1.0 - score)) + reading.shift
    return float(1.0 / (1.0 + np.exp(-logit)))
