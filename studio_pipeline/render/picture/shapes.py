"""Antialiased shapes as masks, and how a mask puts colour or light on a picture in linear light."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ["Mask", "add", "blob", "heart", "over", "paint", "petal", "polygon", "rotate", "star", "stroke", "teardrop"]

_SHIFT = 4  # OpenCV's fixed-point places after the comma


class Mask:
    """Coverage [H, W] that shapes are drawn into; coordinates are pixels, pixel centres at +0.5."""

    def __init__(self, height: int, width: int) -> None:
        self.cover = np.zeros((height, width), np.uint8)

    def fill(self, points: np.ndarray, *, level: float = 1.0) -> Mask:
        """Fill a polygon [N, 2]."""
        if np.isfinite(points).all() and np.abs(points).max() < 30000.0:
            cv2.fillPoly(self.cover, [_fixed(points)], round(255.0 * level), cv2.LINE_AA, _SHIFT)
        return self

    def disc(self, centre: np.ndarray, radius: float, *, level: float = 1.0, hollow: float = 0.0) -> Mask:
        """A disc, or a ring whose hole is ``hollow`` of the radius."""
        turn = np.linspace(0.0, 2.0 * np.pi, 33 if radius < 20.0 else 97)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        points = centre + radius * circle
        if hollow > 0.0:
            points = np.concatenate([points, (centre + hollow * radius * circle)[::-1]])
        return self.fill(points, level=level)

    def line(self, points: np.ndarray, width: float, *, level: float = 1.0, taper: float = 0.0) -> Mask:
        """A stroke along points [N, 2]; ``taper`` 1 thins both ends to nothing."""
        return self.fill(stroke(points, width, taper=taper), level=level)

    def soft(self, sigma: float) -> np.ndarray:
        """Coverage 0..1, blurred. [H, W] float32"""
        cover = self.cover.astype(np.float32) * (1.0 / 255.0)
        return cv2.GaussianBlur(cover, (0, 0), sigma) if sigma > 0.2 else cover

    @property
    def sharp(self) -> np.ndarray:
        """Coverage 0..1. [H, W] float32"""
        return self.soft(0.0)


def over(picture: np.ndarray, cover: np.ndarray, colour: np.ndarray | Sequence[float]) -> None:
    """Paint ``colour`` (linear) with coverage [H, W] 0..1 over a picture [H, W, 3], in place."""
    picture += cover[..., None] * (np.asarray(colour, np.float32) - picture)


def paint(
    picture: np.ndarray, shape: np.ndarray, colour: np.ndarray | Sequence[float], *, cover: float = 1.0,
    soft: float = 0.0,
) -> None:  # fmt: skip
    """Paint one polygon [N, 2] px over a picture, in place, touching pixels near it only; ``soft`` is a blur [px]."""
    if not np.isfinite(shape).all():
        return
    margin = 2 + int(np.ceil(3.0 * soft))
    size = picture.shape[1::-1]
    low = np.clip(np.floor(shape.min(0)) - margin, 0, size).astype(int)
    high = np.clip(np.ceil(shape.max(0)) + margin + 1, 0, size).astype(int)
    if (high > low).all():
        mask = Mask(high[1] - low[1], high[0] - low[0]).fill(shape - low)
        over(picture[low[1] : high[1], low[0] : high[0]], cover * mask.soft(soft), colour)


def add(picture: np.ndarray, light: np.ndarray, colour: np.ndarray | Sequence[float]) -> None:
    """Add light [H, W] of a ``colour`` to a picture [H, W, 3], in place; highlights roll off instead of clipping."""
    glow = light[..., None] * np.asarray(colour, np.float32)
    picture += glow * np.clip(1.15 - 0.6 * picture, 0.25, 1.0)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round((np.asarray(points, np.float64) - 0.5) * (1 << _SHIFT)).astype(np.int32)


def rotate(points: np.ndarray, angle: float) -> np.ndarray:
    """Points [N, 2] turned by ``angle`` [rad], clockwise as seen."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def stroke(points: np.ndarray, width: float, *, taper: float = 0.0) -> np.ndarray:
    """Outline [2 N, 2] of a stroke of ``width`` along points [N, 2]; ``taper`` 1 thins both ends to nothing."""
    points = np.asarray(points, np.float64)
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    share = np.linspace(0.0, 1.0, len(points))
    half = 0.5 * width * (1.0 - taper * np.abs(2.0 * share - 1.0) ** 1.5)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=-1) * half[:, None]
    return np.concatenate([points + aside, (points - aside)[::-1]])


def polygon(count: int, *, phase: float = 0.0) -> np.ndarray:
    """A regular polygon of radius 1. [count, 2]"""
    turn = phase + 2.0 * np.pi * np.arange(count) / count
    return np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def star(points: int, inner: float) -> np.ndarray:
    """A star of radius 1 whose notches lie at ``inner``. [2 points, 2]"""
    turn = -np.pi / 2.0 + np.pi * np.arange(2 * points) / points
    radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def heart() -> np.ndarray:
    """A heart of about radius 1, its tip downwards. [48, 2]"""
    t = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    x = 16.0 * np.sin(t) ** 3
    y = 13.0 * np.cos(t) - 5.0 * np.cos(2 * t) - 2.0 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=-1) / 17.0


def teardrop() -> np.ndarray:
    """A drop of about radius 1, its tip upwards. [40, 2]"""
    t = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    return np.stack([0.62 * np.sin(t) * np.sin(t / 2.0) ** 1.4, -np.cos(t)], axis=-1)


def petal() -> np.ndarray:
    """A cherry petal of radius 1 with its notch on the right. [24, 2]"""
    t = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    radius = 1.0 - 0.3 * np.exp(-((t / 0.22) ** 2))
    return np.stack([radius * np.cos(t), 0.58 * radius * np.sin(t)], axis=-1)


def blob(rng: np.random.Generator, *, rough: float = 0.18, lumps: int = 7) -> np.ndarray:
    """A lumpy closed shape of about radius 1. [64, 2]"""
    t = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
    radius = np.ones(64)
    for count in range(2, lumps):
        radius += rough / count**0.7 * np.cos(count * t + rng.uniform(0.0, 2.0 * np.pi)) * rng.uniform(0.4, 1.0)
    return radius[:, None] * np.stack([np.cos(t), np.sin(t)], axis=-1)
