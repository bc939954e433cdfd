"""`studio caption`: a clip in, its record out, and nothing left behind."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command import Command
from support.moving import filmed

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.caption import Caption


@pytest.mark.slow
def test_a_video_and_the_same_frames_in_a_folder(studio: Command, tmp_path: Path) -> None:
    frames = filmed(lambda t: (2.0 * t, 0.0), count=16, size=96)
    write_mp4(tmp_path / "pan.mp4", frames, Fraction(25), crf=14)
    folder = tmp_path / "pan"
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:04d}.png"), np.ascontiguousarray(frame[..., ::-1]))
    options = ("--backend", "measured")
    code, out, err = studio("caption", "pan.mp4", *options, "--json", "--out", "made/pan.json")
    assert code == 0, err
    told = Caption.model_validate(json.loads(out))
    assert told == Caption.load(tmp_path / "made" / "pan.json")
    assert told.get("camera.move") == "pan_right" and told.fps == "25" and told.frame_count == 16
    assert not (tmp_path / "home").exists()
    code, out, err = studio("caption", "pan", *options, "--fps", "25")
    assert code == 0, err
    assert "pan_right" in out and "16 frames at 25 a second" in out and "camera_shift_x_widths_per_s" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere.mp4",), "nowhere.mp4: no such file or folder"),
        ((".", "--fps", "fast"), "'fast' is no frame rate"),
        ((".", "--backend", "guess"), "guess"),
    ],
)
def test_bad_input_is_one_line(studio: Command, words: tuple[str, ...], told: str) -> None:
    code, _, err = studio("caption", *words)
    assert code == 2 and told in err and len(err.strip().splitlines()) == 1
