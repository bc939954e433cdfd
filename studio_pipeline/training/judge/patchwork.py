"""Collapse of no particular kind: regions of the picture that show something else.

After the synthetic anomalies of DRAEM (Zavrtanik et al. 2021) and CutPaste (Li et al. 2021, its scars and colour jitter
too): a judge that has seen only named collapses knows those; one that has also seen regions of anything knows that a
drawing holds together. It belongs to no head and is no kind that is left out or measured. Of what the named kinds do it
knows nothing: it has no bones, limbs, features or lines to choose by, never a level band, never the whole drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.training.judge.layers import Layers, flatten
from studio_pipeline.training.judge.noise import grid, smooth_noise

__all__ = ["DEEDS", "SHAPES", "patchwork"]

DEEDS = (
    "time", "place", "turn", "blur", "behind", "paint", "warp", "grain", "hold", "scale", "tint", "cut", "spin", "fade",
)  # fmt: skip
"""What a region shows instead: another time or place of the clip, the whole turned or scaled; itself blurred, warped,
noisy, late, in other colours, spun or mirrored about its middle, half gone; what is behind the subject; one colour; or
a piece of the subject that was cut out elsewhere."""

SHAPES = ("blob", "blob", "box", "colour", "beyond")
"""An irregular disc; a rectangle whose long side is not level; a disc's pixels of one colour; all beyond a line."""

_LEVEL = 20.0  # degrees that a rectangle's long side is off the level at least


@dataclass(frozen=True, kw_only=True)
class _Region:
    shape: str
    spot: np.ndarray  # from the subject's middle, in its box. [2], row and column
    faces: np.ndarray  # that it sticks to; none: to the spot
    size: float  # px
    angle: float  # radians
    slender: float  # the shorter by the longer side
    share: float  # of the subject beyond the line
    noise: np.ndarray  # [H, W]


def patchwork(layers: Layers, seed: int, *, least: float = 0.0) -> np.ndarray | None:
    """The clip with regions disturbed in some frames or all. [T, H, W, 3] uint8 sRGB

    Args:
        layers: The sound clip.
        seed: The same seed gives the same picture.
        least: Share of the subject's pixels, over all frames, that must change by more than 16 levels; else None.
    """
    rng = np.random.default_rng([seed, 991])
    frames = flatten(layers)
    result, count = frames.copy(), len(frames)
    for _ in range(int(rng.integers(1, 4))):
        deed, region = str(rng.choice(DEEDS)), _drawn(layers, rng)
        held = int(rng.choice([1, 2, 3, count]))  # for how many frames a disturbance stays the same
        often, grows = rng.uniform(0.35, 1.0), bool(rng.random() < 0.3)
        active, state = True, int(rng.integers(1 << 30))
        for index in range(int(rng.integers(1, max(2, count // 2))), count):
            if index % held == 0 or index == 1:
                active, state = bool(rng.random() < often), int(rng.integers(1 << 30))
            place = _place(layers, index, region) if active else None
            if place is not None:
                share = _covered(layers, frames[index], index, region, place, index / count if grows else 1.0)
                fresh = np.random.default_rng(state)
                other, share = _other(deed, result, frames, layers, index, region.size, place, share, fresh)
                mixed = result[index] * (1.0 - share[..., None]) + other * share[..., None]
                result[index] = np.round(mixed).astype(np.uint8)
    changed = np.abs(result.astype(np.int16) - frames).max(-1) > 16
    return result if changed.sum() >= least * (layers.alpha > 0.5).sum() else None


def _drawn(layers: Layers, rng: np.random.Generator) -> _Region:
    size = float(np.exp(rng.uniform(np.log(0.06), np.log(0.3)))) * layers.extent
    shape, seen = layers.alpha.shape[1:], np.argwhere(layers.faces[0] >= 0)
    faces = np.zeros(0, np.int64)
    if len(seen) and rng.random() < 0.5:
        row, column = seen[int(rng.integers(0, len(seen)))]
        reach = max(2, round(0.03 * layers.extent))
        near = layers.faces[0][max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        faces = np.unique(near[near >= 0])
    level = np.radians(_LEVEL)
    return _Region(
        shape=str(rng.choice(SHAPES)), spot=rng.uniform(-0.5, 0.5, 2), faces=faces, size=size,
        angle=float(rng.uniform(level, np.pi - level)), slender=float(rng.uniform(0.2, 1.0)),
        share=float(rng.uniform(0.03, 0.25)), noise=smooth_noise(rng, shape, max(3.0, size)),
    )  # fmt: skip


def _place(layers: Layers, index: int, region: _Region) -> tuple[int, int] | None:
    """A place of the subject, row and column; None where what the region sticks to isn't seen."""
    ys, xs = np.nonzero(np.isin(layers.faces[index], region.faces) if len(region.faces) else layers.alpha[index] > 0.5)
    if not len(ys):
        return None
    spot = np.zeros(2) if len(region.faces) else region.spot
    y, x = ys.mean() + spot[0] * np.ptp(ys) * 0.9, xs.mean() + spot[1] * np.ptp(xs) * 0.9
    near = int(np.argmin((ys - y) ** 2 + (xs - x) ** 2))
    return int(ys[near]), int(xs[near])


def _covered(
    layers: Layers, frame: np.ndarray, index: int, region: _Region, place: tuple[int, int], grown: float
) -> np.ndarray:
    """How much of each pixel belongs to the region. [H, W] float, 0-1"""
    import cv2

    cover = layers.alpha[index] > 0.5
    rows, columns = grid(cover.shape)
    down, right, size = rows - place[0], columns - place[1], region.size * grown
    along = right * np.cos(region.angle) + down * np.sin(region.angle)
    if region.shape == "box":
        across = down * np.cos(region.angle) - right * np.sin(region.angle)
        return np.clip(size + 0.5 - np.maximum(np.abs(along), np.abs(across) / region.slender), 0.0, 1.0)
    if region.shape == "beyond":
        turn = 2.0 * region.angle  # any direction
        far = columns * np.cos(turn) + rows * np.sin(turn)
        edge = np.quantile(far[cover], 1.0 - region.share * grown) if cover.any() else np.inf
        near = cv2.dilate(cover.astype(np.float32), np.ones((2 * max(1, round(0.04 * layers.extent)) + 1,) * 2))
        return np.clip(far - edge + 0.5, 0.0, 1.0) * near
    disc = np.clip(size + 0.5 - np.hypot(down, right) * (1.0 + 0.25 * region.noise), 0.0, 1.0)
    if region.shape == "colour":
        off = np.abs(cv2.medianBlur(frame, 3).astype(np.int16) - frame[place]).max(-1)
        wide = np.hypot(down, right) < 2.0 * size
        _, labels = cv2.connectedComponents(((off < 28) & wide).astype(np.uint8))
        same = (labels == labels[place]) & (labels[place] > 0)
        return cv2.GaussianBlur(cv2.dilate(same.astype(np.float32), np.ones((3, 3))), (0, 0), 0.6)
    return disc


def _other(
    deed: str,
    now: np.ndarray,
    frames: np.ndarray,
    layers: Layers,
    index: int,
    size: float,
    place: tuple[int, int],
    share: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """What the region shows [H, W, 3], and how much of each pixel does [H, W]."""
    import cv2

    frame = now[index]
    if deed in ("time", "hold"):
        back = int(rng.integers(0, len(frames))) if deed == "time" else max(0, index - int(rng.integers(2, 6)))
        return frames[back], share
    if deed in ("behind", "fade"):
        bare = _bare(layers, index)
        return (bare, share) if deed == "behind" else (0.5 * bare + 0.5 * frame, share)
    if deed == "paint":
        colour = frame[layers.alpha[index] > 0.5]
        own = len(colour) > 0 and rng.random() < 0.6
        chosen = colour[int(rng.integers(0, len(colour)))] if own else rng.integers(0, 256, 3)
        return np.broadcast_to(chosen.astype(np.uint8), frame.shape), share
    if deed == "tint":
        coloured = rng.random() < 0.7  # else lighter or darker only
        gain = np.exp(rng.uniform(0.1, 0.5) * rng.uniform(-1.0, 1.0, 3)) if coloured else rng.uniform(0.6, 1.3)
        return np.clip(frame * gain, 0.0, 255.0), share * layers.alpha[index]
    if deed == "grain":
        return np.clip(frame + rng.normal(0.0, rng.uniform(12.0, 40.0), frame.shape), 0, 255), share
    if deed == "blur":
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.02, 0.07) * layers.extent), share
    if deed == "warp":
        rows, columns = grid(frame.shape[:2])
        reach = rng.uniform(0.02, 0.08) * layers.extent
        down, right = (smooth_noise(rng, frame.shape[:2], max(3.0, 0.6 * size)) for _ in range(2))
        return cv2.remap(frame, (columns + reach * right).astype(np.float32), (rows + reach * down).astype(np.float32),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), share  # fmt: skip
    return _moved(deed, frame, layers, index, place, share, rng)


def _bare(layers: Layers, index: int) -> np.ndarray:
    one = slice(index, index + 1)
    return flatten(
        layers.but(colour=0.0 * layers.colour[one], alpha=0.0 * layers.alpha[one], behind=layers.behind[one])
    )[0]


def _moved(
    deed: str,
    frame: np.ndarray,
    layers: Layers,
    index: int,
    place: tuple[int, int],
    share: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The frame moved, turned or scaled, seen through the region; or the region itself pasted somewhere else."""
    import cv2

    ys, xs = np.nonzero(layers.alpha[index] > 0.5)
    middle = (float(xs.mean()), float(ys.mean())) if len(xs) else (float(place[1]), float(place[0]))
    shift = rng.choice([-1.0, 1.0], 2) * rng.uniform(0.04, 0.3, 2) * layers.extent
    turn = float(rng.choice([-1.0, 1.0]) * rng.uniform(20.0, 160.0))
    zoom = float(rng.choice([rng.uniform(0.6, 0.85), rng.uniform(1.18, 1.6)]))
    here = (float(place[1]), float(place[0]))
    matrix = cv2.getRotationMatrix2D(
        here if deed in ("spin", "cut") else middle,
        turn if deed in ("turn", "spin") or (deed == "cut" and rng.random() < 0.6) else 0.0,
        zoom if deed == "scale" else 1.0,
    )
    if deed == "spin" and rng.random() < 0.4:  # mirrored
        matrix = matrix @ np.array([[-1.0, 0.0, 2.0 * here[0]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    if deed in ("place", "cut"):
        matrix[:, 2] += shift if deed == "place" else 0.6 * shift
    size = frame.shape[1::-1]
    other = cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    if deed != "cut":
        return other, share
    piece = (share * layers.alpha[index]).astype(np.float32)
    there = cv2.warpAffine(piece, matrix, size)
    return other, there * (1.0 - layers.alpha[index]) if rng.random() < 0.5 else there
