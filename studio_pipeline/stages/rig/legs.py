"""Joints of a leg that stands: hip, knee and ankle by its axis and its bends, toes where the foot points forward."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.bodytree import Line
from studio_pipeline.geometry.branches import cut_near

__all__ = ["hip_of", "leg_joints"]

_KNEE, _KNEE_HOCK = (0.5,), (0.42, 0.78)  # of the way from hip to ankle: of bipeds, of beasts
_ANKLE = 1.2  # of the foot's thickness: how high above the tip's middle the ankle is ...
_LOWEST, _BIPED_HIGHEST, _BEAST_HIGHEST = 0.05, 0.22, 0.14  # ... within these shares of the leg's height
_SLENDER = 6.0  # radii: a shorter shank has no hock and no toes
_TOES = 0.17  # of the leg's height: a foot that reaches farther forward has toes, ...
_BALL = 0.6  # ... which begin this share of it from the ankle
_SPREAD = 0.35  # most that a leg's axis leans aside for its height


def hip_of(line: Line, begin: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The hip: on the leg's axis, drawn on upwards to a height. [3]

    Args:
        line: From the trunk's middle to the tip of the foot.
        begin: Where the leg begins on it [3].
        middle: A place of the wanted height and depth (y, z) [3].
    """
    drop = float(begin[1] - line.points[-1, 1])
    if drop < 0.5 * line.length:
        return begin
    height = line.points[:, 1] - line.points[-1, 1]
    upper, lower = (line.points[np.argmin(np.abs(height - share * drop))] for share in (0.66, 0.4))
    slope = (upper[0] - lower[0]) / max(upper[1] - lower[1], 1e-9)
    aside = upper[0] + float(np.clip(slope, -_SPREAD, _SPREAD)) * (middle[1] - upper[1])
    return np.array([np.clip(aside, *sorted((begin[0], 1.15 * upper[0]))), middle[1], middle[2]])


def leg_joints(line: Line, begin: np.ndarray, hip: np.ndarray, *, beast: bool, shortest: float) -> np.ndarray:
    """Joints of a leg from its hip, and the tip of its foot. [N, 3]

    Args:
        line: From the trunk's middle to the tip.
        begin: Where the leg begins on it [3].
        hip: The hip [3].
        beast: One of four legs, which has a hock.
        shortest: Length from hip to ankle below which there is no knee.
    """
    drop = max(float(begin[1] - line.points[-1, 1]), 1e-9)
    height = line.points[:, 1] - line.points[-1, 1]
    foot = float(line.radius[-len(line.radius) // 5 :].max())
    low = float(np.clip(_ANKLE * foot, _LOWEST * drop, (_BEAST_HIGHEST if beast else _BIPED_HIGHEST) * drop))
    last = _last_above(height, low, len(height) - 2)
    first = min(_last_above(height, 0.7 * drop, 0), last - 1)
    ankle = _ankle(line, height, low, last)
    way = np.concatenate([[hip], line.points[max(first, 1) : last], [ankle]])
    thick = float(np.median(line.radius[max(first, 0) : last + 1]))
    shank = Line(points=way, radius=np.full(len(way), thick))
    shank = shank.piece(0.0, shank.length)
    slender = shank.length > _SLENDER * thick
    shares = () if shank.length < shortest else _KNEE_HOCK if beast and slender else _KNEE
    points = list(shank.points[cut_near(shank.points, shank.radius, shares)])
    sole = float(np.hypot(*(line.points[-1] - ankle)[[0, 2]]))
    if slender and sole > _TOES * drop and sole > 1.5 * foot:
        points.append(ankle + _BALL * (line.points[-1] - ankle))
    return np.stack([*points, line.points[-1]])


def _last_above(height: np.ndarray, level: float, otherwise: int) -> int:
    """Index of the last point above a level."""
    above = np.flatnonzero(height > level)
    return int(above[-1]) if len(above) else otherwise


def _ankle(line: Line, height: np.ndarray, low: float, last: int) -> np.ndarray:
    """The ankle: the shank's axis drawn on downwards, as the path itself already turns into the foot. [3]"""
    levels = low + np.array([0.34, 0.12]) * float(height.max())
    upper, lower = (line.points[np.argmin(np.abs(height[: last + 1] - level))] for level in levels)
    fall = max(float(upper[1] - lower[1]), 1e-9)
    down = max(float(lower[1] - line.points[-1, 1] - low), 0.0) / fall
    return 0.7 * (lower + (lower - upper) * min(down, 1.0)) + 0.3 * line.points[last]
