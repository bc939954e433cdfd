"""Automated filters: what disqualifies a take before anybody judges its drawing. From pixels only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.stages.takes.checks import judge

__all__ = ["Filter", "cut_filter", "flicker_filter", "usable_filters"]

_SIDE = 64  # longest side of the pictures in which scene changes are looked for [px]
_BLOCK = 8  # side of a block there [px]
_REACH = 12  # how far a block may have moved between two frames [px]
_UNMATCHED = 9.0  # 8-bit levels a pixel by which a block differs from every place it may have come from
_CUT_SHARE = 0.5  # of the blocks that must be new for a scene to have changed
_FLICKER_LEVELS = 2.0  # 8-bit levels by which a frame is brighter or darker than its two neighbours
_FLICKER_SHARE = 0.4  # of all frames


@dataclass(frozen=True)
class Filter:
    """What one filter says of one take."""

    name: str
    passed: bool
    value: float
    message: str  # one line: the figure, the bound, where
    fails: bool = True  # a take that doesn't pass fails; otherwise it loses score and is told


def usable_filters(clip: Clip, directives: Directives) -> list[Filter]:
    """The gates of `takes.checks`, for this take alone: frozen, and black, empty or without its subject."""
    figures, verdicts = judge(clip, directives)
    by_name = {verdict.name: verdict for verdict in verdicts}
    collapsed, frozen = by_name["not_collapsed"], by_name["not_frozen"]
    return [
        Filter("black", collapsed.passed, float(figures["bad_frames"]), collapsed.message, collapsed.blocking),
        Filter("frozen", frozen.passed, float(figures["motion_energy"]), frozen.message, frozen.blocking),
    ]


def cut_filter(frames: np.ndarray) -> Filter:
    """Whether the scene changes: from one frame to the next most blocks are new and stay new, and only there.

    An impact frame or a flash returns to what was before and is none; neither is a camera that moves by less than a
    fifth of the picture in a frame. Where several steps in a row bring a new picture (a whip pan, a fade, rain that
    covers everything) it is the motion that is fast, not the scene that changes.

    Args:
        frames: The take. [T, H, W, 3] uint8
    """
    small = _small(frames)
    steps = np.array([0.0, *(_new_share(a, b) for a, b in itertools.pairwise(small))])
    shares = np.zeros(len(small))
    for index, share in enumerate(steps):
        beside = [steps[other] for other in (index - 1, index + 1) if 1 <= other < len(steps)]
        if share < _CUT_SHARE or max(beside, default=0.0) >= 0.5 * share:
            continue
        # What stays: the frames around it don't find each other either.
        around = [
            _new_share(small[max(index - 1 - lag, 0)], small[min(index + lag, len(small) - 1)]) for lag in (1, 2, 3)
        ]
        shares[index] = min(share, *around)
    worst = int(np.argmax(shares)) if len(shares) else 0
    value = float(shares.max(initial=0.0))
    where = f", at index {worst}" if value >= _CUT_SHARE else ""
    message = (
        f"{value:.0%} of the picture is new and stays so from one frame to the next{where}; under {_CUT_SHARE:.0%}"
    )
    return Filter("cut", value < _CUT_SHARE, round(value, 4), message)


def flicker_filter(frames: np.ndarray) -> Filter:
    """Whether the picture's brightness jumps up and down all the time; flashes and impact frames are few.

    Args:
        frames: The take. [T, H, W, 3] uint8
    """
    light = _small(frames).astype(np.float64).mean((1, 2, 3))
    jump = np.abs(light[1:-1] - 0.5 * (light[:-2] + light[2:])) if len(light) > 2 else np.zeros(1)
    share = float((jump > _FLICKER_LEVELS).mean())
    return Filter(
        "flicker",
        share < _FLICKER_SHARE,
        round(share, 4),
        f"{share:.0%} of the frames are brighter or darker than both neighbours by {_FLICKER_LEVELS:g} levels or more; "
        f"under {_FLICKER_SHARE:.0%}",
    )


def _small(frames: np.ndarray) -> np.ndarray:
    import cv2

    scale = min(1.0, _SIDE / max(frames.shape[1:3]))
    size = (max(_BLOCK, round(frames.shape[2] * scale)), max(_BLOCK, round(frames.shape[1] * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _new_share(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the blocks of ``after`` that lie nowhere near in ``before``. Both [h, w, 3] uint8."""
    import cv2

    old = cv2.copyMakeBorder(before, _REACH, _REACH, _REACH, _REACH, cv2.BORDER_REPLICATE).astype(np.float32)
    new = after.astype(np.float32)
    differences = []
    for top in range(0, after.shape[0] - _BLOCK + 1, _BLOCK):
        for left in range(0, after.shape[1] - _BLOCK + 1, _BLOCK):
            block = new[top : top + _BLOCK, left : left + _BLOCK]
            near = old[top : top + _BLOCK + 2 * _REACH, left : left + _BLOCK + 2 * _REACH]
            squares = float(cv2.matchTemplate(near, block, cv2.TM_SQDIFF).min())
            differences.append(np.sqrt(max(squares, 0.0) / block.size))
    return float((np.array(differences) > _UNMATCHED).mean())
