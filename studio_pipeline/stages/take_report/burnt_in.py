"""Burnt-in text: captions, watermarks, logos - what stands still over a clip and looks like a line of letters.

Classical vision finds rows of at least four strokes of like height that stay where they are in every frame and aren't
part of what the rest picture shows. It reads nothing. Single letters, text that moves with the scene, writing in
touching letters larger than a sixth of the picture and faint watermarks (under about 20 levels) are not found.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.stages.take_report.filters import Filter

__all__ = ["text_boxes", "text_filter"]

_CONTRAST = 20.0  # 8-bit levels between a stroke and what is around it
_SIDE = 512  # longest side at which letters are looked for [px]
_HEIGHTS = (6.0, 90.0)  # of a letter at that size [px]
_LEAST_LETTERS = 4


def text_filter(frames: np.ndarray, subject: np.ndarray | None = None, *, fails: bool = False) -> Filter:
    """Whether something like a line of text is burnt into a clip (see `text_boxes`)."""
    boxes = text_boxes(frames, subject)
    if not boxes:
        return Filter("text", True, 0.0, "no row of still, letter-like strokes is found", fails)
    x, y, width, height = boxes[0]
    message = f"{len(boxes)} rows of still, letter-like strokes, the longest at x {x}, y {y}, {width} x {height} px"
    return Filter("text", False, float(len(boxes)), message, fails)


def text_boxes(frames: np.ndarray, subject: np.ndarray | None = None) -> list[tuple[int, int, int, int]]:
    """Where letter-like strokes stand in a row, still over the whole clip, the longest row first.

    Args:
        frames: The clip. [T, H, W, 3] uint8
        subject: Where the shot's own character is at index 0, which may well have such strokes. [H, W] bool

    Returns:
        x, y, width, height of each row [px].
    """
    import cv2

    scale = min(1.0, _SIDE / max(frames.shape[1:3]))
    size = (max(1, round(frames.shape[2] * scale)), max(1, round(frames.shape[1] * scale)))
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(8, len(frames))).round().astype(int))
    grays = [
        cv2.cvtColor(cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for i in chosen
    ]
    still = np.ptp(np.stack(grays).astype(np.int16), axis=0) <= _CONTRAST
    kernel = np.ones((13, 13), np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):  # light on dark, dark on light
        always = np.min([cv2.morphologyEx(gray, operation, kernel) for gray in grays], axis=0)
        strokes = (always > _CONTRAST) & still
        if subject is not None:
            own = cv2.resize(subject.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
            strokes &= ~cv2.dilate(own, kernel).astype(bool)
        boxes += _rows(strokes.astype(np.uint8))
    boxes.sort(key=lambda box: -box[2])
    return [tuple(round(value / scale) for value in box) for box in boxes]  # pyright: ignore[reportReturnType]


def _rows(strokes: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Rows of letter-like components of a picture of strokes [h, w] uint8."""
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    letters = [
        (int(x), int(y), int(w), int(h))
        for x, y, w, h, area in stats[1:count]
        if _HEIGHTS[0] <= h <= _HEIGHTS[1] and w <= 2.2 * h and 0.12 <= area / (w * h) <= 0.95 and area >= 8
    ]
    letters.sort()
    rows: list[list[tuple[int, int, int, int]]] = []
    for letter in letters:
        row = next((row for row in rows if _goes_on(row, letter)), None)
        rows.append([letter]) if row is None else row.append(letter)
    return [_around(row) for row in rows if len(row) >= _LEAST_LETTERS and len({item[2] for item in row}) > 1]


def _goes_on(row: list[tuple[int, int, int, int]], letter: tuple[int, int, int, int]) -> bool:
    """Whether a letter stands next in a row: same base or top line, like height, not far off."""
    x, y, _, height = letter
    last_x, last_y, last_width, last_height = row[-1]
    tall = float(np.median([item[3] for item in row]))
    level = min(abs((y + height) - (last_y + last_height)), abs(y - last_y)) <= 0.3 * tall
    gap = x - (last_x + last_width)
    return level and 0.45 <= height / tall <= 2.2 and -0.3 * tall <= gap <= 1.6 * tall


def _around(row: list[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    left, top = min(item[0] for item in row), min(item[1] for item in row)
    right, bottom = max(item[0] + item[2] for item in row), max(item[1] + item[3] for item in row)
    return left, top, right - left, bottom - top
