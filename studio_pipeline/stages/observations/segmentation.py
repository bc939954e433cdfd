"""Foreground masks by colour: background surface, noise, GrabCut on the difference, soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.media.backgrounds import median_background, smooth_background
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.silhouettes import cleaned, grown, hysteresis, shrunk, soft_edges

__all__ = ["segment"]


def _grabcut(difference: np.ndarray, score: np.ndarray, seed: np.ndarray, settings: ObservationSettings) -> np.ndarray:
    """Regularise the thresholded score; the background of a difference picture is one tight cluster."""
    low, high = 0.6 * settings.threshold, 2.0 * settings.threshold
    label = np.where(score > settings.threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    label[shrunk(score > high, 1)] = cv2.GC_FGD
    label[(score < low) & ~grown(seed, 1)] = cv2.GC_BGD
    if not (label == cv2.GC_FGD).any() or not (label == cv2.GC_BGD).any():
        return score > settings.threshold
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    picture = np.clip(difference * 2.0 + 128.0, 0, 255).astype(np.uint8)
    cv2.grabCut(picture, label, None, *models, settings.grabcut_iterations, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    return (label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD)


def _propagated(previous: np.ndarray, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the last mask went, by dense flow."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
        cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY),
        None,  # pyright: ignore
    )
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    return cv2.remap(mask.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR) > 0.5


@dataclass(frozen=True)
class _Behind:
    """A frame's background and the distance from it."""

    colour: np.ndarray  # [H, W, 3] float32
    score: np.ndarray  # [H, W] in units of the noise
    detailed: bool  # no smooth surface: colours alone decide little


def _behind(frame: np.ndarray, outside: np.ndarray, still: np.ndarray | None, least: float) -> _Behind:
    surface, noise = smooth_background(frame, outside)
    detailed = noise > 1.5 * least
    noise = float(np.clip(noise, least, 40.0))
    image = frame.astype(np.float32)
    score = np.linalg.norm(image - surface, axis=-1) / noise
    if still is None or not detailed:
        return _Behind(surface, score, detailed)
    # A background with detail: what the camera saw there at other times explains it better than a surface.
    known = ~np.isnan(still[..., 0])
    other = np.linalg.norm(image - np.nan_to_num(still), axis=-1)
    spread = max(1.4826 * float(np.median(other[outside & known])) if (outside & known).any() else least, least)
    colour = np.where(known[..., None], np.nan_to_num(still), surface)
    return _Behind(colour, np.where(known, other / spread, score), detailed and spread > 1.5 * least)


def segment(
    frames: np.ndarray, rest: np.ndarray, settings: ObservationSettings, *, still_camera: bool = True
) -> np.ndarray:
    """Masks of a character whose silhouette at index 0 is known.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        rest: Rasterised rest silhouette [H, W] bool.
        settings: See `ObservationSettings`.
        still_camera: The background may be taken from other frames.

    Returns:
        Coverage [T, H, W] uint8; all zero where the character was not found.
    """
    area = max(float(rest.sum()), 1.0)
    margin = max(3.0, 0.02 * max(rest.shape))
    still = None
    hard = np.zeros(frames.shape[:3], dtype=bool)
    softened = np.zeros(frames.shape[:3], dtype=np.uint8)
    needed = False  # a second turn, with what the first one uncovered
    for turn in range(2):
        seed = rest
        for index, frame in enumerate(frames):
            if index and hard[index - 1].any():
                seed = _propagated(frames[index - 1], frame, hard[index - 1])
            if turn:
                seed = hard[index] if hard[index].any() else seed
            behind = _behind(frame, ~grown(seed, margin), still, settings.noise)
            if behind.detailed and settings.grabcut_iterations:
                mask = _grabcut(frame.astype(np.float32) - behind.colour, behind.score, seed, settings)
            else:
                mask = hysteresis(behind.score, settings.threshold)
            mask = cleaned(mask, seed, area)
            if mask.sum() > 8.0 * area or mask.sum() < 0.02 * area:
                mask[:] = False  # the whole picture changed, or nothing is left: not seen
            hard[index] = mask
            needed |= behind.detailed
            softened[index] = soft_edges(frame, behind.colour, mask)
        if turn or not (needed and still_camera):
            break
        still = median_background(frames, hard, round(margin))
    return softened
