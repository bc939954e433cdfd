"""Masks against a known background: what differs from the plate, beyond the codec's noise, is foreground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.media.images import read_image
from studio_pipeline.media.reading import read_clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.silhouettes import cleaned, grown, hysteresis, soft_edges

__all__ = ["difference_matte", "matte_frame", "plate_matte", "read_background"]

SHARP = 0.04  # of a plate's slope [levels/px] is added to the noise
_PICTURES = (".png", ".jpg", ".jpeg")


def read_background(path: Path, count: int, size: tuple[int, int]) -> np.ndarray:
    """A background plate [1 or T, H, W, 3] uint8 at ``size`` (width, height) from a picture or a clip.

    Raises:
        InputError: It can't be read, has another number of frames, or is smaller or of another shape.
    """
    frames = read_image(path)[0][None] if path.suffix.lower() in _PICTURES else read_clip(path).frames
    if len(frames) not in (1, count):
        raise InputError(f"has {len(frames)} frames, the clip {count}", where=path, do="give one picture, or as many")
    height, width = frames.shape[1:3]
    if (width, height) == size:
        return frames
    if width < size[0] or height < size[1] or abs(width * size[1] - height * size[0]) > max(size):
        raise InputError(
            f"is {width} x {height} pixels, the clip {size[0]} x {size[1]}",
            where=path,
            do="give a background of the clip's size, or larger and of the same shape",
        )
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def plate_matte(frames: np.ndarray, file: Path, rest: np.ndarray, settings: ObservationSettings) -> np.ndarray:
    """`difference_matte` against a picture or clip file."""
    size = (frames.shape[2], frames.shape[1])
    return difference_matte(frames, read_background(file, len(frames), size), rest, settings)


def difference_matte(
    frames: np.ndarray, background: np.ndarray, rest: np.ndarray, settings: ObservationSettings
) -> np.ndarray:
    """Masks of whatever the background plate doesn't show.

    Per frame the plate's brightness and contrast are fitted to what is surely background, so that a flicker or
    another encoding is no foreground, and noise is measured where the plate should be seen: more around its edges.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        background: The plate [1 or T, H, W, 3] uint8.
        rest: Silhouette that index 0 shows [H, W] bool; gives the size of what is looked for.
        settings: `noise` and `threshold` count.

    Returns:
        Coverage [T, H, W] uint8; all zero where nothing was found.
    """
    area = max(float(rest.sum()), 1.0)
    result = np.zeros(frames.shape[:3], np.uint8)
    seed = rest
    for index, frame in enumerate(frames):
        plate = background[min(index, len(background) - 1)].astype(np.float32)
        mask, plate = matte_frame(frame, plate, seed, area, settings)
        if mask.sum() < 0.02 * area or mask.sum() > 8.0 * area:
            continue
        result[index] = soft_edges(frame, plate, mask)
        seed = mask
    return result


def matte_frame(
    frame: np.ndarray, plate: np.ndarray, seed: np.ndarray, area: float, settings: ObservationSettings
) -> tuple[np.ndarray, np.ndarray]:
    """One frame's mask [H, W] bool, and the plate [H, W, 3] float32 as that frame would show it.

    Args:
        frame: sRGB [H, W, 3] uint8.
        plate: What is behind, NaN where nobody knows: there the seed decides. [H, W, 3] float32
        seed: About where the foreground is [H, W] bool.
        area: Size of what is looked for [px].
        settings: `noise` and `threshold` count.
    """
    known = np.isfinite(plate[..., 0])
    image = frame.astype(np.float32)
    picture, behind = _halved_chroma(image), _halved_chroma(np.where(known[..., None], plate, image))
    away = ~grown(seed, 0.05 * max(seed.shape)) & ~grown(~known, 2)
    behind, noise = _fitted(picture, behind, away, settings.noise)
    score = np.square((picture - behind) / noise).sum(-1) / 3.0
    # The mean over neighbours: a patch that differs everywhere a little is no noise.
    score = np.sqrt(np.maximum(cv2.blur(score, (3, 3)), 0.6 * score))
    score = np.where(known, score, np.where(seed, 3.0 * settings.threshold, 0.0))
    behind[~known] = np.nan
    return cleaned(hysteresis(score, settings.threshold), seed, area), behind


def _halved_chroma(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] float32 with the colour resolution that a 4:2:0 codec leaves."""
    mixed = cv2.cvtColor(picture / 255.0, cv2.COLOR_RGB2YCrCb)
    size = picture.shape[1::-1]
    half_size = max(size[0] // 2, 1), max(size[1] // 2, 1)
    for channel in (1, 2):
        half = cv2.resize(mixed[..., channel], half_size, interpolation=cv2.INTER_AREA)
        mixed[..., channel] = cv2.resize(half, size, interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB) * 255.0


def _fitted(frame: np.ndarray, plate: np.ndarray, away: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The plate with the frame's gain and offset per channel, and the noise [H, W, 1] [8-bit levels]."""
    result = plate.copy()
    some = away & (cv2.erode(away.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    picked = np.flatnonzero(some)[:: max(1, int(some.sum()) // 8000)]
    spread = np.zeros(3)
    for channel in range(3):
        x, y = plate[..., channel].ravel()[picked], frame[..., channel].ravel()[picked]
        if len(x) < 50:
            break
        rows = np.stack([x, np.ones_like(x)], axis=-1).astype(np.float64)
        weight = np.ones(len(x))
        line = np.array([1.0, 0.0])
        for _ in range(6):
            # A pull towards "unchanged" decides where the plate is one flat colour.
            square = (rows * weight[:, None]).T @ rows + np.diag([1e3 * len(x), 1e-3 * len(x)])
            line = np.linalg.solve(square, (rows * weight[:, None]).T @ y + [1e3 * len(x), 0.0])
            gap = y - rows @ line
            spread[channel] = max(1.4826 * float(np.median(np.abs(gap))), 0.5)
            weight = 1.0 / np.square(1.0 + np.square(gap / (3.0 * spread[channel])))
        result[..., channel] = plate[..., channel] * line[0] + line[1]
    # Codecs err most where the plate has edges.
    gray = cv2.cvtColor(np.clip(result, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(gray, cv2.CV_32F, 0, 1, scale=0.125))
    noise = np.maximum(spread.max(), 0.6 * least) + SHARP * cv2.dilate(slope, np.ones((3, 3), np.uint8))
    return result, noise[..., None]
