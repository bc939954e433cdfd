"""Twin experiments: a known motion is filmed and lifted from the pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from lift_scene import bending, filmed, posed, seen_exactly, tentacle

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.backend import run
from studio_pipeline.stages.lifted_motion.lift import lift

SIZE, FRAMES = 96, 5
QUICK = LiftSettings(rounds_first=4, rounds_all=2, iterations=0, samples=400)


@pytest.fixture(scope="module")
def twin():
    character, rig = tentacle()
    motion = bending(rig, FRAMES)
    vertices = posed(character, rig, motion)
    camera, clip, coverage = filmed(character, vertices, SIZE)
    return character, rig, camera, clip, seen_exactly(character, camera, vertices, coverage), vertices


def _error(character, rig, vertices, motion: Motion) -> np.ndarray:
    """Mean distance of vertices per frame, of the diagonal."""
    return np.linalg.norm(posed(character, rig, motion) - vertices, axis=-1).mean(1) / character.diagonal


def test_motion_is_recovered(twin) -> None:
    character, rig, camera, clip, observations, vertices = twin
    result = lift(character, rig, camera, clip, observations, QUICK)
    error = _error(character, rig, vertices, result.motion)
    still = np.linalg.norm(character.vertices - vertices, axis=-1).mean(1) / character.diagonal
    assert error[0] < 1e-6
    assert error.max() < 0.02 < 0.1 < still[-1]
    assert min(result.residuals["frames"]["iou"]) > 0.93


def test_gradients_improve_their_own_loss(twin) -> None:
    character, rig, camera, clip, observations, vertices = twin
    settings = QUICK.model_copy(update={"rounds_all": 0, "rounds_first": 3, "iterations": 12})
    result = lift(character, rig, camera, clip, observations, settings)
    weights, curves = result.residuals["weights"], result.residuals["curves"]
    total = [sum(weights[name] * curves[name][k] for name in weights) for k in (0, -1)]
    assert total[1] < total[0]
    # Self-calibration: at the start every term is its ratio of the rgb term (0.3 for masks that aren't exact).
    assert weights["mask"] * curves["mask"][0] == pytest.approx(0.3 * curves["rgb"][0], rel=0.02)
    assert _error(character, rig, vertices, result.motion).max() < 0.04


def test_unseen_frame_is_carried(twin) -> None:
    character, rig, camera, clip, observations, vertices = twin
    masks, seen, frames = observations.masks.copy(), observations.visibility.copy(), clip.frames.copy()
    masks[2], seen[2], frames[2] = 0, False, 0
    result = lift(
        character,
        rig,
        camera,
        dataclasses.replace(clip, frames=frames),
        dataclasses.replace(observations, masks=masks, visibility=seen),
        QUICK,
    )
    assert result.residuals["frames_unseen"] == [2]
    assert result.residuals["frames"]["iou"][2] is None
    assert _error(character, rig, vertices, result.motion).max() < 0.06


def test_one_frame_is_the_rest_pose(twin) -> None:
    character, rig, camera, clip, observations, _ = twin
    first = {name: getattr(observations, name)[:1] for name in ("masks", "tracks", "visibility")}
    short = dataclasses.replace(observations, **first)
    result = lift(character, rig, camera.at([0]), dataclasses.replace(clip, frames=clip.frames[:1]), short, QUICK)
    np.testing.assert_allclose(posed(character, rig, result.motion)[0], character.vertices, atol=1e-6)


def test_a_clip_that_shows_nothing_stays_at_rest(twin) -> None:
    character, rig, camera, clip, observations, _ = twin
    blank = dataclasses.replace(
        observations, masks=np.zeros_like(observations.masks), visibility=np.zeros_like(observations.visibility)
    )
    dark = dataclasses.replace(clip, frames=np.zeros_like(clip.frames))
    result = lift(character, rig, camera, dark, blank, QUICK.model_copy(update={"iterations": 2}))
    assert np.isfinite(result.motion.rotations).all()
    np.testing.assert_allclose(posed(character, rig, result.motion)[-1], character.vertices, atol=1e-3)


def test_records_that_do_not_belong_together_are_refused(twin) -> None:
    character, rig, camera, clip, observations, _ = twin
    with pytest.raises(InputError, match="camera"):
        lift(character, rig, camera.at([0]), clip, observations, QUICK)
    with pytest.raises(InputError, match="rig"):
        lift(character, dataclasses.replace(rig, weights=rig.weights[:-1]), camera, clip, observations, QUICK)


@pytest.mark.slow
def test_stage_gives_the_same_bytes_twice(twin, tmp_path: Path) -> None:
    names = ("character", "rig", "reference_clip", "reference_clip", "observations")  # the clip lies beside its camera
    inputs = {name: tmp_path / name for name in names}
    for name, record in zip(names, twin, strict=False):
        inputs[name].mkdir(exist_ok=True)
        record.save(inputs[name])
    results = []
    for out in (tmp_path / "one", tmp_path / "two"):
        out.mkdir()
        settings = QUICK.model_copy(update={"iterations": 5})
        results.append(run(StageContext(settings=settings, inputs=inputs, shot=None, out=out)))
    assert all(verdict.passed for verdict in results[0].verdicts)
    assert results[0].figures == results[1].figures
    assert results[0].figures["iou_mean"] > 0.9
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
