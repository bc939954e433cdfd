"""The report as a picture: a row a take, its frames and its scores, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from studio_pipeline.stages.take_report.scoring import TakeScore

__all__ = ["draw_report"]

_TILE = 128  # height of a frame [px]
_FRAMES = 6
_CARD = 330  # width of the scores [px]
_GOOD, _BAD, _INK, _SOFT = (52, 128, 61), (185, 40, 40), (27, 30, 37), (92, 100, 114)
_PAPER, _FILL = (246, 247, 249), (226, 229, 234)


def draw_report(path: Path, clips: Sequence[np.ndarray], scores: Sequence[TakeScore]) -> None:
    """Write the picture.

    Args:
        path: A PNG.
        clips: Frames of each take. [T, H, W, 3] uint8 sRGB
        scores: What the report says of each, in the same order.
    """
    import cv2

    rows = [
        _row(frames, score, best=index == 0) for index, (frames, score) in enumerate(zip(clips, scores, strict=True))
    ]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=_PAPER[0]) for row in rows]
    if not cv2.imwrite(str(path), np.ascontiguousarray(np.concatenate(padded)[..., ::-1])):
        raise OSError(f"could not write {path}")


def _row(frames: np.ndarray, score: TakeScore, *, best: bool) -> np.ndarray:
    import cv2

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int))
    scale = _TILE / frames.shape[1]
    size = (max(1, round(frames.shape[2] * scale)), _TILE)
    tiles = [cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in chosen]
    row = np.concatenate([_card(score, best=best), *tiles], axis=1)
    return np.pad(row, ((2, 2), (0, 0), (0, 0)), constant_values=_PAPER[0])


def _card(score: TakeScore, *, best: bool) -> np.ndarray:
    import cv2

    card = np.full((_TILE, _CARD, 3), _PAPER, np.uint8)

    def write(text: str, x: int, y: int, colour: tuple[int, int, int] = _INK, size: float = 0.4) -> None:
        cv2.putText(card, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)

    state = ("best" if best else "passed") if score.passed else "failed"
    write(f"take {score.take}", 8, 18, _INK, 0.5)
    write(f"{state}  {score.composite:.3f}", 90, 18, _GOOD if score.passed else _BAD, 0.45)
    for line, (name, value) in enumerate(score.heads.items()):
        y = 38 + 16 * line
        write(name, 8, y)
        end = 90 + round(180 * (value - 1.0) / 4.0)
        cv2.rectangle(card, (90, y - 8), (270, y - 1), _FILL, cv2.FILLED)
        cv2.rectangle(card, (90, y - 8), (max(end, 91), y - 1), _GOOD if value >= 2.0 else _BAD, cv2.FILLED)
        write(f"{value:.1f}", 280, y)
    fidelity = "not read" if score.fidelity is None else f"{score.fidelity:.2f}"
    missed = ", ".join(one.name for one in score.filters if not one.passed)
    write(f"fidelity {fidelity}", 8, _TILE - 22, _SOFT)
    write(f"filters {'all passed' if not missed else 'not passed: ' + missed}"[:52], 8, _TILE - 8, _SOFT)
    return card
