"""The stage end to end on a made character."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import trimesh

from studio_pipeline.line.shotview import ShotView
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.schema.shot import CameraSpec, Shot
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.canonical_view import STAGE
from studio_pipeline.stages.canonical_view.stage import in_frame_fractions, winding_numbers


def ball(radius=0.5, centre=(0.0, 0.5, 0.0)):
    mesh = trimesh.creation.icosphere(3, radius)
    points = np.asarray(mesh.vertices, np.float32) + np.float32(centre)
    return Character(
        name="ball",
        vertices=points,
        normals=np.asarray(mesh.vertices, np.float32) / np.float32(radius),
        faces=np.asarray(mesh.faces, np.int32),
        uv=np.zeros((len(points), 2), np.float32),
        atlas=np.full((4, 4, 4), (200, 120, 60, 255), np.uint8),
        vertex_colors=np.ones((len(points), 3), np.float32),
        height_m=2 * radius,
        unit_scale=1.0,
    )


def run(tmp_path, camera=None, resolution=(96, 64), frames=6, **settings):
    source, out = tmp_path / "character", tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    source.mkdir(exist_ok=True)
    ball().save(source)
    out.mkdir()
    given = {"show": "a", "sequence": "b", "shot": "c", "character": "ball", "camera": camera}
    shot = Shot.model_validate(given | {"frames": [1001, 1000 + frames - 2], "handles": 1, "resolution": resolution})
    view = ShotView(shot, STAGE.shot_fields)
    backend = STAGE.backends[STAGE.default]
    context = StageContext(settings=backend.settings(**settings), inputs={"character": source}, shot=view, out=out)
    return out, backend.load()(context)


def verdict(result, name):
    return next(item for item in result.verdicts if item.name == name)


def test_framing_without_a_camera(tmp_path):
    out, result = run(tmp_path)
    camera = CameraPath.load(out)
    assert camera.frame_count == 6 and (camera.width, camera.height) == (96, 64)
    assert all(item.passed for item in result.verdicts) and tuple(v.name for v in result.verdicts) == STAGE.checks
    # A sphere's outline is a little larger than its vertices' middle section seen without perspective.
    assert result.figures["fill_height"] == pytest.approx(0.62, abs=0.02)
    assert result.figures["fov_y_deg"] == pytest.approx(30.0) and result.figures["in_frame_fraction"] == 1.0
    assert cv2.imread(str(out / "canonical.png")).shape == (64, 96, 3)


def test_same_shot_same_bytes(tmp_path):
    (one, _), (two, _) = run(tmp_path), run(tmp_path)
    for name in ("camera.npz", "camera.json", "canonical.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_camera_that_sees_half_warns_and_one_that_sees_nothing_blocks(tmp_path):
    half = CameraSpec(eye=(1.6, 0.5, 6.0), target=(1.6, 0.5, 0.0), fov_y_deg=30.0)
    # The right border of a square picture lies tan(15 degrees) * 6 = 1.61 m from its middle: the ball is cut in half.
    _, result = run(tmp_path, camera=half, resolution=(64, 64))
    check = verdict(result, "character_in_frame")
    assert not check.passed and not check.blocking
    assert result.figures["in_frame_fraction"] == pytest.approx(0.5, abs=0.05)
    away = CameraSpec(eye=(0.0, 0.5, 6.0), target=(0.0, 0.5, 12.0))
    _, result = run(tmp_path, camera=away)
    check = verdict(result, "character_in_frame")
    assert not check.passed and check.blocking and verdict(result, "camera_outside").passed


def test_camera_inside_the_character_blocks(tmp_path):
    _, result = run(tmp_path, camera=CameraSpec(eye=(0.1, 0.5, 0.1), target=(0.1, 0.5, -2.0)))
    check = verdict(result, "camera_outside")
    assert not check.passed and check.blocking


def test_winding_number_of_a_sphere():
    wrapped = winding_numbers(ball(), np.array([[0, 0.5, 0], [0.3, 0.5, 0.2], [0, 0.5, 0.6], [3, 0, 0]]))
    assert np.allclose(wrapped, [1, 1, 0, 0], atol=1e-9)


def test_moving_camera_reports_the_worst_frame(tmp_path):
    keys = [
        {"frame": 1000, "eye": (0, 0.5, 6), "target": (0, 0.5, 0)},
        {"frame": 1005, "eye": (9, 0.5, 6), "target": (9, 0.5, 0)},
    ]
    _, result = run(tmp_path, camera=CameraSpec.model_validate({"keys": keys}))
    assert result.figures["in_frame_fraction"] == 1.0 and result.figures["in_frame_least"] == 0.0


def test_fraction_does_not_depend_on_the_picture_size():
    spec = {"world_to_camera": np.eye(4)[None] + np.array([[[0, 0, 0, 1.0], [0] * 4, [0, 0, 0, -4.0], [0] * 4]])}
    small = CameraPath(**spec, focal=np.array([64.0]), width=64, height=64)
    assert in_frame_fractions(ball(), small)[0] == pytest.approx(
        in_frame_fractions(ball(), small.resized(1024, 1024))[0], abs=1e-9
    )
