"""Foreground masks by colour: against a smooth background per frame, or against what other frames uncover."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.media.backgrounds import smooth_background
from studio_pipeline.media.flow import DenseFlow
from studio_pipeline.stages.observations.matte import matte_frame
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.silhouettes import (
    cleaned,
    disc,
    grown,
    halo_of,
    hysteresis,
    shrunk,
    soft_edges,
)
from studio_pipeline.stages.observations.uncovered import background_motion, uncovered

__all__ = ["segment"]

DETAILED = 1.5  # a background is smooth when what it leaves is below this many times the noise
TURNS = 3
ROUND_TRIP = 1.5  # [px]


def _grabcut(frame: np.ndarray, mask: np.ndarray, behind: np.ndarray, settings: ObservationSettings) -> np.ndarray:
    """Let colours decide along the mask's edge where nobody knows the background."""
    unknown = np.isnan(behind[..., 0])
    open_to = grown(mask, 2) & ~shrunk(mask, 2) & grown(unknown, 1)
    if not open_to.any() or not shrunk(mask, 2).any():
        return mask
    label = np.where(mask, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    label[open_to & mask], label[open_to & ~mask] = cv2.GC_PR_FGD, cv2.GC_PR_BGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    picture = np.ascontiguousarray(frame)
    cv2.grabCut(picture, label, None, *models, settings.grabcut_iterations, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    return (label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD)


def _propagated(previous: np.ndarray, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the last mask went, by dense flow; what the flow can't trace back was uncovered just now. [H, W] bool"""
    dense = DenseFlow()
    now, then = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY)
    back, forth = dense.between(now, then), dense.between(then, now)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    x, y = x + back[..., 0], y + back[..., 1]
    moved = cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR) > 0.5
    trip = np.linalg.norm(back + cv2.remap(forth, x, y, cv2.INTER_LINEAR), axis=-1)
    traced = (moved & (trip < ROUND_TRIP)).astype(np.uint8)
    return (cv2.morphologyEx(traced, cv2.MORPH_CLOSE, disc(3)) > 0) & moved


def segment(
    frames: np.ndarray, rest: np.ndarray, settings: ObservationSettings, *, still_camera: bool = True
) -> np.ndarray:
    """Masks of a character whose silhouette at index 0 is known.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        rest: Rasterised rest silhouette [H, W] bool.
        settings: See `ObservationSettings`.
        still_camera: The background doesn't move in the picture.

    Returns:
        Coverage [T, H, W] uint8; all zero where the character was not found.
    """
    margin = max(3.0, 0.02 * max(rest.shape))
    _, noise = smooth_background(frames[0], ~grown(rest, margin))
    if noise > DETAILED * settings.noise:
        return _before_detail(frames, rest, settings, margin, still_camera)
    return _before_smooth(frames, rest, settings, margin)


def _before_smooth(frames: np.ndarray, rest: np.ndarray, settings: ObservationSettings, margin: float) -> np.ndarray:
    """Masks before a background that is a smooth surface of colour, fitted per frame."""
    area = max(float(rest.sum()), 1.0)
    result = np.zeros(frames.shape[:3], dtype=np.uint8)
    last, seed, surface = np.zeros_like(rest), rest, None
    for index, frame in enumerate(frames):
        if last.any():
            seed = _propagated(frames[index - 1], frame, last)
        hidden = seed if surface is None else seed | _jumped(frame, surface, settings, area)
        surface, noise = smooth_background(frame, ~grown(hidden, margin))
        difference = (frame.astype(np.float32) - surface) / float(np.clip(noise, settings.noise, 40))
        score = np.linalg.norm(difference, axis=-1)
        mask = hysteresis(score, settings.threshold, halo_of(difference))
        mask = _plausible(cleaned(mask, seed, area), area)
        result[index] = soft_edges(frame, surface, mask)
        last = mask
    return result


def _jumped(frame: np.ndarray, surface: np.ndarray, settings: ObservationSettings, area: float) -> np.ndarray:
    """What the last frame's background doesn't show: where a character that flow can't follow may be. [H, W] bool

    Nothing where most of the picture changed: then it was the light or the camera.
    """
    changed = hysteresis(np.linalg.norm(frame - surface, axis=-1) / settings.noise, settings.threshold)
    return changed if changed.sum() <= min(2.0 * area, 0.5 * changed.size) else np.zeros_like(changed)


def _before_detail(
    frames: np.ndarray, rest: np.ndarray, settings: ObservationSettings, margin: float, still_camera: bool
) -> np.ndarray:
    """Masks before a background with detail: what the camera saw there at other times tells it from the character."""
    area = max(float(rest.sum()), 1.0)
    hard = np.zeros(frames.shape[:3], dtype=bool)
    hard[0] = rest
    for index in range(1, len(frames)):
        hard[index] = _propagated(frames[index - 1], frames[index], hard[index - 1])
    result = np.zeros(frames.shape[:3], dtype=np.uint8)
    motion = np.tile(np.eye(3), (len(frames), 1, 1))
    for turn in range(TURNS):
        if not still_camera:
            motion = background_motion(frames, hard)
        plates = uncovered(frames, hard, motion, margin if turn == 0 else 2.0)
        for index, frame in enumerate(frames):
            mask, behind = matte_frame(frame, plates[min(index, len(plates) - 1)], hard[index], area, settings)
            if settings.grabcut_iterations and turn == TURNS - 1:
                mask = cleaned(_grabcut(frame, mask, behind, settings), mask, area)
            hard[index] = _plausible(mask, area)
            result[index] = soft_edges(frame, behind, hard[index])
    return result


def _plausible(mask: np.ndarray, area: float) -> np.ndarray:
    """The mask, or nothing when the whole picture changed or hardly anything is left."""
    return mask if 0.02 * area <= mask.sum() <= 8.0 * area else np.zeros_like(mask)
