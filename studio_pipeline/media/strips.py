"""Frames of a clip side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["write_strip"]


def write_strip(path: Path, frames: np.ndarray, *, count: int = 8, height: int = 192) -> None:
    """Write up to ``count`` evenly spread ``frames`` [T, H, W, 3] uint8 sRGB as one PNG of two rows."""
    import cv2

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    scale = min(1.0, height / frames.shape[1])
    size = (max(1, round(frames.shape[2] * scale)), max(1, round(frames.shape[1] * scale)))
    tiles = [cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in chosen]
    columns = -(-len(tiles) // 2)
    tiles += [np.full_like(tiles[0], 255)] * (2 * columns - len(tiles))
    rows = [np.concatenate(tiles[r * columns : (r + 1) * columns], axis=1) for r in range(2)]
    sheet = np.ascontiguousarray(np.concatenate(rows)[..., ::-1])
    if not cv2.imwrite(str(path), sheet):
        raise OSError(f"could not write {path}")
