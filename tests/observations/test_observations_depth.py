"""Depth against closed forms: a ball's depth after a scale and a shift, at half size, with noise and outliers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.classical import observe
from studio_pipeline.stages.observations.depth import DepthKind, resize_depth, solve_depth

SIZE, FRAMES = 128, 4
SCALE, SHIFT = 0.37, -1.9


def _balls() -> tuple[np.ndarray, np.ndarray]:
    """Depth [T, H, W] [m] (NaN outside) and masks of a half ball of 0.5 m seen head on, sliding sideways."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2.0 - 1.0
    depth = np.full((FRAMES, SIZE, SIZE), np.nan, np.float32)
    for index in range(FRAMES):
        height = 0.36 - np.square(x - 0.1 * index) - np.square(y)
        depth[index] = np.where(height > 0.0, 4.0 - np.sqrt(np.maximum(height, 0.0)), np.nan)
    return depth, np.where(np.isfinite(depth), 255, 0).astype(np.uint8)


def _given(depth: np.ndarray, kind: DepthKind, rng: np.random.Generator, noise: float) -> np.ndarray:
    """What a predictor of that kind says: unknown scale and shift, something else behind, noise."""
    value = 1.0 / depth if kind == "inverse" else depth
    span = np.nanmax(value) - np.nanmin(value)
    value = np.where(np.isfinite(value), value, np.nanmean(value) - 3.0 * span)  # the background
    return (SCALE * (value + noise * span * rng.normal(size=value.shape)) + SHIFT).astype(np.float32)


@pytest.mark.parametrize("kind", ["affine", "inverse"])
def test_scale_and_shift_are_undone(kind: DepthKind) -> None:
    truth, masks = _balls()
    given = _given(truth, kind, np.random.default_rng(0), 0.02)
    given[0, 40:60, 50:90] += 5.0  # a fifth of what index 0 knows is wrong
    found = solve_depth(given, kind, truth[0], masks)
    assert found.scale == pytest.approx(1.0 / SCALE, rel=0.01)
    assert found.shift == pytest.approx(-SHIFT / SCALE, rel=0.01)
    assert np.isnan(found.depth_m[masks < 128]).all()
    gap = (found.depth_m - truth)[1:][masks[1:] > 127]
    assert abs(np.median(gap)) < 0.002 and np.median(np.abs(gap)) < 0.02
    assert found.residual == pytest.approx(1.4826 * np.median(np.abs(gap)), rel=0.4)
    assert found.scale_error < 0.05


def test_noise_does_not_flatten_the_slope() -> None:
    truth, masks = _balls()
    given = _given(truth, "affine", np.random.default_rng(1), 0.1)
    found = solve_depth(given, "affine", truth[0], masks)
    known = np.isfinite(truth[0])
    plain = np.polyfit(given[0][known], truth[0][known], 1)[0]  # ordinary regression on the noisy side
    assert abs(found.scale * SCALE - 1.0) < 0.02 < abs(plain * SCALE - 1.0)


def test_every_frame_of_a_reference_counts() -> None:
    truth, masks = _balls()
    given = _given(truth, "affine", np.random.default_rng(2), 0.02)
    alone = solve_depth(given, "affine", truth[0], masks)
    given[0] = np.random.default_rng(3).normal(size=given[0].shape)  # index 0 says nothing
    found = solve_depth(given, "affine", truth, masks)
    assert found.scale == pytest.approx(1.0 / SCALE, rel=0.01)
    assert alone.scale == pytest.approx(found.scale, rel=0.01)


def test_metric_depth_stays_as_it_is() -> None:
    truth, masks = _balls()
    found = solve_depth(truth, "metric", truth[0], masks)
    assert np.array_equal(found.depth_m[masks > 127], truth[masks > 127])
    assert (found.scale, found.shift, found.residual) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("mixed", [False, True])
def test_half_size_does_not_mix_front_and_back(mixed: bool) -> None:
    truth, masks = _balls()
    whole = np.where(np.isfinite(truth), truth, 9.0).astype(np.float32)  # a wall behind the ball
    if mixed:
        small = np.stack([cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in whole])
    else:
        small = whole[:, ::2, ::2]
    back = resize_depth(small, masks)
    inside = masks > 127
    assert np.isnan(back[~inside]).all() and np.isfinite(back[inside]).mean() > 0.99
    gap = np.abs(back - truth)[inside & np.isfinite(back)]
    assert gap.max() < 0.25 and np.median(gap) < 0.01  # cv2.resize brings the wall in: up to 2.5 m
    plain = np.abs(cv2.resize(small[0], (SIZE, SIZE)) - truth[0])[inside[0]]
    assert plain.max() > 2.0


def test_a_limb_before_the_body_keeps_its_own_depth() -> None:
    truth = np.full((1, 64, 64), 3.0, np.float32)
    truth[:, :, 30:38] = 2.0
    back = resize_depth(truth[:, ::2, ::2], np.full((1, 64, 64), 255, np.uint8))
    assert set(np.unique(back)) == {2.0, 3.0}
    assert (back != truth).mean() < 0.04


def test_half_size_with_noise_solves_like_the_protocol() -> None:
    truth, masks = _balls()
    rng = np.random.default_rng(4)
    small = np.where(np.isfinite(truth), truth, np.nan)[:, ::2, ::2]
    span = np.nanmax(small) - np.nanmin(small)
    given = (SCALE * (small + 0.02 * span * rng.normal(size=small.shape)) + SHIFT).astype(np.float32)
    found = solve_depth(given, "affine", truth[0], masks)
    gap = np.abs(found.depth_m - truth)[masks > 127]
    assert found.scale == pytest.approx(1.0 / SCALE, rel=0.02)
    assert np.nanmedian(gap) < 0.02 * span


def test_what_cannot_be_solved_is_said_in_one_line() -> None:
    truth, masks = _balls()
    with pytest.raises(InputError, match=r"against the rest pose.*set depth_kind: inverse"):
        solve_depth((1.0 / truth).astype(np.float32), "affine", truth[0], masks)
    with pytest.raises(InputError, match="one constant"):
        solve_depth(np.ones_like(truth), "affine", truth[0], masks)
    with pytest.raises(InputError, match="flat"):
        solve_depth(truth, "affine", np.where(np.isfinite(truth[0]), 2.0, np.nan), masks)
    with pytest.raises(InputError, match="share 0 pixels"):
        solve_depth(np.full_like(truth, np.nan), "affine", truth[0], masks)
    with pytest.raises(InputError, match="the clip 128 x 128"):
        solve_depth(truth[:, :, :50], "affine", truth[0], masks)
    with pytest.raises(InputError, match="kind 'log' is unknown"):
        solve_depth(truth, "log", truth[0], masks)  # pyright: ignore


@pytest.mark.parametrize("kind", ["metric", "affine", "inverse"])
def test_the_stage_brings_a_clip_s_own_pass_to_metres(turning: tuple, kind: DepthKind) -> None:
    ball, camera, clip, _, raster = turning
    span = np.nanmax(raster.depth) - np.nanmin(raster.depth)
    values = raster.depth[:, ::2, ::2]
    values = values + 0.02 * span * np.random.default_rng(0).normal(size=values.shape)
    given = {"metric": values, "affine": 0.37 * values - 1.9, "inverse": 5.0 / values - 0.2}[kind].astype(np.float32)
    passed = replace(clip, depth=given, depth_kind=kind)
    observations, _ = observe(ball, camera, passed, ClassicalSettings(track_count=16, late_tracks=0))
    assert observations.depth is not None and observations.depth_is_metric and observations.depth_kind == "metric"
    assert np.isnan(observations.depth[observations.masks < 128]).all()
    gap = np.abs(observations.depth - raster.depth)
    assert np.nanmedian(gap) < 0.02 * span
    assert observations.sources["depth"].startswith("clip")
    off, _ = observe(ball, camera, passed, ClassicalSettings(depth="off", track_count=16, late_tracks=0))
    assert off.depth is None and off.sources["depth"] == "none"


def test_a_pass_that_is_not_metres_is_said(turning: tuple) -> None:
    ball, camera, clip, _, raster = turning
    with pytest.raises(InputError, match="depth_kind: affine or inverse"):
        observe(ball, camera, replace(clip, depth=-raster.depth), ClassicalSettings(track_count=16, late_tracks=0))
    in_centimetres = replace(clip, depth=100.0 * raster.depth)
    with pytest.raises(InputError, match=r"differs from the rest pose .* set depth_kind: affine"):
        observe(ball, camera, in_centimetres, ClassicalSettings(track_count=16, late_tracks=0))
    with pytest.raises(InputError, match="set depth_kind: affine"):
        settings = ClassicalSettings(track_count=16, late_tracks=0, depth_kind="inverse")
        observe(ball, camera, replace(clip, depth=raster.depth), settings)
