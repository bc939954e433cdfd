"""``vfx.impact``: lines and frames that stress speed and force, at the hit, the landing or the fastest frames."""

from __future__ import annotations

import numpy as np

from studio_pipeline.render.picture.colour import linear, luminance
from studio_pipeline.render.picture.shapes import Mask, add, over, paint, stroke
from studio_pipeline.stages.takes.effects.scene import Effect, Scene, pulse

__all__ = ["IMPACT"]


def _ink(scene: Scene) -> np.ndarray:
    return linear((250, 250, 255)) if scene.dark else linear((28, 22, 34))


def _strength(scene: Scene, frame: int, before: float, hold: float, fall: float) -> float:
    """How near a frame is to the nearest impact, 0..1."""
    times = [scene.since(frame, impact) + before for impact in scene.moments.impacts]
    return max(pulse(time, before, hold, fall) for time in times)


def _wedges(scene: Scene, frame: int, middle: np.ndarray, inner: float, count: int, name: str) -> Mask:
    """Spikes from beyond the corners towards the middle, redrawn every other frame."""
    rng = scene.rng(name, scene.redrawn(frame))
    mask = Mask(scene.height, scene.width)
    far = 1.2 * float(np.hypot(scene.width, scene.height))
    for index in range(count):
        turn = (index + rng.uniform(-0.4, 0.4)) / count * 2.0 * np.pi
        way = np.array([np.cos(turn), np.sin(turn)])
        half = rng.uniform(0.2, 1.0) ** 2 * 3.6 / count
        tip = middle + way * inner * rng.uniform(0.92, 1.55)
        side = np.array([-way[1], way[0]]) * far * half
        mask.fill(np.array([tip, middle + way * far + side, middle + way * far - side]))
    return mask


def _focus_lines(scene: Scene, frame: int, picture: np.ndarray) -> None:
    share = _strength(scene, frame, 0.17, 0.25, 0.2)
    if share <= 0.0:
        return
    moments = scene.moments
    middle = scene.at(frame, 0.5 * moments.head[frame] + 0.5 * moments.centre[frame])
    inner = (0.47 + 0.25 * (1.0 - share)) * min(scene.height, scene.width)
    count = round(90 * scene.strength)
    mask = _wedges(scene, frame, middle, inner, count, "focus_lines")
    over(picture, mask.sharp * (0.25 + 0.65 * share), _ink(scene))


def _speed_lines(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Parallel strokes along the way of what moves, behind it."""
    moments = scene.moments
    quick = float(moments.quickness()[frame])
    if quick < 0.35 or frame == 0:
        return
    start, velocity = moments.lead[frame], moments.lead_velocity[frame]
    here, there = scene.at(frame, start), scene.at(frame, start - 0.25 * velocity * scene.size / max(quick, 0.1))
    way = there - here
    length = float(np.linalg.norm(way))
    way = way / length if length > 1e-3 else np.array([-1.0, 0.0])
    side = np.array([-way[1], way[0]])
    rng, mask = scene.rng("speed_lines", frame), Mask(scene.height, scene.width)
    for _ in range(round(46 * scene.strength)):
        aside = rng.normal(0.0, 0.3) * scene.height
        begin = here + side * aside + way * rng.uniform(-0.5, 0.35) * scene.width
        reach = rng.uniform(0.2, 0.75) * scene.width * (0.4 + 0.6 * quick)
        points = begin + np.linspace(0.0, 1.0, 5)[:, None] * way * reach
        mask.line(points, rng.uniform(1.2, 5.0) * scene.px, taper=1.0)
    over(picture, mask.sharp * np.float32(0.3 + 0.6 * quick), _ink(scene))


def _impact_frame(scene: Scene, frame: int, picture: np.ndarray) -> np.ndarray | None:
    """Two colours for two frames at the hit: first white on black, then black on white."""
    for impact, place in zip(scene.moments.impacts, scene.moments.struck, strict=True):
        if frame - impact not in (0, 1) or frame == 0:
            continue
        light, cover = luminance(picture) ** 0.45, scene.cover(frame)
        inside = cover > 0.5
        level = float(np.median(light[inside])) if inside.any() else 0.5
        figure = np.clip((light - level) * 14.0 + 0.5, 0.0, 1.0)
        middle = scene.at(frame, place)
        rays = _wedges(scene, frame, middle, 0.1 * scene.height, 46, "impact_frame").sharp
        if frame == impact:
            two = (1.0 - figure) * cover + rays * (1.0 - cover)
        else:
            two = figure * cover + (1.0 - rays) * (1.0 - cover)
        ends = linear((14, 10, 24)), linear((255, 252, 246))
        return ends[0] + two[..., None].astype(np.float32) * (ends[1] - ends[0])
    return None


def _flash(scene: Scene, frame: int, picture: np.ndarray) -> None:
    share = 0.0
    for impact in scene.moments.impacts:
        since = scene.since(frame, impact)
        if since >= 0.0 and frame > 0:
            share = max(share, 0.9 * float(np.exp(-since / 0.07)))
    if share > 0.02:
        picture += np.float32(min(share * (0.6 + 0.4 * scene.strength), 0.88)) * (1.0 - picture)


def _wave(scene: Scene, frame: int, picture: np.ndarray, *, ground: bool) -> None:
    """A ring that runs outwards, on the ground or facing the camera."""
    for impact, place in zip(scene.moments.impacts, scene.moments.struck, strict=True):
        since = scene.since(frame, impact)
        on_ground = scene.ground and place[1] < scene.moments.ground + 0.25 * scene.size
        if not 0.0 <= since < 0.5 or on_ground != ground:
            continue
        u = since / 0.5
        turn = np.linspace(0.0, 2.0 * np.pi, 97)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        for delay, wide, bright in ((0.0, 0.24, 0.9), (0.16, 0.12, 0.6)):
            v = u - delay
            if v <= 0.0:
                continue
            radius = (0.1 + 1.05 * (1.0 - (1.0 - v) ** 2.4)) * (0.8 + 0.2 * scene.strength)
            inner = radius * (1.0 - wide * (1.0 - v))
            if ground:
                edges = [scene.seen(frame, scene.on_ground(place, circle * r))[0] for r in (radius, inner)]
            else:
                unit = scene.scale(frame, place)
                edges = [scene.at(frame, place) + circle * r * unit for r in (radius, inner)]
            mask = Mask(scene.height, scene.width).fill(np.concatenate([edges[0], edges[1][::-1]]))
            light = mask.soft(1.2 * scene.px) + 0.5 * mask.soft(9.0 * scene.px)
            over(picture, np.clip(light * bright * (1.0 - v) ** 0.7, 0.0, 0.95), linear((248, 252, 255)))
            add(picture, 0.4 * mask.soft(14.0 * scene.px) * (1.0 - v), linear((150, 200, 255)))


def _shockwave_behind(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _wave(scene, frame, picture, ground=True)


def _shockwave_front(scene: Scene, frame: int, picture: np.ndarray) -> None:
    _wave(scene, frame, picture, ground=False)


def _debris(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Pieces thrown from the hit, falling again."""
    size = scene.size
    for number, (impact, place) in enumerate(zip(scene.moments.impacts, scene.moments.struck, strict=True)):
        since = scene.since(frame, impact)
        if not 0.0 <= since < 0.9:
            continue
        rng = scene.rng("debris", number)
        for _ in range(round(20 * scene.strength)):
            turn, speed = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.5, 1.5) * size
            out = np.array([np.cos(turn), 0.0, np.sin(turn)]) * speed
            rise = rng.uniform(0.9, 2.2) * size
            where = place + out * since + np.array([0.0, rise * since - 2.6 * size * since * since, 0.0])
            corners, spin, chunk = rng.integers(4, 7), rng.uniform(-9.0, 9.0), rng.uniform(0.018, 0.062)
            shape = rng.uniform(0.65, 1.15, corners)[:, None]
            angles = np.arange(corners) / corners * 2.0 * np.pi + spin * since + rng.uniform(0, 6)
            if where[1] < scene.moments.ground and scene.ground:
                continue
            outline = shape * np.stack([np.cos(angles), np.sin(angles)], axis=-1) * chunk * scene.scale(frame, where)
            at, fade = scene.at(frame, where), float(np.clip((0.9 - since) / 0.2, 0.0, 1.0))
            tone = linear((134, 122, 116)) * rng.uniform(0.7, 1.2)
            paint(picture, outline * 1.22 + at, linear((40, 34, 40)), cover=fade)
            paint(picture, outline + at, tone, cover=fade)
            lit = outline[: corners // 2 + 1] * 0.85
            paint(picture, lit + at, tone * 1.6, cover=0.8 * fade)


def _cracks(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Jagged rents in the ground that open at the hit and stay."""
    number = next((n for n, impact in enumerate(scene.moments.impacts) if frame >= impact), None)
    if number is None or not scene.ground:
        return
    place = scene.moments.struck[number]
    grown = float(np.clip((scene.since(frame, scene.moments.impacts[number]) + 1.0 / scene.fps) / 0.16, 0.0, 1.0))
    rng = scene.rng("cracks", number)
    dark, edge = Mask(scene.height, scene.width), Mask(scene.height, scene.width)
    count = round(9 * (0.7 + 0.3 * scene.strength))
    for index in range(count):
        turn = (index + rng.uniform(-0.3, 0.3)) / count * 2.0 * np.pi
        _rent(scene, frame, place, rng, turn, rng.uniform(0.45, 0.95) * grown, 0.085, dark, edge)
    over(picture, edge.sharp * np.float32(0.45), linear((255, 250, 240)))
    over(picture, dark.sharp * np.float32(0.92), linear((34, 26, 30)))


def _rent(
    scene: Scene, frame: int, place: np.ndarray, rng: np.random.Generator, turn: float, length: float, wide: float,
    dark: Mask, edge: Mask,
) -> None:  # fmt: skip
    steps = 8
    turns = turn + np.cumsum(rng.uniform(-0.42, 0.42, steps)) * 0.8
    walk = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=-1), axis=0) * length / steps
    flat = np.concatenate([[[0.0, 0.0]], walk])
    half = stroke(flat, wide)
    share = np.linspace(1.0, 0.0, len(flat))
    middle = np.concatenate([flat, flat[::-1]])
    outline = middle + (half - middle) * np.concatenate([share, share[::-1]])[:, None]
    shifted = outline + np.array([0.0, 0.014])
    edge.fill(scene.seen(frame, scene.on_ground(place, shifted))[0])
    dark.fill(scene.seen(frame, scene.on_ground(place, outline))[0])
    if length > 0.3 and wide > 0.05:
        branch = int(rng.integers(2, 5))
        start = place + np.array([walk[branch, 0], 0.0, walk[branch, 1]]) * scene.size
        fork = float(turns[branch] + rng.choice([-0.9, 0.9]))
        _rent(scene, frame, start, rng, fork, 0.45 * length, 0.04, dark, edge)


IMPACT = {
    "focus_lines": Effect(front=_focus_lines),
    "speed_lines": Effect(behind=_speed_lines),
    "impact_frame": Effect(front=_impact_frame, order=5),
    "flash": Effect(front=_flash, order=5),
    "shockwave": Effect(behind=_shockwave_behind, front=_shockwave_front),
    "debris": Effect(front=_debris),
    "cracks": Effect(behind=_cracks),
}
"""By value of ``vfx.impact``."""
