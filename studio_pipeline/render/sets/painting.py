"""Brushes of the set painter: panoramas that close around, tiles that repeat, skies with clouds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.shapes import Mask
from studio_pipeline.render.sets.filming import Ring

__all__ = ["Colour", "Panorama", "clouds", "gradient", "mottled", "speckle"]

Colour = np.ndarray | Sequence[float]


class Panorama:
    """A ring's picture in the making: places are metres along the ring and above its lower edge."""

    def __init__(self, radius: float, high: float, width: int, *, low: float = 0.0) -> None:
        self.radius, self.low, self.high = radius, low, high
        self.length = 2.0 * np.pi * radius
        self.scale = width / self.length  # pixels a metre
        self.width, self.height = width, max(4, round((high - low) * self.scale))
        self.picture = np.zeros((self.height, width, 4), np.float32)

    def fill(self, points: np.ndarray, colour: Colour, *, cover: float = 1.0) -> None:
        """Fill a polygon [N, 2]; it may run over the seam."""
        pixels = np.stack([points[:, 0] * self.scale, (self.high - points[:, 1]) * self.scale], axis=-1)
        start = np.floor(pixels.min(0)).astype(int) - 2
        stop = np.ceil(pixels.max(0)).astype(int) + 2
        top, bottom = max(start[1], 0), min(stop[1], self.height)
        wide = min(stop[0] - start[0], self.width)
        if bottom <= top or wide <= 0:
            return
        mask = Mask(bottom - top, wide).fill(pixels - [start[0], top]).sharp[..., None] * cover
        columns = np.arange(start[0], start[0] + wide) % self.width
        part = self.picture[top:bottom, columns]
        paint = np.concatenate([np.asarray(colour, np.float32), [1.0]]).astype(np.float32)
        self.picture[top:bottom, columns] = part * (1.0 - mask) + mask * paint

    def box(self, x: float, width: float, low: float, high: float, colour: Colour, *, cover: float = 1.0) -> None:
        """Fill an upright rectangle."""
        corners = np.array([[x, low], [x + width, low], [x + width, high], [x, high]])
        self.fill(corners, colour, cover=cover)

    def below(self, line: np.ndarray, top: Colour, bottom: Colour, *, fade: float = 1.0) -> None:
        """Fill what is under a line of heights [K] m, from ``top`` at the line to ``bottom`` ``fade`` m lower."""
        heights = np.interp(np.arange(self.width), np.linspace(0, self.width, len(line) + 1), np.append(line, line[0]))
        y = self.high - (np.arange(self.height) + 0.5) / self.scale
        under = heights[None] - y[:, None]
        cover = np.clip(under * self.scale + 0.5, 0.0, 1.0)[..., None]
        share = np.clip(under / fade, 0.0, 1.0)[..., None].astype(np.float32)
        colour = np.asarray(top, np.float32) * (1.0 - share) + np.asarray(bottom, np.float32) * share
        paint = np.concatenate([colour, np.ones_like(share)], axis=-1)
        self.picture = (self.picture * (1.0 - cover) + cover * paint).astype(np.float32)

    def ring(self, light: Colour = (1.0, 1.0, 1.0)) -> Ring:
        """The finished ring under a light."""
        picture = self.picture.copy()
        picture[..., :3] *= np.asarray(light, np.float32)
        return Ring(self.radius, self.low, self.high, np.concatenate([picture, picture[:, :1]], axis=1))


def gradient(stops: Sequence[tuple[float, Colour]], places: np.ndarray) -> np.ndarray:
    """Colours [..., 3] float32 between stops (place, colour) with soft transitions."""
    at = np.array([stop for stop, _ in stops])
    colours = np.array([colour for _, colour in stops], np.float32)
    return np.stack([np.interp(places, at, colours[:, i]) for i in range(3)], axis=-1).astype(np.float32)


def mottled(
    rng: np.random.Generator, size: int, cells: int, colours: Sequence[Colour], *, octaves: int = 4
) -> np.ndarray:
    """A periodic tile whose noise runs through colours. [size, size, 3] float32"""
    value = fractal_noise(rng, (size, size), (cells, cells), octaves=octaves)
    spread = (value - value.min()) / max(float(np.ptp(value)), 1e-6)
    return gradient([(i / (len(colours) - 1), c) for i, c in enumerate(colours)], spread)


def speckle(
    rng: np.random.Generator, tile: np.ndarray, shapes: Sequence[np.ndarray], colours: Sequence[Colour], count: int,
    sizes: tuple[float, float],
) -> None:  # fmt: skip
    """Strew shapes (radius 1) of ``sizes`` px over a periodic tile, in place."""
    n = len(tile)
    for _ in range(count):
        place, size = rng.uniform(0.0, n, 2), rng.uniform(*sizes)
        points = shapes[int(rng.integers(len(shapes)))] * size
        colour = np.asarray(colours[int(rng.integers(len(colours)))], np.float32)
        reach = int(np.ceil(np.abs(points).max())) + 2
        mask = Mask(2 * reach, 2 * reach).fill(points + reach + place % 1.0).sharp[..., None]
        rows, columns = (np.floor(place).astype(int)[::-1, None] + np.arange(-reach, reach)) % n
        part = tile[np.ix_(rows, columns)]
        tile[np.ix_(rows, columns)] = part + mask * (colour - part)


def clouds(
    rng: np.random.Generator, dome: np.ndarray, light: Colour, shade: Colour, *, amount: float, floor: float = 0.02
) -> None:
    """Paint cumulus on a dome, lit from above, thinning towards the zenith; ``amount`` 0..1. In place."""
    height, width = dome.shape[:2]
    half = height // 2
    value = fractal_noise(rng, (half, width), (9, 13), octaves=5, gain=0.55)
    low, high = np.quantile(value, [1.0 - 0.85 * amount, 1.0 - 0.45 * amount])
    cover = smooth(float(low), float(max(high, low + 0.04)), value)
    rise = np.linspace(1.0, 0.0, half)[:, None]  # 1 at the zenith
    cover *= smooth(floor, floor + 0.06, rise) * (1.0 - 0.6 * smooth(0.45, 0.9, rise))
    step = max(1, half // 40)
    above = np.roll(value, step, axis=0)
    lit = np.clip(0.55 + 5.0 * (value - above), 0.0, 1.0)[..., None].astype(np.float32)
    colour = np.asarray(shade, np.float32) * (1.0 - lit) + np.asarray(light, np.float32) * lit
    part = dome[:half]
    dome[:half] = part + cover[..., None].astype(np.float32) * (colour - part)
