"""What painted areas are filled with and what lies over a picture [H, W, 3] float32 linear: screens, strokes, paper."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.picture.colour import from_oklab, linear, to_oklab
from studio_pipeline.render.picture.manners import oiled, paper
from studio_pipeline.render.picture.noise import fractal_noise, smooth, value_noise
from studio_pipeline.render.picture.optics import grained

__all__ = [
    "canvas", "cel", "crayon", "dry_brush", "film_stock", "gouache", "halftoned", "hatched", "on_paper", "pencil",
    "printed", "stippled", "videotape",
]  # fmt: skip


def _tone(picture: np.ndarray, px: float) -> np.ndarray:
    """How dark a picture is to the eye, 0..1, without its finest detail. [H, W]"""
    lightness = to_oklab(picture)[..., 0]
    return 1.0 - cv2.GaussianBlur(lightness, (0, 0), max(1.3 * px, 0.4))


def _grid(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return x + np.float32(0.5), y + np.float32(0.5)


def _inked(picture: np.ndarray, cover: np.ndarray, depth: float = 0.85) -> np.ndarray:
    """Ink in a dark tone of the colour below it."""
    dark = picture * np.array([0.2, 0.19, 0.26], np.float32)
    return picture + (depth * cover)[..., None].astype(np.float32) * (dark - picture)


def _opened(picture: np.ndarray) -> np.ndarray:
    """A lighter ground, for tones that are drawn back in ink."""
    lab = to_oklab(picture)
    lab[..., 0] = 0.3 + 0.7 * lab[..., 0]
    return np.minimum(from_oklab(lab), 1.0)


def halftoned(picture: np.ndarray, px: float, *, pitch: float = 6.5) -> np.ndarray:
    """Dots in a grid at 45 degrees whose area makes the tone; ``pitch`` px of a picture 512 px high."""
    x, y = _grid(picture.shape)
    step = max(pitch * px, 3.0) * np.sqrt(2.0)
    screen = 0.5 + 0.25 * (np.cos(2.0 * np.pi * (x + y) / step) + np.cos(2.0 * np.pi * (x - y) / step))
    dots = np.clip((screen - 1.0 + 1.15 * _tone(picture, px)) * step * 0.7 + 0.5, 0.0, 1.0)
    return _inked(_opened(picture), dots, 0.8)


def hatched(picture: np.ndarray, rng: np.random.Generator, px: float, *, crossed: bool) -> np.ndarray:
    """Pen strokes as shadow: one direction, or a second and third where it is darker."""
    x, y = _grid(picture.shape)
    tone = _tone(picture, px)
    bend = 2.2 * px * (fractal_noise(rng, picture.shape[:2], (14, 14), octaves=2) - 0.5)
    step = max(6.0 * px, 3.2)
    cover = np.zeros(tone.shape, np.float32)
    layers = ((0.8, 0.0), (-0.75, 0.14), (0.05, 0.3)) if crossed else ((0.8, 0.0),)
    for turn, later in layers:
        line = 0.5 + 0.5 * np.cos(2.0 * np.pi * (x * np.cos(turn) + y * np.sin(turn) + 3.0 * bend) / step)
        wide = np.clip(1.25 * (tone - 0.2 - later), 0.0, 0.72)
        cover = np.maximum(cover, np.clip((line - 1.0 + wide) * step * 0.8 + 0.25, 0.0, 1.0) * (wide > 0.02))
    return _inked(_opened(picture), cover, 0.85)


def stippled(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Free dots as shadow, closer where it is darker."""
    tone = _tone(picture, px)
    height, width = tone.shape
    step = max(2.6 * px, 1.6)
    rows, columns = int(height / step), int(width / step)
    y = (np.arange(rows)[:, None] + rng.uniform(0.0, 1.0, (rows, columns))) * step
    x = (np.arange(columns)[None] + rng.uniform(0.0, 1.0, (rows, columns))) * step
    chance = rng.random((rows, columns))
    there = tone[np.clip(y.astype(int), 0, height - 1), np.clip(x.astype(int), 0, width - 1)]
    cover = np.zeros((height, width), np.uint8)
    for row, column in np.argwhere(chance < 1.3 * (there - 0.14)):
        place = (round(float(x[row, column]) * 16), round(float(y[row, column]) * 16))
        cv2.circle(cover, place, max(7, round(15.0 * px)), 255, -1, cv2.LINE_AA, 4)
    return _inked(_opened(picture), cover.astype(np.float32) / 255.0, 0.88)


def gouache(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Matt opaque paint: few flat tones with soft hand-made borders."""
    shape = picture.shape[:2]
    x, y = _grid(shape)
    waves = [4.0 * px * (fractal_noise(rng, shape, (26, 26), octaves=2) - 0.5) for _ in range(2)]
    moved = cv2.remap(
        picture, (x - 0.5 + waves[0]).astype(np.float32), (y - 0.5 + waves[1]).astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    lab = to_oklab(oiled(moved, max(3, round(6 * px))))
    lab[..., 0] = np.round(lab[..., 0] / 0.085) * 0.085 * 0.92 + 0.06
    lab[..., 1:] = np.round(lab[..., 1:] / 0.02) * 0.02 * 0.9
    lab[..., 0] *= 1.0 + 0.05 * (value_noise(rng, shape, (max(8, shape[0] // 4), max(8, shape[1] // 4))) - 0.5)
    return np.minimum(from_oklab(lab), 1.0)


def _waxed(picture: np.ndarray, gaps: np.ndarray, ground: np.ndarray, depth: float) -> np.ndarray:
    return picture + (depth * gaps)[..., None].astype(np.float32) * (ground - picture)


def crayon(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Waxy strokes whose gaps show the paper."""
    shape = picture.shape[:2]
    x, y = _grid(shape)
    bend = fractal_noise(rng, shape, (5, 5), octaves=2)
    strokes = 0.5 + 0.5 * np.sin((x + 1.6 * y) * 2.0 * np.pi / max(10.0 * px, 4.0) + 9.0 * bend)
    tooth = value_noise(
        rng, shape, (max(8, round(shape[0] / (1.8 * px + 0.6))), max(8, round(shape[1] / (1.8 * px + 0.6))))
    )
    gaps = smooth(0.56, 0.8, 0.62 * tooth + 0.3 * (1.0 - strokes) + 0.12)
    lab = to_oklab(oiled(picture, max(2, round(4 * px))))
    lab[..., 1:] *= 1.12
    return _waxed(np.minimum(from_oklab(lab), 1.0), gaps, linear((252, 247, 236)), 0.78)


def pencil(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Coloured pencil: fine strokes, layered over each other, light pressure in the lights."""
    shape = picture.shape[:2]
    x, y = _grid(shape)
    tone = _tone(picture, px)
    fine = value_noise(rng, (256, 256), (128, 16))
    gaps = np.zeros(shape, np.float32)
    for turn in (0.7, 0.95):
        u = (x * np.cos(turn) - y * np.sin(turn)) / max(1.1 * px, 0.8)
        v = (x * np.sin(turn) + y * np.cos(turn)) / max(1.1 * px, 0.8)
        places = ((u % 256.0).astype(np.float32), (v % 256.0).astype(np.float32))
        gaps += 0.5 * cv2.remap(fine, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    bare = smooth(0.3, 0.75, gaps + 0.32 * (0.55 - tone))
    return _waxed(picture * np.float32(0.9), bare, linear((250, 248, 242)), 0.72)


def dry_brush(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Bristles that skip: long broken strokes over a pale ground."""
    shape = picture.shape[:2]
    x, y = _grid(shape)
    bristles = value_noise(rng, (256, 256), (128, 8))
    bend = fractal_noise(rng, shape, (4, 4), octaves=2)
    u, v = x / max(2.4 * px, 1.0) + 20.0 * bend, y / max(1.6 * px, 0.8) + 26.0 * bend
    places = ((u % 256.0).astype(np.float32), (v % 256.0).astype(np.float32))
    lines = cv2.remap(bristles, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    patches = fractal_noise(rng, shape, (9, 9), octaves=3)
    bare = smooth(0.5, 0.72, 0.6 * lines + 0.55 * patches - 0.02)
    return _waxed(oiled(picture, max(2, round(4 * px))), bare, linear((248, 240, 224)), 0.75)


def on_paper(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """The tooth of drawing paper, a little of its colour."""
    sheet = paper(rng, picture.shape[:2], rough=1.3)[..., None]
    return np.clip(0.94 * picture * sheet + 0.05 * linear((255, 244, 222)) * sheet, 0.0, 1.0)


def canvas(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Woven cloth under paint: threads over and under, lit from the upper left."""
    x, y = _grid(picture.shape)
    step = max(5.0 * px, 3.0)
    u, v = x / step, y / step
    over = (np.floor(u) + np.floor(v)) % 2
    weave = np.where(over > 0.5, np.sin(np.pi * (v % 1.0)), np.sin(np.pi * (u % 1.0)))
    slub = value_noise(rng, picture.shape[:2], (24, 24)) - 0.5
    relief = 0.84 + 0.24 * weave + 0.1 * slub
    return np.clip(picture * relief[..., None].astype(np.float32), 0.0, 1.0)


def film_stock(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Photographed on film: grain, soft shoulders, dust and a scratch now and then."""
    lab = to_oklab(picture)
    lab[..., 0] = 0.07 + 0.86 * lab[..., 0]
    lab[..., 1:] *= 0.9
    lab[..., 2] += 0.014
    out = grained(np.minimum(from_oklab(lab), 1.0), rng, 0.03, coarse=max(1.0, 1.5 * px))
    height, width = picture.shape[:2]
    marks = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        place = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.ellipse(
            marks, place, (max(1, round(3 * px)), max(1, round(px))), float(rng.uniform(0, 180)), 0, 360, 255, -1
        )
    if rng.random() < 0.6:
        column = int(rng.integers(width))
        cv2.line(marks, (column, 0), (column + int(rng.integers(-3, 4)), height), 150, max(1, round(px)))
    cover = (marks.astype(np.float32) / 255.0)[..., None]
    return out + cover * (np.float32(0.85 if rng.random() < 0.6 else 0.02) - out)


def cel(picture: np.ndarray, cover: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Painted celluloid over a backdrop: the sheet throws a thin shadow, dust lies on it."""
    height, width = cover.shape
    shift = max(1, round(4.0 * px))
    moved = np.zeros_like(cover)
    moved[shift:, shift:] = cover[:-shift, :-shift]
    shade = cv2.GaussianBlur(moved, (0, 0), max(1.6 * px, 0.4)) * (1.0 - cover)
    out = picture * (1.0 - 0.4 * shade)[..., None]
    specks = np.zeros((height, width), np.uint8)
    for _ in range(26):
        place = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(specks, place, max(1, round(rng.uniform(0.5, 1.6) * px)), 255, -1, cv2.LINE_AA)
    dust = (specks.astype(np.float32) / 255.0)[..., None] * np.float32(0.5)
    return out + dust * (np.float32(0.95) - out)


def printed(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """A cheap comic: four screens at their own angles, out of register, on yellowed paper."""
    x, y = _grid(picture.shape)
    encoded = np.sqrt(np.clip(picture, 0.0, 1.0))
    step = max(5.0 * px, 3.0)
    sheet = np.array([0.93, 0.87, 0.72], np.float32) * paper(rng, picture.shape[:2], rough=0.5)[..., None]
    out = sheet.copy()
    for channel, (turn, shift) in enumerate(((0.26, (1.6, 0.4)), (1.31, (-1.2, 1.0)), (0.0, (0.3, -1.4)))):
        move = np.array([[1.0, 0.0, shift[0] * px], [0.0, 1.0, shift[1] * px]])
        plane = cv2.warpAffine(encoded[..., channel], move, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        screen = 0.5 + 0.25 * (np.cos(2.0 * np.pi * u / step) + np.cos(2.0 * np.pi * v / step))
        dots = np.clip((screen - 1.0 + 1.08 * (1.0 - plane)) * step * 0.6 + 0.5, 0.0, 1.0)
        absorbed = 0.72 * dots + 0.28 * (1.0 - plane * plane)
        out[..., channel] *= 1.0 - 0.92 * absorbed
    return out


def videotape(picture: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Recorded on tape: colour bleeds sideways, lines shimmer, noise runs along the bottom."""
    lab = to_oklab(picture)
    wide = max(7.0 * px, 0.8)
    lab[..., 1:] = 1.15 * cv2.GaussianBlur(lab[..., 1:], (0, 0), sigmaX=wide, sigmaY=max(0.5 * px, 0.3))
    lab[..., 1:] = np.roll(lab[..., 1:], max(1, round(3.0 * px)), axis=1)
    lab[..., 0] = cv2.GaussianBlur(lab[..., 0], (0, 0), sigmaX=max(1.1 * px, 0.3), sigmaY=0.3)
    height, width = picture.shape[:2]
    lab[..., 0] += 0.03 * rng.standard_normal((height, 1), np.float32) * 0.6
    lab[..., 0] += 0.022 * rng.standard_normal((height, width), np.float32)
    out = np.clip(from_oklab(lab), 0.0, 1.0)
    tall = max(2, round(0.035 * height))
    slip = rng.integers(-round(0.1 * width) - 1, round(0.1 * width) + 2, tall)
    for index, amount in enumerate(slip):
        out[height - tall + index] = np.roll(out[height - tall + index], int(amount), axis=0)
    lines = 1.0 - 0.14 * (np.arange(height) // max(1, round(1.5 * px)) % 2)
    return out * lines[:, None, None].astype(np.float32)
