"""Pictures of a lift show what they are told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from lift_scene import bending, filmed, posed, seen_exactly, tentacle

from studio_pipeline.media.reading import read_clip
from studio_pipeline.stages.lifted_motion.curves import write_curves
from studio_pipeline.stages.lifted_motion.preview import BAR, write_previews

RESIDUALS = {
    "frames": {"iou": [0.95, None, 0.9, 0.97], "track_error_px": [0.1, None, None, 0.4]},
    "views": [{"name": "left", "iou": [0.9, 0.9, 0.8, 0.9]}],
    "explained": [1.0, None, 0.2, 0.9],
    "frames_doubted": [{"frame": 2, "explained": 0.2}],
    "weights": {"rgb": 1.0, "mask": 0.0},
    "curves": {"rgb": [0.2, 0.1, 0.05], "mask": [0.1, 0.1, 0.1], "depth": [0.0, 0.0, 0.0]},
}


def _reddish(picture: np.ndarray) -> int:
    blue, green, red = np.moveaxis(picture.astype(int), -1, 0)
    return int(((red > 180) & (green < 150) & (blue < 150)).sum())


def test_curves_are_drawn(tmp_path: Path) -> None:
    write_curves(tmp_path / "full.png", RESIDUALS, 1001)
    full = cv2.imread(str(tmp_path / "full.png"))
    assert full.shape == (600, 1120, 3)
    assert _reddish(full[300:, :560]) > 150  # a line where a frame is doubted
    assert _reddish(full[:300, 560:]) == 0
    # With gaps and nothing else known there are two panels, one with isolated points.
    write_curves(tmp_path / "bare.png", {"frames": RESIDUALS["frames"]}, 1)
    assert cv2.imread(str(tmp_path / "bare.png")).shape == (300, 1120, 3)
    nothing = {"frames": {"iou": [None], "track_error_px": [None]}}
    write_curves(tmp_path / "nothing.png", nothing, 1)
    assert cv2.imread(str(tmp_path / "nothing.png")).shape == (300, 1120, 3)


def test_overlay_shows_clip_lift_and_difference(tmp_path: Path) -> None:
    character, rig = tentacle()
    vertices = posed(character, rig, bending(rig, 4))
    camera, clip, coverage = filmed(character, vertices, 96)
    observations = seen_exactly(character, camera, vertices, coverage)
    pictures = clip.frames.copy()
    pictures[2] = 255 - pictures[2]  # one frame is off
    names = write_previews(tmp_path, clip, observations, pictures, RESIDUALS)
    assert names == ("overlay.png", "residuals.png")
    scale, still = 2, cv2.imread(str(tmp_path / "overlay.png"))[..., ::-1]
    side = 96 * scale
    assert still.shape == (BAR + 4 * (BAR + side), 4 * side, 3)
    rows = [still[BAR + k * (BAR + side) + BAR :][:side] for k in range(4)]
    shown = cv2.resize(clip.frames[1], (side, side), interpolation=cv2.INTER_CUBIC)
    assert np.abs(rows[0][:, side : 2 * side].astype(int) - shown).max() == 0
    brightness = [rows[3][:, k * side : (k + 1) * side].mean() for k in range(4)]
    assert brightness[2] > 10.0 * max(brightness[0], brightness[1], 1.0)
    movie = read_clip(tmp_path / "overlay.mp4").frames
    assert len(movie) == 4
    assert movie.shape[1] >= 2 * 96
