"""Observations against known silhouettes and known motion of points."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.media.backgrounds import median_background, smooth_background
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Observations
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.classical import observe, run
from studio_pipeline.stages.observations.silhouettes import has_alpha, iou
from studio_pipeline.stages.observations.tracking import follow

SIZE, FRAMES = 128, 6


def _ball() -> Character:
    """A patterned ball of 0.5 m."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    vertices = np.asarray(mesh.vertices, dtype=np.float32)
    rng = np.random.default_rng(3)
    return Character(
        name="ball",
        vertices=vertices,
        normals=(vertices / 0.5).astype(np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        uv=np.zeros((len(vertices), 2), np.float32),
        atlas=np.full((2, 2, 4), 255, np.uint8),
        vertex_colors=rng.uniform(0.1, 1.0, (len(vertices), 3)).astype(np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def _background(index: int) -> np.ndarray:
    y, x = np.mgrid[0.0 : 1.0 : SIZE * 1j, 0.0 : 1.0 : SIZE * 1j]
    picture = np.stack([40 + 60 * x, 90 + 50 * x * y, 150 - 70 * y**2], axis=-1)
    return picture * (1.0 + 0.01 * index)  # the light changes a little


@pytest.fixture(scope="module")
def scene() -> tuple[Character, CameraPath, Clip, np.ndarray]:
    """The ball sliding sideways: character, camera, clip, true vertices."""
    ball = _ball()
    shift = np.zeros((FRAMES, 1, 3), np.float32)
    shift[:, 0, 0] = np.linspace(0.0, 0.5, FRAMES)
    vertices = ball.vertices[None] + shift
    view = frame_points(vertices.reshape(-1, 3) * 1.3, width=SIZE, height=SIZE, azimuth=0.0, elevation=0.0)
    camera = view.at(np.zeros(FRAMES, dtype=int))
    raster = rasterize(vertices, ball.faces, camera)
    rng = np.random.default_rng(0)
    frames = np.stack([_background(i) for i in range(FRAMES)])
    hit = raster.face_ids >= 0
    corners = ball.faces[raster.face_ids[hit]]
    frames[hit] = 255.0 * ((ball.vertex_colors[corners] * raster.barycentrics[hit][..., None]).sum(1) ** 0.5)
    frames = np.clip(frames + rng.normal(0.0, 1.5, frames.shape), 0, 255).round().astype(np.uint8)
    return ball, camera, Clip(frames=frames, fps=Fraction(24), first_frame=1001), vertices


def test_smooth_background_is_recovered_under_the_character() -> None:
    picture = _background(0).round().astype(np.uint8)
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[40:90, 30:80] = True
    spoiled = picture.copy()
    spoiled[hidden] = (250, 250, 250)
    spoiled[5:12, 100:110] = (0, 0, 0)  # something else stands there
    surface, noise = smooth_background(spoiled, ~hidden)
    assert np.abs(surface - picture)[hidden].max() < 3.0
    assert noise < 1.0


def test_median_background_sees_through_a_moving_mask() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (32, 64, 3)).astype(np.uint8)
    frames = np.repeat(truth[None], 8, axis=0)
    masks = np.zeros((8, 32, 64), bool)
    for index in range(8):
        masks[index, 8:24, 6 * index : 6 * index + 12] = True
        frames[index][masks[index]] = 255
    still = median_background(frames, masks, 1)
    assert np.array_equal(still, truth.astype(np.float32))


def test_masks_and_tracks_follow_the_truth(scene: tuple[Character, CameraPath, Clip, np.ndarray]) -> None:
    ball, camera, clip, vertices = scene
    observations, rest = observe(ball, camera, clip, ClassicalSettings(track_count=200))
    truth = rasterize(vertices, ball.faces, camera).face_ids >= 0
    assert iou(rest, truth[0]) == 1.0
    assert min(iou(mask > 127, true) for mask, true in zip(observations.masks, truth, strict=True)) > 0.95
    points = (vertices[:, ball.faces[observations.track_faces]] * observations.track_barycentrics[..., None]).sum(2)
    gap = np.linalg.norm(project(camera, points)[0] - observations.tracks, axis=-1)
    assert observations.tracks.shape[1] > 100
    assert gap[0].max() < 0.1
    assert np.median(gap[-1][observations.visibility[-1]]) < 0.5
    assert observations.visibility[-1].mean() > 0.7


def test_alpha_is_taken_as_it_is(scene: tuple[Character, CameraPath, Clip, np.ndarray]) -> None:
    ball, camera, clip, vertices = scene
    alpha = ((rasterize(vertices, ball.faces, camera).face_ids >= 0) * 255).astype(np.uint8)
    known = Clip(frames=clip.frames, fps=clip.fps, first_frame=1001, alpha=alpha)
    observations, _ = observe(ball, camera, known, ClassicalSettings())
    assert np.array_equal(observations.masks, alpha)
    assert observations.sources["masks"] == "alpha"
    assert not has_alpha(np.full_like(alpha, 255))


def test_tracks_are_found_again_after_a_black_frame(scene: tuple[Character, CameraPath, Clip, np.ndarray]) -> None:
    ball, camera, clip, vertices = scene
    frames = clip.frames.copy()
    frames[3] = 0
    spoiled = Clip(frames=frames, fps=clip.fps, first_frame=1001)
    observations, _ = observe(ball, camera, spoiled, ClassicalSettings(track_count=64))
    assert not (observations.masks[3] > 127).any()
    assert (observations.masks[4] > 127).any()
    assert not observations.visibility[3].any()
    back = observations.visibility[4]
    assert back.mean() > 0.5
    points = (vertices[4, ball.faces[observations.track_faces]] * observations.track_barycentrics[..., None]).sum(1)
    gap = np.linalg.norm(project(camera.at([4]), points[None])[0][0] - observations.tracks[4], axis=-1)
    assert np.mean(gap[back] < 1.0) > 0.9
    plain, _ = observe(ball, camera, spoiled, ClassicalSettings(track_count=64, drift_control=False))
    assert not plain.visibility[3:].any()


def test_size_that_differs_from_the_camera_is_refused(scene: tuple[Character, CameraPath, Clip, np.ndarray]) -> None:
    ball, camera, clip, _ = scene
    with pytest.raises(InputError, match="camera"):
        observe(ball, camera.at([0, 1]), clip, ClassicalSettings())


def test_follow_measures_a_whole_pixel_shift() -> None:
    rng = np.random.default_rng(1)
    import cv2

    picture = cv2.GaussianBlur(rng.integers(0, 255, (96, 96, 3)).astype(np.uint8), (0, 0), 1.5)
    frames = np.stack([np.roll(picture, (index, 2 * index), axis=(0, 1)) for index in range(4)])
    points = np.stack(np.meshgrid(np.arange(30.5, 60), np.arange(30.5, 60)), axis=-1).reshape(-1, 2)[::37]
    found = follow(frames, np.full((4, 96, 96), 255, np.uint8), points, ClassicalSettings(late_tracks=0))
    tracks, seen = found.tracks, found.visibility
    assert seen.mean() > 0.9
    assert np.abs(tracks[3][seen[3]] - points[seen[3]] - (6.0, 3.0)).max() < 0.2


def test_stage_writes_a_verdict_on_the_rest_pose(
    scene: tuple[Character, CameraPath, Clip, np.ndarray], tmp_path: Path
) -> None:
    ball, camera, clip, _ = scene
    inputs = {name: tmp_path / name for name in ("character", "reference_clip", "moved")}
    for folder in inputs.values():
        folder.mkdir()
    ball.save(inputs["character"])
    for name in ("reference_clip", "moved"):
        camera.save(inputs[name])
    clip.save(inputs["reference_clip"])
    Clip(frames=np.roll(clip.frames, 60, axis=2), fps=clip.fps, first_frame=1001).save(inputs["moved"])
    results = []
    for name in ("reference_clip", "moved", "reference_clip"):
        out = tmp_path / f"out{len(results)}"
        out.mkdir()
        given = {**inputs, "reference_clip": inputs[name]}
        results.append(run(StageContext(settings=ClassicalSettings(track_count=64), inputs=given, shot=None, out=out)))
    good, bad, again = ({v.name: v for v in result.verdicts} for result in results)
    assert good["rest_pose_matches"].passed and again["rest_pose_matches"].passed
    assert not bad["rest_pose_matches"].passed and bad["rest_pose_matches"].blocking
    assert Observations.load(tmp_path / "out0").sources["masks"] == "colour"
    for name in ("observations.npz", "observations.json", "overlay.png", "overlay.mp4"):
        assert (tmp_path / "out0" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
