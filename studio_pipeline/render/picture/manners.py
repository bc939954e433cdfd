"""Manners of drawing done to a finished picture [H, W, 3] float32 in linear light: paint, wash, ink, print, pencil."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.picture.colour import from_oklab, linear, luminance, to_oklab
from studio_pipeline.render.picture.noise import fractal_noise, smooth, value_noise
from studio_pipeline.render.picture.optics import blurred, grained, vignetted

__all__ = ["brushed", "comic", "ink", "oiled", "paper", "retro_cel", "sketch", "storybook", "watercolour"]


def paper(rng: np.random.Generator, shape: tuple[int, int], *, rough: float = 0.5) -> np.ndarray:
    """The tooth of paper about 1. [H, W] float32"""
    height, width = shape
    fine = value_noise(rng, shape, (max(8, height // 3), max(8, width // 3)))
    broad = fractal_noise(rng, shape, (14, 14), octaves=4)
    return (1.0 + rough * (0.16 * (fine - 0.5) + 0.14 * (broad - 0.5))).astype(np.float32)


def oiled(picture: np.ndarray, radius: int) -> np.ndarray:
    """Brush work (Kuwahara 1976): each pixel takes the mean of the calmest of four neighbouring windows."""
    size = radius + 1
    encoded = np.sqrt(np.clip(picture, 0.0, 1.0))
    light = luminance(encoded)
    means = cv2.blur(encoded, (size, size), borderType=cv2.BORDER_REFLECT)
    mean = cv2.blur(light, (size, size), borderType=cv2.BORDER_REFLECT)
    spread = cv2.blur(light * light, (size, size), borderType=cv2.BORDER_REFLECT) - mean * mean
    best = np.full(light.shape, np.inf, np.float32)
    result = np.zeros_like(picture)
    half = radius // 2 + 1
    for dy, dx in ((-half, -half), (-half, half), (half, -half), (half, half)):
        moved = _shifted(spread, dy, dx)
        calmer = moved < best
        best = np.where(calmer, moved, best)
        result = np.where(calmer[..., None], _shifted(means, dy, dx), result)
    return result * result


def _shifted(array: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """The array with each pixel taken from (dy, dx) away; borders repeat."""
    pad = max(abs(dy), abs(dx))
    padded = cv2.copyMakeBorder(array, pad, pad, pad, pad, cv2.BORDER_REFLECT)
    height, width = array.shape[:2]
    return padded[pad + dy : pad + dy + height, pad + dx : pad + dx + width]


def brushed(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Thick paint: brush work, broken colour and the relief of strokes."""
    shape = picture.shape[:2]
    bend = fractal_noise(rng, shape, (5, 5), octaves=2) - 0.5
    other = fractal_noise(rng, shape, (9, 9), octaves=2) - 0.5
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    reach = np.float32(3.0 * px)
    moved = cv2.remap(picture, x + reach * other, y + reach * bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    painted = oiled(moved, max(1, round(5 * px)))
    painted = 0.3 * moved + 0.7 * oiled(painted, max(1, round(3 * px)))
    lab = to_oklab(painted)
    # Strokes lie along the diagonal and bend with the paint.
    bristles = value_noise(rng, (256, 256), (96, 11)) - 0.5
    u, v = (x + y) / (2.6 * px) + 30.0 * bend, (x - y) / (2.6 * px) + 30.0 * other
    places = ((u % 256.0).astype(np.float32), (v % 256.0).astype(np.float32))
    strokes = cv2.remap(bristles, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    lab[..., 0] *= 1.0 + 0.1 * strokes
    lab[..., 1:] *= (1.14 + 0.5 * other)[..., None]
    return from_oklab(lab)


def watercolour(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Washes with soft wandering edges that dry darker, on rough paper."""
    shape = picture.shape[:2]
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    reach = np.float32(7.0 * px)
    waves = [fractal_noise(rng, shape, (24, 24), octaves=3) - 0.5 for _ in range(2)]
    moved = cv2.remap(
        picture, x + reach * waves[0], y + reach * waves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    wash = oiled(moved, max(3, round(9 * px)))
    wash = blurred(wash, 1.0 * px)
    light = np.sqrt(np.clip(luminance(wash), 0.0, 1.0))
    edge = np.abs(light - cv2.GaussianBlur(light, (0, 0), max(2.2 * px, 0.5)))
    lab = to_oklab(wash)
    pool = fractal_noise(rng, shape, (7, 7), octaves=4) - 0.5
    lab[..., 0] = 1.0 - (1.0 - lab[..., 0]) * (0.74 + 0.75 * pool)
    lab[..., 0] -= 2.0 * np.minimum(edge, 0.08)
    lab[..., 1:] *= 0.92
    sheet = paper(rng, shape, rough=0.8)[..., None]
    border = _frame(rng, shape)[..., None]
    white = linear((253, 250, 243))
    painted = from_oklab(lab) * sheet
    return np.clip(painted * border + white * sheet * (1.0 - border), 0.0, 1.0)


def _frame(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Where paint was laid: paper stays bare along the borders. [H, W]"""
    height, width = shape
    y = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None] / height
    x = np.minimum(np.arange(width), np.arange(width)[::-1])[None] / width
    wander = fractal_noise(rng, shape, (10, 10), octaves=4)
    return smooth(0.012, 0.03, np.minimum(x, y) - 0.045 * wander + 0.012).astype(np.float32)


def storybook(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Gouache on toned paper: soft colours, visible tooth, a warm bright middle."""
    shape = picture.shape[:2]
    soft = 0.55 * picture + 0.45 * oiled(picture, max(3, round(5 * px)))
    lab = to_oklab(soft)
    lab[..., 0] = 0.16 + 0.84 * lab[..., 0] - 0.06 * lab[..., 0] ** 2
    lab[..., 1:] *= 0.84
    lab[..., 1] += 0.006
    lab[..., 2] += 0.022
    lab[..., 0] *= paper(rng, shape, rough=0.26)
    return vignetted(np.minimum(from_oklab(lab), 1.0), 0.16)


def retro_cel(picture: np.ndarray, grain: np.random.Generator, px: float) -> np.ndarray:
    """Painted cels on film: fewer colours, lifted blacks, warm print, bloom in the lights, grain."""
    lab = to_oklab(picture)
    lab[..., 0] = 0.1 + 0.83 * lab[..., 0]
    lab[..., 1:] = np.round(lab[..., 1:] / 0.022) * 0.011 + 0.5 * lab[..., 1:]
    lab[..., 1:] *= 0.9
    lab[..., 1] += 0.006
    lab[..., 2] += 0.016
    printed = np.minimum(from_oklab(lab), 1.0)
    halo = blurred(np.maximum(printed - 0.45, 0.0), 7.0 * px)
    printed = blurred(printed, 0.6 * px) + 0.22 * halo * np.array([1.0, 0.82, 0.68], np.float32)
    return vignetted(grained(printed, grain, 0.017, coarse=max(1.0, 1.3 * px)), 0.2)


def ink(picture: np.ndarray, rng: np.random.Generator, cover: np.ndarray, px: float) -> np.ndarray:
    """Brush and ink: the figure in black lines and a few grey washes, its surroundings hinted at on paper."""
    shape = picture.shape[:2]
    light = np.cbrt(np.clip(luminance(picture), 0.0, 1.0))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    wave = fractal_noise(rng, shape, (30, 30), octaves=3) - 0.5
    light = cv2.remap(light, x + 3.0 * px * wave, y - 3.0 * px * wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    pool = fractal_noise(rng, shape, (9, 9), octaves=4) - 0.5
    figure = 0.97 - 0.3 * smooth(0.72, 0.56, light + 0.12 * pool) - 0.32 * smooth(0.5, 0.38, light + 0.1 * pool)
    figure -= 0.62 * smooth(0.36, 0.2, light)
    ground = cv2.GaussianBlur(light, (0, 0), max(5.0 * px, 0.5))
    level = float(np.median(ground))
    behind = 0.96 - 0.24 * smooth(level + 0.04, level - 0.14, ground + 0.16 * pool)
    behind -= 0.12 * smooth(0.02, 0.1, ground - light)
    tone = figure * cover + behind * (1.0 - cover)
    sheet = paper(rng, shape, rough=0.7)
    return np.clip(tone * sheet, 0.02, 1.0)[..., None] ** 1.6 * linear((250, 244, 230)) / 0.95


def comic(picture: np.ndarray, cover: np.ndarray, px: float) -> np.ndarray:
    """Print: few flat colours, dots of a screen at 45 degrees where it is darker."""
    lab = to_oklab(picture)
    step = 0.2
    light = lab[..., 0]
    flat = np.floor(light / step + 0.5) * step
    lab[..., 0] = np.where(light < 0.3, light * 0.8, 0.35 * light + 0.65 * np.minimum(flat + 0.03, 1.0))
    lab[..., 1:] = 0.4 * lab[..., 1:] + 0.75 * np.round(lab[..., 1:] / 0.03) * 0.03
    printed = np.minimum(from_oklab(lab), 1.0)
    pitch = max(6.0 * px, 3.0)
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    u, v = (x + y) / (pitch * np.sqrt(2.0)), (x - y) / (pitch * np.sqrt(2.0))
    screen = 0.5 + 0.25 * (np.cos(2.0 * np.pi * u) + np.cos(2.0 * np.pi * v))
    smoothed = cv2.GaussianBlur(light, (0, 0), max(1.2 * px, 0.4))
    # A dot's area is what the tone lacks: small in the lights, meeting its neighbours in the shades.
    lack = np.clip(0.98 - smoothed, 0.0, 0.75) * np.where(cover > 0.5, 0.95, 0.8)
    dots = np.clip((screen - (1.0 - lack)) * pitch * 0.9 + 0.5, 0.0, 1.0)[..., None]
    dark = printed * np.array([0.36, 0.34, 0.46], np.float32)
    return printed + dots.astype(np.float32) * (dark - printed) * 0.8


def sketch(picture: np.ndarray, rng: np.random.Generator, cover: np.ndarray, px: float) -> np.ndarray:
    """A pencil test: searching lines drawn twice, hatched shadow, no colour, on animation paper."""
    shape = picture.shape[:2]
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    light = np.cbrt(np.clip(luminance(picture), 0.0, 1.0))
    lines = np.zeros(shape, np.float32)
    for _ in range(2):
        waves = [fractal_noise(rng, shape, (16, 16), octaves=3) - 0.5 for _ in range(2)]
        reach = np.float32(9.0 * px)
        moved = cv2.remap(
            light, x + reach * waves[0], y + reach * waves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        inner = cv2.GaussianBlur(moved, (0, 0), max(0.7 * px, 0.35)) - cv2.GaussianBlur(
            moved, (0, 0), max(2.1 * px, 0.9)
        )
        lines += smooth(0.004, 0.035, -inner)
    lines = np.minimum(lines, 1.3) * (0.28 + 0.72 * cv2.GaussianBlur(cover, (0, 0), max(3.0 * px, 0.6)))
    hatch = np.sin(
        (x + 1.15 * y) * (2.0 * np.pi / max(5.5 * px, 3.0)) + 3.0 * fractal_noise(rng, shape, (7, 7), octaves=2)
    )
    level = float(np.median(light[cover > 0.5])) if (cover > 0.5).any() else 0.5
    shade = smooth(level + 0.03, level - 0.1, light) * smooth(0.1, 0.8, hatch) * cover
    grain = 0.75 + 0.5 * value_noise(rng, shape, (max(8, shape[0] // 2), max(8, shape[1] // 2)))
    graphite = np.clip((0.9 * lines + 0.36 * shade) * grain, 0.0, 1.0)[..., None]
    sheet = linear((246, 243, 235)) * paper(rng, shape, rough=0.3)[..., None]
    return np.clip(sheet + graphite * (linear((58, 58, 72)) - sheet), 0.0, 1.0)
