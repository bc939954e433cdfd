"""``vfx.light``: light that is added in compositing."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.picture.colour import linear, luminance
from studio_pipeline.render.picture.noise import fractal_noise, smooth
from studio_pipeline.render.picture.shapes import Mask, add, over, polygon, rotate, star
from studio_pipeline.stages.takes.effects.scene import Effect, Scene, pulse

__all__ = ["LIGHT"]


def _glow(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Bright parts shine beyond their borders."""
    light = luminance(picture)
    level = float(np.quantile(light, 0.8))
    bright = picture * smooth(0.75 * level, min(1.3 * level + 0.05, 1.4), light)[..., None]
    small = cv2.resize(bright, (scene.width // 2, scene.height // 2), interpolation=cv2.INTER_AREA)
    halo = sum(cv2.GaussianBlur(small, (0, 0), sigma * scene.px) * share for sigma, share in ((4, 0.5), (14, 0.45)))
    halo = cv2.resize(halo, (scene.width, scene.height), interpolation=cv2.INTER_LINEAR)  # pyright: ignore
    picture += halo * np.float32(0.75 * scene.strength) * np.clip(1.25 - picture, 0.2, 1.0)


_GHOSTS = (
    (0.45, 0.05, (120, 220, 190)),
    (0.8, 0.028, (255, 190, 120)),
    (1.3, 0.09, (130, 160, 255)),
    (1.62, 0.04, (255, 150, 170)),
    (2.0, 0.14, (150, 230, 160)),
)


def _lens_flare(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A light at the upper edge and its ghosts on the line through the middle; both go with the camera."""
    first, now = scene.camera.world_to_camera[0, :3, :3], scene.camera.world_to_camera[frame, :3, :3]
    corner = np.array([-0.3 * scene.width, 0.34 * scene.height]) / scene.camera.focal[0]
    way = now @ (first.T @ np.array([corner[0], corner[1], -1.0]))
    if way[2] > -0.1:
        return
    middle = np.array([scene.width, scene.height]) / 2.0
    source = middle + scene.camera.focal[frame] * np.array([way[0], -way[1]]) / -way[2]
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32) + 0.5
    away = np.hypot(x - source[0], y - source[1]) / scene.height
    bright = np.float32(scene.strength)
    add(picture, bright * (1.6 * np.exp(-((away / 0.05) ** 2)) + 0.6 * np.exp(-away / 0.13)), linear((255, 244, 214)))
    turn = np.arctan2(y - source[1], x - source[0])
    add(picture, bright * 0.35 * np.exp(-away / 0.3) * np.abs(np.cos(3.0 * turn)) ** 18, linear((255, 226, 170)))
    streak = np.exp(-np.abs(y - source[1]) / (0.008 * scene.height))
    streak *= np.exp(-np.abs(x - source[0]) / (0.5 * scene.width))
    add(picture, bright * 0.7 * streak, linear((170, 210, 255)))
    for along, size, tone in _GHOSTS:
        mask = Mask(scene.height, scene.width)
        centre = source + (middle - source) * along
        mask.fill(polygon(6, phase=0.4) * size * scene.height + centre)
        edge = mask.soft(1.5 * scene.px) - 0.55 * mask.soft(0.25 * size * scene.height)
        add(picture, bright * 0.34 * np.maximum(edge, 0.0), linear(tone))


def _twinkle(mask: Mask, centre: np.ndarray, size: float, turn: float = 0.0) -> None:
    mask.fill(rotate(star(4, 0.09) * size, turn) + centre)
    mask.disc(centre, 0.16 * size)


def _sparkle(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Four-pointed stars that light up and go out around the character."""
    rng, time = scene.rng("sparkle"), frame / scene.fps
    mask = Mask(scene.height, scene.width)
    for _ in range(round(20 * scene.strength)):
        turn, rise, out = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.62), rng.uniform(0.3, 0.72)
        period, phase, size = rng.uniform(0.6, 1.2), rng.uniform(0.0, 1.0), rng.uniform(0.035, 0.12)
        u = (time / period + phase) % 1.0
        bright = np.sin(np.pi * u) ** 2
        offset = np.array([np.cos(turn) * out, rise, np.sin(turn) * out]) * scene.size
        point = scene.moments.centre[frame] + offset
        if bright > 0.05:
            _twinkle(mask, scene.at(frame, point), size * bright * scene.scale(frame, point))
    over(picture, mask.sharp, linear((255, 252, 224)))
    add(picture, 1.3 * mask.soft(7.0 * scene.px), linear((255, 222, 130)))


def _aura(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A shell of flames of light that licks upwards around the silhouette."""
    cover = scene.cover(frame)
    rng = scene.rng("aura")
    noise = fractal_noise(rng, (scene.height, scene.width), (7, 9), octaves=3)
    unit = scene.scale(frame, scene.moments.centre[frame])
    noise = np.roll(noise, -round(1.1 * unit * frame / scene.fps) % scene.height, axis=0)
    tall = np.zeros_like(cover)
    for step in range(1, 9):
        rise = min(round(step * 0.026 * unit), scene.height)  # a character nearer than its own size
        moved = np.zeros_like(cover)
        moved[: scene.height - rise] = cover[rise:]
        tall = np.maximum(tall, moved * (1.0 - step / 9.0))
    tall = cv2.GaussianBlur(tall, (0, 0), max(0.012 * unit, 0.5))
    wide = cv2.GaussianBlur(cover, (0, 0), 0.05 * unit)
    body = np.clip(1.3 * wide + tall, 0.0, 1.0)
    flame = smooth(0.3, 0.75, body * (0.55 + 0.9 * noise))
    outside = 1.0 - cover
    bright = np.float32(0.7 + 0.3 * scene.strength)
    outer = cv2.GaussianBlur(cover, (0, 0), 0.11 * unit)
    over(picture, 0.62 * bright * outside * flame, linear((86, 168, 255)))
    add(picture, bright * outside * (0.9 * flame * wide + 0.7 * outer), linear((70, 150, 255)))
    add(picture, bright * outside * 1.2 * smooth(0.55, 0.95, flame * wide * 1.5), linear((214, 240, 255)))
    rim = np.clip(cover - cv2.GaussianBlur(cover, (0, 0), 0.018 * unit), 0.0, 1.0)
    add(picture, 1.1 * rim, linear((130, 200, 255)))


def _beam(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """Light gathers at the leading part and shoots ahead at the hit."""
    moments = scene.moments
    for impact in moments.impacts[:1]:
        since = scene.since(frame, impact)
        if not -0.25 <= since < 0.6:
            continue
        start = moments.lead[frame]
        here, unit = scene.at(frame, start), scene.scale(frame, start)
        if since < 0.0:
            mask = Mask(scene.height, scene.width).disc(here, 0.05 * unit * (1.0 + 4.0 * (since + 0.25)))
            add(picture, 1.4 * mask.soft(0.03 * unit) + 0.9 * mask.soft(0.1 * unit), linear((120, 220, 255)))
            continue
        width = 0.11 * unit * pulse(since, 0.04, 0.3, 0.26) * (1.0 + 0.15 * np.sin(40.0 * since)) * scene.strength**0.5
        way = scene.at(frame, start + 0.5 * moments.front[frame] * scene.size) - here
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        far = here + way * 1.6 * (scene.width + scene.height)
        side = np.array([-way[1], way[0]])
        core, shell = Mask(scene.height, scene.width), Mask(scene.height, scene.width)
        for mask, share in ((core, 0.5), (shell, 1.0)):
            ends = [here - side * width * share * 0.5, here + side * width * share * 0.5]
            mask.fill(np.array([*ends, far + side * width * share * 1.7, far - side * width * share * 1.7]))
            mask.disc(here, width * share * 1.15)
        add(picture, 1.2 * shell.soft(0.16 * unit), linear((60, 150, 255)))
        over(picture, 0.85 * shell.soft(2.0 * scene.px), linear((110, 214, 255)))
        over(picture, core.soft(1.5 * scene.px), linear((250, 255, 255)))


def _magic_circle(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A drawn circle of light on the ground that turns under the character."""
    time = frame / scene.fps
    grown = float(np.clip((time + 0.08) / 0.4, 0.0, 1.0)) ** 0.5
    middle = scene.moments.centre[0]
    mask = Mask(scene.height, scene.width)

    def ground(flat: np.ndarray, turn: float) -> np.ndarray:
        return scene.seen(frame, scene.on_ground(middle, rotate(flat, turn) * grown))[0]

    circle = polygon(120)
    closed = np.concatenate([circle, circle[:1]])
    for radius, wide in ((0.86, 3.2), (0.78, 1.4), (0.5, 2.0), (0.2, 1.6)):
        mask.line(ground(closed * radius, 0.0), wide * scene.px)
    for phase in (0.0, np.pi / 3.0):
        triangle = polygon(3, phase=phase) * 0.78
        mask.line(ground(np.concatenate([triangle, triangle[:1]]), 0.9 * time), 2.0 * scene.px)
    rng = scene.rng("magic_circle")
    for index in range(18):
        sign = np.cumsum(rng.uniform(-0.035, 0.035, (5, 2)), axis=0)
        place = polygon(18)[index] * 0.82
        mask.line(ground(sign * 0.8 + place, -0.6 * time), 1.6 * scene.px)
    for index in range(6):
        ring = np.concatenate([polygon(24), polygon(24)[:1]]) * 0.09 + polygon(6)[index] * 0.62
        mask.line(ground(ring, 0.9 * time), 1.6 * scene.px)
    bright = np.float32(0.8 + 0.4 * scene.strength)
    over(picture, 0.4 * mask.soft(5.0 * scene.px), linear((60, 40, 160)))
    over(picture, 0.92 * mask.sharp, linear((196, 170, 255)))
    add(picture, bright * (0.8 * mask.soft(4.0 * scene.px) + 1.3 * mask.soft(16.0 * scene.px)), linear((150, 110, 255)))


def _ripple_light(scene: Scene, frame: int, picture: np.ndarray) -> None:
    """A net of light as water throws it, swaying over everything."""
    time = frame / scene.fps
    shape = (scene.height, scene.width)
    rng = scene.rng("ripple_light")
    a, b = (fractal_noise(rng, shape, (6, 7), octaves=2) for _ in range(2))
    shift = 0.11 * scene.height * time
    a = np.roll(a, (round(shift), round(0.6 * shift)), (0, 1))
    b = np.roll(b, (-round(0.7 * shift), round(0.5 * shift)), (0, 1))
    net = np.exp(-np.abs(a - b) / 0.018) + 0.3 * np.exp(-np.abs(a - b) / 0.07)
    lit = np.float32(0.5 * scene.strength) * net[..., None] * linear((190, 245, 255))
    picture *= 0.88 + lit * 1.3
    picture += 0.14 * lit


LIGHT = {
    "glow": Effect(front=_glow, order=4),
    "lens_flare": Effect(front=_lens_flare, order=4),
    "sparkle": Effect(front=_sparkle, order=1),
    "aura": Effect(front=_aura, order=1),
    "beam": Effect(front=_beam, order=1),
    "magic_circle": Effect(behind=_magic_circle),
    "ripple_light": Effect(front=_ripple_light, order=1),
}
"""By value of ``vfx.light``."""
