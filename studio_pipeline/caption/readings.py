"""What a measure says: values with confidences, measures with units, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["LEAST_SURE", "Reading", "sure"]

LEAST_SURE = 0.5
"""A value that is less sure than this is not said."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Of one idea. A field of ``looked_at`` without a value is an abstention."""

    looked_at: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # field: {value: confidence 0..1}
    measures: Mapping[str, Any] = field(default_factory=dict)


def sure(amount: float, low: float, high: float) -> float:
    """Confidence of "at least": 0 at ``low``, 0.5 half way, 1 at ``high``; the other way round where low > high."""
    return float(np.clip((amount - low) / (high - low), 0.0, 1.0))
