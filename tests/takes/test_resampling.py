"""Sizes, counts and moments between a model's clip and the shot's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.takes.resampling import (
    fit_inside,
    frame_positions,
    frames_to_ask,
    padded,
    retimed,
    size_to_ask,
    unpadded,
)

MIDDLE = 188  # sRGB of half the light of white: 255 (1.055 0.5^(1/2.4) - 0.055)
rates = st.sampled_from([Fraction(8), Fraction(16), Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(60)])


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 400), fps=rates, model=rates, step=st.sampled_from([1, 4, 8]), most=st.integers(2, 200))
def test_a_model_is_asked_for_the_shots_time(count, fps, model, step: int, most: int) -> None:
    asked = frames_to_ask(count, fps, model, step=step, most=most)
    assert (asked - 1) % step == 0 and step + 1 <= asked <= max(most, step + 1)
    lasts = (asked - 1) / model
    if asked + step <= most:
        assert lasts >= (count - 1) / fps, "long enough where the model may be"
    if asked > step + 1:
        assert lasts - step / model < (count - 1) / fps, "and no longer than it must be"
    positions, stretch = frame_positions(count, fps, asked, model)
    assert positions[0] == 0.0 and positions.max() <= asked - 1 and len(positions) == count
    if lasts >= (count - 1) / fps:
        assert stretch == 1.0
        np.testing.assert_allclose(positions / float(model), np.arange(count) / float(fps), atol=1e-9)


def test_a_clip_that_is_too_short_is_slowed_down() -> None:
    positions, stretch = frame_positions(49, Fraction(24), 17, Fraction(16))
    assert stretch == 2.0  # 2 s of the shot, 1 s of the model
    np.testing.assert_allclose(positions, np.linspace(0, 16, 49))
    positions, stretch = frame_positions(5, Fraction(24), 4, Fraction(24))
    assert stretch == 1.0 and positions.tolist() == [0, 1, 2, 3, 3], "one frame too short: the last one is held"


def test_moments_between_frames() -> None:
    frames = np.zeros((3, 2, 2, 3), np.uint8)
    frames[1] = 255
    positions = np.array([0.0, 0.4, 0.5, 1.0, 1.5, 2.0])
    assert retimed(frames, positions, "nearest")[:, 0, 0, 0].tolist() == [0, 0, 255, 255, 0, 0]
    mixed = retimed(frames, positions, "blend")[:, 0, 0, 0].tolist()
    assert mixed[0] == 0 and mixed[2] == MIDDLE and mixed[3] == 255 and mixed[4] == MIDDLE and mixed[5] == 0


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(64, 2048), st.integers(64, 2048)),
    multiple=st.sampled_from([16, 32, 64]),
    area=st.sampled_from([480 * 832, 704 * 1280]),
)
def test_sizes_are_multiples_of_the_shots_shape(size: tuple[int, int], multiple: int, area: int) -> None:
    width, height = size_to_ask(size, area=area, multiple=multiple)
    assert width % multiple == 0 and height % multiple == 0
    ideal = (area * size[0] / size[1]) ** 0.5, (area * size[1] / size[0]) ** 0.5
    assert abs(width - max(multiple, ideal[0])) <= multiple / 2 + 1e-6
    assert abs(height - max(multiple, ideal[1])) <= multiple / 2 + 1e-6
    left, top, inner_width, inner_height = fit_inside(size, (width, height)).inner
    assert inner_width == width or inner_height == height
    assert 0 <= left <= width - inner_width and 0 <= top <= height - inner_height


@pytest.mark.parametrize("into", [(64, 96), (160, 96), (48, 48), (200, 112)])
def test_margins_are_undone(into: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0:72, 0:96]
    disc = np.hypot(columns + 0.5 - 30.0, rows + 0.5 - 40.0) < 14.0
    picture = np.where(disc[..., None], (200, 60, 40), (120, 160, 200)).astype(np.uint8)
    fit = fit_inside((96, 72), into)
    frame = padded(picture, fit)
    assert frame.shape == (into[1], into[0], 3)
    for scale in (1, 2):  # a service may send its video larger than asked for
        sent = np.repeat(np.repeat(frame, scale, 0), scale, 1)[None]
        back = unpadded(sent, fit, (96, 72))
        assert back.shape == (1, 72, 96, 3)
        found = back[0, ..., 2] < 149  # half the light
        assert abs(found.sum() / disc.sum() - 1.0) < 0.04
        for axis, middle in ((columns, 30.0), (rows, 40.0)):
            assert abs(axis[found].mean() + 0.5 - middle) < 0.6
        assert np.array_equal(back[0, 0, 0], (120, 160, 200))


def test_resizing_mixes_light_not_numbers() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)
    fit = fit_inside((64, 64), (64, 64))
    assert np.unique(unpadded(board[None], fit, (32, 32))).tolist() == [MIDDLE]


def test_frames_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="made frames of 64 x 64, asked for 128 x 64"):
        unpadded(np.zeros((1, 64, 64, 3), np.uint8), fit_inside((96, 72), (128, 64)), (96, 72))
