"""Moves of a window over a picture are known: they must be read back, with their speed, through noise and H.264."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.moving import Window, filmed, noisy

from studio_pipeline.caption import describe
from studio_pipeline.media.reading import read_clip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.caption import Caption
from studio_pipeline.schema.taxonomy import load_taxonomy

FPS = Fraction(24)
SIZE = 128
MOVES: dict[str, Window] = {
    "pan_right": lambda t: (1.5 * t, 0.0),
    "pan_left": lambda t: (-0.5 * t, 0.0),
    "tilt_up": lambda t: (0.0, -1.0 * t),
    "tilt_down": lambda t: (0.0, 1.5 * t),
    "zoom_in": lambda t: (0.0, 0.0, 1.012**t, 0.0),
    "zoom_out": lambda t: (0.0, 0.0, 1.5 * 0.988**t, 0.0),
    "roll": lambda t: (0.0, 0.0, 1.0, 0.012 * t),
    "whip_pan": lambda t: (14.0 * np.clip(t - 6, 0, 12), 0.0),
    "shake": lambda t: (2.5 * (-1) ** t, 2.0 * (-1) ** (t // 2)),
    "handheld": lambda t: (2.0 * np.sin(t / 2.3) + 1.5 * np.sin(t / 1.4 + 1.0), 2.0 * np.sin(t / 2.9 + 2.0)),
}


def read(frames: np.ndarray) -> Caption:
    return describe(frames, FPS, taxonomy=load_taxonomy())


@pytest.mark.parametrize("move", list(MOVES))
def test_a_move_is_read_through_noise(move):
    caption = read(noisy(filmed(MOVES[move], size=SIZE)))
    assert caption.get("camera.move") == move
    assert caption.confidence("camera.move") >= 0.6


@pytest.mark.parametrize("move", ["pan_right", "zoom_in", "roll"])
def test_a_move_is_read_through_h264_with_its_speed(tmp_path: Path, move: str):
    write_mp4(tmp_path / "clip.mp4", filmed(MOVES[move], size=SIZE), FPS, crf=28)
    caption = read(read_clip(tmp_path / "clip.mp4").frames)
    assert caption.get("camera.move") == move
    truth = {
        "camera_shift_x_widths_per_s": -1.5 * 24 / SIZE if move == "pan_right" else 0.0,
        "camera_zoom_log_per_s": 24 * np.log(1.012) if move == "zoom_in" else 0.0,
        "camera_roll_deg_per_s": np.degrees(0.012 * 24) if move == "roll" else 0.0,
    }
    for name, value in truth.items():
        assert caption.measures[name] == pytest.approx(value, rel=0.06, abs=0.01 if "deg" not in name else 0.2)


@pytest.mark.parametrize("sigma", [0.0, 3.0, 8.0])
def test_a_noisy_still_clip_has_no_move(sigma):
    caption = read(noisy(filmed(lambda t: (0.0, 0.0), size=SIZE), sigma))
    assert caption.get("camera.move") == "fix"
    assert caption.confidence("camera.move") > 0.9
    assert caption.measures["camera_unrest_widths"] < 1e-3


def test_an_even_grey_clip_does_not_tell_a_move():
    frames = np.full((12, 64, 64, 3), 127, np.uint8)
    caption = read(noisy(frames, 4.0))
    assert caption.get("camera.move") is None or caption.confidence("camera.move") < 0.7


def test_the_caption_is_kept_as_json(tmp_path: Path):
    caption = read(filmed(MOVES["tilt_up"], count=8, size=64))
    caption.save(tmp_path / "caption.json")
    assert Caption.load(tmp_path / "caption.json") == caption
