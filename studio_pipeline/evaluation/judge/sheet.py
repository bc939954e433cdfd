"""A sheet of judged clips: a row a clip, its frames, what was done to it and what the judge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

__all__ = ["write_sheet"]

_TILE, _CARD, _FRAMES = 96, 250, 7
_PAPER, _INK, _SOFT, _GOOD, _BAD = (246, 247, 249), (27, 30, 37), (92, 100, 114), (52, 128, 61), (185, 40, 40)


def write_sheet(path: Path, rows: Sequence[tuple[str, np.ndarray, Mapping[str, float]]], *, least: float = 2.0) -> None:
    """Write the sheet as JPEG or PNG.

    Args:
        path: The picture.
        rows: Title, frames [T, H, W, 3] uint8 sRGB and scores by head of each clip.
        least: Under this a head is drawn as failed.
    """
    import cv2

    drawn = [_row(title, frames, heads, least) for title, frames, heads in rows]
    if not cv2.imwrite(str(path), np.ascontiguousarray(np.concatenate(drawn)[..., ::-1])):
        raise OSError(f"could not write {path}")


def _row(title: str, frames: np.ndarray, heads: Mapping[str, float], least: float) -> np.ndarray:
    import cv2

    card = np.full((_TILE, _CARD, 3), _PAPER, np.uint8)

    def write(text: str, x: int, y: int, colour: tuple[int, int, int], size: float) -> None:
        cv2.putText(card, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)

    write(title, 8, 16, _INK, 0.42)
    for line, (name, value) in enumerate(heads.items()):
        y, colour = 34 + 16 * line, _GOOD if value >= least else _BAD
        write(name, 8, y, _SOFT, 0.38)
        cv2.rectangle(card, (74, y - 8), (74 + round(130 * (value - 1.0) / 4.0) + 1, y - 1), colour, cv2.FILLED)
        write(f"{value:.1f}", 212, y, colour, 0.38)
    chosen = np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)
    tiles = [cv2.resize(frames[i], (_TILE, _TILE), interpolation=cv2.INTER_AREA) for i in chosen]
    return np.pad(np.concatenate([card, *tiles], axis=1), ((1, 1), (0, 0), (0, 0)), constant_values=_PAPER[0])
