"""The few frames that slow things (colours, lines, shading) are read from, with the subject's mask on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.subject import Subject

__all__ = ["LARGE", "Still", "stills"]

LARGE = 384
"""Longest side [px] of a still; larger pictures are made smaller."""
_COUNT = 6


@dataclass(frozen=True, kw_only=True)
class Still:
    """One frame, as large as it came or `LARGE`."""

    index: int  # in the clip
    rgb: np.ndarray  # [H, W, 3] uint8 sRGB
    lab: np.ndarray  # [H, W, 3] float32, CIE Lab
    subject: np.ndarray  # [H, W] bool, empty where it isn't known
    behind: np.ndarray  # [H, W] bool, surely not the subject; everything where it isn't known


def stills(footage: Footage, subject: Subject, *, skip: frozenset[int] = frozenset()) -> list[Still]:
    """Up to six frames spread over the clip, those in ``skip`` (flashes, black) left out where others remain."""
    import cv2

    usual = [t for t in range(footage.count) if t not in skip] or list(range(footage.count))
    chosen = np.unique(np.linspace(0, len(usual) - 1, min(_COUNT, len(usual))).round().astype(int))
    height, width = footage.frames.shape[1:3]
    scale = min(1.0, LARGE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    found = []
    for t in (usual[i] for i in chosen):
        rgb = cv2.resize(footage.frames[t], size, interpolation=cv2.INTER_AREA) if scale < 1.0 else footage.frames[t]
        if footage.alpha is not None:
            mask = cv2.resize(footage.alpha[t], size, interpolation=cv2.INTER_AREA) > 127
        else:
            mask = cv2.resize(subject.masks[t].astype(np.uint8) * 255, size) > 127
        wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        found.append(Still(index=t, rgb=rgb, lab=lab, subject=mask, behind=~wide))
    return found
