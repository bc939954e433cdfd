"""Several views of one motion: read from a folder, and fitted together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from lift_scene import filmed, posed, seen_exactly, tentacle

from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.lift import lift
from studio_pipeline.stages.lifted_motion.views import View, load_views, read_camera

SIZE, FRAMES = 80, 4
QUICK = LiftSettings(rounds_first=3, rounds_all=2, iterations=6, samples=300)


@pytest.fixture(scope="module")
def scene():
    """A tentacle that bends towards the first camera, seen from the front and from the side."""
    from fractions import Fraction

    character, rig = tentacle()
    vectors = np.zeros((FRAMES, 3, 3))
    for joint in (1, 2):
        vectors[:, joint] = np.linspace(0.0, 0.55, FRAMES)[:, None] * (
            rig.rest_world[joint, :3, :3].T @ [1.0, 0.0, 0.0]
        )
    shifts = np.zeros((FRAMES, 3, 3))
    shifts[:, 0, 2] = np.linspace(0.0, 0.15, FRAMES)
    motion = Motion(
        rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32),
        translations=shifts.astype(np.float32),
        fps=Fraction(24),
        first_frame=1001,
    )
    vertices = posed(character, rig, motion)
    views = []
    for azimuth in (0.0, np.pi / 2.0):
        camera, clip, coverage = filmed(character, vertices, SIZE, azimuth)
        observations = seen_exactly(character, camera, vertices, coverage)
        views.append(View(camera=camera, clip=clip, observations=observations, name=f"{azimuth:.1f}"))
    return character, rig, vertices, views


def _error(character, rig, vertices, motion: Motion) -> float:
    return float(np.linalg.norm(posed(character, rig, motion) - vertices, axis=-1)[1:].mean() / character.diagonal)


def test_two_views_see_depth(scene) -> None:
    character, rig, vertices, (front, side) = scene
    given = character, rig, front.camera, front.clip, front.observations, QUICK
    one = lift(*given)
    two = lift(*given, views=[side])
    assert _error(character, rig, vertices, two.motion) < 0.5 * _error(character, rig, vertices, one.motion)
    assert _error(character, rig, vertices, two.motion) < 0.01
    assert [view["name"] for view in two.residuals["views"]] == ["1.6"]
    assert min(two.residuals["views"][0]["iou"]) > 0.93


def test_a_view_of_another_length_is_refused(scene) -> None:
    character, rig, _, (front, side) = scene
    short = dataclasses.replace(side, clip=dataclasses.replace(side.clip, frames=side.clip.frames[:-1]))
    with pytest.raises(InputError, match="view 1"):
        lift(character, rig, front.camera, front.clip, front.observations, QUICK, views=[short])


def _written(folder: Path, view: View, **changes: object) -> Path:
    (folder / "frames").mkdir(parents=True)
    for index, frame in enumerate(view.clip.frames):
        cv2.imwrite(str(folder / "frames" / f"{index + 1:04d}.png"), np.ascontiguousarray(frame[..., ::-1]))
    camera = {
        "width": SIZE,
        "height": SIZE,
        "focal": [float(view.camera.focal[0])],
        "world_to_camera": view.camera.world_to_camera[:1].tolist(),
    }
    (folder / "camera.json").write_text(json.dumps(camera | changes))
    return folder


def test_views_are_read_and_observed(scene, tmp_path: Path) -> None:
    character, _, _, (front, side) = scene
    _written(tmp_path / "side", side)
    (found,) = load_views(tmp_path, character, front.clip)
    assert found.name == "side"
    np.testing.assert_array_equal(found.clip.frames, side.clip.frames)
    np.testing.assert_allclose(found.camera.world_to_camera, side.camera.world_to_camera)
    np.testing.assert_allclose(found.camera.focal, side.camera.focal)
    overlap = [
        np.logical_and(a, b).sum() / np.logical_or(a, b).sum()
        for a, b in zip(found.observations.masks > 127, side.observations.masks > 127, strict=True)
    ]
    assert min(overlap) > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"focal": [0.0]}, "positive"),
        ({"focal": [1.0, 2.0]}, "2 entries of focal"),
        ({"focal": "wide"}, "list of numbers"),
        ({"width": 80.5}, "number of pixels"),
        ({"world_to_camera": [(2.0 * np.eye(4)).tolist()]}, "rigid"),
        ({"world_to_camera": [np.diag([1.0, 1.0, -1.0, 1.0]).tolist()]}, "rigid"),
        ({"world_to_camera": np.eye(3).tolist()}, "4 x 4"),
        ({"lens": 35}, "nothing else"),
    ],
)
def test_wrong_cameras_get_a_line(scene, tmp_path: Path, changes, message) -> None:
    _written(tmp_path / "side", scene[-1][1], **changes)
    with pytest.raises(InputError, match=message):
        read_camera(tmp_path / "side" / "camera.json", FRAMES)


def test_incomplete_folders_get_a_line(scene, tmp_path: Path) -> None:
    character, _, _, (front, side) = scene
    with pytest.raises(InputError, match="holds no views"):
        load_views(tmp_path, character, front.clip)
    place = _written(tmp_path / "side", side)
    (place / "frames" / "0004.png").unlink()
    with pytest.raises(InputError):
        load_views(tmp_path, character, front.clip)
    for path in (place / "frames").iterdir():
        path.unlink()
    (place / "frames").rmdir()
    with pytest.raises(InputError, match="lacks its clip"):
        load_views(tmp_path, character, front.clip)
