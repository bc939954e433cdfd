"""What a set painter is told, and what all places share: sky, ground tile, trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.shapes import blob
from studio_pipeline.render.sets.filming import Ground, Ring, StageSet, pyramid
from studio_pipeline.render.sets.hours import Air
from studio_pipeline.render.sets.painting import Colour, Panorama, clouds, gradient

__all__ = ["Site", "bush", "tree"]


@dataclass(frozen=True)
class Site:
    """Where, when and for which camera a set is painted."""

    centre: np.ndarray  # [3] m, on the ground under the character
    unit: float  # [m], the character's size
    facing: float  # [rad], azimuth that the camera looks towards, from +Z towards +X
    pixels: int  # height of the picture
    hour: str
    weather: str
    air: Air
    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Chance comes from the seed alone."""
        object.__setattr__(self, "rng", np.random.default_rng([self.seed, 23]))

    def panorama(self, radius: float, high: float, *, low: float = 0.0) -> Panorama:
        """An empty ring; sizes in units."""
        width = int(np.clip(8 * self.pixels, 640, 4096))
        return Panorama(radius * self.unit, high * self.unit, width, low=low * self.unit)

    def along(self, ring: Panorama, degrees: float) -> float:
        """Metres along a ring of what lies ``degrees`` to the right of the middle of the first picture."""
        return ((self.facing - np.radians(degrees)) / (2.0 * np.pi) + 0.5) % 1.0 * ring.length

    def tile(self) -> int:
        """Pixels along a side of a ground tile."""
        return 128 if self.pixels < 160 else 512 if self.pixels >= 384 else 256

    def ground(
        self, tile: np.ndarray, size: float, *, broad: float = 0.12, beyond: np.ndarray | None = None,
        shore: float = 0.0,
    ) -> Ground:  # fmt: skip
        """Ground from a tile ``size`` units wide, under the hour's light."""
        wide = fractal_noise(self.rng, (64, 64), (5, 5), octaves=3)
        variation = 1.0 + broad * 2.0 * (wide - 0.5)
        light = self.air.light.astype(np.float32)
        other = None if beyond is None else pyramid(beyond * light)
        return Ground(
            pyramid(tile * light), size * self.unit, pyramid(variation[..., None]), other, shore * self.unit
        )  # fmt: skip

    def sky(self, *, floor: float = 0.02, cover: float | None = None) -> np.ndarray:
        """A dome of sky with clouds, sun or moon. [h, w, 3] linear"""
        width = int(np.clip(4 * self.pixels, 384, 2048))
        height = width // 2
        air, rise = self.air, np.linspace(90.0, -90.0, height)
        stops = [(-90.0, air.horizon * 0.8), (0.0, air.horizon), (22.0, air.middle), (90.0, air.zenith)]
        dome = np.repeat(gradient(stops, rise)[:, None], width, axis=1)
        amount = air.cloud_amount if cover is None else cover
        if air.sun is not None:
            self._sun(dome)
        clouds(self.rng, dome, air.cloud, air.cloud_shade, amount=amount, floor=floor)
        return dome

    def _sun(self, dome: np.ndarray) -> None:
        assert self.air.sun is not None and self.air.sun_colour is not None
        height, width = dome.shape[:2]
        rise = np.radians(np.linspace(90.0, -90.0, height))[:, None]
        turn = (np.arange(width) + 0.5) / width * 2.0 * np.pi - np.pi - (self.facing - np.radians(9.0))
        up, size = (np.radians(value) for value in self.air.sun)
        near = np.sin(rise) * np.sin(up) + np.cos(rise) * np.cos(up) * np.cos(turn)
        angle = np.arccos(np.clip(near, -1.0, 1.0))
        disc = 1.0 - smooth(0.9 * size, 1.1 * size, angle)
        glow = 0.5 * np.exp(-((angle / (5.0 * size)) ** 2)) + 0.35 * np.exp(-angle / (14.0 * size))
        cover = np.maximum(disc, (0.9 if self.hour != "night" else 0.35) * glow)[..., None].astype(np.float32)
        dome += cover * (self.air.sun_colour.astype(np.float32) - dome)

    def stars(self, count: int) -> np.ndarray:
        """Directions over the whole sphere, sizes and strengths. [count, 5]"""
        way = self.rng.normal(size=(count, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        bright = self.rng.random(count) ** 4
        return np.column_stack([way, 0.7 + 1.5 * bright, 0.25 + 0.75 * bright]).astype(np.float32)

    def built(
        self,
        dome: np.ndarray,
        *,
        ground: Ground | None = None,
        rings: Sequence[Ring] = (),
        haze: Colour | None = None,
        clear: float = 30.0,
        stars: int | None = None,
    ) -> StageSet:
        """The finished set; ``clear`` is the haze's distance in units on a clear day."""
        count = self.air.stars if stars is None else stars
        sky = self.stars(count)
        if ground is not None:
            sky = sky[sky[:, 1] > 0.02]
        colour = self.air.horizon if haze is None else np.asarray(haze, np.float32)
        return StageSet(
            self.centre, dome, colour.astype(np.float32), clear * self.unit * self.air.haze, ground, tuple(rings), sky
        )


def tree(
    ring: Panorama, rng: np.random.Generator, x: float, height: float, *, leaf: tuple[int, int, int],
    trunk: tuple[int, int, int] = (92, 66, 52),
) -> None:  # fmt: skip
    """A round tree: trunk, and a crown of lumps in three tones lit from the upper left."""
    wide = 0.06 * height
    foot = np.array([[-1.3, 0.0], [-0.8, 0.2], [-0.6, 0.6], [0.6, 0.6], [0.8, 0.2], [1.3, 0.0]])
    ring.fill(foot * [wide, height] + [x, 0.0], linear(trunk))
    base = linear(leaf)
    for tone, (dx, dy, size) in ((0.5, (0.02, 0.0, 1.0)), (0.78, (-0.03, 0.03, 0.84)), (1.12, (-0.08, 0.09, 0.55))):
        shape = blob(rng, rough=0.2, lumps=9) * [0.33 * size * height, 0.31 * size * height]
        ring.fill(shape + np.array([x + dx * height, (0.68 + dy) * height]), np.minimum(base * tone, 1.0))


def bush(
    ring: Panorama, rng: np.random.Generator, x: float, size: float, leaf: tuple[int, int, int]
) -> None:  # fmt: skip
    """A low bush in two tones, its lower part under the ring's edge."""
    base = linear(leaf)
    ring.fill(blob(rng, rough=0.16, lumps=9) * [1.15 * size, 0.75 * size] + [x, 0.12 * size], base * 0.62)
    ring.fill(blob(rng, rough=0.16, lumps=9) * [0.9 * size, 0.52 * size] + [x - 0.12 * size, 0.24 * size], base)
