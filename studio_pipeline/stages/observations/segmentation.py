"""Foreground masks by colour: background surface, noise, GrabCut on the difference, soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.media.backgrounds import median_background, smooth_background
from studio_pipeline.stages.observations import ClassicalSettings

__all__ = ["has_alpha", "iou", "segment"]

HALO = 0.35  # a pixel this much weaker than its strongest neighbour lies beside the edge
LEAST_AREA = 0.02  # blobs below this fraction of the rest silhouette are noise unless they touch the character


def has_alpha(alpha: np.ndarray | None) -> bool:
    """Whether an alpha channel [T, H, W] says anything: it is there and not one constant."""
    return alpha is not None and bool(alpha.min() < 128 <= alpha.max())


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boolean pictures; 1 when both are empty."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 1.0


def _disc(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), _disc(radius)) > 0


def _shrunk(mask: np.ndarray, radius: float) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), _disc(radius)) > 0


def _cleaned(mask: np.ndarray, seed: np.ndarray, area: float) -> np.ndarray:
    """Drop specks that are small and don't touch the seed; close pinholes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    touching = np.bincount(labels[seed], minlength=count) > 0
    size = stats[:, cv2.CC_STAT_AREA]
    keep = (size >= LEAST_AREA * area) | (touching & (size >= 0.002 * area))
    keep[0] = False
    kept = keep[labels]
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    pinhole = stats[:, cv2.CC_STAT_AREA] < 0.0015 * area
    pinhole[0] = False
    return kept | pinhole[labels]


def _grabcut(difference: np.ndarray, score: np.ndarray, seed: np.ndarray, settings: ClassicalSettings) -> np.ndarray:
    """Regularise the thresholded score; the background of a difference picture is one tight cluster."""
    low, high = 0.6 * settings.threshold, 2.0 * settings.threshold
    label = np.where(score > settings.threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    label[_shrunk(score > high, 1)] = cv2.GC_FGD
    label[(score < low) & ~_grown(seed, 1)] = cv2.GC_BGD
    if not (label == cv2.GC_FGD).any() or not (label == cv2.GC_BGD).any():
        return score > settings.threshold
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    picture = np.clip(difference * 2.0 + 128.0, 0, 255).astype(np.uint8)
    cv2.grabCut(picture, label, None, *models, settings.grabcut_iterations, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    return (label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD)


def _soft(frame: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Coverage along the mask's edge, from how far the colour lies between background and inner foreground. uint8"""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    signed = inside - cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    band = np.abs(signed) < 2.0
    if not (inside > 2.0).any():
        return mask.astype(np.uint8) * 255
    smooth = cv2.GaussianBlur(signed, (0, 0), 1.0)
    inward = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], axis=-1)
    inward /= np.maximum(np.linalg.norm(inward, axis=-1, keepdims=True), 1e-6)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    reach = (2.0 - signed).clip(0.0, 4.0)  # to two pixels inside the edge
    image = frame.astype(np.float32)
    front = cv2.remap(image, x + reach * inward[..., 0], y + reach * inward[..., 1], cv2.INTER_LINEAR)
    contrast, seen = front - background, image - background
    strength = np.linalg.norm(contrast, axis=-1)
    alpha = (seen * contrast).sum(-1) / np.maximum(strength, 1.0) ** 2
    beside = np.linalg.norm(seen - alpha[..., None] * contrast, axis=-1)
    sure = band & (strength > 24.0) & (beside < 0.25 * strength)
    coverage = np.where(sure, np.clip(alpha, 0.0, 1.0), mask)
    return np.round(coverage * 255.0).astype(np.uint8)


def _propagated(previous: np.ndarray, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the last mask went, by dense flow."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
        cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY),
        None,  # pyright: ignore
    )
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
    return cv2.remap(mask.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR) > 0.5


def _hysteresis(score: np.ndarray, threshold: float) -> np.ndarray:
    """Pixels above the threshold that hang together with some well above it; thin lines across are closed."""
    halo = HALO * cv2.dilate(score.astype(np.float32), _disc(1))  # ringing of the codec around a strong edge
    weak = (score > np.maximum(threshold, halo)).astype(np.uint8)
    count, labels = cv2.connectedComponents(weak, connectivity=8)
    strong = np.bincount(labels[score > 2.0 * threshold], minlength=count) > 0
    strong[0] = False
    return cv2.morphologyEx(strong[labels].astype(np.uint8), cv2.MORPH_CLOSE, _disc(1)) > 0


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
    frames: np.ndarray, rest: np.ndarray, settings: ClassicalSettings, *, still_camera: bool = True
) -> np.ndarray:
    """Masks of a character whose silhouette at index 0 is known.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        rest: Rasterised rest silhouette [H, W] bool.
        settings: See `ClassicalSettings`.
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
            behind = _behind(frame, ~_grown(seed, margin), still, settings.noise)
            if behind.detailed and settings.grabcut_iterations:
                mask = _grabcut(frame.astype(np.float32) - behind.colour, behind.score, seed, settings)
            else:
                mask = _hysteresis(behind.score, settings.threshold)
            mask = _cleaned(mask, seed, area)
            if mask.sum() > 8.0 * area or mask.sum() < 0.02 * area:
                mask[:] = False  # the whole picture changed, or nothing is left: not seen
            hard[index] = mask
            needed |= behind.detailed
            softened[index] = _soft(frame, behind.colour, mask)
        if turn or not (needed and still_camera):
            break
        still = median_background(frames, hard, round(margin))
    return softened
