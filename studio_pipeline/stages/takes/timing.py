"""Accents of ``motion.accent``: how performance time runs, and how joint curves anticipate, overshoot and drag."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from scipy.ndimage import gaussian_filter1d

from studio_pipeline.geometry.bodyparts import BodyPlan

__all__ = ["CURVES", "TIMES", "drifting", "retimed", "shaped"]

_SIGMA_S = 0.075  # [s], width of the filter that sees a movement begin and end
_LAG_S = 0.06  # [s] by which each joint of a loose chain follows the one before


def retimed(seconds: np.ndarray, accents: Collection[str]) -> np.ndarray:
    """Performance time [T] s under the accents of `TIMES` that are asked for."""
    for name, warp in TIMES.items():
        if name in accents:
            seconds = warp(seconds)
    return seconds


def _in_beats(seconds: np.ndarray, beat: float, curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    u = seconds / beat
    return (np.floor(u) + curve(u - np.floor(u))) * beat


def _smooth(u: np.ndarray) -> np.ndarray:
    u = np.clip(u, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _snap(seconds: np.ndarray) -> np.ndarray:
    """In-betweens crowd at the ends of every half second, the change between is sudden."""
    return _in_beats(seconds, 0.5, lambda u: 0.12 * u + 0.88 * _smooth(_smooth(u)))


def _ease(seconds: np.ndarray) -> np.ndarray:
    """The whole action sets in slowly and ends slowly."""
    total = max(float(seconds[-1]), 1e-9)
    return total * (0.2 * seconds / total + 0.8 * _smooth(seconds / total))


def _moving_hold(seconds: np.ndarray) -> np.ndarray:
    """Each pose is reached in the first third of its time and drifts on for the rest."""
    return _in_beats(seconds, 0.8, lambda u: 0.84 * _smooth(u / 0.36) + 0.16 * u)


TIMES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"ease": _ease, "moving_hold": _moving_hold, "snap": _snap}
"""Accents that change how performance time runs."""


def drifting(seconds: np.ndarray) -> np.ndarray:
    """How far a pose that is held has drifted, 0 at the start. [T]"""
    return np.sin(2.0 * np.pi * seconds / 3.1) + 0.4 * np.sin(2.0 * np.pi * seconds / 1.3)


def shaped(curves: np.ndarray, plan: BodyPlan, accents: Collection[str], fps: float) -> np.ndarray:
    """Joint curves [T, J, 3] (rotation vectors) under the accents of `CURVES` that are asked for."""
    for name, shape in CURVES.items():
        if name in accents:
            curves = shape(curves, plan, fps)
    return curves


def _bent(curves: np.ndarray, fps: float, *, strength: float, early: bool) -> np.ndarray:
    """The cartoon animation filter (Wang, Drucker, Agrawala, Cohen 2006), its two halves apart.

    A curve less its smoothed second derivative goes against a movement before it begins and past its goal at its
    end. Taken where the curve gathers speed and shifted earlier it is anticipation; where it loses speed and shifted
    later, overshoot.
    """
    sigma = _SIGMA_S * fps
    padded = np.concatenate([np.repeat(curves[:1], 8, 0), curves])
    bend = gaussian_filter1d(padded, sigma, axis=0, order=2, mode="nearest") * sigma**2
    speed = np.linalg.norm(gaussian_filter1d(padded, sigma, axis=0, order=1, mode="nearest"), axis=-1)
    gathers = np.gradient(speed, axis=0) > 0.0
    chosen = np.where((gathers == early)[..., None], bend, 0.0)
    chosen = gaussian_filter1d(chosen, 0.5 * sigma, axis=0, mode="nearest")
    shift = round(1.4 * sigma) * (-1 if early else 1)
    moved = np.zeros_like(chosen)
    if shift < 0:
        moved[:shift] = chosen[-shift:]
    else:
        moved[shift:] = chosen[:-shift] if shift else chosen
    return curves - strength * moved[8:]


def _anticipation(curves: np.ndarray, plan: BodyPlan, fps: float) -> np.ndarray:
    return _bent(curves, fps, strength=1.7, early=True)


def _overshoot(curves: np.ndarray, plan: BodyPlan, fps: float) -> np.ndarray:
    return _bent(curves, fps, strength=1.9, early=False)


def _follow_through(curves: np.ndarray, plan: BodyPlan, fps: float) -> np.ndarray:
    """Arms, head, tails, wings and loose parts arrive later than the body, the farther out the later."""
    count = len(curves)
    index = np.arange(count, dtype=np.float64)
    result = curves.copy()
    limbs = [limb.joints for pair in (*plan.arms, *plan.wings) for limb in pair]
    chains = [*limbs, *(limb.joints for limb in (*plan.tails, *plan.loose)), plan.head]
    for chain in chains:
        for depth, joint in enumerate(chain[:5]):
            late = index - _LAG_S * fps * (depth + 1.0)
            low = np.clip(np.floor(late).astype(int), 0, count - 1)
            high = np.clip(low + 1, 0, count - 1)
            share = np.clip(late - low, 0.0, 1.0)[:, None]
            result[:, joint] = curves[low, joint] * (1.0 - share) + curves[high, joint] * share
    return _bent(result, fps, strength=0.6, early=False)


CURVES: dict[str, Callable[[np.ndarray, BodyPlan, float], np.ndarray]] = {
    "follow_through": _follow_through, "anticipation": _anticipation, "overshoot": _overshoot,
}  # fmt: skip
"""Accents that change the curves of joints."""
