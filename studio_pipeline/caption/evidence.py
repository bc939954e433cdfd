"""What a network is shown of a clip: small pictures, details of the subject, curves over time, and the measures.

The same numbers that the measures are taken from go in, so that a network need not learn to track corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from studio_pipeline.caption.looking import Looked
from studio_pipeline.schema.evidence import Evidence

__all__ = ["DETAIL", "DETAIL_SIZE", "FRAMES", "MEASURES", "SIGNALS", "THUMB_SIZE", "gather"]

FRAMES = 24
"""Frames of a window; a longer clip is read in several."""
THUMB_SIZE = 48
"""Side of a whole picture and of a picture of the subject [px], whatever the clip's shape."""
DETAIL = 3
"""Pictures of which a square about the subject is shown larger: of a clip 128 px high."""
DETAIL_SIZE = 64
"""Its side [px]."""
_WINDOWS = 6
_HEIGHT = 128
_ROOM = 1.2  # of the subject's extent, what its pictures show
_CALM = 2.0  # frames over which their place follows the subject
_TINY = 8.0  # px that a subject counts as at least
_FAST = 0.25  # of a subject's square a frame: the largest speed that is told
SIGNALS = (
    "shift_x", "shift_y", "scale", "roll", "known", "agreed", "spread", "speed", "change", "luma", "white", "black",
    "two", "chroma", "left", "top", "right", "bottom", "area", "seen",
)  # fmt: skip
"""Names of the curves."""
MEASURES = (
    "camera_shift_x_widths_per_s", "camera_shift_y_widths_per_s", "camera_zoom_log_per_s", "camera_roll_deg_per_s",
    "camera_unrest_widths", "camera_known_share", "camera_turns", "camera_straight", "camera_peak_widths",
    "camera_burst",
    "subject_shift_x_widths", "subject_shift_y_widths", "subject_zoom_log", "subject_height_share",
    "subject_width_share", "subject_area_share", "subject_height_change_share", "subject_x_share", "subject_y_share",
    "subject_cut_left_share", "subject_cut_top_share", "subject_cut_right_share", "subject_cut_bottom_share",
    "motion_mean_heights_per_s", "motion_peak_heights_per_s", "held_share", "longest_hold_frames",
    "drawing_change_levels", "drawings_per_s", "held_on_twos_ratio", "held_on_threes_ratio", "held_on_fours_ratio",
    "luma_mean_levels", "luma_jump_levels", "two_colours_share_max", "white_share_max", "luma_first_levels",
    "luma_last_levels", "streaks_per_frame", "streaks_parallel", "streaks_converging_share", "lightness_mean_lab",
    "lightness_p10_lab", "lightness_p90_lab", "chroma_mean_lab", "chroma_p95_lab", "coloured_share", "hue_mean_deg",
    "hue_agreement", "hue_axis_agreement", "warm_share", "backdrop_lightness_lab", "backdrop_a_lab",
    "backdrop_b_lab", "outline_px", "outline_relative", "outline_covered_share", "shading_spread_levels",
    "shading_levels", "shading_contrast_lab", "shading_even_share", "halftone_regularity", "halftone_pitch_px",
    "grain_lab", "corner_darkness_lab", "subject_sharpness_lab", "backdrop_sharpness_lab", "colour_fringe",
    "flicker_median_levels", "flicker_mean_levels",
)  # fmt: skip
"""Names of the measures that are shown; one that is missing is shown as such."""


def gather(looked: Looked) -> Evidence:
    """Evidence of a clip that was looked at."""
    count = looked.footage.count
    starts = np.unique(np.linspace(0, max(count - FRAMES, 0), min(_WINDOWS, -(-count // FRAMES))).round().astype(int))
    windows = [range(start, min(start + FRAMES, count)) for start in starts]
    return Evidence(
        thumbs=_in_windows(_thumbs(looked), windows),
        actors=_in_windows(_actors(looked), windows, after=(0, 0, 128, 128)),
        details=np.stack([_details(looked, window) for window in windows]),
        signals=_in_windows(_signals(looked), windows),
        measures=_measures(looked.measures()),
    )


def _in_windows(frames: np.ndarray, windows: list[range], *, after: tuple[int, ...] = (0,)) -> np.ndarray:
    """[T, ...] cut into windows, ``after`` where one is shorter. [W, FRAMES, ...]"""
    found = np.full((len(windows), FRAMES, *frames.shape[1:]), after, frames.dtype)
    for row, window in zip(found, windows, strict=True):
        row[: len(window)] = frames[window.start : window.stop]
    return found


def _thumbs(looked: Looked) -> np.ndarray:
    import cv2

    size = (THUMB_SIZE, THUMB_SIZE)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in looked.footage.frames])


def _actors(looked: Looked) -> np.ndarray:
    """The subject in squares that go along with it: luma, mask, and how it moves. [T, S, S, 4] uint8"""
    masks = looked.subject.masks
    size = np.array(masks.shape[:0:-1])
    places, side = _places(looked.subject.boxes * np.tile(size, 2), size)
    still = np.zeros((1, *looked.flows.shape[1:]), np.float32)
    shrunk = looked.flows.shape[2] / size[0]
    found = np.zeros((len(masks), THUMB_SIZE, THUMB_SIZE, 4), np.uint8)
    for t, (place, flow) in enumerate(zip(places, np.concatenate([looked.flows, still]), strict=True)):
        shown = np.dstack([looked.footage.grey[t], 255 * masks[t].astype(np.uint8)])
        found[t, ..., :2] = _square(shown, place, side)
        speed = _square(flow, place * shrunk, side * shrunk) / side
        found[t, ..., 2:] = 128.5 + 127.0 * np.sign(speed) * np.sqrt(np.minimum(np.abs(speed) / _FAST, 1.0))
    return found


def _square(picture: np.ndarray, place: np.ndarray, side: float) -> np.ndarray:
    """A square of a picture about a place, zero beyond its border. [THUMB_SIZE, THUMB_SIZE, C]"""
    import cv2

    size, how = max(1, round(side)), cv2.INTER_AREA if side > THUMB_SIZE else cv2.INTER_LINEAR
    margin = size + 1
    wide = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    left, top = np.round(place - side / 2.0).astype(int) + margin
    return cv2.resize(wide[top : top + size, left : left + size], (THUMB_SIZE, THUMB_SIZE), interpolation=how)


def _places(boxes: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, float]:
    """Middles [T, 2] and side of squares about the subject, calm and as large as its largest moment needs.

    Of the whole picture where nothing is seen; ``boxes`` [T, 4] and ``size``, width and height, in px.
    """
    from scipy.ndimage import gaussian_filter1d

    seen = np.isfinite(boxes[:, 0])
    if not seen.any():
        return np.tile(size / 2.0, (len(boxes), 1)), float(max(size))
    extent = (boxes[seen, 2:] - boxes[seen, :2]).max(1)
    at, middles = np.arange(len(boxes)), (boxes[:, :2] + boxes[:, 2:]) / 2.0
    places = np.stack([np.interp(at, at[seen], middles[seen, axis]) for axis in range(2)], axis=1)
    places = gaussian_filter1d(places, _CALM, axis=0, mode="nearest")
    return np.clip(places, 0.0, size), _ROOM * max(float(np.percentile(extent, 95)), _TINY)


def _spread(window: range, count: int) -> np.ndarray:
    return np.linspace(window.start, window.stop - 1, count).round().astype(int)


def _details(looked: Looked, window: range) -> np.ndarray:
    """Squares about the subject, of frames made as high as those that a network is trained on."""
    import cv2

    frames = looked.footage.frames
    scale = _HEIGHT / frames.shape[1]
    size = (max(DETAIL_SIZE, round(frames.shape[2] * scale)), _HEIGHT)
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    found = []
    for t in _spread(window, DETAIL + 2)[1:-1]:
        frame = cv2.resize(frames[t], size, interpolation=how)
        box = looked.subject.boxes[t]
        x, y = (0.5, 0.5) if np.isnan(box).any() else ((box[0] + box[2]) / 2.0, 0.6 * box[1] + 0.4 * box[3])
        left = int(np.clip(x * size[0] - DETAIL_SIZE / 2, 0, size[0] - DETAIL_SIZE))
        top = int(np.clip(y * size[1] - DETAIL_SIZE / 2, 0, size[1] - DETAIL_SIZE))
        found.append(frame[top : top + DETAIL_SIZE, left : left + DETAIL_SIZE])
    return np.stack(found)


def _signals(looked: Looked) -> np.ndarray:
    """Curves, scaled to about one. Of pairs of frames: from the frame before. [T, S] float32"""
    motion, subject, light = looked.motion, looked.subject, looked.light
    count = looked.footage.count
    usual = max(float(np.percentile(looked.changes, 85)), 1.2) if count > 1 else 1.0
    pairs = [
        50.0 * motion.shift[:, 0], 50.0 * motion.shift[:, 1], 50.0 * motion.scale, 50.0 * motion.roll,
        motion.known.astype(float), motion.agreed, motion.spread, looked.speeds, looked.changes / usual,
    ]  # fmt: skip
    pairs = [np.concatenate([[0.0], np.clip(np.nan_to_num(curve), -8.0, 8.0)]) for curve in pairs]
    boxes = np.nan_to_num(subject.boxes, nan=0.5)
    singles = [
        light.mean / 128.0 - 1.0, light.white, light.black, light.two, light.colourless / 64.0, *boxes.T,
        subject.areas, np.full(count, subject.trust),
    ]  # fmt: skip
    return np.stack([*pairs, *singles], axis=-1).astype(np.float32)


def _measures(found: Mapping[str, Any]) -> np.ndarray:
    return np.array([found.get(name, np.nan) for name in MEASURES], np.float32)
