"""A training's curve as a picture, one small chart a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["draw_curves"]

_WIDTH, _HEIGHT, _MARGIN = 420, 220, (58, 16, 30, 34)  # of a chart; left, right, top, bottom
_PAPER, _INK, _FAINT, _CURVE = (252, 252, 250), (60, 60, 66), (222, 222, 220), (196, 110, 44)  # BGR
_X = "examples"


def draw_curves(path: Path, rows: Sequence[dict[str, Any]], *, leave_out: Sequence[str] = ()) -> None:
    """Write a PNG with every figure of a curve (`checkpoints.read_curve`) over the examples that were seen."""
    import cv2

    plain = {_X, "step", "minutes", "drawn", *leave_out}
    names = list(dict.fromkeys(name for row in rows for name in row if name not in plain))
    series = {name: [(row[_X], row[name]) for row in rows if np.isfinite(row.get(name, np.nan))] for name in names}
    charts = [_chart(name, np.array(points, dtype=np.float64)) for name, points in series.items() if len(points) > 1]
    if not charts:
        return
    columns = min(2, len(charts))
    blank = np.full_like(charts[0], _PAPER)
    charts += [blank] * (-len(charts) % columns)
    lines = [np.concatenate(charts[k : k + columns], axis=1) for k in range(0, len(charts), columns)]
    cv2.imwrite(str(path), np.concatenate(lines))


def _chart(name: str, points: np.ndarray) -> np.ndarray:
    import cv2

    left, right, top, bottom = _MARGIN
    picture = np.full((_HEIGHT, _WIDTH, 3), _PAPER, dtype=np.uint8)
    low, high = min(0.0, float(points[:, 1].min())), float(points[:, 1].max())
    high = high if high > low else low + 1.0
    x = left + (points[:, 0] - points[0, 0]) / max(np.ptp(points[:, 0]), 1.0) * (_WIDTH - left - right)
    y = _HEIGHT - bottom - (points[:, 1] - low) / (high - low) * (_HEIGHT - top - bottom)

    def write(text: str, place: tuple[int, int], size: float = 0.4) -> None:
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)

    for share in (0.0, 0.5, 1.0):
        level = round(_HEIGHT - bottom - share * (_HEIGHT - top - bottom))
        cv2.line(picture, (left, level), (_WIDTH - right, level), _FAINT, 1)
        write(f"{low + share * (high - low):.3g}", (8, level + 4))
    write(name, (left, 18), 0.48)
    write(f"{points[0, 0]:,.0f}", (left, _HEIGHT - 12))
    end = f"{points[-1, 0]:,.0f} {_X}"
    write(end, (_WIDTH - right - 7 * len(end), _HEIGHT - 12))
    line = np.round(np.stack([x, y], axis=1)).astype(np.int32)[:, None]
    cv2.polylines(picture, [line], False, _CURVE, 2, cv2.LINE_AA)
    return picture
