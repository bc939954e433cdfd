"""What a network is shown of a clip: small pictures, details of the subject, curves over time, and the measures.

The same numbers that the measures are taken from go in, so that a network need not learn to track corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio_pipeline.caption.looking import Looked

__all__ = ["DETAIL", "FRAMES", "MEASURES", "SIGNALS", "THUMBS", "THUMB_SIZE", "Evidence", "gather"]

FRAMES = 24
"""Frames of a window; a longer clip is read in several."""
THUMBS = 8
"""Pictures of a window that are shown whole."""
THUMB_SIZE = 64
"""Side of a picture [px], whatever the clip's shape."""
DETAIL = 3
"""Pictures of which a square about the subject is shown larger: a clip 96 px high."""
_WINDOWS = 6
_HEIGHT = 96
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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one clip in W windows of at most `FRAMES` frames."""

    thumbs: np.ndarray  # [W, THUMBS, THUMB_SIZE, THUMB_SIZE, 3] uint8 sRGB
    details: np.ndarray  # [W, DETAIL, THUMB_SIZE, THUMB_SIZE, 3] uint8 sRGB
    signals: np.ndarray  # [W, FRAMES, S] float32, zero after the clip's end
    measures: np.ndarray  # [M] float32, NaN where missing


def gather(looked: Looked) -> Evidence:
    """Evidence of a clip that was looked at."""
    count = looked.footage.count
    starts = np.unique(np.linspace(0, max(count - FRAMES, 0), min(_WINDOWS, -(-count // FRAMES))).round().astype(int))
    signals = _signals(looked)
    windows = [range(start, min(start + FRAMES, count)) for start in starts]
    padded = np.zeros((len(windows), FRAMES, len(SIGNALS)), np.float32)
    for row, window in zip(padded, windows, strict=True):
        row[: len(window)] = signals[window.start : window.stop]
    return Evidence(
        thumbs=np.stack([_thumbs(looked, window) for window in windows]),
        details=np.stack([_details(looked, window) for window in windows]),
        signals=padded,
        measures=_measures(looked.measures()),
    )


def _spread(window: range, count: int) -> np.ndarray:
    return np.linspace(window.start, window.stop - 1, count).round().astype(int)


def _thumbs(looked: Looked, window: range) -> np.ndarray:
    import cv2

    size = (THUMB_SIZE, THUMB_SIZE)
    return np.stack([cv2.resize(looked.footage.frames[t], size, interpolation=cv2.INTER_AREA)
                     for t in _spread(window, THUMBS)])  # fmt: skip


def _details(looked: Looked, window: range) -> np.ndarray:
    """Squares about the subject, of frames made as high as those that a network is trained on."""
    import cv2

    frames = looked.footage.frames
    scale = _HEIGHT / frames.shape[1]
    size = (max(THUMB_SIZE, round(frames.shape[2] * scale)), _HEIGHT)
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    found = []
    for t in _spread(window, DETAIL + 2)[1:-1]:
        frame = cv2.resize(frames[t], size, interpolation=how)
        box = looked.subject.boxes[t]
        x, y = (0.5, 0.5) if np.isnan(box).any() else ((box[0] + box[2]) / 2.0, 0.6 * box[1] + 0.4 * box[3])
        left = int(np.clip(x * size[0] - THUMB_SIZE / 2, 0, size[0] - THUMB_SIZE))
        top = int(np.clip(y * size[1] - THUMB_SIZE / 2, 0, size[1] - THUMB_SIZE))
        found.append(frame[top : top + THUMB_SIZE, left : left + THUMB_SIZE])
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
