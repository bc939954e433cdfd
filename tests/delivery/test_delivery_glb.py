"""The GLB files, read back by an evaluator that shares no code with the writer, and by trimesh."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.stages.delivery.checks import skin_error
from studio_pipeline.stages.delivery.glb import morph_indices, write_refined_glb, write_skinned_glb
from studio_pipeline.stages.delivery.glb_conform import glb_faults
from studio_pipeline.stages.delivery.glb_reading import GlbFile
from studio_pipeline.stages.delivery.normals import moving_normals
from studio_pipeline.stages.delivery.scene import strongest_influences


def lifted(scene):
    return pose_vertices(scene.character.vertices, scene.rig.weights, skinning_transforms(scene.rig, scene.motion))


@pytest.mark.parametrize("unit_scale", [1.0, 0.011, 250.0])
def test_skinned_glb_plays_the_motion_in_the_files_own_scale(make_scene, tmp_path, unit_scale):
    scene = make_scene(unit_scale=unit_scale)
    write_skinned_glb(scene, tmp_path / "a.glb")
    file = GlbFile(tmp_path / "a.glb")
    expected = lifted(scene) / unit_scale
    for index in range(scene.frame_count):
        got = file.surface(index / 24.0)
        assert np.abs(got - expected[index]).max() < 1e-6 * 1.2 / unit_scale
    assert np.abs(file.surface(None) * unit_scale - scene.character.vertices).max() < 1e-6


def test_between_frames_joints_turn_at_even_speed(make_scene, tmp_path):
    scene = make_scene(frames=3, handles=0)
    write_skinned_glb(scene, tmp_path / "a.glb")
    finer = make_scene(frames=5, handles=0)  # the same motion at twice the rate
    got = GlbFile(tmp_path / "a.glb").surface(1.5 / 24.0)
    assert np.abs(got - lifted(finer)[3]).max() < 1e-5


def test_trimesh_reads_it(make_scene, tmp_path):
    scene = make_scene(unit_scale=0.5)
    write_skinned_glb(scene, tmp_path / "a.glb")
    write_refined_glb(scene, tmp_path / "b.glb", limit=240)
    for name in ("a.glb", "b.glb"):
        (mesh,) = trimesh.load_scene(tmp_path / name, process=False).geometry.values()
        assert len(mesh.vertices) == len(scene.character.vertices)
        assert np.array_equal(mesh.faces, scene.character.faces)
        assert np.abs(mesh.vertices * 0.5 - scene.character.vertices).max() < 1e-6
        # trimesh turns glTF's v over, as we must not have done.
        assert np.abs(mesh.visual.uv - scene.character.uv * (1, -1) - (0, 1)).max() < 1e-6
        assert np.array_equal(np.asarray(mesh.visual.material.baseColorTexture), scene.character.atlas[..., :3])


def test_refined_glb_plays_the_points(make_scene, tmp_path):
    scene = make_scene(unit_scale=0.01, fps=Fraction(24000, 1001))
    write_refined_glb(scene, tmp_path / "a.glb", limit=240)
    file = GlbFile(tmp_path / "a.glb")
    for index in range(scene.frame_count):
        got = file.surface(float(index / scene.fps)) * 0.01
        assert np.abs(got - scene.cache.points[index]).max() < 2e-6
    middle = file.surface(float(Fraction(5, 2) / scene.fps)) * 0.01
    assert np.abs(middle - scene.cache.points[2:4].mean(0)).max() < 2e-6
    names = file.document["meshes"][0]["extras"]["targetNames"]
    assert names[0] == "frame_1000" and len(names) == scene.frame_count


def test_long_shots_keep_few_morph_targets(make_scene, tmp_path):
    scene = make_scene(frames=30)
    kept = morph_indices(30, 10)
    assert kept[0] == 0 and kept[-1] == 29 and len(kept) <= 10
    write_refined_glb(scene, tmp_path / "a.glb", limit=10)
    file = GlbFile(tmp_path / "a.glb")
    assert file.duration() == (0.0, pytest.approx(29 / 24))
    for index in kept:
        assert np.abs(file.surface(index / 24.0) - scene.cache.points[index]).max() < 1e-6
    assert not glb_faults(tmp_path / "a.glb")


@pytest.mark.parametrize(("count", "limit"), [(1, 2), (2, 2), (3, 2), (240, 240), (241, 240), (2000, 240), (7, 4)])
def test_morph_indices_hold_the_ends_and_the_limit(count, limit):
    kept = morph_indices(count, limit)
    assert kept[0] == 0 and kept[-1] == count - 1
    assert len(kept) <= limit and (np.diff(kept) > 0).all()


def test_morphed_normals_stay_unit_and_true(make_scene, tmp_path):
    scene = make_scene()
    write_refined_glb(scene, tmp_path / "a.glb", limit=240)
    file = GlbFile(tmp_path / "a.glb")
    primitive = file.primitive()
    base = file.accessor(primitive["attributes"]["NORMAL"])
    normals = base + file.accessor(primitive["targets"][5]["NORMAL"])
    assert np.abs(np.linalg.norm(normals, axis=1) - 1.0).max() < 1e-5
    corners = scene.cache.points[5][scene.character.faces].astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    agreement = np.einsum("fc,fkc->fk", across, normals[scene.character.faces])
    assert agreement.min() > 0.0 and agreement.mean() > 0.9
    # The flat cap keeps its hard edge: its normals are the cap's own, not the wall's.
    cap = len(scene.character.vertices) - 1
    assert normals[cap] @ across[-1] == pytest.approx(1.0, abs=1e-3)


def test_a_face_without_area_leaves_unit_normals(make_scene):
    scene = make_scene()
    flat = np.zeros_like(scene.cache.points[:1])
    assert np.allclose(np.linalg.norm(moving_normals(scene.character, flat), axis=2), 1.0)


def test_camera_sees_what_ours_sees(make_scene, tmp_path):
    scene = make_scene(unit_scale=0.01, size=(192, 128))
    write_skinned_glb(scene, tmp_path / "a.glb")
    file = GlbFile(tmp_path / "a.glb")
    lens = file.document["cameras"][0]["perspective"]
    pixels, _ = project(scene.camera, scene.cache.points)
    for index in (0, 4, 8):
        view = np.linalg.inv(file.camera_to_world(index / 24.0))
        seen = scene.file_points[index] @ view[:3, :3].T + view[:3, 3]
        # glTF 2.0, 3.10.3: perspective projection to clip space, then to a picture whose rows go down.
        tangent = np.tan(lens["yfov"] / 2.0)
        x = seen[:, 0] / (-seen[:, 2] * lens["aspectRatio"] * tangent)
        y = seen[:, 1] / (-seen[:, 2] * tangent)
        got = np.stack([(x + 1.0) * 96.0, (1.0 - y) * 64.0], axis=1)
        assert np.abs(got - pixels[index]).max() < 1e-2
        assert (-seen[:, 2] > lens["znear"]).all() and (-seen[:, 2] < lens["zfar"]).all()


def test_a_still_camera_has_no_channels(make_scene, tmp_path):
    scene = make_scene(moving_camera=False)
    write_refined_glb(scene, tmp_path / "a.glb", limit=240)
    document = GlbFile(tmp_path / "a.glb").document
    assert [c["target"]["path"] for c in document["animations"][0]["channels"]] == ["weights"]


def test_four_influences_and_what_they_cost(make_scene):
    scene = make_scene()
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), len(scene.rig.weights))
    joints, kept = strongest_influences(weights, 2)
    assert np.allclose(kept.sum(1), 1.0)
    assert (kept[:, 0] >= kept[:, 1]).all()
    lowest = weights.argmin(1)
    assert not (joints == lowest[:, None]).any()
    scene = replace(scene, rig=replace(scene.rig, weights=weights.astype(np.float32)))
    assert skin_error(scene, 3).max() < 1e-6
    error = skin_error(scene, 2)
    assert error[0].max() < 1e-6  # index 0 is at rest: any weights give it
    assert error[-1].max() > 0.01


def test_a_vertex_of_one_joint_has_no_other(make_scene):
    weights = np.zeros((4, 9))
    weights[:, 7] = 1.0
    weights[1] = [0, 0, 0, 0.5, 0, 0, 0, 0.5, 0]
    joints, kept = strongest_influences(weights, 4)
    assert joints.tolist() == [[7, 0, 0, 0], [3, 7, 0, 0], [7, 0, 0, 0], [7, 0, 0, 0]]
    assert kept[0].tolist() == [1, 0, 0, 0]
    joints, kept = strongest_influences(np.ones((2, 1)), 4)
    assert joints.tolist() == [[0] * 4] * 2 and kept.tolist() == [[1, 0, 0, 0]] * 2


def test_tint_is_written_only_when_there_is_one(make_scene, tmp_path):
    for tinted in (False, True):
        scene = make_scene(tinted=tinted)
        write_skinned_glb(scene, tmp_path / "a.glb")
        file = GlbFile(tmp_path / "a.glb")
        attributes = file.primitive()["attributes"]
        assert ("COLOR_0" in attributes) == tinted
        if tinted:
            assert np.array_equal(file.accessor(attributes["COLOR_0"]), scene.character.vertex_colors)


def test_material_is_plain_pbr(make_scene, tmp_path):
    scene = make_scene()
    write_skinned_glb(scene, tmp_path / "a.glb")
    (material,) = GlbFile(tmp_path / "a.glb").document["materials"]
    assert material["doubleSided"] is True
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == 1.0


def test_one_frame_and_a_joint_named_like_a_node(make_scene, tmp_path):
    scene = make_scene(frames=1, handles=0)
    scene = replace(scene, rig=replace(scene.rig, names=("Body", "shot_camera", "head")))
    write_skinned_glb(scene, tmp_path / "a.glb")
    write_refined_glb(scene, tmp_path / "b.glb", limit=240)
    for name in ("a.glb", "b.glb"):
        assert not glb_faults(tmp_path / name)
    assert np.abs(GlbFile(tmp_path / "b.glb").surface(0.0) - scene.cache.points[0]).max() < 1e-6


def test_shot_is_named_in_the_file(make_scene, tmp_path):
    scene = make_scene(fps=Fraction(24000, 1001))
    write_skinned_glb(scene, tmp_path / "a.glb")
    asset = GlbFile(tmp_path / "a.glb").document["asset"]
    assert asset["generator"].startswith("studio_pipeline ")
    assert asset["extras"]["shot"] == "demo_010_0010" and asset["extras"]["fps"] == "24000/1001"
    assert (asset["extras"]["first_frame"], asset["extras"]["last_frame"]) == (1000, 1008)
