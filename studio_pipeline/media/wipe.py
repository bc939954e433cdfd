"""Two versions of a clip in one picture: a split that moves across, labels, frame numbers; and how far they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from studio_pipeline.media.video import stream_mp4

__all__ = ["Differences", "Footage", "differences", "wipe_frames", "write_wipe"]

INK, PAPER, EDGE = (28, 30, 36), (236, 238, 242), (255, 255, 255)  # sRGB
STRIP = 32  # [px] height of the labels' strip
LEAST_WIDTH = 480  # [px] smaller pictures are enlarged by whole pixels, so that labels fit and pixels stay as they are
LEAST_SECONDS = 4.0  # a shorter clip is played several times, so that the split can be followed
SWEEP_SECONDS = 4.0  # about the time in which the split goes to both sides and back


@dataclass(frozen=True)
class Footage:
    """Numbered pictures of one size, read when they are wanted."""

    numbers: Sequence[int]
    size: tuple[int, int]  # width, height [px]
    frame: Callable[[int], np.ndarray]  # by number: [H, W, 3] uint8 sRGB


@dataclass(frozen=True)
class Differences:
    """How far two versions differ, over the frame numbers that both have and at the first one's size."""

    first: int
    last: int
    equal: int  # frames with the same pixels
    mean: float  # absolute difference over all pixels and channels [0..255]
    worst: int  # the frame number where it is largest
    worst_mean: float  # and how large it is there [0..255]


def common(before: Footage, after: Footage) -> list[int]:
    """Frame numbers that both have, in order."""
    return sorted(set(before.numbers) & set(after.numbers))


def differences(before: Footage, after: Footage) -> Differences | None:
    """Measure two versions; None when they have no frame number in common."""
    numbers = common(before, after)
    if not numbers:
        return None
    means = []
    for number in numbers:
        a, b = before.frame(number), _sized(after.frame(number), before.size)
        means.append(float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean()))
    worst = int(np.argmax(means))
    return Differences(
        first=numbers[0],
        last=numbers[-1],
        equal=means.count(0.0),
        mean=float(np.mean(means)),
        worst=numbers[worst],
        worst_mean=means[worst],
    )


def write_wipe(path: Path, before: Footage, after: Footage, *, labels: tuple[str, str], fps: Fraction) -> None:
    """Write the wipe as an MP4: ``before`` left of the split, ``after`` right of it."""
    stream_mp4(path, wipe_frames(before, after, labels=labels, fps=fps), fps, size=_canvas(before.size), crf=16)


def wipe_frames(before: Footage, after: Footage, *, labels: tuple[str, str], fps: Fraction) -> Iterator[np.ndarray]:
    """The wipe's pictures one by one, each [H, W, 3] uint8 sRGB with even sides."""
    numbers = common(before, after)
    loops = max(1, math.ceil(LEAST_SECONDS * fps / len(numbers))) if numbers else 0
    total = loops * len(numbers)
    sweeps = max(1, round(total / float(fps) / SWEEP_SECONDS)) if total else 0
    width, height = _canvas(before.size)
    scale = _scale(before.size)
    for index in range(total):
        number = numbers[index % len(numbers)]
        a, b = (_enlarged(_sized(footage.frame(number), before.size), scale) for footage in (before, after))
        split = split_at(index, total, sweeps, a.shape[1])
        picture = np.full((height, width, 3), INK, np.uint8)
        picture[:STRIP] = _strip(width, labels, number)
        shown = picture[STRIP : STRIP + a.shape[0], : a.shape[1]]
        shown[:, :split], shown[:, split:] = a[:, :split], b[:, split:]
        # White between dark, so that it shows on light pictures and on dark ones.
        shown[:, max(0, split - 2) : split + 2] = INK
        shown[:, max(0, split - 1) : split + 1] = EDGE
        yield picture


def split_at(index: int, total: int, sweeps: int, width: int) -> int:
    """Where the split is in picture ``index`` [px]: from the middle to the right, to the left and back."""
    return round((0.5 + 0.5 * math.sin(2.0 * math.pi * sweeps * index / total)) * width)


def _scale(size: tuple[int, int]) -> int:
    return max(1, math.ceil(LEAST_WIDTH / size[0]))


def _canvas(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the wipe, even."""
    scale = _scale(size)
    width, height = size[0] * scale, size[1] * scale + STRIP
    return width + width % 2, height + height % 2


def _sized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    smaller = frame.shape[1] > size[0]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return frame if scale == 1 else frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _strip(width: int, labels: tuple[str, str], number: int) -> np.ndarray:
    """Both labels, each on its version's side, and the frame number between them. [STRIP, width, 3] uint8"""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, STRIP), INK)
    draw, font, y = ImageDraw.Draw(image), ImageFont.load_default(17), STRIP // 2
    draw.text((10, y), f"< {labels[0]}", fill=PAPER, font=font, anchor="lm")
    draw.text((width // 2, y), f"{number:04d}", fill=PAPER, font=font, anchor="mm")
    draw.text((width - 10, y), f"{labels[1]} >", fill=PAPER, font=font, anchor="rm")
    return np.asarray(image)
