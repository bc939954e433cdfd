"""Clips of a drawn figure whose timing, lines, steps of shading and colours are known."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["ball", "figure_alpha", "posed", "with_lattice", "with_rays", "with_streaks"]

PAPER = (214, 220, 228)


def posed(phase: float, *, size: int = 128, behind: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A stick figure that swings its arms and legs: picture [size, size, 3] and mask [size, size] uint8."""
    picture = np.full((size, size, 3), PAPER, np.uint8) if behind is None else behind.copy()
    mask = np.zeros((size, size), np.uint8)
    unit = size / 128.0
    hip, neck = np.array([64.0, 74.0]) * unit, np.array([64.0, 44.0]) * unit
    swing = 0.7 * np.sin(phase)

    def limb(root: np.ndarray, angle: float, length: float, width: int, colour: tuple[int, int, int]) -> None:
        tip = root + length * unit * np.array([np.sin(angle), np.cos(angle)])
        for canvas, ink in ((picture, colour), (mask, 255)):
            cv2.line(canvas, tuple(map(int, root)), tuple(map(int, tip)), ink, int(width * unit), cv2.LINE_AA)

    limb(hip, swing, 32.0, 9, (40, 60, 120))
    limb(hip, -swing, 32.0, 9, (60, 80, 150))
    limb(neck, np.pi, -30.0, 20, (190, 70, 60))
    limb(neck, -1.3 * swing, 26.0, 7, (210, 150, 120))
    limb(neck, 1.3 * swing, 26.0, 7, (230, 170, 140))
    for canvas, ink in ((picture, (235, 190, 160)), (mask, 255)):
        cv2.circle(canvas, (int(neck[0]), int(neck[1] - 14 * unit)), int(11 * unit), ink, -1, cv2.LINE_AA)
    return picture, mask


def ball(
    *, size: int = 160, levels: int = 1, line: float = 0.0, colour: tuple[int, int, int] = (210, 120, 90)
) -> tuple[np.ndarray, np.ndarray]:
    """A ball on paper, shaded in ``levels`` even steps (0: a smooth slope), with an outline of ``line`` px.

    Drawn four times as large and averaged. Returns the picture and its mask.
    """
    large = 4 * size
    y, x = (np.mgrid[:large, :large] + 0.5) / large * 2.0 - 1.0
    radius = np.hypot(x, y)
    inside = radius < 0.6
    height = np.sqrt(np.clip(0.36 - radius**2, 0.0, None)) / 0.6
    light = np.clip(-0.7 * x / 0.6 - 0.5 * y / 0.6 + 0.4 * height, -1.0, 1.0) * 0.5 + 0.5
    shade = light if levels == 0 else np.ceil(light * levels) / levels if levels > 1 else np.ones_like(light)
    picture = np.full((large, large, 3), PAPER, np.float64)
    picture[inside] = (np.array(colour) * (0.35 + 0.65 * shade[..., None]))[inside]
    if line > 0.0:
        picture[np.abs(radius - 0.6) < line * 4.0 / large] = (20, 16, 24)
    inside |= (np.abs(radius - 0.6) < line * 4.0 / large) if line > 0.0 else False
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(inside.astype(np.float64) * 255.0, (size, size), interpolation=cv2.INTER_AREA)
    return np.round(small).astype(np.uint8), np.round(mask).astype(np.uint8)


def figure_alpha(height: float, *, size: int = 128, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A standing box ``height`` of the picture high: frames and alpha; more than 1 is cut off below."""
    frames = np.full((count, size, size, 3), PAPER, np.uint8)
    alpha = np.zeros((count, size, size), np.uint8)
    tall = round(height * size)
    top = max(0, (size - tall) // 2) if height < 0.95 else round(0.08 * size)
    wide = round(0.25 * tall)
    left = max(0, (size - wide) // 2)
    frames[:, top : top + tall, left : left + wide] = (180, 90, 70)
    alpha[:, top : top + tall, left : left + wide] = 255
    return frames, alpha


def with_streaks(frame: np.ndarray, seed: int, *, angle: float = 0.1, count: int = 26) -> np.ndarray:
    """Parallel thin bright lines over the picture."""
    rng, drawn = np.random.default_rng(seed), frame.copy()
    height, width = frame.shape[:2]
    way = np.array([np.cos(angle), np.sin(angle)])
    for _ in range(count):
        start = rng.uniform(0, 1, 2) * (width, height)
        end = start + way * width * rng.uniform(0.35, 0.7)
        cv2.line(drawn, tuple(map(int, start)), tuple(map(int, end)), (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def with_rays(frame: np.ndarray, seed: int, *, count: int = 40) -> np.ndarray:
    """Thin dark lines that run from the border towards the middle."""
    rng, drawn = np.random.default_rng(seed), frame.copy()
    height, width = frame.shape[:2]
    for angle in rng.uniform(0, 2 * np.pi, count):
        way = np.array([np.cos(angle), np.sin(angle)])
        start, end = (np.array([width, height]) / 2.0 + way * width * reach for reach in (0.8, rng.uniform(0.3, 0.42)))
        cv2.line(drawn, tuple(map(int, start)), tuple(map(int, end)), (24, 22, 30), 1, cv2.LINE_AA)
    return drawn


def with_lattice(frame: np.ndarray, pitch: float) -> np.ndarray:
    """Dark dots in a square lattice turned by 30 degrees."""
    height, width = frame.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    u, v = 0.866 * x + 0.5 * y, -0.5 * x + 0.866 * y
    dots = np.cos(2 * np.pi * u / pitch) * np.cos(2 * np.pi * v / pitch)
    return np.clip(frame - 45.0 * np.clip(dots, 0, 1)[..., None], 0, 255).astype(np.uint8)
