"""Is a take usable: neither collapsed (black, blown out, empty, the subject gone) nor frozen. From pixels only."""

from __future__ import annotations

import itertools

import numpy as np

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.directives import Directives
from studio_pipeline.stages.base import Verdict

__all__ = ["judge"]

_CHANGED = 14.0  # 8-bit levels; codecs change less
_LEAST_MOVED = 0.01  # of the subject's area
_LEAST_AREA = 0.2  # of the subject's area at index 0
_SETTLE = 7  # frames of rest and easing in, before which nobody expects to see a movement
_FLAT = 1.5  # 8-bit levels, standard deviation of an empty picture


def judge(clip: Clip, directives: Directives) -> tuple[dict[str, float | int | str | bool], tuple[Verdict, ...]]:
    """Figures and verdicts of a clip; whether it had to move is said by the directives."""
    area, shares = _subject(clip)
    # Nobody looks for the character in what it sees itself.
    lost = (shares < _LEAST_AREA) & (directives.get("camera.angle") != "subjective")
    bad = _bad_frames(clip.frames) | lost
    moved, still = _movement(clip.frames, area)
    allowed = max(1, clip.frame_count // 20)
    performance = directives.get("motion.performance") or "idle"
    must_move = _must_move(directives) and clip.frame_count > _SETTLE
    figures: dict[str, float | int | str | bool] = {
        "takes": 1,
        "frames": clip.frame_count,
        "motion_energy": round(moved, 4),
        "still_run": still,
        "bad_frames": int(bad.sum()),
        "area_min": round(float(shares.min()), 4),
    }
    where = f", first at index {int(np.argmax(bad))}" if bad.any() else ""
    return figures, (
        Verdict(
            "not_collapsed",
            int(bad.sum()) <= allowed and not bad[0],
            f"{int(bad.sum())} of {clip.frame_count} frames are black, blown out, empty or without the subject{where}; "
            f"at most {allowed}",
        ),
        Verdict(
            "not_frozen",
            moved >= _LEAST_MOVED or clip.frame_count == 1,
            f"{moved:.1%} of the subject changes, at least {_LEAST_MOVED:.0%} for {performance!r}",
            blocking=must_move,
        ),
    )


def _must_move(directives: Directives) -> bool:
    """Whether somebody asked for a movement; the taxonomy's default (idling) may be too small to see."""
    asked = [
        value for value in directives.values() if value.field == "motion.performance" and value.origin != "default"
    ]
    return any(value.value != "hold" for value in asked)


def _subject(clip: Clip) -> tuple[float, np.ndarray]:
    """The subject's area at index 0 [px] and, per frame, what is left of it. [T]"""
    if clip.alpha is not None and (clip.alpha[0] > 127).any():
        areas = (clip.alpha > 127).sum((1, 2)).astype(np.float64)
        return float(areas[0]), areas / areas[0]
    # Without a mask: detail that is gone means that the subject is gone.
    detail = np.array([_detail(frame) for frame in clip.frames])
    return 0.1 * clip.frames.shape[1] * clip.frames.shape[2], detail / max(float(detail[0]), 1e-6)


def _detail(frame: np.ndarray) -> float:
    """Mean step between neighbouring pixels, without the slow change of a gradient."""
    gray = frame.astype(np.float32).mean(-1)
    across = np.abs(np.diff(gray, axis=1))[1:], np.abs(np.diff(gray, axis=0))[:, 1:]
    return float(sum(np.where(step > 3.0, step, 0.0).mean() for step in across)) + 1e-3


def _bad_frames(frames: np.ndarray) -> np.ndarray:
    """Frames that are black, blown out or one flat colour. [T] bool"""
    bad = []
    for frame in frames:
        gray = frame.astype(np.float32).mean(-1)
        bad.append(gray.std() < _FLAT or gray.mean() < 3.0 or gray.mean() > 252.5)
    return np.array(bad)


def _movement(frames: np.ndarray, area: float) -> tuple[float, int]:
    """Largest changed area against index 0 over ``area``, and the longest run of equal frames."""
    first = frames[0].astype(np.int16)
    moved, run, longest = 0.0, 1, 1
    for before, frame in itertools.pairwise(frames):
        changed = (np.abs(frame.astype(np.int16) - first).max(-1) > _CHANGED).sum()
        moved = max(moved, float(changed) / max(area, 1.0))
        same = np.abs(frame.astype(np.int16) - before.astype(np.int16)).max() <= 2
        run = run + 1 if same else 1
        longest = max(longest, run)
    return moved, longest
