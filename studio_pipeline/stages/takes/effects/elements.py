"""``vfx.element``: natural effects as they are drawn by hand, in the world so that the camera moves them rightly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studio_pipeline.render.picture.colour import linear
from studio_pipeline.render.picture.shapes import Mask, add, blob, over, paint, polygon, rotate, stroke, teardrop
from studio_pipeline.stages.takes.effects.scene import Effect, Scene

__all__ = ["ELEMENTS", "embers"]


def _flames(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Tongues of fire around the feet, behind the character and low before it."""
    rng, time = scene.rng("fire", int(front)), frame / scene.fps
    centre, size = scene.moments.centre[0], scene.size
    base = np.array([centre[0], scene.moments.ground if scene.ground else centre[1] - 0.5 * size, centre[2]])
    right, back = scene.camera.world_to_camera[frame, 0, :3], scene.camera.world_to_camera[frame, 2, :3]
    layers = [Mask(scene.height, scene.width) for _ in range(3)]
    count = round((9 if front else 17) * scene.strength**0.5)
    for index in range(count):
        across = (index + rng.uniform(0.1, 0.9)) / count * 2.0 - 1.0
        high = rng.uniform(0.16, 0.3) if front else rng.uniform(0.5, 1.05) * (1.0 - 0.45 * across * across)
        phase, rate = rng.uniform(0.0, 1.0), rng.uniform(1.3, 2.2)
        depth = (0.34 if front else -0.3) * size
        foot = base + right * across * 0.62 * size + back * depth * np.array([1.0, 0.0, 1.0])
        unit, at = scene.scale(frame, foot), scene.at(frame, foot)
        life = (time * rate + phase) % 1.0
        for level, (mask, share) in enumerate(zip(layers, (1.0, 0.7, 0.42), strict=True)):
            tall = high * share * (0.75 + 0.35 * np.sin(2.0 * np.pi * life))
            t = np.linspace(0.0, 1.0, 12)
            sway = 0.1 * np.sin(5.0 * t - 2.0 * np.pi * (time * rate + phase)) * t
            half = 0.5 * high * share * (0.42 if front else 0.3) * (1.0 - t) ** 0.8 * (0.35 + 1.2 * t) ** 0.4
            left, rightward = np.stack([sway - half, -t * tall], -1), np.stack([sway + half, -t * tall], -1)
            mask.fill(np.concatenate([left, rightward[::-1]]) * unit + at)
            lick = teardrop() * [0.05, 0.09] * high * share * 1.6 + [sway[-1] * 2.0, -tall * (1.0 + 0.5 * life)]
            mask.fill(lick * unit * (1.0 if level < 2 else 0.6) + at * 1.0) if life < 0.7 else None
    for mask, tone in zip(layers, ((226, 62, 24), (255, 140, 30), (255, 232, 130)), strict=True):
        over(picture, 0.9 * mask.soft(1.6 * scene.px), linear(tone))
    add(picture, 0.9 * layers[0].soft(26.0 * scene.px), linear((255, 120, 40)))


def _fire_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _flames(scene, frame, picture, front=False)


def _fire_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _flames(scene, frame, picture, front=True)


def _puff(
    scene: Scene, frame: int, picture: np.ndarray, where: np.ndarray, radius: float, fade: float, seed: int,
    tones: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> None:  # fmt: skip
    """A lump of smoke or dust in two tones, lit from the upper left; ``radius`` in sizes of the character."""
    rng = np.random.default_rng([seed, 5])
    at, unit = scene.at(frame, where), scene.scale(frame, where) * radius
    reach = int(np.ceil(1.5 * unit)) + 4
    corner = np.floor(at).astype(int) - reach
    low, high = np.maximum(corner, 0), np.minimum(corner + 2 * reach, [scene.width, scene.height])
    if unit < 0.5 or fade <= 0.01 or (high <= low).any():
        return
    body, lit = (Mask(high[1] - low[1], high[0] - low[0]) for _ in range(2))
    for dx, dy, r in ((0.0, 0.0, 0.78), (-0.62, 0.2, 0.5), (0.6, 0.22, 0.54), (0.15, -0.5, 0.5), (-0.3, -0.32, 0.46)):
        place = at - low + np.array([dx, dy]) * unit * rng.uniform(0.85, 1.1, 2)
        shape = blob(rng, rough=0.05) * r * unit
        body.fill(shape + place)
        lit.fill(shape * 0.8 + place + np.array([-0.14, -0.17]) * unit)
    part = picture[low[1] : high[1], low[0] : high[0]]
    over(part, fade * body.soft(1.2 * scene.px), linear(tones[0]))
    over(part, fade * 0.85 * lit.soft(2.0 * scene.px), linear(tones[1]))


_SMOKE = ((92, 92, 104), (150, 150, 160))
_DUST = ((176, 156, 130), (226, 210, 184))


def _smoke(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Puffs that rise behind the character, grow and thin out."""
    rng, time = scene.rng("smoke"), frame / scene.fps + 0.9
    centre, size, life = scene.moments.centre[0], scene.size, 1.7
    back = scene.camera.world_to_camera[frame, 2, :3] * [1.0, 0.0, 1.0]
    right = scene.camera.world_to_camera[frame, 0, :3]
    for index in range(round(16 * scene.strength**0.5)):
        phase, across, speed = rng.uniform(0.0, 1.0), rng.uniform(-0.42, 0.42), rng.uniform(0.75, 1.1)
        u = (time / life + phase) % 1.0
        drift = 0.22 * u + 0.05 * np.sin(6.0 * u + index)
        where = centre - back * 0.4 * size + right * (across + drift) * size
        where = where + np.array([0.0, (-0.5 + 1.45 * u * speed) * size, 0.0])
        fade = 0.85 * min(1.0, 6.0 * u) * (1.0 - u) ** 0.7
        _puff(scene, frame, picture, where, 0.1 + 0.24 * u, fade, index, _SMOKE)


def _events(scene: Scene, frame: int, life: float) -> Iterator[tuple[int, float, np.ndarray]]:
    """Number, seconds since, and place of hits and landings that are under way."""
    for number, (impact, place) in enumerate(zip(scene.moments.impacts, scene.moments.struck, strict=True)):
        since = scene.since(frame, impact)
        if 0.0 <= since < life:
            yield number, since, place


def _explosion(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """At the hit: a white-hot star, a ball of fire, and the smoke that it turns into."""
    for number, since, place in _events(scene, frame, 0.95):
        rng, u = scene.rng("explosion", number), since / 0.95
        unit, at = scene.scale(frame, place) * scene.strength**0.5, scene.at(frame, place)
        grown = 1.0 - (1.0 - u) ** 3
        for index in range(13):
            turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.62) * grown
            out = np.array([np.cos(turn) * far, abs(np.sin(turn)) * far * 0.9 + 0.25 * u, 0.0])
            frame_axes = scene.camera.world_to_camera[frame, :3, :3]
            where = place + (out @ frame_axes) * scene.size
            _puff(scene, frame, picture, where, 0.12 + 0.15 * grown, 0.9 * (1.0 - u) ** 0.6, index, _SMOKE)
        heat = (1.0 - u) ** 1.6
        for radius, tone in ((0.5, (224, 74, 26)), (0.38, (255, 150, 34)), (0.22, (255, 240, 170))):
            shape = blob(rng, rough=0.22, lumps=12) * radius * grown * (0.4 + 0.6 * heat) * unit + at
            over(picture, min(1.0, 1.6 * heat) * Mask(scene.height, scene.width).fill(shape).soft(2.0 * scene.px),
                 linear(tone))  # fmt: skip
        if since < 0.12:
            spikes = polygon(26) * np.where(np.arange(26) % 2 == 0, 0.95, 0.34)[:, None] * unit + at
            over(picture, Mask(scene.height, scene.width).fill(spikes).soft(scene.px), linear((255, 252, 226)))
        halo = Mask(scene.height, scene.width).disc(at, 0.4 * unit * grown).soft(0.2 * unit)
        add(picture, 1.5 * heat * halo, linear((255, 150, 60)))


def _dust(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Clouds at the feet wherever something comes down."""
    events = [(t, place, 0.7) for t, place in scene.moments.steps]
    events += [(t, place, 1.25) for t, place in zip(scene.moments.impacts, scene.moments.struck, strict=True)]
    back = scene.camera.world_to_camera[frame, 2, :3]
    for number, (start, place, force) in enumerate(events):
        since = scene.since(frame, start)
        if not 0.0 <= since < 0.75:
            continue
        rng, u = scene.rng("dust", number), since / 0.75
        foot = np.array([place[0], scene.moments.ground, place[2]])
        for index in range(7):
            turn = (index + rng.uniform(0.0, 0.8)) / 7.0 * 2.0 * np.pi
            out = np.array([np.cos(turn), 0.0, np.sin(turn)])
            if (out @ back > 0.0) != front:
                continue
            far = force * (0.08 + 0.34 * (1.0 - (1.0 - u) ** 2)) * rng.uniform(0.6, 1.1)
            radius = force * (0.05 + 0.085 * u) * scene.strength**0.5
            where = foot + (out * far + np.array([0.0, 0.6 * radius + 0.1 * u, 0.0])) * scene.size
            _puff(scene, frame, picture, where, radius, 0.85 * (1.0 - u) ** 0.8, index + 10 * number, _DUST)


def _dust_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _dust(scene, frame, picture, front=False)


def _dust_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _dust(scene, frame, picture, front=True)


def _water(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Splashes where something comes down: a crown of drops and a ring on the ground."""
    events = [(t, place) for t, place in scene.moments.steps]
    events += list(zip(scene.moments.impacts, scene.moments.struck, strict=True))
    drops, shine, ring = (Mask(scene.height, scene.width) for _ in range(3))
    for number, (start, place) in enumerate(events):
        since = scene.since(frame, start)
        if not 0.0 <= since < 0.7:
            continue
        rng = scene.rng("water", number)
        foot = np.array([place[0], scene.moments.ground, place[2]])
        circle = polygon(64) * (0.1 + 0.75 * since)
        edges = [scene.seen(frame, scene.on_ground(foot, circle * share))[0] for share in (1.0, 0.88)]
        ring.fill(np.concatenate([edges[0], edges[0][:1], edges[1][::-1], edges[1][-1:]]), level=1.0 - since / 0.7)
        for _ in range(round(20 * scene.strength)):
            turn, speed, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.7), rng.uniform(0.9, 2.0)
            out = np.array([np.cos(turn) * speed, 0.0, np.sin(turn) * speed]) * scene.size
            where = foot + out * since + np.array([0.0, (rise * since - 2.9 * since**2) * scene.size, 0.0])
            if where[1] < scene.moments.ground:
                continue
            unit, at = scene.scale(frame, where) * rng.uniform(0.018, 0.04), scene.at(frame, where)
            fall = np.arctan2(speed * np.cos(turn), rise - 5.8 * since)
            drops.fill(rotate(teardrop() * [1.0, 1.4], float(fall) + np.pi * (rise < 5.8 * since)) * unit + at)
            shine.disc(at + np.array([-0.25, 0.2]) * unit, 0.26 * unit)
    over(picture, 0.7 * ring.sharp, linear((214, 240, 255)))
    over(picture, 0.85 * drops.sharp, linear((96, 184, 238)))
    over(picture, shine.sharp, linear((250, 254, 255)))


def _bolt(rng: np.random.Generator, start: np.ndarray, end: np.ndarray, rough: float) -> np.ndarray:
    """A jagged way between two pixels by midpoint displacement. [33, 2]"""
    points = np.array([start, end])
    for level in range(5):
        middle = (points[:-1] + points[1:]) / 2.0
        way = points[1:] - points[:-1]
        side = np.stack([-way[:, 1], way[:, 0]], axis=-1)
        middle = middle + side * rng.uniform(-rough, rough, (len(middle), 1)) * 0.8**level
        merged = np.empty((2 * len(points) - 1, 2))
        merged[::2], merged[1::2] = points, middle
        points = merged
    return points


def _lightning(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Bolts from above behind the character, arcs over its body; new ones every twelfth of a second."""
    drawing = scene.redrawn(frame)
    rng = scene.rng("lightning", drawing, int(front))
    moments, mask = scene.moments, Mask(scene.height, scene.width)
    unit = scene.scale(frame, moments.centre[frame])
    if front:
        for _ in range(round(5 * scene.strength)):
            turn = rng.uniform(0.0, 2.0 * np.pi, 2) + np.array([0.0, rng.uniform(0.5, 1.2)])
            rise = rng.uniform(-0.42, 0.42, 2)
            ends = [moments.centre[frame] + scene.size * np.array([0.33 * np.cos(a), r, 0.33 * np.sin(a)])
                    for a, r in zip(turn, rise, strict=True)]  # fmt: skip
            first, last = (scene.at(frame, end) for end in ends)
            mask.line(_bolt(rng, first, last, 0.3), 0.016 * unit, taper=0.8)
    else:
        for index in range(2):
            foot = scene.on_ground(moments.centre[0], rng.uniform(-0.8, 0.8, (1, 2)))[0]
            at = scene.at(frame, foot)
            start = np.array([at[0] + rng.uniform(-0.3, 0.3) * scene.width, -0.05 * scene.height])
            bolt = _bolt(rng, start, at, 0.24)
            mask.fill(stroke(bolt, (0.03 if index == 0 else 0.016) * unit, taper=0.4))
            for branch in (9, 17):
                end = bolt[branch] + rng.uniform(-0.22, 0.22, 2) * scene.height + [0.0, 0.14 * scene.height]
                mask.line(_bolt(rng, bolt[branch], end, 0.25), 0.012 * unit, taper=0.9)
    if drawing % 4 == 3 and not front:
        return
    add(picture, 1.3 * mask.soft(0.05 * unit) + 0.5 * mask.soft(0.16 * unit), linear((90, 130, 255)))
    over(picture, np.clip(1.4 * mask.soft(1.2 * scene.px), 0.0, 1.0), linear((238, 244, 255)))


def _lightning_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _lightning(scene, frame, picture, front=False)


def _lightning_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _lightning(scene, frame, picture, front=True)


def _ice(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Crystals that grow from the ground around the character."""
    rng, time = scene.rng("ice", int(front)), frame / scene.fps
    centre = scene.moments.centre[0]
    right, back = scene.camera.world_to_camera[0, 0, :3], scene.camera.world_to_camera[0, 2, :3] * [1.0, 0.0, 1.0]
    count = round((9 if front else 14) * scene.strength**0.5)
    for index in range(count):
        across = (index + rng.uniform(0.0, 1.0)) / count * 2.0 - 1.0
        if front and abs(across) < 0.25:
            across += 0.35 * np.sign(across + 1e-9)
        foot = centre + (right * across * 0.75 + back * (0.3 if front else -0.35)) * scene.size
        foot[1] = scene.moments.ground
        grown = float(np.clip((time - 0.35 * abs(across)) / 0.3 + 0.25, 0.0, 1.0)) ** 0.6
        high = rng.uniform(0.1, 0.2) if front else rng.uniform(0.28, 0.68)
        unit, at = scene.scale(frame, foot) * high * grown, scene.at(frame, foot)
        lean, wide = 0.45 * across + rng.uniform(-0.2, 0.2), rng.uniform(0.17, 0.26)
        outline = np.array([[-wide, 0.0], [-wide * 0.85, -0.72], [0.0, -1.0], [wide * 0.8, -0.66], [wide, 0.0]])
        facet = np.array([[0.05, 0.0], [0.02, -0.7], [0.0, -1.0], [wide * 0.8, -0.66], [wide, 0.0]])
        edge = np.array([[-wide * 0.6, -0.1], [-wide * 0.5, -0.66], [-wide * 0.25, -0.72], [-wide * 0.3, -0.1]])
        tones = ((outline, (150, 212, 246), 0.86), (facet, (84, 150, 216), 0.8), (edge, (244, 252, 255), 0.9))
        for shape, tone, cover in tones:
            paint(picture, rotate(shape, lean) * unit + at, linear(tone), cover=cover)


def _ice_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _ice(scene, frame, picture, front=False)


def _ice_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _ice(scene, frame, picture, front=True)


def _whirlwind(scene: Scene, frame: int, picture: np.ndarray, *, front: bool) -> None:
    """Ribbons of air that wind up around the character, wider towards the top."""
    rng, time = scene.rng("whirlwind"), frame / scene.fps
    centre = scene.moments.centre[0]
    back = scene.camera.world_to_camera[frame, 2, :3]
    mask, pale = Mask(scene.height, scene.width), Mask(scene.height, scene.width)
    for index in range(round(13 * scene.strength**0.5)):
        start, high, length = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.62), rng.uniform(1.3, 3.4)
        turn = start + 2.0 * np.pi * 1.25 * time + np.linspace(0.0, length, 40)
        rise = high + 0.03 * np.linspace(-1.0, 1.0, 40) + 0.02 * np.sin(4 * time + index)
        radius = 0.34 + 0.4 * (rise + 0.5)
        points = np.stack([np.cos(turn) * radius, rise, np.sin(turn) * radius], axis=-1) * scene.size + centre
        near = ((points - centre) @ back) > 0.0
        wide = rng.uniform(0.012, 0.05)
        for part in np.split(np.arange(40), np.flatnonzero(np.diff(near)) + 1):
            if len(part) > 3 and bool(near[part[0]]) == front:
                pixels, depth = scene.seen(frame, points[part])
                width = wide * scene.camera.focal[frame] * scene.size / max(float(depth.mean()), 1e-3)
                (mask if index % 3 else pale).line(pixels, width, taper=0.9)
    over(picture, 0.62 * mask.soft(1.2 * scene.px), linear((204, 226, 232)))
    over(picture, 0.9 * pale.soft(0.8 * scene.px), linear((252, 255, 255)))


def _whirlwind_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _whirlwind(scene, frame, picture, front=False)


def _whirlwind_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _whirlwind(scene, frame, picture, front=True)


def embers(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Glowing specks: a shower from every hit, and a few that rise all the time."""
    mask, core = Mask(scene.height, scene.width), Mask(scene.height, scene.width)
    for number, since, place in _events(scene, frame, 0.8):
        rng = scene.rng("sparks", number)
        for _ in range(round(46 * scene.strength)):
            way = rng.normal(size=3)
            way = way / np.linalg.norm(way) * rng.uniform(0.7, 2.4) * scene.size
            way[1] = abs(way[1])
            ends = [
                place + way * t * np.exp(-1.2 * t) - [0, 1.9 * t * t * scene.size, 0]
                for t in (since, max(since - 0.05, 0.0))
            ]
            if ends[0][1] > scene.moments.ground or not scene.ground:
                pixels = scene.seen(frame, np.array(ends))[0]
                fade = (0.8 - since) / 0.8
                mask.line(pixels, (1.0 + 3.4 * fade) * scene.px, level=fade**0.5)
                core.line(pixels, (0.5 + 1.3 * fade) * scene.px)
    rng, time = scene.rng("embers"), frame / scene.fps
    for _ in range(round(34 * scene.strength)):
        phase, speed = rng.uniform(0.0, 1.0), rng.uniform(0.45, 0.9)
        place = rng.uniform(-0.8, 0.8, 3)
        u = (phase + speed * time) % 1.0
        sway = 0.05 * np.sin(7.0 * time + 20.0 * phase)
        where = scene.moments.centre[0] + scene.size * np.array([place[0] + sway, -0.55 + 1.25 * u, place[2]])
        mask.disc(scene.at(frame, where), (0.8 + 2.4 * (1.0 - u)) * scene.px, level=1.0 - 0.5 * u)
    over(picture, mask.sharp, linear((255, 156, 50)))
    over(picture, core.sharp, linear((255, 246, 200)))
    add(picture, 1.6 * mask.soft(5.0 * scene.px), linear((255, 110, 30)))


ELEMENTS = {
    "fire": Effect(behind=_fire_behind, front=_fire_front),
    "smoke": Effect(behind=_smoke),
    "explosion": Effect(front=_explosion),
    "dust": Effect(behind=_dust_behind, front=_dust_front),
    "water": Effect(front=_water),
    "lightning": Effect(behind=_lightning_behind, front=_lightning_front),
    "ice": Effect(behind=_ice_behind, front=_ice_front),
    "whirlwind": Effect(behind=_whirlwind_behind, front=_whirlwind_front),
    "sparks": Effect(front=embers),
}
"""By value of ``vfx.element``."""
