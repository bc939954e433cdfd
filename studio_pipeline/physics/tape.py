"""What a simulation remembers of its steps, for the way back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Step", "Tape"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the time loop."""

    before: np.ndarray  # [P, 3] float64 [m]
    velocity: np.ndarray  # [P, 3] float64 [m/s], before it
    after: np.ndarray  # [P, 3] float64 [m]
    target: np.ndarray  # [P, 3] float64 [m], of the attachments
    length: float  # [s]
    converged: bool
    moving: bool  # the velocity after it is what it moved over its length; otherwise it was set to zero


@dataclass
class Tape:
    """Steps in order, and how many of them were done when each frame was taken."""

    steps: list[Step] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything."""
        self.steps.clear()
        self.frames.clear()
