"""Places in the open: meadow, forest, mountains, desert, seaside, and the bare ground of a studio under a sky."""

from __future__ import annotations

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.noise import fractal_noise, ridge
from studio_pipeline.render.picture.shapes import blob, petal, polygon
from studio_pipeline.render.sets.filming import Ring, StageSet
from studio_pipeline.render.sets.painting import Panorama, mottled, speckle
from studio_pipeline.render.sets.site import Site, bush, tree

__all__ = ["desert", "forest", "meadow", "mountains", "seaside"]


def _hills(
    site: Site, radius: float, low: float, high: float, lumps: int, colour: tuple[int, int, int], *, rough: float = 0.35
) -> Panorama:
    """A ring of rolling hills between heights in units."""
    ring = site.panorama(radius, high * 1.1)
    line = low + (high - low) * ridge(site.rng, 512, lumps, octaves=3, gain=rough)
    base = linear(colour)
    ring.below(line * site.unit, base, base * 0.72, fade=0.8 * high * site.unit)
    return ring


def _blades(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [
        np.array([[-0.14, 0.5], [0.14, 0.5], [rng.uniform(-0.5, 0.5), -1.0]]) * rng.uniform(0.6, 1.0)
        for _ in range(count)
    ]


def meadow(site: Site) -> StageSet:
    """Grass with flowers, bushes and round trees before soft hills."""
    rng, light = site.rng, site.air.light
    n = site.tile()
    tile = mottled(rng, n, 5, [linear((96, 152, 66)), linear((122, 178, 78)), linear((146, 196, 92))])
    speckle(
        rng,
        tile,
        _blades(rng, 6),
        [linear(c) for c in ((88, 146, 62), (158, 206, 98), (70, 128, 58))],
        700,
        (0.012 * n, 0.03 * n),
    )
    flowers = [linear(c) for c in ((255, 248, 232), (255, 220, 110), (246, 168, 190))]
    speckle(rng, tile, [polygon(7)], flowers, 60, (0.006 * n, 0.011 * n))
    far = _hills(site, 15.0, 0.5, 2.3, 9, (134, 180, 158))
    near = _hills(site, 8.0, 0.15, 1.1, 7, (122, 178, 98))
    trees = site.panorama(5.0, 2.4)
    for degrees in np.arange(-180.0, 180.0, 24.0) + rng.uniform(-8.0, 8.0, 15):
        if abs(degrees) > 7.0:
            leaf = ((84, 150, 84), (104, 166, 78), (70, 134, 90))[rng.integers(3)]
            tree(trees, rng, site.along(trees, degrees), rng.uniform(1.3, 2.1) * site.unit, leaf=leaf)
    low = site.panorama(3.4, 0.6)
    for degrees in np.arange(-180.0, 180.0, 17.0) + rng.uniform(-6.0, 6.0, 22):
        bush(low, rng, site.along(low, degrees), rng.uniform(0.16, 0.34) * site.unit, (104, 164, 74))
    rings = [ring.ring(light) for ring in (far, near, trees, low)]
    return site.built(site.sky(), ground=site.ground(tile, 1.6), rings=rings, clear=42.0)


def forest(site: Site) -> StageSet:
    """Trunks behind trunks under a canopy, ferns on the floor."""
    rng, light = site.rng, site.air.light
    n = site.tile()
    tile = mottled(rng, n, 6, [linear((76, 84, 50)), linear((104, 108, 60)), linear((126, 132, 74))])
    leaves = [linear(c) for c in ((140, 120, 66), (94, 116, 58), (164, 146, 82), (74, 92, 50))]
    speckle(rng, tile, [petal(), blob(rng)], leaves, 320, (0.008 * n, 0.02 * n))
    rings: list[Ring] = []
    for radius, count, bark, leaf, high in (
        (13.0, 64, (128, 152, 128), (142, 178, 140), 6.5),
        (7.5, 34, (96, 98, 82), (104, 146, 96), 4.2),
        (4.4, 17, (82, 66, 56), (72, 120, 72), 3.2),
    ):
        ring = site.panorama(radius, high)
        places = np.linspace(-180.0, 180.0, count, endpoint=False) + rng.uniform(-3.0, 3.0, count)
        for degrees in places:
            if radius > 5.0 or abs(degrees) > 9.0:
                _trunk(ring, rng, site.along(ring, degrees), rng.uniform(0.11, 0.2) * site.unit, bark)
        _canopy(ring, rng, leaf, 0.3 * high * site.unit)
        rings.append(ring.ring(light))
    ferns = site.panorama(3.2, 0.6)
    for degrees in np.arange(-180.0, 180.0, 13.0) + rng.uniform(-5.0, 5.0, 28):
        bush(ferns, rng, site.along(ferns, degrees), rng.uniform(0.14, 0.3) * site.unit, (84, 134, 66))
    dome = site.sky(cover=0.3) * 0.5 + linear((176, 208, 150)) * light.astype(np.float32) * 0.5
    haze = linear((188, 214, 170)) * light
    return site.built(dome, ground=site.ground(tile, 1.5), rings=[*rings, ferns.ring(light)], clear=20.0, haze=haze)


def _trunk(ring: Panorama, rng: np.random.Generator, x: float, wide: float, bark: tuple[int, int, int]) -> None:
    lean, top = rng.uniform(-0.12, 0.12) * ring.high, ring.high * 1.02
    outline = np.array([[-1.5, 0.0], [-0.95, 0.06], [-0.7, 1.0], [0.7, 1.0], [0.95, 0.06], [1.5, 0.0]])
    points = outline * [wide, top]
    points[:, 0] += x + lean * points[:, 1] / top
    base = linear(bark)
    ring.fill(points, base)
    shade = points.copy()
    shade[:3, 0] += 1.1 * wide
    ring.fill(shade, base * 0.66)


def _canopy(ring: Panorama, rng: np.random.Generator, leaf: tuple[int, int, int], size: float) -> None:
    base = linear(leaf)
    for tone, drop in ((0.6, 0.0), (0.85, 0.25), (1.08, 0.5)):
        for x in np.arange(0.0, ring.length, 0.75 * size):
            place = [x + rng.uniform(-0.3, 0.3) * size, ring.high + (drop + rng.uniform(-0.2, 0.2)) * size]
            ring.fill(blob(rng, rough=0.25, lumps=10) * size * 0.75 + place, base * tone)


def mountains(site: Site) -> StageSet:
    """Snow-capped peaks behind rocks on stony ground."""
    rng, light = site.rng, site.air.light
    n = site.tile()
    tile = mottled(rng, n, 6, [linear((124, 120, 112)), linear((150, 146, 132)), linear((136, 146, 110))])
    stones = [linear(c) for c in ((168, 164, 154), (108, 104, 100), (188, 184, 172))]
    speckle(rng, tile, [blob(rng, rough=0.12), polygon(5), polygon(6)], stones, 240, (0.008 * n, 0.03 * n))
    rings = [
        _peaks(site, 22.0, 2.0, 8.5, 12, (128, 146, 180), snow=0.5).ring(light),
        _peaks(site, 11.0, 0.5, 3.4, 11, (98, 112, 138), snow=0.75).ring(light),
    ]
    rocks = site.panorama(4.2, 1.1)
    for degrees in np.arange(-180.0, 180.0, 16.0) + rng.uniform(-6.0, 6.0, 23):
        _rock(rocks, rng, site.along(rocks, degrees), rng.uniform(0.2, 0.55) * site.unit, (130, 126, 124))
    return site.built(site.sky(), ground=site.ground(tile, 1.7), rings=[*rings, rocks.ring(light)], clear=46.0)


def _peaks(
    site: Site, radius: float, low: float, high: float, count: int, rock: tuple[int, int, int], *, snow: float
) -> Panorama:
    """Jagged mountains with a lit and a shaded flank and snow above ``snow`` of their height."""
    ring, rng, unit = site.panorama(radius, high * 1.05), site.rng, site.unit
    base, white = linear(rock), linear((240, 246, 255))
    for layer in range(2):
        for index in range(count):
            x = (index + 0.5 * layer + rng.uniform(-0.25, 0.25)) / count * ring.length
            top = rng.uniform(0.55, 1.0) * (high if layer == 0 else 0.72 * high) * unit
            half = top * rng.uniform(0.75, 1.15)
            line = _flank(rng, 10)
            left = np.array([[x - half + half * t, top * (t + line[i])] for i, t in enumerate(np.linspace(0, 1, 10))])
            right = np.array([[x + half - half * t, top * (t + line[-i])] for i, t in enumerate(np.linspace(0, 1, 10))])
            spine = np.array(
                [[x + half * d, top * h] for d, h in ((0.0, 1.0), (0.07, 0.75), (-0.04, 0.5), (0.12, 0.0))]
            )
            tone = 1.0 if layer == 0 else 0.86
            ring.fill(np.concatenate([left, spine]), base * tone)
            ring.fill(np.concatenate([right, spine]), base * 0.62 * tone)
            if top > snow * high * unit:
                _cap(ring, rng, x, top, half, white)
    ring.below(np.full(8, low * 0.25 * unit), base * 0.9, base * 0.9, fade=low * unit)
    return ring


def _flank(rng: np.random.Generator, count: int) -> np.ndarray:
    line = rng.uniform(-0.05, 0.05, count)
    line[[0, -1]] = 0.0
    return line


def _cap(ring: Panorama, rng: np.random.Generator, x: float, top: float, half: float, white: np.ndarray) -> None:
    depth = 0.34
    teeth = np.array([-1.0, -0.55, -0.25, 0.05, 0.4, 0.7, 1.0])
    drops = depth * np.array([1.0, 0.62, 1.15, 0.72, 1.2, 0.7, 1.0]) * rng.uniform(0.85, 1.1, 7)
    bottom = np.stack([x + half * depth * teeth, top * (1.0 - drops)], axis=-1)
    ring.fill(np.concatenate([[[x, top]], bottom[::-1]]), white * 0.74)
    ring.fill(np.concatenate([[[x, top]], bottom[3::-1]]), white)


def _rock(ring: Panorama, rng: np.random.Generator, x: float, size: float, colour: tuple[int, int, int]) -> None:
    base = linear(colour)
    turn = np.linspace(0.0, np.pi, 7)
    radius = rng.uniform(0.75, 1.1, 7)
    shape = np.stack([np.cos(turn) * radius * 1.2, np.sin(turn) * radius * 0.8], axis=-1) * size + [x, 0.0]
    ring.fill(shape, base * 0.62)
    lit = shape[3:].copy()
    ring.fill(np.concatenate([lit, [[x - 0.1 * size, 0.25 * size]]]), base)


def desert(site: Site) -> StageSet:
    """Rippled sand, dunes and table mountains."""
    rng, light = site.rng, site.air.light
    n = site.tile()
    bend = fractal_noise(rng, (n, n), (3, 3), octaves=3)
    rows = np.arange(n)[:, None] / n
    wave = 0.5 + 0.5 * np.sin(2.0 * np.pi * (14.0 * rows + 1.6 * bend))
    sand = linear((236, 204, 148)) * (0.86 + 0.14 * wave[..., None] ** 1.5)
    tile = (sand * (0.95 + 0.1 * bend[..., None])).astype(np.float32)
    mesas = site.panorama(17.0, 5.0)
    for index in range(9):
        x, high = (index + rng.uniform(0.1, 0.9)) / 9.0 * mesas.length, rng.uniform(1.6, 4.4) * site.unit
        wide = rng.uniform(0.7, 2.0) * high
        shape = np.array([[-0.6, 0.0], [-0.42, 0.55], [-0.4, 1.0], [0.38, 1.0], [0.42, 0.5], [0.62, 0.0]])
        mesas.fill(shape * [wide, high] + [x, 0.0], linear((206, 134, 96)))
        mesas.fill(shape[3:] * [wide, high] + [x, 0.0], linear((206, 134, 96)) * 0.62)
        for band in (0.3, 0.62, 0.84):
            mesas.box(x - 0.4 * wide, 0.79 * wide, band * high, (band + 0.04) * high, linear((172, 102, 78)), cover=0.5)
    dunes = [_dune(site, 9.0, 1.7, 7, (238, 198, 138)), _dune(site, 5.0, 0.75, 6, (244, 212, 156))]
    return site.built(
        site.sky(cover=0.12 if site.weather in ("clear", "windy") else None),
        ground=site.ground(tile, 1.4), rings=[ring.ring(light) for ring in (mesas, *dunes)], clear=50.0,
    )  # fmt: skip


def _dune(site: Site, radius: float, high: float, count: int, colour: tuple[int, int, int]) -> Panorama:
    ring, rng = site.panorama(radius, high * 1.1), site.rng
    base = linear(colour)
    for index in range(count):
        x, top = (index + rng.uniform(-0.2, 0.2)) / count * ring.length, rng.uniform(0.5, 1.0) * high * site.unit
        half = ring.length / count * rng.uniform(0.75, 1.1)
        t = np.linspace(0.0, 1.0, 24)
        left = np.stack([x - half * (1.0 - t), top * t * t * (3.0 - 2.0 * t)], axis=-1)
        right = np.stack([x + half * t, top * (1.0 - t) ** 1.6], axis=-1)
        ring.fill(np.concatenate([left, right]), base)
        foot = np.stack([x + 0.35 * half * np.sin(np.pi * t) * (1.0 - t), top * (1.0 - t)], axis=-1)
        ring.fill(np.concatenate([right, foot[::-1]]), base * 0.66)
    return ring


def seaside(site: Site) -> StageSet:
    """A beach in a ring of sea, islands on the horizon."""
    rng, light = site.rng, site.air.light
    n = site.tile()
    sand = mottled(rng, n, 5, [linear((228, 204, 158)), linear((240, 220, 178)), linear((248, 232, 198))])
    shells = [linear(c) for c in ((255, 240, 226), (196, 168, 130), (238, 178, 164))]
    speckle(rng, sand, [polygon(6), blob(rng)], shells, 70, (0.004 * n, 0.011 * n))
    bend = fractal_noise(rng, (n, n), (4, 4), octaves=3)
    crest = np.sin(2.0 * np.pi * (7.0 * np.arange(n)[:, None] / n + 2.2 * bend))
    sea = mottled(rng, n, 3, [linear((36, 128, 172)), linear((58, 160, 190)), linear((84, 186, 202))])
    sea = sea + np.clip(crest - 0.78, 0.0, 1.0)[..., None].astype(np.float32) * (0.9 - sea) * 2.4
    islands = site.panorama(24.0, 3.4)
    for index in range(7):
        x, high = (index + rng.uniform(0.1, 0.9)) / 7.0 * islands.length, rng.uniform(0.9, 2.6) * site.unit
        t = np.linspace(0.0, np.pi, 20)
        bumps = 1.0 + 0.16 * np.sin(3.0 * t + rng.uniform(0, 6))
        shape = np.stack([-np.cos(t) * 2.6, np.sin(t) * bumps], axis=-1) * high + [x, 0.0]
        islands.fill(shape, linear((96, 148, 140)))
    palms = site.panorama(4.4, 2.2)
    for degrees in (-66.0, -27.0, 24.0, 58.0, 110.0, 150.0, -120.0, -160.0):
        _palm(palms, rng, site.along(palms, degrees + rng.uniform(-4, 4)), rng.uniform(1.3, 1.9) * site.unit)
    ground = site.ground(sand, 1.6, broad=0.06, beyond=sea.astype(np.float32), shore=4.9)
    return site.built(site.sky(), ground=ground, rings=[islands.ring(light), palms.ring(light)], clear=60.0)


def _palm(ring: Panorama, rng: np.random.Generator, x: float, high: float) -> None:
    lean = rng.uniform(-0.25, 0.25) * high
    t = np.linspace(0.0, 1.0, 12)
    middle = np.stack([x + lean * t * t, high * t], axis=-1)
    half = 0.03 * high * (1.3 - 0.6 * t)
    ring.fill(
        np.concatenate([middle - np.stack([half, 0 * t], -1), (middle + np.stack([half, 0 * t], -1))[::-1]]),
        linear((150, 112, 78)),
    )
    for index, turn in enumerate(np.linspace(-0.5, np.pi + 0.5, 8)):
        reach = 0.42 * high * np.stack([np.cos(turn) * t, np.sin(turn) * t - 0.75 * t * t], axis=-1)
        width = 0.05 * high * np.sin(np.pi * np.clip(t, 0.0, 0.97))
        leaf = np.concatenate([reach + np.stack([0 * t, width], -1), (reach - np.stack([0 * t, width], -1))[::-1]])
        ring.fill(leaf + middle[-1], linear((74, 146, 86)) * (1.0 if index % 2 else 0.7))
