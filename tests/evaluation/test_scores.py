"""Scores against closed forms: identical, shifted by a known amount, planted feet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio_pipeline.evaluation.framing import motion_camera
from studio_pipeline.evaluation.lpips import FILE, load_lpips
from studio_pipeline.evaluation.pictures import compare, flip_error, psnr, ssim, union_box
from studio_pipeline.evaluation.plates import make_set
from studio_pipeline.evaluation.rays import camera_points
from studio_pipeline.evaluation.scores import FIRST, Judge, foot_slide, in_plane, projected, track_errors, vertex_areas
from studio_pipeline.schema.arrays import save_arrays
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Observations
from studio_pipeline.stages.character.load import load_character

FRAMES = FIRST + 2


@pytest.fixture(scope="module")
def character(repository: Path) -> Character:
    return load_character(repository / "assets" / "characters" / "mochi.glb").character


@pytest.fixture(scope="module")
def judge(character: Character) -> Judge:
    truth = np.repeat(character.vertices[None], FRAMES, axis=0)
    truth = truth + np.linspace(0, 0.1, FRAMES)[:, None, None] * np.array([0.0, 1.0, 0.0])
    camera = motion_camera(truth, size=96)
    return Judge(character, camera, truth.astype(np.float32), make_set(character, camera, seed=1))


def whole(judge: Judge) -> np.ndarray:
    return np.concatenate([np.repeat(judge.truth[:1], FIRST, axis=0), judge.truth])


def test_the_truth_scores_perfectly(judge: Judge) -> None:
    figures, pictures = judge.score(whole(judge))
    assert figures["iou_mean"] == figures["iou_min"] == 1.0
    assert figures["in_plane_percent"] == figures["spatial_percent"] == figures["projected_percent"] == 0.0
    assert figures["ssim"] == pytest.approx(1.0) and figures["ssim_full"] == pytest.approx(1.0)
    assert figures["flip"] == pytest.approx(0.0, abs=1e-6) and figures["psnr"] == 99.0
    assert not figures["diverged"]
    assert pictures["plus45"].shape == (2, 96, 96, 3)


def test_known_shifts_give_known_errors(judge: Judge) -> None:
    axes = judge.camera.world_to_camera[0, :3, :3]
    share, diagonal = 0.02, judge.character.diagonal
    across, _ = judge.score((whole(judge) + share * diagonal * axes[0]).astype(np.float32))
    assert across["in_plane_percent"] == pytest.approx(2.0, abs=1e-3)
    assert across["spatial_percent"] == pytest.approx(2.0, abs=1e-3)
    assert across["projected_percent"] == pytest.approx(2.0, abs=1e-3)
    assert across["ssim"] < 0.95 and 0.5 < across["iou_mean"] < 0.99
    away, _ = judge.score((whole(judge) + share * diagonal * axes[2]).astype(np.float32))
    assert away["in_plane_percent"] == pytest.approx(0.0, abs=1e-3)
    assert away["spatial_percent"] == pytest.approx(2.0, abs=1e-3)
    assert away["iou_mean"] > across["iou_mean"]
    gone, _ = judge.score((whole(judge) + 0.2 * diagonal * axes[0]).astype(np.float32))
    assert gone["diverged"] and gone["ssim"] < across["ssim"] and gone["flip"] > across["flip"]


def test_errors_before_the_first_scored_index_do_not_count(judge: Judge) -> None:
    guess = whole(judge)
    guess[:FIRST] += 1.0
    assert judge.score(guess)[0]["spatial_percent"] == 0.0


def test_too_short_or_not_finite_is_refused(judge: Judge, character: Character) -> None:
    truth = np.repeat(character.vertices[None], FIRST, axis=0)
    with pytest.raises(InputError, match="scores begin at index 7"):
        Judge(character, motion_camera(truth, size=64), truth, judge.stage)
    bad = whole(judge)
    bad[-1, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        judge.score(bad)


def test_projection_is_blind_along_the_line_of_sight(judge: Judge) -> None:
    camera, truth = judge.camera.at([0]), judge.truth[:1].astype(np.float64)
    matrix = camera.world_to_camera[0]
    eye = -matrix[:3, :3].T @ matrix[:3, 3]
    nearer = eye + (truth - eye) * 0.9
    np.testing.assert_allclose(projected(camera, truth, nearer), 0.0, atol=1e-6)
    own = camera_points(camera, 0, truth[0])
    np.testing.assert_allclose(in_plane(camera, truth, nearer)[0], 0.1 * np.linalg.norm(own[:, :2], axis=1), atol=1e-6)


def test_areas_do_not_depend_on_tessellation() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]], np.float32)
    fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]], np.int32)
    fields = {
        "name": "x", "normals": vertices, "uv": vertices[:, :2], "atlas": np.zeros((2, 2, 4), np.uint8),
        "vertex_colors": vertices, "height_m": 1.0, "unit_scale": 1.0,
    }  # fmt: skip
    areas = vertex_areas(Character(vertices=vertices, faces=fan, **fields))
    np.testing.assert_allclose(areas, [1 / 6] * 4 + [1 / 3])


def test_foot_slide_of_a_planted_foot() -> None:
    truth = np.zeros((8, 2, 3))
    truth[:, 1] = np.stack([np.arange(8) * 0.1, np.full(8, 0.5), np.zeros(8)], axis=-1)  # high and moving
    guess = truth.copy()
    guess[:, 0, 0] = np.arange(8) * 0.003  # slides 3 mm a frame
    slide = foot_slide(truth, guess, diagonal=1.0)
    assert slide["planted"] == 7 and slide["truth"] == 0.0
    assert slide["lift"] == pytest.approx(0.3)
    walking = truth + np.arange(8)[:, None, None] * np.array([0.05, 0.0, 0.0])
    assert foot_slide(walking, guess, diagonal=1.0)["planted"] == 0


def test_track_errors(judge: Judge) -> None:
    character, camera = judge.character, judge.camera
    rng = np.random.default_rng(0)
    faces = rng.integers(0, len(character.faces), 20).astype(np.int32)
    shares = rng.dirichlet(np.ones(3), 20).astype(np.float32)
    truth = whole(judge)
    long = type(camera)(
        world_to_camera=np.repeat(camera.world_to_camera[:1], FRAMES, axis=0),
        focal=np.repeat(camera.focal[:1], FRAMES), width=96, height=96,
    )  # fmt: skip
    from studio_pipeline.geometry.cameras import project  # a second implementation

    points = (truth[:, character.faces[faces]] * shares[..., None]).sum(2)
    observations = Observations(
        masks=np.zeros((FRAMES, 96, 96), np.uint8),
        tracks=(project(long, points)[0] + (3.0, 4.0)).astype(np.float32),
        visibility=np.ones((FRAMES, 20), bool),
        track_faces=faces,
        track_barycentrics=shares,
    )
    errors = track_errors(long, character, observations, truth, truth)
    assert errors["observed"] == pytest.approx(5.0, abs=1e-3) and errors["lifted"] == 0.0


def test_picture_measures() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert ssim(picture, picture) == pytest.approx(1.0)
    lighter = np.clip(picture.astype(int) + 5, 0, 255).astype(np.uint8)
    error = np.square(picture.astype(float) - lighter).mean()
    assert psnr(picture, lighter) == pytest.approx(10 * np.log10(255**2 / error))
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    assert flip_error(black, white) > 0.9
    first, second = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    first[10, 12] = second[20, 30] = True
    assert union_box(first, second) == (slice(2, 29), slice(4, 39))
    result = compare(picture[None], lighter[None], (first[None], second[None]), lambda a, b: 0.5)
    assert result["lpips"] == 0.5 and result["psnr"] == pytest.approx(psnr(picture[2:29, 4:39], lighter[2:29, 4:39]))


def test_lpips_needs_its_file_and_is_a_distance(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no LPIPS weights"):
        load_lpips(tmp_path)
    rng = np.random.default_rng(0)
    layers = {"slice1.0": (64, 3, 11), "slice2.3": (192, 64, 5), "slice3.6": (384, 192, 3), "slice4.8": (256, 384, 3)}
    layers["slice5.10"] = (256, 256, 3)
    arrays = {}
    for k, (name, (made, taken, side)) in enumerate(layers.items()):
        arrays[f"net.{name}.weight"] = rng.normal(0, 0.05, (made, taken, side, side)).astype(np.float32)
        arrays[f"net.{name}.bias"] = np.zeros(made, np.float32)
        arrays[f"lin{k}.model.1.weight"] = np.ones((1, made, 1, 1), np.float32)
    save_arrays(tmp_path / FILE, **arrays)
    distance = load_lpips(tmp_path)
    first, second = rng.integers(0, 255, (2, 48, 80, 3), dtype=np.uint8)
    assert distance(first, first) == 0.0
    assert distance(first, second) == pytest.approx(distance(second, first), rel=1e-5)
    near = np.clip(first.astype(int) + rng.integers(-4, 5, first.shape), 0, 255).astype(np.uint8)
    assert 0.0 < distance(first, near) < distance(first, second)
    save_arrays(tmp_path / FILE, **{name: value for name, value in arrays.items() if name != "lin4.model.1.weight"})
    with pytest.raises(InputError, match=r"lin4\.model\.1\.weight"):
        load_lpips(tmp_path)
