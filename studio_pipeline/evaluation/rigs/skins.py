"""How far two sets of skin weights on one skeleton are apart."""

from __future__ import annotations

import numpy as np

__all__ = ["INFLUENCE", "skin_figures"]

INFLUENCE = 1e-3  # a joint with more weight than this on a vertex influences it


def skin_figures(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Compare weights of the same vertices and joints.

    Args:
        truth: Weights that are right. [V, J]
        guess: The others. [V, J]

    Returns:
        ``l1``: sum of the absolute differences over the number of vertices, 0 to 2. ``precision``: share of the
        guess's influences (weights above `INFLUENCE` after rows are made to sum to one) that the truth has too;
        ``recall``: share of the truth's that the guess has. All vertices' influences count together.
    """
    true, other = _rows_of_one(truth), _rows_of_one(guess)
    real, said = true > INFLUENCE, other > INFLUENCE
    both = float((real & said).sum())
    return {
        "l1": float(np.abs(true - other).sum() / len(true)),
        "precision": both / max(int(said.sum()), 1),
        "recall": both / max(int(real.sum()), 1),
    }


def _rows_of_one(weights: np.ndarray) -> np.ndarray:
    weights = weights.astype(np.float64)
    total = weights.sum(1, keepdims=True)
    return weights / np.where(total > 0.0, total, 1.0)
