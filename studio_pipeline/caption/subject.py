"""Where the subject is: the clip's own alpha, what differs from a plain backdrop, or what moves otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.global_motion import GlobalMotion

__all__ = ["Subject", "find_subject"]

_DIFFERS = 9.0  # Lab, from a plain backdrop
_PLAIN = 5.0  # Lab, median distance of the border from a smooth backdrop
_MOVES = 16.0  # Lab, from the background seen at other times
_AREA = (0.004, 0.97)  # of the picture


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The subject's mask; ``trust`` 0 says that none was found and the masks are empty."""

    masks: np.ndarray  # [T, h, w] bool, small pictures
    boxes: np.ndarray  # [T, 4] float64, left, top, right, bottom in shares of width and height; NaN where empty
    areas: np.ndarray  # [T] float64, shares of the picture
    trust: float  # 1 the clip's own alpha, less where it was found in the picture
    source: str  # "alpha", "backdrop", "motion" or "none"


def find_subject(footage: Footage, motion: GlobalMotion | None = None) -> Subject:
    """The subject by the clip's alpha or before a plain backdrop; with the background's ``motion``, by its own."""
    if footage.alpha is not None:
        return _subject(_shrunk(footage.alpha, footage.size), 1.0, "alpha")
    lab = _lab(footage.small)
    masks = _off_backdrop(lab) if motion is None else _off_background(lab, motion)
    if masks is not None and (found := _plausible(masks)) > 0.0:
        subject = _subject(masks, (0.8 if motion is None else 0.6) * found, "backdrop" if motion is None else "motion")
        if motion is None or _moves_alone(subject, motion, footage.size):
            return subject
    return _subject(np.zeros(footage.grey.shape, bool), 0.0, "none")


def _moves_alone(subject: Subject, motion: GlobalMotion, size: tuple[int, int]) -> bool:
    """Whether what was found by its movement isn't a piece of the background that goes along with it."""
    seen = np.isfinite(subject.boxes[:, 0])
    if seen.mean() < 0.7 or not motion.known.any():
        return False
    left, right = subject.boxes[seen, 0], subject.boxes[seen, 2]
    return not (float(np.median(left)) <= 0.0 or float(np.median(right)) >= 1.0) or abs(np.nansum(motion.shift)) < 0.05


def _shrunk(alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    return np.stack([cv2.resize(cover, size, interpolation=cv2.INTER_AREA) for cover in alpha]) > 127


def _subject(masks: np.ndarray, trust: float, source: str) -> Subject:
    count, height, width = masks.shape
    boxes = np.full((count, 4), np.nan)
    for t, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            boxes[t] = (
                columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
            )  # fmt: skip
    return Subject(masks=masks, boxes=boxes, areas=masks.mean((1, 2)), trust=trust, source=source)


def _lab(frames: np.ndarray) -> np.ndarray:
    """CIE Lab [T, h, w, 3] float32 of slightly softened pictures."""
    import cv2

    soft = (cv2.GaussianBlur(frame, (3, 3), 0) for frame in frames)
    return np.stack([cv2.cvtColor(frame.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB) for frame in soft])


def _off_backdrop(lab: np.ndarray) -> np.ndarray | None:
    """What differs from a smooth backdrop that the picture's border shows; None where the border isn't smooth."""
    count, height, width = lab.shape[:3]
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).reshape(-1, 6)
    rim = max(2, round(0.06 * min(height, width)))
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    ring = np.flatnonzero(border.reshape(-1))
    masks = np.zeros((count, height, width), bool)
    rough = []
    for t, picture in enumerate(lab.reshape(count, -1, 3)):
        weight = np.ones(len(ring))
        for _ in range(4):  # a subject that leaves the picture is on the border too
            weighed = terms[ring] * weight[:, None]
            fit = np.linalg.solve(weighed.T @ weighed + 1e-3 * np.eye(6), weighed.T @ (picture[ring] * weight[:, None]))
            away = np.linalg.norm(picture[ring] - terms[ring] @ fit, axis=1)
            weight = 1.0 / (1.0 + (away / 3.0) ** 2)
        rough.append(np.median(away))
        masks[t] = _tidy((np.linalg.norm(picture - terms @ fit, axis=1) > _DIFFERS).reshape(height, width))
    return masks if np.median(rough) < _PLAIN else None


def _off_background(lab: np.ndarray, motion: GlobalMotion) -> np.ndarray:
    """What differs from the background as other moments show it, once the camera's movement is taken out."""
    import cv2

    count, height, width = lab.shape[:3]
    size = ((width + 1) // 2, (height + 1) // 2)
    half = np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in lab])
    to_half = np.diag([0.5, 0.5, 1.0])
    path = [np.eye(3)]
    for matrix in motion.matrices:
        path.append(to_half @ np.vstack([matrix, [0.0, 0.0, 1.0]]) @ np.linalg.inv(to_half) @ path[-1])
    back = np.linalg.inv(np.stack(path))
    masks = np.zeros((count, height, width), bool)
    moments = np.unique(np.linspace(0, count - 1, min(count, 9)).round().astype(int))
    for t in range(count):
        seen = [cv2.warpAffine(half[s], (path[t] @ back[s])[:2], size, borderValue=(-999.0,) * 3) for s in moments]
        seen = np.stack(seen)
        known = (seen[..., 0] > -1.0).sum(0)
        middle = np.sort(np.where(seen > -200.0, seen, 1e6), axis=0)  # what lies outside is sorted last
        behind = np.take_along_axis(middle, np.maximum(known - 1, 0)[None, ..., None] // 2, axis=0)[0]
        away = np.where(known >= 3, np.linalg.norm(half[t] - behind, axis=-1), 0.0).astype(np.float32)
        masks[t] = _tidy(cv2.resize(away, (width, height)) > _MOVES)
    return masks


def _tidy(mask: np.ndarray) -> np.ndarray:
    """Without specks, with its holes closed: the largest piece and what is at least a fifth of it."""
    import cv2

    raw = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    raw = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(raw)
    if count < 2:
        return np.zeros(mask.shape, bool)
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.flatnonzero(areas >= 0.2 * areas.max()) + 1
    return np.isin(labels, kept)


def _plausible(masks: np.ndarray) -> float:
    """0..1: neither nothing nor everything, about as large from frame to frame."""
    areas = masks.mean((1, 2))
    usual = float(np.median(areas))
    if not _AREA[0] < usual < _AREA[1] * 0.75:
        return 0.0
    return float(np.mean(np.abs(areas / usual - 1.0) < 0.6))
