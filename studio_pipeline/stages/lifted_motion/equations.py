"""Normal equations of one frame's step, and how a round of Gauss-Newton weighs what it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Equations", "Round", "robust"]

DAMPING = 1e-3


@dataclass(frozen=True)
class Round:
    """How a round of Gauss-Newton weighs what it sees."""

    reach: float  # contours and flow farther away than this count as outliers [px]
    flow: float = 1.0
    contour: float = 1.0
    track: float = 1.0
    depth: float = 1.0
    colour: float = 0.0  # direct alignment of colours
    blur: float = 1.0  # of the pictures that are aligned [px]

    def without(self, terms: tuple[str, ...]) -> Round:
        """The round without some of the terms rgb, mask, track and depth; rounds of colour alone fall back on masks."""
        named = {"rgb": ("flow", "colour"), "mask": ("contour",), "track": ("track",), "depth": ("depth",)}
        how = replace(self, contour=1.0, track=1.0) if self.colour and "rgb" in terms else self
        return replace(how, **{field: 0.0 for term in named if term in terms for field in named[term]})


class Equations:
    """Normal equations of one frame's step."""

    def __init__(self, size: int) -> None:
        self.matrix, self.value = np.zeros((size, size)), np.zeros(size)

    def add(self, rows: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """rows [N, D, P], residual [N, D] (target less value), weight [N, D, D] or [N]"""
        rows, residual, weight = (value.astype(np.float32) for value in (rows, residual, weight))
        if weight.ndim == 1:
            weighted = rows * weight[:, None, None]
        else:
            weighted = np.stack([(weight[:, k, :, None] * rows).sum(1) for k in range(rows.shape[1])], axis=1)
        size = rows.shape[-1]
        gram = (weighted.reshape(-1, size).T @ rows.reshape(-1, size)).astype(np.float64)
        self.matrix += 0.5 * (gram + gram.T)
        self.value += weighted.reshape(-1, size).T @ residual.reshape(-1)

    def join(self, other: Equations) -> None:
        """Add what another view says."""
        self.matrix += other.matrix
        self.value += other.value

    def damped(self) -> Equations:
        """The same after Marquardt's damping: single precision leaves small negative eigenvalues."""
        self.matrix[np.diag_indices_from(self.matrix)] *= 1.0 + DAMPING
        return self


def robust(distance: np.ndarray, scale: float) -> np.ndarray:
    """Weights of Geman and McClure."""
    return 1.0 / np.square(1.0 + np.square(distance / scale))
