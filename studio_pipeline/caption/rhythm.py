"""For how many frames a drawing is held: the subject is laid on its own last frame, and is the same drawing or another.

The camera may move on ones while the drawing is held, so the two are registered first; a codec's noise is not a new
drawing, so the frames are compared with each other and with the clip's own noise.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.global_motion import GlobalMotion
from studio_pipeline.caption.readings import Reading, sure
from studio_pipeline.caption.subject import Subject

__all__ = ["drawing_changes", "rhythm"]

_FIELD = "motion.timing"
_NAMES = {1: "ones", 2: "twos", 3: "threes", 4: "fours"}
_NOISE = 1.2  # grey levels: what a codec changes in a held drawing, rms
_FITS = 0.42  # of the change between holds: less within them is none
_HELD = 0.3  # of a usual change: less is none


def drawing_changes(footage: Footage, motion: GlobalMotion, subject: Subject) -> np.ndarray:
    """How much the drawing changes from each frame to the next, rms grey levels over the subject. [T - 1]"""
    import cv2

    changes = np.zeros(max(footage.count - 1, 0))
    for t in range(len(changes)):
        before, after = footage.grey[t], footage.grey[t + 1]
        where = (subject.masks[t] | subject.masks[t + 1]) if subject.trust else np.ones(before.shape, bool)
        if not where.any():
            continue
        soft = [cv2.GaussianBlur(picture, (3, 3), 0).astype(np.float32) for picture in (before, after)]
        rests = [soft[1]]
        for matrix in (motion.matrices[t], _own(before, after, where)):
            if matrix is not None and np.abs(matrix - np.eye(2, 3)).max() > 1e-3:
                rests.append(_back(soft[1], matrix))
        inner = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        inner = inner if inner.sum() > 20 else where
        changes[t] = min(float(np.sqrt(((rest - soft[0])[inner] ** 2).mean())) for rest in rests)
    return changes


def _back(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The picture as it was before ``matrix`` [2, 3] moved it."""
    import cv2

    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)


def _own(before: np.ndarray, after: np.ndarray, where: np.ndarray) -> np.ndarray | None:
    """The similarity that carries the subject from one frame to the next, were it the same drawing."""
    import cv2

    corners = cv2.goodFeaturesToTrack(before, 80, 0.01, 3, mask=where.astype(np.uint8) * 255, blockSize=3)
    if corners is None or len(corners) < 6:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(11, 11), maxLevel=3)
    good = found[:, 0] > 0
    if good.sum() < 6:
        return None
    cv2.setRNGSeed(0)
    return cv2.estimateAffinePartial2D(corners[good, 0], there[good, 0], ransacReprojThreshold=0.8)[0]


def rhythm(changes: np.ndarray, fps: float) -> Reading:
    """Ones to fours, from `drawing_changes`; abstains where nothing moves or too little is seen."""
    count = len(changes)
    measures: dict[str, float | int | str] = {}
    if count < 4:
        return Reading(looked_at=(_FIELD,))
    noise = float(np.percentile(changes, 10))
    usual = float(np.percentile(changes, 85))
    held = changes < max(_HELD * usual, 1.5 * min(noise, _NOISE))
    runs = np.diff(np.flatnonzero(np.concatenate([[True], ~held, [True]])))
    measures["held_share"] = round(float(held.mean()), 4)
    measures["longest_hold_frames"] = int(runs.max())
    measures["drawing_change_levels"] = round(usual, 3)
    measures["drawings_per_s"] = round(float((~held).sum() / count * fps), 3)
    scores = {n: _periodic(changes, n) for n in (2, 3, 4)}
    for n, score in scores.items():
        measures[f"held_on_{_NAMES[n]}_ratio"] = round(score, 4)
    if usual < _NOISE:
        return Reading(looked_at=(_FIELD,), measures=measures)
    fits = [n for n in (4, 3, 2) if scores[n] < _FITS]
    best = fits[0] if fits else 1
    seen = sure(float((~held).sum()), 0.0, 4.0)
    clear = sure(scores[best], 0.55, 0.1) if best > 1 else sure(min(scores.values()), 0.35, 0.65)
    confidence = (0.4 + 0.6 * clear) * (0.5 + 0.5 * seen)
    return Reading(looked_at=(_FIELD,), values={_FIELD: {_NAMES[best]: confidence}}, measures=measures)


def _periodic(changes: np.ndarray, n: int) -> float:
    """Change within holds of ``n`` frames over change between them, at the best phase; small where they are held.

    The most changing place within the holds counts: what is held for two frames is not held for four.
    """
    lifted = np.maximum(changes - float(np.percentile(changes, 5)), 0.0)
    ratios = []
    for phase in range(n):
        places = [lifted[(phase + k) % n :: n] for k in range(n)]
        if all(len(place) for place in places):
            high = [float(np.percentile(place, 75)) for place in places]  # an effect that flashes by is no drawing
            ratios.append(max(high[1:]) / max(float(np.median(places[0])), 0.3))
    return min(ratios, default=1.0)
