"""Places that are built, and places without a ground: studio, city, room, underwater, sky, space."""

from __future__ import annotations

import itertools

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.shapes import blob, polygon
from studio_pipeline.render.sets.filming import StageSet
from studio_pipeline.render.sets.hours import Air
from studio_pipeline.render.sets.painting import Panorama, gradient, mottled
from studio_pipeline.render.sets.site import Site

__all__ = ["city", "room", "sky", "space", "studio", "underwater"]

STUDIO = {
    "dawn": ((196, 186, 214), (250, 224, 208)),
    "day": ((196, 208, 224), (238, 234, 228)),
    "sunset": ((214, 160, 140), (250, 214, 170)),
    "night": ((58, 66, 104), (112, 120, 158)),
}
"""Top and bottom of the studio's backdrop, sRGB, by value of ``environment.time``."""


def studio(site: Site) -> StageSet:
    """A cyclorama with marks: floor tiles that fade out, standing panels with dots on the wall."""
    top, bottom = (linear(colour) for colour in STUDIO[site.hour])
    n = site.tile()
    cell = np.abs((np.arange(n) + 0.5) / n * 4.0 % 1.0 - 0.5) * 2.0
    fine = np.maximum(smooth(0.955, 0.985, cell)[:, None], smooth(0.955, 0.985, cell)[None])
    checks = np.add.outer(np.arange(n) * 4 // n, np.arange(n) * 4 // n) % 2
    tone = (1.0 - 0.07 * checks - 0.3 * fine)[..., None]
    tile = (bottom * tone).astype(np.float32)
    wall = site.panorama(7.0, 6.5)
    wall.below(np.full(8, wall.high), top, bottom * 0.97, fade=wall.high)
    panels = 36
    for index in range(panels):
        x = (index + 0.5) / panels * wall.length
        wide = wall.length / panels
        if index % 2:
            wall.box(x - wide / 2, wide, 0.0, wall.high, bottom * 0.8, cover=0.22)
        for row, high in enumerate((0.9, 2.1, 3.3, 4.5, 5.7)):
            size = (0.13 if (index + row) % 3 else 0.22) * site.unit
            wall.fill(polygon(40) * size + [x, high * site.unit], top * (0.72 if row % 2 else 0.8), cover=0.55)
    wall.box(0.0, wall.length - 1e-3, 0.0, 0.12 * site.unit, top * 0.62, cover=0.5)
    plain = np.repeat(gradient([(-1.0, bottom), (1.0, top)], np.linspace(1.0, -1.0, 64))[:, None], 128, axis=1)
    dome = plain if site.weather in ("clear", "windy") else site.sky()
    rings = [wall.ring()] if site.weather in ("clear", "windy") else []
    haze = bottom * 0.5 + top * 0.5 if rings else site.air.horizon
    ground = site.ground(tile / np.maximum(site.air.light.astype(np.float32), 1e-3), 2.0, broad=0.02)
    return site.built(dome, ground=ground, rings=rings, haze=haze, clear=24.0, stars=0)


def city(site: Site) -> StageSet:
    """A crossing among houses with lit windows, a skyline behind."""
    rng, light, night = site.rng, site.air.light, site.hour in ("night", "sunset")
    n = site.tile()
    tile = mottled(rng, n, 8, [linear((122, 124, 132)), linear((134, 136, 142)), linear((142, 144, 150))])
    slab = np.abs((np.arange(n) + 0.5) / n * 3.0 % 1.0 - 0.5) * 2.0
    gap = np.maximum(smooth(0.95, 0.98, slab)[:, None], smooth(0.95, 0.98, slab)[None])[..., None]
    tile = (tile * (1.0 - 0.38 * gap)).astype(np.float32)
    far = site.panorama(20.0, 9.0)
    for index in range(60):
        x, wide = index / 60.0 * far.length, far.length / 60.0 * rng.uniform(0.8, 1.35)
        _house(far, rng, x, wide, rng.uniform(2.5, 8.6) * site.unit, (150, 166, 194), night, 0.32 * site.unit)
    near = site.panorama(7.0, 5.2)
    tones = ((214, 186, 160), (184, 196, 204), (206, 170, 158), (176, 186, 168), (222, 206, 172))
    for index in range(16):
        x, wide = index / 16.0 * near.length, near.length / 16.0 * rng.uniform(0.84, 0.97)
        _house(near, rng, x, wide, rng.uniform(2.6, 5.0) * site.unit, tones[index % 5], night, 0.42 * site.unit)
        near.box(x, wide * 1.2, 0.0, 0.08 * site.unit, linear((104, 106, 116)))
        colour = linear(((210, 92, 84), (84, 142, 178), (226, 172, 82))[index % 3])
        near.box(x + 0.12 * wide, 0.5 * wide, 0.72 * site.unit, 0.95 * site.unit, colour)
        near.box(x + 0.16 * wide, 0.42 * wide, 0.08 * site.unit, 0.7 * site.unit, linear((70, 82, 98)))
    lamps = site.panorama(4.4, 2.3)
    for degrees in (-150.0, -104.0, -58.0, -22.0, 20.0, 62.0, 108.0, 156.0):
        _lamp(lamps, site.along(lamps, degrees), 2.0 * site.unit, night)
    rings = [far.ring(_lit(light, night)), near.ring(_lit(light, night)), lamps.ring(_lit(light, night))]
    return site.built(site.sky(), ground=site.ground(tile, 2.4, broad=0.05), rings=rings, clear=34.0)


def _lit(light: np.ndarray, night: bool) -> np.ndarray:
    """Streets are never as dark as the country."""
    return np.maximum(light, 0.34) if night else light


def _house(
    ring: Panorama, rng: np.random.Generator, x: float, wide: float, high: float, tone: tuple[int, int, int],
    night: bool, step: float,
) -> None:  # fmt: skip
    base = linear(tone) * rng.uniform(0.8, 1.05)
    ring.box(x, wide, 0.0, high, base)
    ring.box(x + 0.72 * wide, 0.28 * wide, 0.0, high, base * 0.78)
    ring.box(x - 0.02 * wide, 1.04 * wide, high - 0.1 * step, high + 0.12 * step, base * 0.7)
    count = max(2, int(wide / step))
    glass, lamp = linear((116, 148, 178)), linear((255, 216, 130)) * 2.2
    for row in range(1, int(high / step) - 1):
        for column in range(count):
            lit = rng.random() < (0.5 if night else 0.04)
            left = x + (column + 0.24) * wide / count
            colour = lamp if lit else glass * (0.42 if night else 1.0)
            ring.box(left, 0.5 * wide / count, (row + 0.5) * step, (row + 1.05) * step, colour)


def _lamp(ring: Panorama, x: float, high: float, night: bool) -> None:
    iron = linear((58, 62, 74))
    ring.box(x - 0.015 * high, 0.03 * high, 0.0, high, iron)
    ring.box(x - 0.01 * high, 0.2 * high, 0.97 * high, high, iron)
    glow = linear((255, 226, 150)) * (3.0 if night else 1.0)
    ring.fill(polygon(24) * 0.045 * high + [x + 0.17 * high, 0.95 * high], glow)
    if night:
        for size in (0.3, 0.2, 0.12):
            ring.fill(polygon(32) * size * high + [x + 0.17 * high, 0.93 * high], linear((255, 206, 120)), cover=0.12)


def room(site: Site) -> StageSet:
    """Four walls' worth of wallpaper, windows, shelves and pictures around a plank floor."""
    rng = site.rng
    light = np.maximum(site.air.figure, 0.4) if site.hour == "night" else site.air.figure
    n = site.tile()
    planks = 6
    tile = np.empty((n, n, 3), np.float32)
    grain = fractal_noise(rng, (n, n), (4 * planks, 3), octaves=3)
    for index in range(planks):
        rows = slice(index * n // planks, (index + 1) * n // planks)
        tone = linear((188, 138, 94)) * rng.uniform(0.84, 1.08)
        tile[rows] = tone * (0.86 + 0.28 * grain[rows, :, None])
        tile[rows.start : rows.start + max(1, n // 160)] *= 0.55
        joint = int(rng.integers(n))
        tile[rows, joint : joint + max(1, n // 200)] *= 0.6
    wall = site.panorama(4.6, 3.6)
    wall.below(np.full(8, wall.high), linear((238, 222, 198)), linear((226, 204, 176)), fade=wall.high)
    for index in range(48):
        wide = wall.length / 48
        wall.box(index * wide, 0.5 * wide, 0.0, wall.high, linear((222, 196, 168)), cover=0.5)
    wall.box(0.0, wall.length - 1e-3, 0.0, 0.7 * site.unit, linear((206, 164, 122)))
    wall.box(0.0, wall.length - 1e-3, 0.66 * site.unit, 0.74 * site.unit, linear((170, 122, 84)))
    wall.box(0.0, wall.length - 1e-3, 0.0, 0.1 * site.unit, linear((150, 106, 74)))
    for index, degrees in enumerate(np.arange(-180.0, 180.0, 30.0) + 14.0):
        x = site.along(wall, degrees)
        (_window, _frame, _shelf)[index % 3](wall, rng, x, site)
    ceiling = linear((236, 228, 214)) * light
    dome = np.broadcast_to(ceiling.astype(np.float32), (64, 128, 3)).copy()
    return site.built(dome, ground=site.ground(tile, 2.2, broad=0.03), rings=[wall.ring(light)], clear=200.0,
                      haze=ceiling, stars=0)  # fmt: skip


def _window(wall: Panorama, rng: np.random.Generator, x: float, site: Site) -> None:
    u = site.unit
    wall.box(x - 0.62 * u, 1.24 * u, 0.95 * u, 2.5 * u, linear((250, 244, 232)))
    rows = np.linspace(1.02, 2.43, 9)
    for low, high in itertools.pairwise(rows):
        share = (low - 1.02) / 1.41
        colour = site.air.horizon * (1.0 - share) + site.air.middle * share
        wall.box(x - 0.55 * u, 1.1 * u, low * u, (high + 0.01) * u, colour)
    wall.box(x - 0.025 * u, 0.05 * u, 1.0 * u, 2.45 * u, linear((250, 244, 232)))
    wall.box(x - 0.55 * u, 1.1 * u, 1.7 * u, 1.75 * u, linear((250, 244, 232)))
    for side in (-1.0, 1.0):
        curtain = np.array([[0.5, 2.6], [0.86, 2.6], [0.8, 0.85], [0.68, 0.85]]) * [side * u, u]
        wall.fill(curtain + np.array([x, 0.0]), linear((214, 116, 104)))


def _frame(wall: Panorama, rng: np.random.Generator, x: float, site: Site) -> None:
    u, colours = site.unit, ((96, 150, 170), (226, 176, 96), (170, 124, 160), (120, 160, 110))
    for dx, low, wide, high in ((-0.5, 1.3, 0.5, 0.65), (0.12, 1.05, 0.42, 0.42), (0.1, 1.65, 0.6, 0.5)):
        wall.box(x + dx * u, wide * u, low * u, (low + high) * u, linear((112, 82, 62)))
        colour = linear(colours[rng.integers(4)])
        wall.box(x + (dx + 0.05) * u, (wide - 0.1) * u, (low + 0.05) * u, (low + high - 0.05) * u, colour)
        hill = polygon(24) * 0.2 * wide * u + [x + (dx + wide / 2) * u, (low + 0.36 * high) * u]
        wall.fill(hill, colour * 0.55)


def _shelf(wall: Panorama, rng: np.random.Generator, x: float, site: Site) -> None:
    u = site.unit
    for low in (1.15, 1.75):
        wall.box(x - 0.6 * u, 1.2 * u, (low - 0.05) * u, low * u, linear((126, 88, 62)))
        place = x - 0.55 * u
        while place < x + 0.45 * u:
            wide, high = rng.uniform(0.05, 0.12) * u, rng.uniform(0.24, 0.42) * u
            tone = ((198, 82, 78), (70, 116, 150), (222, 176, 92), (96, 136, 96), (150, 104, 146))[rng.integers(5)]
            wall.box(place, wide * 0.94, low * u, low * u + high, linear(tone))
            place += wide


def underwater(site: Site) -> StageSet:
    """Sand with a net of light, weed and coral before blue depth."""
    rng = site.rng
    light = 0.35 + 0.65 * np.asarray(site.air.figure)
    n = site.tile()
    net = _net(rng, n)
    tile = linear((120, 176, 178)) * (0.75 + 0.9 * net[..., None]) * np.array([0.75, 1.0, 1.0], np.float32)
    deep, pale = linear((10, 60, 112)), linear((92, 196, 216))
    rise = np.linspace(90.0, -90.0, 128)
    dome = np.repeat(gradient([(-90, deep), (-5, linear((28, 116, 160))), (90, pale)], rise)[:, None], 256, axis=1)
    dome = (dome * light).astype(np.float32)
    rings = []
    for radius, high, count, tone in ((10.0, 3.4, 26, 0.5), (5.2, 2.0, 22, 0.8), (3.4, 0.9, 22, 1.0)):
        ring = site.panorama(radius, high)
        for index in range(count):
            x = (index + rng.uniform(0.0, 0.8)) / count * ring.length
            if radius < 5.0 and abs((x - site.along(ring, 0.0)) / ring.length) < 0.012:
                continue
            (_weed, _coral)[index % 2](ring, rng, x, rng.uniform(0.4, 0.95) * high * site.unit, tone)
        rings.append(ring.ring(light))
    haze = linear((30, 118, 162)) * light
    return site.built(dome, ground=site.ground(tile.astype(np.float32), 2.2), rings=rings, haze=haze, clear=11.0,
                      stars=0)  # fmt: skip


def _net(rng: np.random.Generator, n: int) -> np.ndarray:
    """The bright net that waves throw on the ground. [n, n]"""
    a, b = (fractal_noise(rng, (n, n), (5, 5), octaves=2) for _ in range(2))
    return np.exp(-np.minimum(np.abs(a - 0.5), np.abs(b - 0.5)) / 0.022).astype(np.float32)


def _weed(ring: Panorama, rng: np.random.Generator, x: float, high: float, tone: float) -> None:
    t = np.linspace(0.0, 1.0, 20)
    for index in range(4):
        sway = 0.12 * high * np.sin(5.0 * t + rng.uniform(0, 6)) * t
        half = 0.05 * high * (1.0 - t) ** 0.6
        foot, top = x + (index - 1.5) * 0.12 * high, high * rng.uniform(0.6, 1.0)
        edge = np.concatenate(
            [np.stack([foot + sway - half, top * t], -1), np.stack([foot + sway + half, top * t], -1)[::-1]]
        )
        ring.fill(edge, linear((40, 132, 96)) * tone * (0.7 + 0.15 * index))


def _coral(ring: Panorama, rng: np.random.Generator, x: float, high: float, tone: float) -> None:
    colour = linear(((206, 110, 120), (214, 156, 96), (132, 104, 168))[rng.integers(3)]) * tone
    size = 0.5 * high
    for dx, scale, shade in ((0.0, 1.0, 0.6), (-0.5, 0.62, 0.85), (0.55, 0.5, 1.0)):
        ring.fill(
            blob(rng, rough=0.28, lumps=11) * size * scale * [1.1, 0.8] + [x + dx * size, 0.2 * size], colour * shade
        )


def sky(site: Site) -> StageSet:
    """Among clouds, none of them underfoot."""
    rng, air = site.rng, site.air
    dome = site.sky(floor=-0.2, cover=0.3)
    half = len(dome) // 2
    rise = np.linspace(0.0, -90.0, len(dome) - half)
    below = gradient([(-90.0, air.middle), (-20.0, air.middle * 0.6 + air.horizon * 0.4), (0.0, air.horizon)], rise)
    dome[half:] = below[:, None]
    rings = []
    for radius, low, size, count in ((24.0, -12.0, 3.4, 16), (12.0, -6.0, 1.7, 12), (6.0, -2.6, 0.8, 7)):
        ring = site.panorama(radius, -low * 0.9, low=low)
        for index in range(count):
            degrees = index / count * 360.0 + rng.uniform(-9.0, 9.0)
            high = (low + rng.uniform(0.05, 0.9) * -1.4 * low) * site.unit
            if radius < 8.0 and abs((degrees + 180.0) % 360.0 - 180.0) < 14.0:
                high = low * 0.8 * site.unit
            _cumulus(ring, rng, site.along(ring, degrees), high, size * rng.uniform(0.7, 1.3) * site.unit, air)
        rings.append(ring.ring())
    return site.built(dome, rings=rings, clear=60.0)


def _cumulus(ring: Panorama, rng: np.random.Generator, x: float, y: float, size: float, air: Air) -> None:
    light, shade = air.cloud, air.cloud_shade
    puffs = [(rng.uniform(-1.3, 1.3), rng.uniform(0.0, 0.55), rng.uniform(0.4, 0.75)) for _ in range(7)]
    for tone, lift, scale in ((shade, -0.14, 1.0), (0.5 * (light + shade), 0.0, 0.94), (light, 0.13, 0.84)):
        for dx, dy, r in puffs:
            dy = dy * (1.0 - 0.35 * abs(dx))
            ring.fill(
                blob(rng, rough=0.07) * r * scale * size * [1.25, 0.8] + [x + dx * size, y + (dy + lift) * size], tone
            )


def space(site: Site) -> StageSet:
    """Stars, a nebula and a ringed planet."""
    rng = site.rng
    width = int(np.clip(4 * site.pixels, 384, 2048))
    value = fractal_noise(rng, (width // 2, width), (4, 8), octaves=6, gain=0.56)
    other = fractal_noise(rng, (width // 2, width), (3, 6), octaves=5)
    cloud = smooth(0.46, 0.78, value)[..., None]
    colour = gradient([(0.0, linear((60, 32, 120))), (0.5, linear((170, 60, 140))), (1.0, linear((60, 120, 200)))],
                      smooth(0.3, 0.7, other))  # fmt: skip
    dome = (linear((9, 9, 26)) + cloud * colour * 0.85).astype(np.float32)
    planet = site.panorama(30.0, 16.0, low=-16.0)
    x, y, size = site.along(planet, -11.0), 1.0 * site.unit, 3.1 * site.unit
    for scale, dx, tone in ((1.0, 0.0, (92, 84, 150)), (0.93, -0.05, (160, 128, 186)), (0.78, -0.13, (226, 178, 190))):
        planet.fill(polygon(72) * size * scale + [x + dx * size, y - dx * size], linear(tone))
    turn = np.linspace(0.0, 2.0 * np.pi, 96)
    band = np.stack([np.cos(turn) * 1.9, np.sin(turn) * 0.42], -1) * size
    inner = band * 0.78
    part = slice(48, 96)  # the half before the planet
    lower = np.concatenate([band[part], inner[part][::-1]]) @ np.array([[0.96, 0.28], [-0.28, 0.96]])
    planet.fill(lower + np.array([x, y]), linear((236, 214, 176)))
    small = site.along(planet, 12.0)
    planet.fill(polygon(40) * 0.7 * site.unit + [small, 3.6 * site.unit], linear((150, 176, 190)))
    planet.fill(polygon(40) * 0.6 * site.unit + [small - 0.12 * site.unit, 3.7 * site.unit], linear((206, 222, 226)))
    return site.built(dome, rings=[planet.ring()], haze=(0.0, 0.0, 0.0), clear=1e5, stars=900)
