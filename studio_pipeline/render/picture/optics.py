"""What lenses, film and broken transmission do to a picture [H, W, 3] float32 in linear light."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.picture.noise import value_noise

__all__ = ["blurred", "defocused", "fringed", "glitched", "grained", "hazed", "softened", "vignetted", "warped"]


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of ``sigma`` px; large ones on a smaller picture."""
    if sigma < 0.3:
        return picture
    if sigma < 6.0:
        return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    height, width = picture.shape[:2]
    factor = int(min(8, max(2, sigma // 3)))
    small = cv2.resize(picture, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def defocused(picture: np.ndarray, circle: np.ndarray) -> np.ndarray:
    """Blur each pixel by its circle of confusion [H, W] px, between four levels of blur."""
    most = float(circle.max())
    if most < 0.35:
        return picture
    levels = [0.0, *(most * share for share in (0.25, 0.5, 1.0))]
    pictures = [picture, *(blurred(picture, level) for level in levels[1:])]
    result = np.zeros_like(picture)
    for index, level in enumerate(levels):
        below = levels[index - 1] if index else -1.0
        above = levels[index + 1] if index + 1 < len(levels) else most + 1.0
        weight = np.minimum((circle - below) / (level - below), (above - circle) / (above - level))
        result += np.clip(weight, 0.0, 1.0)[..., None].astype(np.float32) * pictures[index]
    return result


def vignetted(picture: np.ndarray, strength: float) -> np.ndarray:
    """Corners darker by ``strength``, the middle as it was."""
    height, width = picture.shape[:2]
    y = (np.arange(height) + 0.5) / height * 2.0 - 1.0
    x = (np.arange(width) + 0.5) / width * 2.0 - 1.0
    away = np.clip((np.hypot(x[None], y[:, None]) - 0.35) / 1.06, 0.0, 1.0)
    return picture * (1.0 - strength * away * away * (3.0 - 2.0 * away))[..., None].astype(np.float32)


def grained(picture: np.ndarray, rng: np.random.Generator, strength: float, *, coarse: float = 1.0) -> np.ndarray:
    """Film grain: strongest in the middle tones, a little of it coloured; lumps of ``coarse`` px."""
    height, width = picture.shape[:2]
    size = (max(2, round(height / coarse)), max(2, round(width / coarse)))
    noise = rng.standard_normal((*size, 1), np.float32) + 0.35 * rng.standard_normal((*size, 3), np.float32)
    if size != (height, width):
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    encoded = np.sqrt(np.clip(picture, 0.0, 1.0))
    middle = 0.35 + 2.6 * encoded * (1.0 - encoded)
    return np.clip(encoded + np.float32(strength) * noise * middle, 0.0, 1.0) ** 2


def fringed(picture: np.ndarray, shift: float) -> np.ndarray:
    """Red is seen larger and blue smaller, by ``shift`` px at the corners."""
    height, width = picture.shape[:2]
    corner = 0.5 * float(np.hypot(height, width))
    out = picture.copy()
    for channel, way in ((0, 1.0), (2, -1.0)):
        factor = 1.0 + way * shift / corner
        # Pixel centres lie at +0.5: the middle of the picture stays where it is.
        move = np.array(
            [[factor, 0.0, (1.0 - factor) * (width / 2.0 - 0.5)], [0.0, factor, (1.0 - factor) * (height / 2.0 - 0.5)]]
        )
        plane = np.ascontiguousarray(picture[..., channel])
        out[..., channel] = cv2.warpAffine(
            plane, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return out


def glitched(picture: np.ndarray, rng: np.random.Generator, strength: float, *, burst: bool) -> np.ndarray:
    """Bands slip sideways, channels part, dark scan lines; a ``burst`` is a worse moment."""
    height, width = picture.shape[:2]
    out = picture.copy()
    for _ in range(round((9 if burst else 3) * strength)):
        top, tall = int(rng.integers(height)), max(2, int(rng.uniform(0.012, 0.09) * height))
        slip = int(rng.uniform(-0.14, 0.14) * width * (1.0 if burst else 0.45))
        band = slice(top, min(height, top + tall))
        out[band] = np.roll(out[band], slip, axis=1)
        if rng.random() < 0.5:
            out[band, :, 0] = np.roll(out[band, :, 0], max(1, width // 40), axis=1)
            out[band, :, 2] = np.roll(out[band, :, 2], -max(1, width // 40), axis=1)
    part = max(1, round((0.014 if burst else 0.006) * width * strength))
    out[..., 0] = np.roll(out[..., 0], part, axis=1)
    out[..., 2] = np.roll(out[..., 2], -part, axis=1)
    if burst:
        for _ in range(round(6 * strength)):
            top, left = int(rng.integers(height)), int(rng.integers(width))
            tall, wide = max(1, height // 48), int(rng.uniform(0.06, 0.3) * width)
            out[top : top + tall, left : left + wide] = rng.uniform(0.0, 1.0, 3).astype(np.float32)
    period = max(2, round(height / 128.0))
    out[np.arange(height) // max(1, period // 2) % 2 == 1] *= np.float32(0.72)
    return out


def hazed(picture: np.ndarray, rng: np.random.Generator, seconds: float, strength: float) -> np.ndarray:
    """Hot air: the picture wavers, rising, most towards the bottom; ``strength`` px."""
    height, width = picture.shape[:2]
    shape = (2 * height, width)
    waves = [value_noise(rng, shape, (44, 12)) - 0.5 for _ in range(2)]
    rise = round(0.42 * height * seconds) % (2 * height)
    part = [np.roll(wave, -rise, axis=0)[:height] for wave in waves]
    low = (0.35 + 0.65 * (np.arange(height) + 0.5) / height)[:, None]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = [
        (x + 2.0 * strength * low * part[0]).astype(np.float32),
        (y + strength * low * part[1]).astype(np.float32),
    ]
    return cv2.remap(picture, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def softened(picture: np.ndarray, sigma: float, share: float) -> np.ndarray:
    """A diffusion filter: a blurred picture screened over the sharp one."""
    veil = blurred(picture, sigma)
    return picture * (1.0 - 0.55 * share) + share * (0.62 * veil + 0.1 * np.sqrt(np.maximum(veil, 0.0)))


def warped(picture: np.ndarray, strength: float) -> np.ndarray:
    """A fisheye: the middle is magnified, lines bend at the borders, corners stay; any number of channels.

    A pixel at radius r (1 at the corner) shows what a pinhole saw at ``r (1 - strength) + strength r^3``.
    """
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    dx, dy = x - width / 2.0, y - height / 2.0
    r2 = (dx * dx + dy * dy) / np.float32(0.25 * (width * width + height * height))
    factor = (1.0 - strength + strength * r2).astype(np.float32)
    places = (dx * factor + width / 2.0 - 0.5, dy * factor + height / 2.0 - 0.5)
    return cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
