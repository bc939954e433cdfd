"""Collapse of no particular kind: blobs of the picture that show something else.

After the synthetic anomalies of DRAEM (Zavrtanik et al. 2021) and CutPaste (Li et al. 2021): a judge that has seen only
named collapses knows those; one that has also seen blobs of anything knows that a drawing holds together. It belongs to
no head and is no kind that is left out or measured.
"""

from __future__ import annotations

import numpy as np

from studio_pipeline.training.judge.layers import Layers, flatten
from studio_pipeline.training.judge.noise import grid, smooth_noise

__all__ = ["patchwork"]

_DEEDS = ("time", "place", "turn", "blur", "behind", "paint", "warp", "grain", "hold", "scale")


def patchwork(layers: Layers, seed: int) -> np.ndarray:
    """The clip with blobs disturbed in some frames or all. [T, H, W, 3] uint8 sRGB"""
    rng = np.random.default_rng([seed, 991])
    frames = flatten(layers)
    result, count = frames.copy(), len(frames)
    for _ in range(int(rng.integers(1, 4))):
        deed = str(rng.choice(_DEEDS))
        size = rng.uniform(0.08, 0.3) * layers.extent
        spot = rng.uniform(-0.5, 0.5, 2)
        noise = smooth_noise(rng, frames.shape[1:3], max(3.0, size))
        held = int(rng.choice([1, 2, 3, count]))  # for how many frames a disturbance stays the same
        often, grows = rng.uniform(0.35, 1.0), bool(rng.random() < 0.3)
        active, state = True, int(rng.integers(1 << 30))
        for index in range(int(rng.integers(1, max(2, count // 3))), count):
            if index % held == 0 or index == 1:
                active, state = bool(rng.random() < often), int(rng.integers(1 << 30))
            if active:
                share = _blob(layers, index, spot, size * (index / count if grows else 1.0), noise)
                other = _other(deed, result, frames, layers, index, size, np.random.default_rng(state))
                mixed = result[index] * (1.0 - share[..., None]) + other * share[..., None]
                result[index] = np.round(mixed).astype(np.uint8)
    return result


def _blob(layers: Layers, index: int, spot: np.ndarray, size: float, noise: np.ndarray) -> np.ndarray:
    """A soft-edged irregular disc about a place on the subject. [H, W] float"""
    cover = layers.alpha[index] > 0.5
    ys, xs = np.nonzero(cover)
    if not len(ys):
        return np.zeros(cover.shape)
    y = ys.mean() + spot[0] * np.ptp(ys) * 0.9
    x = xs.mean() + spot[1] * np.ptp(xs) * 0.9
    near = int(np.argmin((ys - y) ** 2 + (xs - x) ** 2))  # a place of the subject
    rows, columns = grid(cover.shape)
    away = np.hypot(rows - ys[near], columns - xs[near]) * (1.0 + 0.25 * noise)
    return np.clip(size + 0.5 - away, 0.0, 1.0)


def _other(
    deed: str, now: np.ndarray, frames: np.ndarray, layers: Layers, index: int, size: float, rng: np.random.Generator
) -> np.ndarray:
    """What the blob shows. [H, W, 3] uint8"""
    import cv2

    frame, count = now[index], len(frames)
    height, width = frame.shape[:2]
    if deed == "time":
        return frames[int(rng.integers(0, count))]
    if deed == "hold":
        return frames[max(0, index - int(rng.integers(2, 6)))]
    if deed == "behind":
        bare = layers.but(
            colour=0.0 * layers.colour[index : index + 1], alpha=0.0 * layers.alpha[index : index + 1],
            behind=layers.behind[index : index + 1],
        )  # fmt: skip
        return flatten(bare)[0]
    if deed == "paint":
        colour = frame[layers.alpha[index] > 0.5]
        own = len(colour) > 0 and rng.random() < 0.6
        chosen = colour[int(rng.integers(0, len(colour)))] if own else rng.integers(0, 256, 3)
        return np.broadcast_to(chosen.astype(np.uint8), frame.shape)
    if deed == "grain":
        return np.clip(frame + rng.normal(0.0, rng.uniform(12.0, 40.0), frame.shape), 0, 255).astype(np.uint8)
    if deed == "blur":
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.03, 0.07) * layers.extent)
    if deed == "warp":
        rows, columns = grid((height, width))
        reach = rng.uniform(0.03, 0.08) * layers.extent
        down, right = (smooth_noise(rng, (height, width), max(3.0, 0.6 * size)) for _ in range(2))
        return cv2.remap(frame, (columns + reach * right).astype(np.float32), (rows + reach * down).astype(np.float32),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    ys, xs = np.nonzero(layers.alpha[index] > 0.5)
    centre = (float(xs.mean()), float(ys.mean())) if len(xs) else (width / 2.0, height / 2.0)
    angle, zoom, shift = 0.0, 1.0, np.zeros(2)
    if deed == "place":
        shift = rng.choice([-1.0, 1.0], 2) * rng.uniform(0.08, 0.3, 2) * layers.extent
    elif deed == "turn":
        angle = rng.choice([-1.0, 1.0]) * rng.uniform(20.0, 160.0)
    else:
        zoom = rng.choice([rng.uniform(0.6, 0.85), rng.uniform(1.18, 1.6)])
    matrix = cv2.getRotationMatrix2D(centre, angle, zoom)
    matrix[:, 2] += shift
    return cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
