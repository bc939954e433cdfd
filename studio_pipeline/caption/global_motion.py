"""How the picture as a whole moves: corners are tracked, most agree on a similarity, the rest is the subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.caption.footage import Footage

__all__ = ["GlobalMotion", "global_motion"]

_CORNERS = 220
_LEAST = 10  # corners that must agree
_LEAST_SHARE = 0.35  # of the tracked corners
_ALIKE = 0.7  # of the surroundings' contrast, that they may differ afterwards: noise differs by more
_ROUND_TRIP = 0.7  # px that a track may miss its start by, there and back
_AGREE = 1.2  # px
_STANDS = 0.12  # px: as many corners that move less as fit a move: nothing moved
_GRADIENT = 0.9  # grey levels a pixel, rms about a corner in its weaker direction: a codec's noise has less
_LK = {"winSize": (15, 15), "maxLevel": 4}


@dataclass(frozen=True, kw_only=True)
class GlobalMotion:
    """Per pair of frames a similarity: shift at the picture's centre, rotation and scale. NaN where nothing tells."""

    shift: np.ndarray  # [T - 1, 2] float64, shares of the picture's width (both), content to the right and down
    scale: np.ndarray  # [T - 1] float64, natural logarithm, content grows where positive
    roll: np.ndarray  # [T - 1] float64 rad, content turns clockwise where positive
    agreed: np.ndarray  # [T - 1] float64, share of tracked corners that move so; 0 where nothing tells
    spread: np.ndarray  # [T - 1] float64, standard deviation of the agreeing corners' rest [px]
    still: np.ndarray  # [T - 1] bool, the picture outside the subject did not change at all
    cuts: tuple[int, ...]  # indices of frames that begin another shot
    matrices: np.ndarray  # [T - 1, 2, 3] float64, from frame t to t + 1, small pixels; identity where nothing tells

    @property
    def known(self) -> np.ndarray:
        """Where the motion is known. [T - 1] bool"""
        return np.isfinite(self.scale)


def global_motion(footage: Footage, subject: np.ndarray | None = None) -> GlobalMotion:
    """Motion of the background between neighbouring frames.

    Args:
        footage: The clip.
        subject: Where the subject is [T, h, w] bool, at the small size; corners there are left out.
    """
    count = max(footage.count - 1, 0)
    width, height = footage.size
    rows = [_pair(footage, t, None if subject is None else subject[t] | subject[t + 1]) for t in range(count)]
    matrices = np.array([np.eye(2, 3) if row[0] is None else row[0] for row in rows]).reshape(-1, 2, 3)
    known = np.array([row[0] is not None for row in rows], bool)
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    moved = matrices[:, :, :2] @ centre + matrices[:, :, 2] - centre
    blank = np.where(known, 0.0, np.nan)
    return GlobalMotion(
        shift=moved / width + blank[:, None],
        scale=0.5 * np.log(np.maximum(np.linalg.det(matrices[:, :, :2]), 1e-9)) + blank,
        roll=np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]) + blank,
        agreed=np.array([row[1] for row in rows]),
        spread=np.array([row[2] for row in rows]),
        still=np.array([row[3] for row in rows], bool),
        cuts=_cuts(footage),
        matrices=matrices,
    )


def _pair(footage: Footage, t: int, subject: np.ndarray | None) -> tuple[np.ndarray | None, float, float, bool]:
    """Similarity from frame t to t + 1, share of corners that agree, their spread, whether nothing changed."""
    import cv2

    before, after = footage.grey[t], footage.grey[t + 1]
    free = np.full(before.shape, 255, np.uint8)
    if subject is not None:
        free[cv2.dilate(subject.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 0
    change = np.abs(before.astype(np.int16) - after)[free > 0]
    still = bool(len(change) > 200 and np.percentile(change, 99) <= 2.0)
    start = _corners(before, free)
    if len(start) < _LEAST:
        return None, 0.0, 0.0, still
    there, found, differ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **_LK)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **_LK)
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0)
    good &= np.linalg.norm((back - start)[:, 0], axis=1) < _ROUND_TRIP
    good &= differ[:, 0] < _ALIKE * _contrast(before, start)
    start, there = start[good, 0], there[good, 0]
    if len(start) < _LEAST:
        return None, 0.0, 0.0, still
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.estimateAffinePartial2D(start, there, ransacReprojThreshold=_AGREE, maxIters=500)
    if matrix is None or inliers.sum() < max(_LEAST, _LEAST_SHARE * len(start)):
        return None, 0.0, 0.0, still
    away = np.linalg.norm(there - start, axis=1)
    miss = np.linalg.norm(there - start @ matrix[:, :2].T - matrix[:, 2], axis=1)
    if (away < _STANDS).sum() >= max(_LEAST, 0.9 * (miss < _STANDS).sum()):
        matrix, miss = np.eye(2, 3), away  # what moves is not the background
        inliers = (away < _AGREE)[:, None]
    rest = (there - start @ matrix[:, :2].T - matrix[:, 2])[inliers[:, 0] > 0]
    return matrix, float(inliers.mean()), float(rest.std()), still


def _contrast(grey: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Standard deviation of the surroundings of points [N, 1, 2], grey levels. [N]"""
    import cv2

    value = grey.astype(np.float32)
    mean, square = (cv2.boxFilter(x, -1, _LK["winSize"]) for x in (value, value * value))
    where = np.round(points[:, 0]).astype(int)
    return np.sqrt(np.maximum(square - mean * mean, 0.0))[where[:, 1], where[:, 0]]


def _corners(grey: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Corners [N, 1, 2] float32 that are more than noise, spread over the picture."""
    import cv2

    corners = cv2.goodFeaturesToTrack(grey, _CORNERS, 0.002, 4, mask=free, blockSize=5)
    if corners is None:
        return np.zeros((0, 1, 2), np.float32)
    strength = cv2.cornerMinEigenVal(grey.astype(np.float32), 5, ksize=3)  # 4 x mean squared gradient, by its scale
    where = np.round(corners[:, 0]).astype(int)
    return np.ascontiguousarray(corners[strength[where[:, 1], where[:, 0]] > 4.0 * _GRADIENT**2])


def _cuts(footage: Footage) -> tuple[int, ...]:
    """Frames whose colours and layout have nothing to do with the frame before, but go on afterwards."""
    import cv2

    tiny = np.stack([cv2.resize(frame, (16, 12), interpolation=cv2.INTER_AREA) for frame in footage.small])
    tiny = tiny.reshape(len(tiny), -1).astype(np.float64)
    if len(tiny) < 4:
        return ()
    step = np.abs(np.diff(tiny, axis=0)).mean(1)
    usual = np.median(step)
    found = []
    for t in np.flatnonzero(step > max(24.0, 6.0 * usual)) + 1:
        before, after = tiny[max(t - 3, 0) : t].mean(0), tiny[t : t + 3].mean(0)
        steady = step[t : t + 2].max(initial=0.0) < 0.35 * step[t - 1]
        if steady and np.abs(before - after).mean() > 0.7 * step[t - 1]:
            found.append(int(t))
    return tuple(found)
