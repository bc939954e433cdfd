"""Masks against true silhouettes: known plates, codec noise, flicker, textured backgrounds, a moving camera."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from ball_scene import SIZE, filmed, patterned_ball, textured_backdrop, turned

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.classical import observe
from studio_pipeline.stages.observations.edges import edge_offset, moved_edges
from studio_pipeline.stages.observations.matte import difference_matte, read_background
from studio_pipeline.stages.observations.segmentation import segment
from studio_pipeline.stages.observations.silhouettes import halo_of, iou
from studio_pipeline.stages.observations.uncovered import background_motion

FRAMES = 8


def _through_h264(frames: np.ndarray, folder: Path) -> np.ndarray:
    import av

    path = folder / "plate.mp4"
    write_mp4(path, frames, Fraction(24), crf=18)
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _scene(backdrops: list[np.ndarray]) -> tuple:
    ball = patterned_ball()
    camera, clip, raster = filmed(ball, turned(ball, FRAMES, turn=0.5), backdrops)
    return ball, camera, clip, raster.face_ids >= 0


def _worst(masks: np.ndarray, truth: np.ndarray) -> float:
    return min(iou(mask > 127, true) for mask, true in zip(masks, truth, strict=True))


def _mean(masks: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([iou(mask > 127, true) for mask, true in zip(masks, truth, strict=True)]))


@pytest.fixture(scope="module")
def still() -> tuple:
    return _scene([textured_backdrop()] * FRAMES)


@pytest.fixture(scope="module")
def panning() -> tuple:
    return _scene([textured_backdrop(shift=3.0 * index) for index in range(FRAMES)])


def test_a_known_plate_gives_the_mask_through_codec_noise_and_flicker(still: tuple, tmp_path: Path) -> None:
    ball, camera, clip, truth = still
    flicker = 1.0 + 0.06 * np.sin(np.arange(FRAMES))[:, None, None, None]
    frames = np.clip(_through_h264(clip.frames, tmp_path) * flicker + 3.0, 0, 255).astype(np.uint8)
    plate = np.clip(textured_backdrop(), 0, 255).astype(np.uint8)
    assert _worst(difference_matte(frames, plate[None], truth[0], ClassicalSettings()), truth) > 0.95
    # The same through the stage's own settings, from a file twice as large.
    large = cv2.resize(plate, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "back.png"), large[..., ::-1])
    settings = ClassicalSettings(background=tmp_path / "back.png", track_count=32, late_tracks=0)
    observations, _ = observe(ball, camera, clip, settings)
    assert observations.sources["masks"] == "background plate"
    assert _worst(observations.masks, truth) > 0.95


def test_a_plate_may_move_with_the_camera(panning: tuple) -> None:
    _, _, clip, truth = panning
    plates = np.stack([textured_backdrop(shift=3.0 * index) for index in range(FRAMES)]).clip(0, 255).astype(np.uint8)
    assert _worst(difference_matte(clip.frames, plates, truth[0], ClassicalSettings()), truth) > 0.95


def test_what_equals_the_plate_is_nothing(still: tuple) -> None:
    truth = still[3]
    plate = np.clip(textured_backdrop(), 0, 255).astype(np.uint8)
    noisy = np.clip(plate + np.random.default_rng(1).normal(0, 2, (FRAMES, *plate.shape)), 0, 255).astype(np.uint8)
    assert not (difference_matte(noisy, plate[None], truth[0], ClassicalSettings()) > 127).any()


def test_a_background_that_does_not_fit_is_said(tmp_path: Path) -> None:
    file = tmp_path / "small.png"
    cv2.imwrite(str(file), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(InputError, match="is 30 x 20 pixels, the clip 60 x 60"):
        read_background(file, 4, (60, 60))
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index:04d}.png"), np.zeros((60, 60, 3), np.uint8))
    with pytest.raises(InputError, match="has 3 frames, the clip 4"):
        read_background(folder, 4, (60, 60))


def test_a_textured_background_that_stands_still(still: tuple, tmp_path: Path) -> None:
    _, _, clip, truth = still
    masks = segment(_through_h264(clip.frames, tmp_path), truth[0], ClassicalSettings())
    assert _mean(masks, truth) > 0.93 and _worst(masks, truth) > 0.85


def test_a_textured_background_under_a_turning_camera(panning: tuple, tmp_path: Path) -> None:
    _, _, clip, truth = panning
    frames = _through_h264(clip.frames, tmp_path)
    masks = segment(frames, truth[0], ClassicalSettings(), still_camera=False)
    assert _mean(masks, truth) > 0.93 and _worst(masks, truth) > 0.83
    motion = background_motion(frames, truth)
    expected = np.tile(np.eye(3), (FRAMES, 1, 1))
    expected[:, 0, 2] = 3.0 * np.arange(FRAMES)  # what is behind slides left by three pixels a frame
    corners = np.array([[[10.0, 10.0], [118.0, 10.0], [10.0, 118.0], [118.0, 118.0]]])
    gaps = [
        np.abs(cv2.perspectiveTransform(corners, a) - cv2.perspectiveTransform(corners, b)).max()
        for a, b in zip(motion, expected, strict=True)
    ]
    assert max(gaps) < 0.7


def test_a_foot_that_stays_where_it_was_is_not_taken_for_background() -> None:
    backdrop = textured_backdrop()
    rng = np.random.default_rng(5)
    body = cv2.GaussianBlur(rng.uniform(0, 255, (40, 24, 3)), (0, 0), 1.5)
    truth = np.zeros((FRAMES, SIZE, SIZE), bool)
    frames = np.repeat(backdrop[None], FRAMES, axis=0)
    for index in range(FRAMES):
        for row, column in ((80, 50), (40, 50 + 3 * index)):  # the lower half stands, the upper one moves
            truth[index, row : row + 40, column : column + 24] = True
            frames[index, row : row + 40, column : column + 24] = body
    frames = np.clip(frames + rng.normal(0.0, 1.5, frames.shape), 0, 255).astype(np.uint8)
    masks = segment(frames, truth[0], ClassicalSettings())
    assert all((mask[82:118, 52:72] > 127).mean() > 0.9 for mask in masks)
    assert _mean(masks, truth) > 0.85


def test_a_body_that_jumps_farther_than_flow_follows_is_masked_whole() -> None:
    """Fitting the backdrop through it, because it is looked for where it was, would hide most of it."""
    y, x = np.mgrid[0:1:128j, 0:1:128j]
    backdrop = np.stack([90 + 70 * x, 150 - 60 * y, 80 + 50 * x * y], axis=-1)
    rng = np.random.default_rng(2)
    frames, truth = np.repeat(backdrop[None], 4, axis=0), np.zeros((4, 128, 128), bool)
    for index, (row, column) in enumerate(((40, 30), (42, 31), (24, 62), (26, 64))):
        truth[index, row : row + 44, column : column + 44] = True
        frames[index, row : row + 44, column : column + 44] = (128, 118, 74)
        frames[index, row + 8 : row + 20, column + 6 : column + 18] = 10
    frames = np.clip(frames + rng.normal(0.0, 1.5, frames.shape), 0, 255).astype(np.uint8)
    assert _worst(segment(frames, truth[0], ClassicalSettings()), truth) > 0.95


def _disc_mask(radius: float) -> np.ndarray:
    """Exact coverage of a disc in the picture's middle, 8 x 8 samples a pixel. [H, W] uint8"""
    y, x = (np.mgrid[: 8 * SIZE, : 8 * SIZE] + 0.5) / 8.0 - SIZE / 2.0
    inside = (np.hypot(x, y) < radius).astype(np.float32)
    return np.round(255.0 * inside.reshape(SIZE, 8, SIZE, 8).mean((1, 3))).astype(np.uint8)


def test_edges_that_lie_too_far_in_are_moved_to_where_index_0_says() -> None:
    ball = patterned_ball()
    camera = frame_points(ball.vertices.astype(np.float64), width=SIZE, height=SIZE, fill=0.6)
    distance = -camera.world_to_camera[0, 2, 3]
    radius = float(camera.focal[0]) * 0.5 / np.sqrt(distance**2 - 0.25)  # of the ball's outline [px], closed form
    exact, small = _disc_mask(radius), _disc_mask(radius - 0.6)
    assert edge_offset(exact, ball, camera) == 0.0  # within the measurement's own error
    offset = edge_offset(small, ball, camera)
    assert offset == pytest.approx(-0.6, abs=0.2)
    moved = moved_edges(np.stack([small, small]), offset)
    area = np.pi * radius**2
    assert abs(moved[1].sum() / 255.0 - area) < 0.35 * abs(small.sum() / 255.0 - area)


def test_what_differs_the_other_way_than_its_neighbour_is_no_mixture() -> None:
    """A dark line beside a bright fill stays; a pixel half way to the fill is beside the edge."""
    difference = np.zeros((5, 7, 3), np.float32)
    difference[:, 3:] = 100.0  # the fill
    difference[:, 2] = -25.0  # ink, darker than the background
    halo = halo_of(difference)
    score = np.linalg.norm(difference, axis=-1)
    assert (score > halo)[2, 2]
    difference[:, 2] = 25.0  # a mixture
    assert (np.linalg.norm(difference, axis=-1) < halo_of(difference))[2, 2]
