"""A clip made ready for the judge: cut to its subject, one size, subject told from what is behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SIDE", "Footage", "prepare", "smooth_background_mask"]

SIDE = 112
"""Longest side of the pictures that the judge sees [px]."""

_MARGIN = 0.1  # of the subject's box that is kept around it
_OTHER = 12.0  # 8-bit levels by which the subject differs from what is behind it
_STARK = 10.0  # 8-bit levels by which the whole background of a frame differs from the clip's
_LOOKED_AT = 4000  # places behind the subject that are looked at for stark frames
_LEAST = 0.004  # of the picture that a subject fills; less is noise


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Frames T, rows H, columns W at the judge's size."""

    frames: np.ndarray  # [T, H, W, 3] uint8 sRGB
    masks: np.ndarray  # the subject. [T, H, W] bool
    extent: float  # longer side of the subject's box at the clip's index 0 [px]
    told: bool  # whether the subject could be told from what is behind it; if not, everything counts as subject
    kept: np.ndarray  # frames of the clip that are left, the others are stark. [clip's frames] bool
    box: tuple[int, int, int, int]  # top, left, bottom, right of what was cut out [px of the clip, shrunk to 2 SIDE]


def prepare(frames: np.ndarray, alpha: np.ndarray | None = None) -> Footage:
    """Cut a clip to where its subject ever is and bring it to the judge's size.

    Args:
        frames: [T, H, W, 3] uint8 sRGB.
        alpha: The subject's coverage [T, H, W] uint8 where the clip has one; else it is looked for.
    """
    import cv2

    shrink = min(1.0, 2.0 * SIDE / max(frames.shape[1:3]))
    if shrink < 1.0:
        frames = _resized(frames, shrink)
        alpha = None if alpha is None else _resized(alpha, shrink)
    masks = _masks(frames, alpha)
    told = not masks.all()
    kept = ~_stark_frames(frames, masks)
    frames, masks = frames[kept], masks[kept]
    rows, columns = np.nonzero(masks.any(0)) if masks.any() else np.nonzero(np.ones(frames.shape[1:3], bool))
    pad = round(_MARGIN * max(np.ptp(rows), np.ptp(columns))) + 2
    top, left = max(rows.min() - pad, 0), max(columns.min() - pad, 0)
    bottom, right = min(rows.max() + pad + 1, frames.shape[1]), min(columns.max() + pad + 1, frames.shape[2])
    cut = frames[:, top:bottom, left:right]
    factor = SIDE / max(cut.shape[1:3])
    size = (max(16, round(cut.shape[2] * factor)), max(16, round(cut.shape[1] * factor)))
    way = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    pictures = np.stack([cv2.resize(frame, size, interpolation=way) for frame in cut])
    small = np.stack(
        [
            cv2.resize(mask[top:bottom, left:right].astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
            for mask in masks
        ]
    ).astype(bool)
    rows, columns = np.nonzero(small[0]) if small[0].any() else np.nonzero(np.ones(size[::-1], bool))
    extent = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    box = (int(top), int(left), int(bottom), int(right))
    return Footage(frames=pictures, masks=small, extent=extent, told=told, kept=kept, box=box)


def _stark_frames(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Impact frames and flashes: what is behind the subject differs, all over, from the clip's. [T] bool

    They are left out: whatever they do to the drawing is done on purpose and over in a moment. Never the first frame,
    and none at all where they would be more than a third of the clip.
    """
    outside = ~masks.any(0)
    if outside.mean() < 0.1:
        return np.zeros(len(frames), bool)
    places = np.flatnonzero(outside)[:: max(1, int(outside.sum()) // _LOOKED_AT)]
    behind = frames.reshape(len(frames), -1, 3)[:, places].astype(np.float32)
    off = np.abs(behind - np.median(behind, axis=0))
    away = np.median(np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2]), axis=1)
    stark = away > _STARK
    stark[0] = False
    return stark if stark.mean() <= 1.0 / 3.0 else np.zeros(len(frames), bool)


def _resized(pictures: np.ndarray, factor: float) -> np.ndarray:
    import cv2

    size = (max(2, round(pictures.shape[2] * factor)), max(2, round(pictures.shape[1] * factor)))
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])


def _masks(frames: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Where the subject is. [T, H, W] bool; everywhere when nothing stands out."""
    if alpha is not None and (alpha < 128).any() and (alpha[0] > 127).any():
        return alpha > 127
    found = _standing_out(frames)
    areas = found.mean((1, 2))
    typical = float(np.median(areas))
    if not _LEAST < typical < 0.9:
        return np.ones(frames.shape[:3], bool)
    # A flash or an impact frame hides the subject or is all subject: its neighbour's place is taken.
    near = np.flatnonzero((areas > 0.3 * typical) & (areas < 3.0 * typical))
    return np.stack([found[near[np.argmin(np.abs(near - index))]] for index in range(len(frames))])


def smooth_background_mask(frame: np.ndarray) -> np.ndarray:
    """What differs from a smooth surface through the colours along the picture's border. [H, W] bool

    Args:
        frame: sRGB. [H, W, 3] uint8
    """
    return _standing_out(frame[None])[0]


def _standing_out(frames: np.ndarray) -> np.ndarray:
    """`smooth_background_mask` of every frame. [T, H, W] bool"""
    import cv2

    height, width = frames.shape[1:3]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], -1)
    edge = np.zeros((height, width), bool)
    rim = max(1, round(0.03 * min(height, width)))
    edge[:rim], edge[-rim:], edge[:, :rim], edge[:, -rim:] = True, True, True, True
    border, square = terms[edge], np.ones((3, 3), np.uint8)
    ridge = 1e-3 * np.eye(6, dtype=np.float32)  # a border's few pixels may not tell all terms apart
    masks = np.zeros(frames.shape[:3], bool)
    for mask, frame in zip(masks, frames, strict=True):
        values = frame[edge].astype(np.float32)
        keep, off, solved = np.ones(len(values), bool), np.zeros(len(values)), np.zeros((6, 3), np.float32)
        for _ in range(3):  # once more without the border's own outliers: a subject that is cut off
            kept = border[keep]
            solved = np.linalg.solve(kept.T @ kept + ridge, kept.T @ values[keep])
            off = np.abs(values - border @ solved).max(-1)
            keep = off <= max(_OTHER, 2.0 * float(np.median(off)))
        differs = np.abs(frame - terms @ solved)
        away = np.maximum(np.maximum(differs[..., 0], differs[..., 1]), differs[..., 2])
        out = (away > max(_OTHER, 3.0 * float(np.median(off)))).astype(np.uint8)
        out = cv2.morphologyEx(cv2.morphologyEx(out, cv2.MORPH_OPEN, square), cv2.MORPH_CLOSE, square, iterations=2)
        outlines, _ = cv2.findContours(out, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        mask[...] = cv2.drawContours(np.zeros_like(out), list(outlines), -1, 1, cv2.FILLED) > 0
    return masks
