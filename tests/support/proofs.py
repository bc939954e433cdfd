"""Figures of the proofs, told as they are held: ``pytest -s -m "not soak" tests/physics | grep proof:``."""

from __future__ import annotations

import numpy as np

__all__ = ["off", "within"]


def within(what: str, value: float, bound: float) -> bool:
    """Whether a figure is at most its bound; printed either way."""
    print(f"\nproof: {what}: {value:.2g} (bound {bound:g})")
    return bool(value <= bound)


def off(found: float | np.ndarray, expected: float | np.ndarray) -> float:
    """Largest relative error."""
    return float(np.max(np.abs(np.asarray(found) / np.asarray(expected) - 1.0)))
