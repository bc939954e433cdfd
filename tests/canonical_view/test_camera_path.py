"""The shot's camera as matrices, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.cameras import project
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.shot import CameraSpec
from studio_pipeline.stages.canonical_view.path import framed_path, keyed_path


def eyes(camera):
    return np.array([np.linalg.inv(matrix)[:3, 3] for matrix in camera.world_to_camera])


def keyed(*keys):
    return {"keys": [{"frame": frame, "eye": eye, "target": target} for frame, eye, target in keys]}


def test_fixed_camera_with_a_film_lens():
    spec = CameraSpec(eye=(0, 1, 5), target=(0, 1, 0), focal_mm=50.0, sensor_mm=24.0)
    camera = keyed_path(spec, range(1001, 1005), width=320, height=240)
    assert camera.frame_count == 4 and np.allclose(camera.focal, 500.0)
    pixels, depth = project(camera, np.array([[[0, 1, 0], [1.0, 1.0, 0.0], [0.0, 2.0, 0.0]]] * 4))
    # 1 m at 5 m through a lens of 500 px: 100 px to the right, 100 px up.
    assert np.allclose(pixels[2], [[160, 120], [260, 120], [160, 20]]) and np.allclose(depth, 5.0)


def test_default_lens_is_thirty_degrees():
    camera = keyed_path(CameraSpec(eye=(0, 0, 3), target=(0, 0, 0)), range(1), width=100, height=200)
    assert np.isclose(camera.focal[0], 100.0 / np.tan(np.radians(15.0)))


def test_keys_are_met_held_outside_and_never_overshot():
    keys = [
        {"frame": 10, "eye": (0, 1, 5), "target": (0, 1, 0), "fov_y_deg": 40},
        {"frame": 14, "eye": (2, 1, 5), "target": (0, 1, 0), "fov_y_deg": 40},
        {"frame": 20, "eye": (2, 3, 4), "target": (0, 1, 0), "focal_mm": 80},
    ]
    spec = CameraSpec.model_validate({"keys": keys})
    camera = keyed_path(spec, range(5, 31), width=64, height=64)
    where = eyes(camera)
    assert np.allclose(where[5], [0, 1, 5]) and np.allclose(where[9], [2, 1, 5]) and np.allclose(where[15], [2, 3, 4])
    assert np.allclose(where[:5], [0, 1, 5]) and np.allclose(where[16:], [2, 3, 4])
    assert where[:, 0].max() <= 2 + 1e-9 and np.all(np.diff(where[:, 1]) >= -1e-9)
    assert np.isclose(camera.focal[-1], 80 / 24 * 64) and np.allclose(camera.focal[5:10], camera.focal[5])
    rotations = camera.world_to_camera[:, :3, :3]
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(rotations), 1)


def test_two_keys_move_in_a_straight_line():
    spec = CameraSpec.model_validate(
        {
            "keys": [
                {"frame": 0, "eye": (0, 0, 4), "target": (0, 0, 0)},
                {"frame": 8, "eye": (4, 0, 4), "target": (4, 0, 0)},
            ]
        }
    )
    assert np.allclose(eyes(keyed_path(spec, range(9), width=8, height=8))[:, 0], np.linspace(0, 4, 9))


def test_framing_fills_what_was_asked_whatever_the_scale():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, 3)) * [0.3, 1.0, 0.5]
    options = {"azimuth_deg": 35.0, "elevation_deg": 10.0, "fov_y_deg": 30.0, "fill": 0.62}
    for scale in (0.01, 1.0, 100.0):
        camera = framed_path(points * scale, 3, width=320, height=240, **options)
        pixels, depth = project(camera.at([0]), (points * scale)[None])
        away = np.abs(pixels[0] - [160, 120]) / [160, 120]
        assert depth.min() > 0 and np.isclose(away.max(), 0.62, atol=1e-6)
        # Three quarters from the front: +X and +Z of the character are on the camera's side.
        back = Rotation.from_matrix(camera.world_to_camera[0, :3, :3]).inv().apply([0, 0, 1])
        assert back[0] > 0.3 and back[2] > 0.6 and np.isclose(back[1], np.sin(np.radians(10)))


def test_impossible_lens_and_blind_camera_are_told():
    with pytest.raises(InputError, match="focal_mm"):
        keyed_path(CameraSpec(eye=(0, 0, 3), target=(0, 0, 0), focal_mm=0.01), range(1), width=8, height=8)
    through = CameraSpec.model_validate(
        {
            "keys": [
                {"frame": 0, "eye": (0, 0, 1), "target": (0, 0, 0)},
                {"frame": 2, "eye": (0, 0, -1), "target": (0, 0, 0)},
            ]
        }
    )
    with pytest.raises(InputError, match="frame 1"):
        keyed_path(through, range(3), width=8, height=8)
