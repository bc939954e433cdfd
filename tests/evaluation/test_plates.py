"""The plate renderer against closed forms, and its independence from our own renderer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.evaluation.framing import motion_camera
from studio_pipeline.evaluation.plates import Lights, Set, draw, film, simulated_depth
from studio_pipeline.evaluation.rays import extents, silhouettes
from studio_pipeline.evaluation.surfaces import Surface, smoothing_groups, to_linear, to_srgb
from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.character.load import load_character


def character_of(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, atlas: np.ndarray, uv=None) -> Character:
    return Character(
        name="toy",
        vertices=vertices.astype(np.float32),
        normals=normals.astype(np.float32),
        faces=faces.astype(np.int32),
        uv=np.zeros((len(vertices), 2), np.float32) if uv is None else uv.astype(np.float32),
        atlas=atlas,
        vertex_colors=np.ones((len(vertices), 3), np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((8, 8, 4), (*colour, 255), np.uint8)


def sphere(levels: int = 5) -> Character:
    import trimesh

    ball = trimesh.creation.icosphere(levels)
    return character_of(ball.vertices, ball.faces, ball.vertices, flat((200, 120, 60)))


def camera_at(eye: np.ndarray, *, size: int = 96, focal: float = 150.0, frames: int = 1) -> CameraPath:
    matrix = look_at(eye, np.zeros(3), np.array([0.0, 1.0, 0.0]))
    return CameraPath(
        world_to_camera=np.repeat(matrix[None], frames, axis=0), focal=np.full(frames, focal), width=size, height=size
    )


def one_light(direction: np.ndarray, size: int, colour: float = 0.8) -> Set:
    lights = Lights(direction[None] / np.linalg.norm(direction), np.full((1, 3), colour), np.zeros(3), np.zeros(3))
    return Set(lights, np.zeros((size, size, 3), np.float32))


def quad(uv: np.ndarray | None = None, atlas: np.ndarray | None = None) -> Character:
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    normals = np.tile([0.0, 0.0, 1.0], (4, 1))
    return character_of(
        vertices, np.array([[0, 1, 2], [0, 2, 3]]), normals, flat((255, 255, 255)) if atlas is None else atlas, uv
    )


def test_sphere_area_and_depth() -> None:
    ball, camera = sphere(), camera_at(np.array([0.0, 0.0, 4.0]))
    picture = draw(Surface(ball), ball.vertices, camera, 0, one_light(np.array([0.0, 0.0, 1.0]), 96))
    radius = 150.0 * np.tan(np.arcsin(1.0 / 4.0))  # a centred sphere is seen as a circle
    assert picture.mask.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    y, x = np.nonzero(picture.mask)
    ray = np.stack([(x + 0.5 - 48) / 150, -(y + 0.5 - 48) / 150, -np.ones(len(x))], axis=-1)
    # |t ray - (0, 0, -4)| = 1
    a, b = (ray**2).sum(1), 4.0 * ray[:, 2]
    inner = b**2 - a * 15.0
    true = (-b - np.sqrt(np.maximum(inner, 0.0))) / a
    middle = inner > 1.0
    np.testing.assert_allclose(picture.depth[y, x][middle], true[middle], atol=2e-3)


def test_lambert_shading_of_a_plane_seen_from_both_sides() -> None:
    sheet = quad()
    tilt = np.array([0.0, np.sin(0.7), np.cos(0.7)])
    for side in (1.0, -1.0):
        stage = one_light(tilt * (1.0, 1.0, side), 96)
        picture = draw(Surface(sheet), sheet.vertices, camera_at(np.array([0.2, 0.1, 4.0 * side])), 0, stage)
        np.testing.assert_allclose(picture.linear[48, 48], 0.8 * np.cos(0.7), rtol=1e-5)


def test_smooth_sphere_shading_is_the_cosine() -> None:
    ball, camera = sphere(), camera_at(np.array([0.0, 0.0, 40.0]), focal=1500.0)
    light = np.array([0.6, 0.0, 0.8])
    picture = draw(Surface(ball), ball.vertices, camera, 0, one_light(light, 96, 1.0), samples=1)
    y, x = np.nonzero(picture.mask)
    where = np.stack([(x + 0.5 - 48) / 1500, -(y + 0.5 - 48) / 1500, -np.ones(len(x))], -1) * picture.depth[y, x, None]
    normal = where + np.array([0.0, 0.0, 40.0])
    inside = normal[:, 2] > 0.3
    expected = to_linear(np.array([200, 120, 60])) * np.maximum(normal @ light, 0.0)[:, None]
    np.testing.assert_allclose(picture.linear[y, x][inside], expected[inside], atol=4e-3)


def test_texture_is_looked_up_bilinearly_and_filtered() -> None:
    ramp = np.zeros((64, 64, 4), np.uint8)
    ramp[..., 0] = np.arange(64) * 4
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float)
    sheet = quad(uv, ramp)
    camera = camera_at(np.array([0.0, 0.0, 4.0]), focal=160.0)  # 80 pixels across
    picture = draw(Surface(sheet), sheet.vertices, camera, 0, one_light(np.array([0.0, 0.0, 1.0]), 96, 1.0), samples=1)
    column = np.arange(12, 84)
    texel = np.clip((column + 0.5 - 8) / 80 * 64 - 0.5, 0, 63)
    table = to_linear(np.arange(64, dtype=np.uint8) * 4)
    expected = np.interp(texel, np.arange(64), table)
    np.testing.assert_allclose(picture.linear[48, column, 0], expected, atol=1e-4)
    checks = np.zeros((64, 64, 4), np.uint8)
    checks[(np.add.outer(np.arange(64), np.arange(64)) % 2) == 0] = 255
    fine = quad(uv, checks)
    far = draw(
        Surface(fine),
        fine.vertices,
        camera_at(np.array([0.0, 0.0, 32.0])),
        0,
        one_light(np.array([0, 0, 1.0]), 96, 1.0),
    )
    inside = far.linear[45:51, 45:51, 0]
    np.testing.assert_allclose(inside, 0.5, atol=0.02)  # no moire: the mean of black and white


def test_hard_edges_stay_hard_and_seams_smooth() -> None:
    vertices = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], float)
    normals = np.array([[0, 0, 1], [0, 0.02, 0.9998], [1, 0, 0], [0, 0, 1]], float)
    groups = smoothing_groups(vertices, normals)
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups.tolist())) == 3


def test_srgb_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_srgb(to_linear(levels)), levels)
    assert to_linear(np.uint8(188)) == pytest.approx(0.5029, abs=1e-4)


def test_motion_fills_the_frame_exactly() -> None:
    rng = np.random.default_rng(0)
    for stretch in ((1.0, 2.0, 0.3), (3.0, 0.5, 1.0)):
        motion = rng.normal(size=(5, 200, 3)) * stretch
        camera = motion_camera(motion, size=128)
        boxes = np.stack([extents(camera, t, posed) for t, posed in enumerate(motion)])
        low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
        assert (high - low).max() == pytest.approx(0.9 * 128, abs=1e-6)
        np.testing.assert_allclose((low + high) / 2, 64.0, atol=1e-3)


def test_plate_has_no_alpha_and_a_true_mask() -> None:
    ball = sphere(3)
    motion = np.stack([ball.vertices, ball.vertices + np.array([0.2, 0.0, 0.0])])
    camera = motion_camera(motion, size=96)
    plate = film(ball, motion, camera, seed=3)
    assert plate.clip.alpha is None and plate.clip.depth is None
    assert plate.clip.frames.shape == (2, 96, 96, 3)
    np.testing.assert_array_equal(plate.masks, silhouettes(motion, ball.faces, camera))
    assert np.isnan(plate.depth[~plate.masks]).all()
    assert np.abs(plate.clip.frames.astype(int) - plate.rendered).mean() < 6.0
    again = film(ball, motion, camera, seed=3)
    np.testing.assert_array_equal(plate.clip.frames, again.clip.frames)
    assert (film(ball, motion, camera, seed=4).clip.frames != plate.clip.frames).any()


def test_simulated_depth_is_affine_in_z_but_for_its_noise() -> None:
    ball = sphere(3)
    motion = np.repeat(ball.vertices[None], 3, axis=0)
    plate = film(ball, motion, motion_camera(motion, size=96), seed=0, samples=1)
    depth = simulated_depth(plate, ball.diagonal, seed=5)
    assert np.isfinite(depth).all()
    assert depth.shape == (3, 48, 48)
    solid = np.stack([m.reshape(48, 2, 48, 2).all((1, 3)) for m in plate.masks])
    z = plate.depth.reshape(3, 48, 2, 48, 2).mean((2, 4))[solid]
    slope, shift = np.polyfit(z, depth[solid], 1)
    left = (depth[solid] - slope * z - shift) / slope
    assert left.std() == pytest.approx(0.02 * ball.diagonal, rel=0.25)


def test_our_own_renderer_sees_the_same(repository: Path) -> None:
    from studio_pipeline.render.raster import rasterize

    path = repository / "assets" / "characters" / "tumble.glb"
    character = load_character(path).character
    motion = character.vertices[None]
    camera = motion_camera(motion, size=128)
    picture = draw(Surface(character), motion[0], camera, 0, one_light(np.array([0.0, 0.0, 1.0]), 128), samples=1)
    other = rasterize(motion, character.faces, camera)
    mask = other.face_ids[0] >= 0
    assert (mask & picture.mask).sum() / (mask | picture.mask).sum() > 0.995
    both = mask & picture.mask
    assert np.median(np.abs(other.depth[0][both] - picture.depth[both])) < 1e-5


def test_nothing_of_our_renderer_is_loaded() -> None:
    code = (
        "import sys, numpy as np\n"
        "import studio_pipeline.evaluation.plates as p, studio_pipeline.evaluation.framing\n"
        "ours = [m for m in sys.modules if m.startswith('studio_pipeline.render')]\n"
        "bad = ours + [m for m in sys.modules if m.split('.')[0] in ('warp', 'torch')]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
