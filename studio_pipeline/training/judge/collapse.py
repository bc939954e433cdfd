"""Synthetic collapse: what video models do to drawings when they lose them, at three severities, from a seed.

Every kind belongs to a head of the judge (`HEAD_OF`). A kind that cannot happen to a clip (no limb to be lost, no line
to break) gives None. Severity 1 is what one sees at a second look, 2 at a first, 3 from across the room.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio_pipeline.training.judge.collapse_lines import broken_lines, tearing
from studio_pipeline.training.judge.collapse_parts import identity, limbs, scramble
from studio_pipeline.training.judge.layers import Layers, flatten, moved
from studio_pipeline.training.judge.noise import grid, smooth_noise

__all__ = ["HEAD_OF", "KINDS", "LEAST_CHANGED", "SEVERITIES", "collapse", "melting"]

HEAD_OF = {
    "melting": "limbs",
    "limbs": "limbs",
    "lines": "lines",
    "tearing": "motion",
    "scramble": "topology",
    "identity": "topology",
}
"""The head that a kind of collapse belongs to."""

KINDS = tuple(HEAD_OF)
SEVERITIES = (1, 2, 3)
LEAST_CHANGED = 0.006
"""Default of `collapse`'s ``least``."""


def collapse(kind: str, layers: Layers, severity: int, seed: int, *, least: float = LEAST_CHANGED) -> np.ndarray | None:
    """The clip collapsed. [T, H, W, 3] uint8 sRGB; None where this kind cannot happen to this clip.

    Args:
        kind: One of `KINDS`.
        layers: The sound clip.
        severity: 1, 2 or 3.
        seed: The same seed gives the same collapse.
        least: Share of the subject's pixels, over all frames, that must change by more than 16 levels; less is no
            collapse that anybody could see.
    """
    made: Callable[[Layers, int, np.random.Generator], np.ndarray | None] = {
        "melting": melting,
        "limbs": limbs,
        "lines": broken_lines,
        "tearing": tearing,
        "scramble": scramble,
        "identity": identity,
    }[kind]
    frames = made(layers, severity, np.random.default_rng([seed, KINDS.index(kind), severity]))
    if frames is None:
        return None
    changed = np.abs(frames.astype(np.int16) - flatten(layers)).max(-1) > 16
    return frames if changed.sum() >= least * (layers.alpha > 0.5).sum() else None


def melting(layers: Layers, severity: int, rng: np.random.Generator) -> np.ndarray:
    """The subject flows: a low-frequency warp that grows in time and doesn't follow the motion."""
    count, shape, extent = len(layers.alpha), layers.alpha.shape[1:], layers.extent
    reach = (0.035, 0.06, 0.1)[severity - 1] * extent * rng.uniform(0.9, 1.15)
    begin, turn = rng.integers(0, max(1, count // 4)), rng.uniform(0.5, 1.5) * rng.choice([-1.0, 1.0])
    fields = [smooth_noise(rng, shape, extent / rng.uniform(3.0, 5.5)) for _ in range(4)]
    rows, columns = grid(shape)
    parts: dict[str, list[np.ndarray]] = {"colour": [], "alpha": [], "bones": [], "faces": []}
    for index in range(count):
        grown = np.clip((index - begin) / max(1, 0.75 * (count - 1 - begin)), 0.0, 1.0) ** 0.8
        angle = turn * index / count
        down = np.cos(angle) * fields[0] + np.sin(angle) * fields[1]
        right = np.cos(angle) * fields[2] + np.sin(angle) * fields[3]
        frame = moved(layers, index, rows + reach * grown * down, columns + reach * grown * right)
        for name, values in frame.items():
            parts[name].append(values)
    return flatten(layers.but(**{name: np.stack(values) for name, values in parts.items()}))
