"""Pictures of what was observed: the mask's contour and the tracks over the frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import Observations

__all__ = ["draw_frame", "write_previews"]

CONTOUR = (255, 214, 64)
LATE = (255, 255, 255)  # tracks of surface that came into view later
TAIL = 6  # frames of a track's past that are drawn
STRIP = 6  # pictures in the still preview


def _colours(points: np.ndarray) -> np.ndarray:
    """One hue per track by its place at index 0, so that neighbours look alike. [N, 3] uint8"""
    if not len(points):
        return np.zeros((0, 3), np.uint8)
    span = np.maximum(np.ptp(points, axis=0), 1e-6)
    place = (points - points.min(0)) / span
    hue = (179.0 * (0.75 * place[:, 1] + 0.25 * place[:, 0])).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 170), np.full_like(hue, 255)], axis=-1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]


def draw_frame(clip: Clip, observations: Observations, index: int, scale: int) -> np.ndarray:
    """One frame, enlarged ``scale`` times: background dimmed, contour, tracks with tails. uint8 RGB"""
    frame, mask = clip.frames[index], observations.masks[index]
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
    cover = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    picture = (picture * (0.45 + 0.55 * (cover[..., None] / 255.0))).astype(np.uint8)
    contours, _ = cv2.findContours((cover > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, CONTOUR, max(1, scale // 2), cv2.LINE_AA)
    shift = 4
    start = max(0, index - TAIL)
    for track, colour in enumerate(_colours(observations.tracks[0])):
        if not observations.visibility[index, track]:
            continue
        path = np.round(observations.tracks[start : index + 1, track] * scale * 2**shift).astype(np.int32)
        shade = tuple(int(c) for c in colour)
        cv2.polylines(picture, [path[:, None]], False, shade, 1, cv2.LINE_AA, shift)
        cv2.circle(picture, tuple(int(v) for v in path[-1]), (scale << shift) // 2, shade, -1, cv2.LINE_AA, shift)
    for place in observations.late_tracks[index, observations.late_visibility[index]]:
        centre = tuple(int(v) for v in np.round(place * scale * 2**shift))
        cv2.circle(picture, centre, (scale << shift) // 2, LATE, -1, cv2.LINE_AA, shift)
    return picture


def write_previews(folder: Path, clip: Clip, observations: Observations) -> tuple[str, ...]:
    """Write ``overlay.png`` (a strip of frames) and ``overlay.mp4``; returns the pictures' names."""
    scale = max(1, round(512 / max(clip.size)))
    picked = np.unique(np.linspace(0, clip.frame_count - 1, STRIP).round().astype(int))
    strip = [draw_frame(clip, observations, int(i), scale) for i in picked]
    cv2.imwrite(str(folder / "overlay.png"), np.concatenate(strip, axis=1)[..., ::-1])
    movie = np.stack([draw_frame(clip, observations, i, scale) for i in range(clip.frame_count)])
    write_mp4(folder / "overlay.mp4", movie, clip.fps)
    return ("overlay.png",)
