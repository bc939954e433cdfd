"""Silhouettes as pictures: grown, cleaned, thresholded with hysteresis, softened along their edge."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = [
    "cleaned",
    "disc",
    "grown",
    "halo_of",
    "has_alpha",
    "hysteresis",
    "iou",
    "shrunk",
    "signed_distance",
    "soft_edges",
]

HALO = 0.35  # a pixel this much weaker than its strongest neighbour lies beside the edge
RINGING = 0.12  # the same where it differs from the background the other way
LEAST_AREA = 0.02  # blobs below this fraction of the rest silhouette are noise unless they touch the character
DEEP = 3.0  # how far inside the edge the foreground shows its own colour [px]


def has_alpha(alpha: np.ndarray | None) -> bool:
    """Whether an alpha channel [T, H, W] says anything: it is there and not one constant."""
    return alpha is not None and bool(alpha.min() < 128 <= alpha.max())


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boolean pictures; 1 when both are empty."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 1.0


def disc(radius: float) -> np.ndarray:
    """A round structuring element."""
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """A boolean mask grown by a radius [px]."""
    return cv2.dilate(mask.astype(np.uint8), disc(radius)) > 0


def shrunk(mask: np.ndarray, radius: float) -> np.ndarray:
    """A boolean mask shrunk by a radius [px]."""
    return cv2.erode(mask.astype(np.uint8), disc(radius)) > 0


def signed_distance(mask: np.ndarray, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Sub-pixel place of a mask's edge, from coverage [H, W] uint8.

    Returns:
        The mask at ``fine`` samples along a pixel's side, uint8 0 or 1, and the distance to its edge there, positive
        inside [px]. [H * fine, W * fine] both
    """
    height, width = mask.shape
    large = cv2.resize(mask, (width * fine, height * fine), interpolation=cv2.INTER_LINEAR)
    inside = (large > 127).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return inside, (distance - np.sign(distance) * 0.5) / fine


def cleaned(mask: np.ndarray, seed: np.ndarray, area: float) -> np.ndarray:
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


def halo_of(difference: np.ndarray) -> np.ndarray:
    """Score [H, W] below which a pixel lies beside its strongest neighbour's edge rather than inside it.

    ``difference`` [H, W, 3] is colour less background. What differs the way the neighbour does is a mixture of it and
    the background; what differs the other way - a dark outline beside a bright fill - is either ink or faint ringing.
    """
    score = np.linalg.norm(difference, axis=-1)
    best, along = score, np.einsum("yxc,yxc->yx", difference, difference)
    padded, large = (np.pad(v, ((1, 1), (1, 1), (0, 0))[: v.ndim], mode="edge") for v in (score, difference))
    height, width = score.shape
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)):
        there = slice(dy, dy + height), slice(dx, dx + width)
        stronger = padded[there] > best
        best = np.where(stronger, padded[there], best)
        along = np.where(stronger, np.einsum("yxc,yxc->yx", large[there], difference), along)
    return np.where(along > 0.0, HALO, RINGING) * best


def hysteresis(score: np.ndarray, threshold: float, halo: np.ndarray | None = None) -> np.ndarray:
    """Pixels above the threshold that hang together with some well above it; thin lines across are closed.

    ``halo`` [H, W] from `halo_of`, in units of the score; without it every direction counts as a mixture.
    """
    halo = HALO * cv2.dilate(score.astype(np.float32), disc(1)) if halo is None else halo
    weak = (score > np.maximum(threshold, halo)).astype(np.uint8)
    count, labels = cv2.connectedComponents(weak, connectivity=8)
    strong = np.bincount(labels[score > 2.0 * threshold], minlength=count) > 0
    strong[0] = False
    return cv2.morphologyEx(strong[labels].astype(np.uint8), cv2.MORPH_CLOSE, disc(1)) > 0


def soft_edges(frame: np.ndarray, background: np.ndarray, mask: np.ndarray) -> np.ndarray:
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
    reach = (DEEP - signed).clip(0.0, DEEP + 2.0)  # to where the codec's blur of the edge has ended
    image = frame.astype(np.float32)
    front = cv2.remap(image, x + reach * inward[..., 0], y + reach * inward[..., 1], cv2.INTER_LINEAR)
    contrast, seen = front - background, image - background
    strength = np.linalg.norm(contrast, axis=-1)
    alpha = (seen * contrast).sum(-1) / np.maximum(strength, 1.0) ** 2
    beside = np.linalg.norm(seen - alpha[..., None] * contrast, axis=-1)
    sure = band & (strength > 12.0) & (beside < strength)
    coverage = np.where(sure, np.clip(alpha, 0.0, 1.0), mask)
    return np.round(coverage * 255.0).astype(np.uint8)
