"""Tracks against the true motion of the surface: drift control, new surface, what was lost and comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ball_scene import filmed, patterned_ball, track_errors, turned

from studio_pipeline.schema.records import Observations
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.binding import bind_tracks
from studio_pipeline.stages.observations.classical import observe
from studio_pipeline.stages.observations.neighbours import Neighbours
from studio_pipeline.stages.observations.templates import Picture, Templates


@pytest.fixture(scope="module")
def rocking() -> tuple:
    """The ball rocks to and fro, so that errors of steps add up though nothing goes far."""
    ball = patterned_ball()
    there = turned(ball, 5, turn=0.5)
    vertices = np.concatenate([there, there[-2::-1]] * 3)[:24]
    camera, clip, raster = filmed(ball, vertices, noise=3.0)
    return ball, camera, clip, vertices, raster


def _exact(scene: tuple, **settings: object) -> Observations:
    """Observations under true masks."""
    ball, camera, clip, _, raster = scene
    alpha = np.where(raster.face_ids >= 0, 255, 0).astype(np.uint8)
    given = {"track_count": 200, "late_tracks": 0, **settings}
    return observe(ball, camera, replace(clip, alpha=alpha), ClassicalSettings.model_validate(given))[0]


def test_drift_control_keeps_long_tracks_on_their_points(rocking: tuple) -> None:
    shares = {}
    for control in (False, True):
        found = _exact(rocking, drift_control=control)
        gap, seen = track_errors(rocking[0], rocking[1], rocking[3], found), found.visibility
        shares[control] = np.mean(gap[12:][seen[12:]] < 1.0), seen[12:].mean()
    assert shares[True][0] > 0.9
    assert shares[True][0] > shares[False][0]
    assert shares[True][1] > shares[False][1]  # and more of them are left


def test_what_turns_away_and_comes_back_is_found_again(rocking: tuple) -> None:
    found = _exact(rocking)
    gap, seen = track_errors(rocking[0], rocking[1], rocking[3], found), found.visibility
    lost = ~seen[4] & seen[0]
    again = lost & seen[8]
    assert again.sum() > 0.2 * max(lost.sum(), 1)
    assert np.median(gap[8][again]) < 1.0


def test_late_tracks_lie_on_surface_that_index_0_does_not_show(turning: tuple) -> None:
    ball, camera, _, vertices, raster = turning
    found = _exact(turning, late_tracks=150)
    assert len(found.late_births) > 15 and found.late_births.min() > 0
    births = found.late_births
    numbers = np.arange(len(births))
    assert found.late_visibility[births, numbers].all()
    assert not any(found.late_visibility[:birth, n].any() for n, birth in enumerate(births))
    place = found.late_tracks[births, numbers]
    np.testing.assert_allclose(place - np.floor(place), 0.5, atol=1e-5)
    bound = bind_tracks(found, raster.face_ids, raster.barycentrics)
    late = bound.track_births > 0
    gap = track_errors(ball, camera, vertices, bound)[:, late]
    seen = bound.visibility[:, late]
    assert np.median(gap[seen]) < 0.7 and np.mean(gap[seen] < 3.0) > 0.9
    shown_first = np.isin(bound.track_faces[late], np.unique(raster.face_ids[0]))
    assert (~shown_first).sum() >= 4  # the rest lies where earlier tracks were lost
    assert not _exact(turning).late_births.size


def test_a_template_is_found_to_a_fraction_of_a_pixel_under_turn_and_light() -> None:
    import cv2

    rng = np.random.default_rng(2)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (96, 96)).astype(np.float32), (0, 0), 2.0) * 3.0 - 255.0
    picture = np.clip(picture, 0, 255)
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre, shift = np.array([48.0, 48.0]), np.array([1.3, -0.8])
    moved = np.concatenate([turn, (centre + shift - turn @ centre)[:, None]], axis=1)
    # cv2 counts from pixel centres, the project from corners.
    offset = moved.copy()
    offset[:, 2] += turn @ [0.5, 0.5] - 0.5
    later = cv2.warpAffine(picture, offset, (96, 96), flags=cv2.INTER_CUBIC) * 0.8 + 20.0
    full = np.full((96, 96), 255, np.uint8)
    pixels = np.array([[48.0, 48.0], [40.5, 52.5], [55.5, 44.5]])
    templates = Templates(Picture(picture.astype(np.uint8), full), pixels, 13)
    truth = pixels @ turn.T + moved[:, 2]
    start = truth + np.array([[1.0, -1.0], [-1.2, 0.5], [0.8, 0.9]])
    matrix = np.tile(turn, (3, 1, 1))
    found = templates.match(np.arange(3), Picture(later.astype(np.uint8), full), start, matrix, start, np.full(3, 5.0))
    assert np.abs(found.pixels - truth).max() < 0.15
    assert found.score.min() > 0.95 and found.blind.max() < 0.5


def test_neighbours_recover_an_affine_warp_in_spite_of_strays() -> None:
    rng = np.random.default_rng(4)
    start = rng.uniform(0, 50, (60, 2))
    warp = np.array([[1.1, 0.2], [-0.15, 0.9]])
    after = start @ warp.T + [7.0, -3.0]
    truth = after.copy()
    after[::9] += [15.0, -20.0]  # strays
    neighbours = Neighbours(np.arange(60), start, start, np.ones(60, bool))
    last = np.tile(np.eye(2), (60, 1, 1))
    for _ in range(6):
        found = neighbours.warp(after, np.ones(60, bool), last)
        last = found.matrix
    gap = np.linalg.norm(found.place - truth, axis=1)
    assert np.median(gap) < 0.3 and np.mean(gap < 1.5) > 0.9
    few = neighbours.warp(after, np.arange(60) < 3, last)
    assert np.isnan(few.place).any()
