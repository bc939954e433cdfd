"""A real second tracker as the user's command, against the true motion; and commands that misbehave."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ball_scene import track_errors

from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.stages.observations import ExternalSettings
from studio_pipeline.stages.observations.binding import bind_tracks
from studio_pipeline.stages.observations.classical import observe
from studio_pipeline.stages.observations.external import ask_tracker

TRACKER = Path(__file__).with_name("second_tracker.py")


def _settings(*more: str, **values: object) -> ExternalSettings:
    command = (sys.executable, "{program}", "{input}", "{output}", *more)
    return ExternalSettings.model_validate({"command": command, "program": TRACKER, "track_count": 120, **values})


def test_a_second_tracker_follows_the_surface(turning: tuple) -> None:
    ball, camera, clip, vertices, raster = turning
    observations, _ = observe(ball, camera, clip, _settings(late_tracks=80))
    assert observations.sources["tracks"] == "external (second_tracker.py)"
    gap = track_errors(ball, camera, vertices, observations)
    seen = observations.visibility
    assert seen[0].all() and gap[0].max() < 0.1
    assert seen[4].mean() > 0.3
    assert np.median(gap[4][seen[4]]) < 1.0
    own, _ = observe(ball, camera, clip, ExternalSettings(tracks="classical", track_count=120, late_tracks=0))
    # Two methods on the same points agree where both see them.
    both = seen[4] & own.visibility[4]
    assert both.sum() > 30
    assert np.median(np.linalg.norm(observations.tracks[4] - own.tracks[4], axis=-1)[both]) < 1.0
    bound = bind_tracks(observations, raster.face_ids, raster.barycentrics)
    late = bound.track_births > 0
    assert late.sum() > 20
    gap = track_errors(ball, camera, vertices, bound)
    after = bound.track_births[late] + 2
    picked = bound.visibility[:, late][np.minimum(after, 9), np.arange(late.sum())]
    assert np.median(gap[:, late][np.minimum(after, 9), np.arange(late.sum())][picked]) < 1.0


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("fails", "failed with code 1: RuntimeError: out of memory"),
        ("silent", "wrote no {output}"),
        ("pickles", "tracker command's answer holds pickled objects"),
        ("transposes", r"'tracks' is .* floats of \(3, 2, 2\)"),
        ("nan", "not finite"),
    ],
)
def test_a_command_that_misbehaves_is_told_in_one_line(mode: str, said: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)
    points = np.array([[0, 16.5, 16.5], [0, 12.5, 18.5]], np.float32)
    with pytest.raises(InputError, match=said) as caught:
        ask_tracker(frames, points, _settings(mode))
    assert len(str(caught.value).splitlines()) == 1


def test_a_command_that_hangs_is_ended() -> None:
    frames, points = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 3), np.float32)
    with pytest.raises(InputError, match=r"took longer than 1 s.*set timeout_s"):
        ask_tracker(frames, points, _settings("hangs", timeout_s=1.0))


def test_a_program_that_is_not_there_is_named() -> None:
    settings = ExternalSettings(command=("/nowhere/tracker", "{input}", "{output}"))
    with pytest.raises(BackendUnavailable, match="/nowhere/tracker - set observations' command"):
        ask_tracker(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 3), np.float32), settings)


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    settings = ExternalSettings(command=("echo", "{input}", "{output}", ";", "touch", str(tmp_path / "made")))
    with pytest.raises(InputError, match="wrote no"):
        ask_tracker(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 3), np.float32), settings)
    assert not (tmp_path / "made").exists()
