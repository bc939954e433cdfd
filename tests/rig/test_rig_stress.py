"""The stress test against closed forms, a second skinning, skins known to be bad, and artists' rigs."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.rig import STAGE
from studio_pipeline.stages.rig.checks import check_rig
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.stress import EDGE_P99_BOUND, SurfaceVolume, followed_joints, stress_test


def character_of(mesh: trimesh.Trimesh, seed: int = 0) -> Character:
    count = len(mesh.vertices)
    return Character(
        name="shape",
        vertices=np.asarray(mesh.vertices, dtype=np.float32),
        normals=np.asarray(mesh.vertex_normals, dtype=np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        uv=np.zeros((count, 2), np.float32),
        atlas=np.full((4, 4, 4), 200, np.uint8),
        vertex_colors=np.ones((count, 3), np.float32),
        height_m=1.0,
        unit_scale=1.0,
        seed=seed,
    )


def rig_of(joints: dict[str, tuple[str, tuple, tuple]], weights: np.ndarray, backend: str = "geometric") -> Rig:
    """A rig from name -> (parent, head, tail), frames unturned."""
    names = list(joints)
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    rest[:, :3, 3] = [joint[1] for joint in joints.values()]
    return Rig(
        names=tuple(names),
        parents=np.array([names.index(p) if p else -1 for p, _, _ in joints.values()], dtype=np.int32),
        rest_world=rest,
        tails=np.array([joint[2] for joint in joints.values()], dtype=np.float32),
        weights=weights.astype(np.float32),
        backend=backend,
    )


LEGS = {
    "hips": ("", (0, 1.0, 0), (0, 1.2, 0)),
    "thigh.L": ("hips", (0.065, 0.95, 0), (0.065, 0.5, 0)),
    "shin.L": ("thigh.L", (0.065, 0.5, 0), (0.065, 0.05, 0)),
    "thigh.R": ("hips", (-0.065, 0.95, 0), (-0.065, 0.5, 0)),
    "shin.R": ("thigh.R", (-0.065, 0.5, 0), (-0.065, 0.05, 0)),
}


def legs() -> tuple[trimesh.Trimesh, np.ndarray]:
    """A pelvis and two legs one centimetre apart, and weights [V, 5] that are as they should be."""
    parts, owners = [], []
    for side, names in ((1, (1, 2)), (-1, (3, 4)), (0, (0, 0))):
        mesh = trimesh.creation.capsule(height=0.9 if side else 0.2, radius=0.06 if side else 0.13, count=[12, 12])
        mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
        mesh.apply_translation(np.array([0.065 * side, 0.5 if side else 1.1, 0]) - mesh.bounds.mean(0))
        mesh = mesh.subdivide_to_size(0.08)
        weights = np.zeros((len(mesh.vertices), 5))
        knee = np.clip((0.56 - mesh.vertices[:, 1]) / 0.12, 0.0, 1.0) if side else np.zeros(len(mesh.vertices))
        weights[:, names[0]] += 1.0 - knee
        weights[:, names[1]] += knee
        parts.append(mesh)
        owners.append(weights)
    return trimesh.util.concatenate(parts), np.concatenate(owners)


def straight_distance(mesh: trimesh.Trimesh, rig: Rig) -> np.ndarray:
    """Weights by inverse squared distance to the bones, whatever lies between: they bleed."""
    share = np.linspace(0.0, 1.0, 21)[:, None, None]
    line = rig.heads + share * (rig.tails - rig.heads)
    distance = np.linalg.norm(mesh.vertices[:, None, None] - line[None], axis=-1).min(1)
    weights = 1.0 / np.maximum(distance, 1e-3) ** 2
    return weights / weights.sum(1, keepdims=True)


def volume_of(mesh: trimesh.Trimesh, region: np.ndarray | None = None) -> SurfaceVolume:
    region = np.zeros(len(mesh.faces), dtype=int) if region is None else region
    return SurfaceVolume(np.asarray(mesh.vertices, dtype=float), np.asarray(mesh.faces), region, 1.0)


def test_volume_is_that_of_the_closed_surface() -> None:
    ball = trimesh.creation.icosphere(3, 0.5).apply_translation([2.0, -1.0, 0.5])
    capped = trimesh.creation.cylinder(radius=0.3, height=1.5).apply_translation([0.0, 4.0, 1.0])
    pipe = capped.submesh([np.abs(capped.face_normals[:, 2]) < 0.5], append=True)  # open at both ends
    turned = ball.copy()
    turned.invert()
    for mesh, expected in ((ball, ball.volume), (pipe, capped.volume), (turned, ball.volume)):
        points = np.asarray(mesh.vertices, dtype=float)
        volume = volume_of(mesh)
        assert abs(volume.signed(points).sum()) == pytest.approx(abs(expected), rel=1e-6)
        assert volume.share((points - points.mean(0)) * 0.7 + 5.0) == pytest.approx(0.343, rel=1e-9)
    both = trimesh.util.concatenate([ball, turned.copy().apply_translation([3.0, 0.0, 0.0])])
    assert volume_of(both).share(2.0 * both.vertices) == pytest.approx(8.0)
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    assert volume_of(sheet).share(3.0 * sheet.vertices) == 1.0  # nothing to lose
    assert volume_of(sheet).change(3.0 * sheet.vertices) == 0.0


def test_a_region_that_swells_is_seen_where_the_whole_stays() -> None:
    """A box in two halves: one grows as the other shrinks. By hand: both are a quarter off, the whole isn't."""
    box = trimesh.creation.box((2.0, 1.0, 1.0)).subdivide().subdivide()
    half = (box.triangles_center[:, 0] > 0).astype(int)
    moved = box.vertices.copy()
    moved[:, 0] = np.where(moved[:, 0] < 0, 1.25 * moved[:, 0] + 0.25, 0.75 * moved[:, 0] + 0.25)
    assert volume_of(box).share(moved) == pytest.approx(1.0)
    assert volume_of(box, half).change(moved) == pytest.approx(0.25)
    assert volume_of(box, half).change(box.vertices + 3.0) == pytest.approx(0.0, abs=1e-12)


def test_figures_are_those_of_the_posed_surface() -> None:
    mesh, weights = legs()
    character = character_of(mesh)
    rig = rig_of(LEGS, weights)
    stress = stress_test(character, rig)
    transforms = stress.joints @ np.linalg.inv(rig.rest_world)
    posed = pose_vertices(character.vertices, rig.weights, transforms)
    assert np.abs(posed - stress.vertices).max() < 1e-5
    edges, floor = mesh.edges_unique, 0.005 * character.diagonal
    for index, points in enumerate(posed.astype(float)):
        long, before = (
            np.linalg.norm(p[edges[:, 0]] - p[edges[:, 1]], axis=1) + floor for p in (points, mesh.vertices)
        )
        assert stress.edge_max[index] == pytest.approx((long / before).max(), rel=1e-4)
        assert stress.edge_p99[index] == pytest.approx(np.percentile(long / before, 99), rel=1e-4)
        assert stress.volume[index] == pytest.approx(trimesh.Trimesh(points, mesh.faces).volume / mesh.volume, rel=1e-3)
    # Only plausible turns, and the root stays.
    local = np.linalg.inv(stress.joints[:, rig.parents[1:]]) @ stress.joints[:, 1:]
    angle = np.arccos(np.clip((np.trace(local[..., :3, :3], axis1=-2, axis2=-1) - 1) / 2, -1, 1))
    assert np.degrees(angle.max()) <= 40.0 + 1e-6 and np.degrees(angle.max()) > 30.0
    assert np.allclose(stress.joints[:, 0], rig.rest_world[0])


def test_poses_come_from_the_seed() -> None:
    mesh, weights = legs()
    rig = rig_of(LEGS, weights)
    one, same, other = (stress_test(character_of(mesh, seed), rig) for seed in (4, 4, 5))
    assert one.vertices.tobytes() == same.vertices.tobytes() and not np.allclose(one.vertices, other.vertices)


def verdict_of(character: Character, rig: Rig):
    return next(v for v in check_rig(character, rig) if v.name == "stress")


def test_good_skin_passes_and_bad_skins_fail() -> None:
    mesh, good = legs()
    character, rig = character_of(mesh), rig_of(LEGS, good)
    assert verdict_of(character, rig).passed and stress_test(character, rig).edge_p99.max() < 1.6
    draw = np.random.default_rng(0)
    on_wrong_leg = good.copy()
    inner = np.flatnonzero((mesh.vertices[:, 0] > 0) & (mesh.vertices[:, 0] < 0.05) & (mesh.vertices[:, 1] < 0.5))
    on_wrong_leg[inner] = np.eye(5)[4]
    one_vertex = good.copy()
    one_vertex[inner[0]] = np.eye(5)[4]
    for weights in (
        draw.dirichlet(np.full(5, 0.3), len(good)),
        straight_distance(mesh, rig),
        on_wrong_leg,
        one_vertex,
    ):
        told = verdict_of(character, dataclasses.replace(rig, weights=weights.astype(np.float32)))
        assert not told.passed, told.message
    # What is far beyond keeps a shot waiting; an artist's skin is the artist's, and never does.
    worst = dataclasses.replace(rig, weights=draw.dirichlet(np.full(5, 0.3), len(good)).astype(np.float32))
    assert verdict_of(character, worst).blocking
    assert not verdict_of(character, dataclasses.replace(worst, backend="provided")).blocking
    mild = dataclasses.replace(rig, weights=straight_distance(mesh, rig).astype(np.float32))
    assert not verdict_of(character, mild).blocking and not verdict_of(character, rig).blocking


def test_a_foot_on_the_root_follows_its_leg() -> None:
    mesh, weights = legs()
    lower = (mesh.vertices[:, 1] < 0.3)[:, None]
    feet = np.zeros((len(weights), 2))
    feet[:, 0:1] = np.where(lower & (mesh.vertices[:, :1] > 0), weights[:, 2:3], 0.0)
    feet[:, 1:2] = np.where(lower & (mesh.vertices[:, :1] < 0), weights[:, 4:5], 0.0)
    weights[:, 2] -= feet[:, 0]
    weights[:, 4] -= feet[:, 1]
    joints = LEGS | {
        "ik.L": ("hips", (0.065, 0.3, 0), (0.065, 0.05, 0)),
        "ik.R": ("hips", (-0.065, 0.3, 0), (-0.065, 0.05, 0)),
    }
    rig = rig_of(joints, np.concatenate([weights, feet], axis=1))
    follows = followed_joints(rig, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    assert follows.tolist() == [-1, 0, 1, 0, 3, 2, 4]
    assert verdict_of(character_of(mesh), rig).passed


def test_what_is_no_tree_is_not_posed() -> None:
    mesh, weights = legs()
    character, rig = character_of(mesh), rig_of(LEGS, weights)
    crossed = rig.parents.copy()
    crossed[1:3] = 2, 1
    turned = rig.rest_world.copy()
    turned[1, :3, :3] *= 1.5
    nowhere = rig.rest_world.copy()
    nowhere[3, 0, 3] = np.nan
    for changes in (
        {"parents": crossed},
        {"rest_world": turned},
        {"rest_world": nowhere},
        {"names": ("a",) * 5},
        {"tails": rig.tails[:3]},
        {"weights": rig.weights[:, :4]},
    ):
        verdicts = {v.name: v for v in check_rig(character, dataclasses.replace(rig, **changes))}
        assert tuple(verdicts) == STAGE.checks
        assert not verdicts["tree_connected"].passed and not verdicts["stress"].passed
    unknown = rig.weights.copy()
    unknown[7] = np.nan
    failed = {v.name for v in check_rig(character, dataclasses.replace(rig, weights=unknown)) if not v.passed}
    assert failed == {"weights_sum_to_one", "every_vertex_weighted", "stress"}


def test_the_picture_shows_the_worst_pose_first(tmp_path) -> None:
    mesh, weights = legs()
    character, rig = character_of(mesh), rig_of(LEGS, weights)
    result = report(character, rig, tmp_path, symmetric=True)
    stress = stress_test(character, rig)
    assert (np.diff(np.log(stress.edge_p99) + stress.volume_change) <= 1e-12).all()
    assert result.previews == ("preview.png", "stress.png")
    assert result.figures["stress_edge_p99"] == pytest.approx(stress.edge_p99.max(), abs=1e-3)
    picture = cv2.imread(str(tmp_path / "stress.png"))
    assert picture.shape == (320, 4 * 320, 3)
    tiles = np.split(picture.astype(int), 4, axis=1)
    assert all((tile.std(axis=(0, 1)) > 5).all() for tile in tiles)  # somebody is on every one
    # Red where it stretches most: bad weights paint what good ones don't.
    mixed = np.random.default_rng(0).dirichlet(np.full(5, 0.3), len(weights)).astype(np.float32)
    report(character, dataclasses.replace(rig, weights=mixed), tmp_path, symmetric=True)
    torn = cv2.imread(str(tmp_path / "stress.png"))
    red = [np.count_nonzero((p[..., 2] > 150) & (p[..., 1] < 90)) for p in (picture, torn)]
    assert red[1] > 10 * red[0] + 500


@pytest.mark.parametrize("name", ["bevy_Fox", "khronos_CesiumMan", "quaternius_animal_Husky", "godot_mannequiny"])
def test_artists_rigs_bear_it(shared_data, name: str) -> None:
    from studio_pipeline.stages.character.load import load_character

    loaded = load_character(shared_data / "rigs" / f"{name}.glb")
    stress = stress_test(loaded.character, loaded.own_rig)
    assert stress.verdict(blocking=True).passed and stress.edge_p99.max() < 0.8 * EDGE_P99_BOUND
    draw = np.random.default_rng(1)
    mixed = loaded.own_rig.weights[draw.permutation(len(loaded.own_rig.weights))]
    assert (
        not stress_test(loaded.character, dataclasses.replace(loaded.own_rig, weights=mixed))
        .verdict(blocking=True)
        .passed
    )
