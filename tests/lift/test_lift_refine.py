"""The gradient stage: its minimiser against closed forms, its beliefs against Gauss-Newton's, its doubts."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from lift_scene import bending, filmed, posed, seen_exactly, tentacle

from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd, sixd_to_matrix
from studio_pipeline.schema.errors import BackendUnavailable
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.descent import Chart, Metric, minimise
from studio_pipeline.stages.lifted_motion.kinematics import Pose
from studio_pipeline.stages.lifted_motion.losses import Sight, SightLoss, motion_terms
from studio_pipeline.stages.lifted_motion.priors import Priors, solve_frames
from studio_pipeline.stages.lifted_motion.refine import refine

SIZE, FRAMES, JOINTS = 96, 4, 3
UNLIT = np.vstack([np.full((1, 3), 1.0 / 0.282095), np.zeros((8, 3))])


@pytest.fixture(scope="module")
def scene():
    character, rig = tentacle()
    motion = bending(rig, FRAMES)
    vertices = posed(character, rig, motion)
    camera, clip, coverage = filmed(character, vertices, SIZE)
    observations = seen_exactly(character, camera, vertices, coverage)
    background = np.full((FRAMES, SIZE, SIZE, 3), 255.0) * _srgb(np.array([0.1, 0.15, 0.25]))
    sight = Sight(camera, clip, observations, background.astype(np.float32), UNLIT)
    return character, rig, motion, vertices, sight


def _srgb(linear: np.ndarray) -> np.ndarray:
    return 1.055 * linear ** (1 / 2.4) - 0.055


def _priors() -> Priors:
    sizes = np.ones(6 * JOINTS)
    return Priors(0.5 * sizes, 0.5 * sizes, 0.15 * sizes)


def _poses(rng: np.random.Generator, size: float) -> list[Pose]:
    poses = [Pose.rest(JOINTS)]
    for _ in range(FRAMES - 1):
        poses.append(
            Pose(axis_angle_to_matrix(size * rng.normal(size=(JOINTS, 3))), size * rng.normal(size=(JOINTS, 3)))
        )
    return poses


def _nudged(motion, size: float) -> tuple[np.ndarray, np.ndarray]:
    """A motion whose frames after the first are a little off."""
    rng = np.random.default_rng(3)
    turns = sixd_to_matrix(motion.rotations.astype(np.float64))
    turns[1:] = turns[1:] @ axis_angle_to_matrix(size * rng.normal(size=(FRAMES - 1, JOINTS, 3)))
    return matrix_to_sixd(turns).astype(np.float32), motion.translations


def _refined(scene, sight: Sight, settings: LiftSettings, off: float = 0.03, lost: int | None = None):
    """The result, and errors before and after. [T]"""
    character, rig, motion, vertices, _ = scene
    start = _nudged(motion, off)
    if lost is not None:
        start[0][lost] = _nudged(motion, 0.4)[0][lost]
    result = refine(character, rig, [sight], start, _priors(), settings, lambda done: None)
    moved = dataclasses.replace(motion, rotations=result.rotations, translations=result.translations)
    before = dataclasses.replace(motion, rotations=start[0])
    errors = [
        np.linalg.norm(posed(character, rig, m) - vertices, axis=-1).mean(1) / character.diagonal
        for m in (before, moved)
    ]
    return result, *errors


def test_chart_is_the_exponential() -> None:
    rng = np.random.default_rng(0)
    poses = _poses(rng, 0.4)
    place = 0.7 * rng.normal(size=(FRAMES - 1, 2, JOINTS, 3))
    turns, shifts = Chart(poses)(torch.as_tensor(place.ravel(), dtype=torch.float32))
    np.testing.assert_allclose(turns[0], poses[0].rotations, atol=1e-6)
    for frame in range(1, FRAMES):
        expected = poses[frame].moved(place[frame - 1].ravel())
        np.testing.assert_allclose(turns[frame], expected.rotations, atol=2e-6)
        np.testing.assert_allclose(shifts[frame], expected.translations, atol=1e-6)


def test_beliefs_are_gauss_newtons() -> None:
    """The slope of smooth + reg at the start is minus the right-hand side of `Priors.all`."""
    poses = _poses(np.random.default_rng(1), 0.02)  # small turns, where sine and angle are alike
    priors, chart = _priors(), Chart(poses)
    free = torch.zeros((FRAMES - 1) * 6 * JOINTS, requires_grad=True)
    terms = motion_terms(*chart(free), priors, (2.6, 10.0))
    (slope,) = torch.autograd.grad(FRAMES * (terms["smooth"] + terms["reg"]), [free])
    _, value = priors.all(poses)
    np.testing.assert_allclose(slope.numpy(), -value.ravel(), atol=0.02 * np.abs(value).max())


def test_metric_solves_its_system(scene) -> None:
    character, rig, _, _, sight = scene
    poses = _poses(np.random.default_rng(2), 0.1)
    metric = Metric(character, rig, [sight.camera], poses, _priors())
    bands, _ = _priors().all(poses)
    gradient = np.random.default_rng(4).normal(size=(FRAMES - 1) * 6 * JOINTS)
    expected = solve_frames(metric.blocks, bands, gradient.reshape(FRAMES - 1, -1)).ravel()
    np.testing.assert_allclose(metric.solved(gradient), expected, rtol=1e-6, atol=1e-9)
    # A shift of the root by a pixel's worth moves every point by a pixel.
    step = np.zeros((FRAMES - 1, 2, JOINTS, 3))
    step[:, 1, 0] = sight.camera.world_to_camera[0, 0, :3]
    depth = -(sight.camera.world_to_camera[0] @ [0.0, 0.6, 0.0, 1.0])[2]
    pixels = metric.pixels(step.ravel() * depth / sight.camera.focal[0])
    assert pixels == pytest.approx(1.0, rel=0.1)


def test_minimiser_reaches_a_quadratics_bottom(scene) -> None:
    character, rig, _, _, sight = scene
    metric = Metric(character, rig, [sight.camera], _poses(np.random.default_rng(2), 0.1), _priors())
    size = (FRAMES - 1) * 6 * JOINTS
    rng = np.random.default_rng(5)
    root, bottom = rng.normal(size=(size, size)), 0.1 * rng.normal(size=size)
    curved = root @ root.T + 10.0 * np.eye(size)
    kept: list[float] = []

    def evaluate(place: np.ndarray) -> tuple[float, np.ndarray]:
        gap = place - bottom
        evaluate.last = float(0.5 * gap @ curved @ gap)  # type: ignore[attr-defined]
        return evaluate.last, curved @ gap  # type: ignore[attr-defined]

    found = minimise(evaluate, metric, np.zeros(size), 300, 5.0, lambda: kept.append(evaluate.last))  # type: ignore[attr-defined]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 1e-3 * kept[0]
    assert evaluate(found)[0] == pytest.approx(kept[-1])


def test_gradients_bring_a_motion_nearer(scene) -> None:
    result, before, after = _refined(scene, scene[-1], LiftSettings(iterations=25))
    assert after[1:].mean() < 0.45 * before[1:].mean()
    assert result.doubted == {}
    assert min(result.explained) > 0.5
    assert result.iterations == 25


def test_finer_chroma_than_video_keeps_does_not_count(scene) -> None:
    """Colours that alternate from pixel to pixel at the same luma cost next to nothing; the same shift of luma does."""
    character, _, _, vertices, sight = scene
    from studio_pipeline.render.backends import renderer
    from studio_pipeline.render.differentiable import RenderMesh

    checker = (np.indices((SIZE, SIZE)).sum(0) % 2 * 2.0 - 1.0)[None, ..., None]
    tint = np.linalg.inv([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]])
    costs = []
    for change in (0.0 * tint[:, 1], 25.0 * tint[:, 1], 25.0 * tint[:, 0]):
        frames = np.clip(sight.clip.frames * 0.6 + 50.0 + checker * change, 0, 255).round().astype(np.uint8)
        # The render is of another brightness: only what the pattern adds matters.
        other = dataclasses.replace(sight, clip=dataclasses.replace(sight.clip, frames=frames))
        loss = SightLoss(other, character, RenderMesh.from_character(character), renderer("warp"))
        with torch.no_grad():
            costs.append(float(loss.terms(torch.as_tensor(vertices))["rgb"]))
    assert costs[1] - costs[0] < 0.15 * (costs[2] - costs[0])


def test_a_frame_that_nothing_explains_is_doubted(scene) -> None:
    sight = scene[-1]
    frames, masks = sight.clip.frames.copy(), sight.observations.masks.copy()
    frames[2] = np.roll(frames[2][:, ::-1], 9, axis=0)  # another motion altogether
    masks[2] = np.roll(masks[2][:, ::-1], 9, axis=0)
    bad = dataclasses.replace(
        sight,
        clip=dataclasses.replace(sight.clip, frames=frames),
        observations=dataclasses.replace(sight.observations, masks=masks),
    )
    result, before, after = _refined(scene, bad, LiftSettings(iterations=15), off=0.015, lost=2)
    assert list(result.doubted) == [2]
    assert result.doubted[2] < 0.6 * np.median(result.explained)
    assert after[2] < 0.2 * before[2]  # carried by its neighbours
    assert after[[1, 3]].mean() < before[[1, 3]].mean()


def test_depth_points_to_the_truth(scene) -> None:
    """The depth term is least at the true distance from a noisy z pass, and its slope is that of finite differences."""
    from studio_pipeline.render.backends import renderer
    from studio_pipeline.render.differentiable import RenderMesh
    from studio_pipeline.render.raster import rasterize

    character, _, _, vertices, sight = scene
    raster = rasterize(vertices, character.faces, sight.camera)
    noise = np.random.default_rng(7).normal(0.0, 0.02, raster.depth.shape)
    depth = np.where(raster.face_ids >= 0, raster.depth + noise, np.nan).astype(np.float32)
    seen = dataclasses.replace(sight.observations, depth=depth, depth_is_metric=True)
    view = dataclasses.replace(sight, observations=seen)
    loss = SightLoss(view, character, RenderMesh.from_character(character), renderer("warp"))
    loss.doubt(torch.as_tensor(vertices))
    away = torch.as_tensor(-sight.camera.world_to_camera[0, 2, :3], dtype=torch.float32)

    def cost(shift: torch.Tensor) -> torch.Tensor:
        return loss.terms(torch.as_tensor(vertices) + shift * away)["depth"]

    places = [-0.02, -0.01, 0.0, 0.01, 0.02]
    values = [float(cost(torch.tensor(place))) for place in places]
    assert int(np.argmin(values)) == 2
    place = torch.tensor(0.015, requires_grad=True)
    (slope,) = torch.autograd.grad(cost(place), [place])
    expected = (float(cost(torch.tensor(0.017))) - float(cost(torch.tensor(0.013)))) / 0.004
    assert float(slope) == pytest.approx(expected, rel=0.25)


def test_a_limb_that_is_not_there_is_doubted_where_it_is(scene) -> None:
    """Part of one frame counts for less, the rest of it as before, and the motion hardly minds."""
    import cv2

    sight = scene[-1]
    frames, masks = sight.clip.frames.copy(), sight.observations.masks.copy()
    places = [(SIZE // 2, SIZE // 2), (SIZE // 2 + 30, SIZE // 2 - 12), 9, cv2.LINE_AA]
    cv2.line(frames[2], *places[:2], (240, 240, 240), *places[2:])
    cv2.line(masks[2], *places[:2], 255, *places[2:])
    bad = dataclasses.replace(
        sight,
        clip=dataclasses.replace(sight.clip, frames=frames),
        observations=dataclasses.replace(sight.observations, masks=masks),
    )
    result, before, after = _refined(scene, bad, LiftSettings(iterations=20), off=0.01)
    _, _, clean = _refined(scene, sight, LiftSettings(iterations=20), off=0.01)
    assert result.doubted == {}
    assert 2 in result.partly
    assert after[2] < 0.7 * before[2]
    assert after[2] < 1.5 * clean[2] + 1e-3


def test_terms_left_out_weigh_nothing_and_are_still_told(scene) -> None:
    result, _, _ = _refined(scene, scene[-1], LiftSettings(iterations=3, without=("rgb", "track")))
    assert result.weights["rgb"] == result.weights["track"] == 0.0 < result.weights["mask"]
    assert set(result.curves) == {"rgb", "mask", "track", "smooth", "reg"}
    assert len(set(map(len, result.curves.values()))) == 1


def test_second_renderer_or_a_clear_line(scene) -> None:
    settings = LiftSettings(iterations=3, renderer="pytorch3d")
    if importlib.util.find_spec("pytorch3d") is None:
        with pytest.raises(BackendUnavailable, match="pytorch3d"):
            _refined(scene, scene[-1], settings)
        return
    _, before, after = _refined(scene, scene[-1], settings)
    assert after[1:].mean() < before[1:].mean()
