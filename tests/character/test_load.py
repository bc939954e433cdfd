"""What a character file becomes: against trimesh, against closed forms, and the same at any scale of the file."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from studio_pipeline.geometry.meshes import face_normals
from studio_pipeline.geometry.rotations import sixd_identity
from studio_pipeline.geometry.skinning import pose_vertices, posed_world
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.load import load_character

RIGS = [
    "RobotExpressive.glb", "aframe_leftHand.glb", "bevy_Fox.glb", "godot_mannequiny.glb", "godot_platformer_enemy.glb",
    "godot_platformer_player.glb", "kenney_platformer_character.glb", "khronos_CesiumMan.glb", "ozz_rigged_simple.gltf",
    "quaternius_animal_Husky.glb", "quaternius_animal_Stag.glb", "quaternius_cute_fish_Puffer.glb",
    "quaternius_dino_Apatosaurus.glb", "quaternius_enemy_Frog.glb", "quaternius_enemy_Snake.glb",
    "quaternius_fish_Dolphin.glb", "quaternius_fish_Manta_ray.glb", "quaternius_modular_men_Punk.glb",
    "quaternius_single_knight_KnightCharacter.glb",
]  # fmt: skip


def outward(character) -> float:
    """Signed volume by the divergence theorem: positive when faces look outside."""
    v, f = character.vertices.astype(float), character.faces
    return float((v[f].mean(1) * face_normals(v, f)).sum() / 6.0)


@pytest.mark.parametrize("name", RIGS)
def test_every_sample_loads_into_sane_records(shared_data, name):
    loaded = load_character(shared_data / "rigs" / name)
    c, rig = loaded.character, loaded.own_rig
    assert c.vertices.dtype == c.uv.dtype == np.float32 and c.faces.dtype == np.int32
    assert np.isfinite(c.vertices).all() and c.faces.max() < len(c.vertices)
    assert np.allclose(np.linalg.norm(c.normals, axis=1), 1.0, atol=1e-4)
    assert np.ptp(c.vertices, axis=0).max() == pytest.approx(c.height_m, rel=1e-5)
    assert 0.2 <= c.height_m <= 4.0
    assert outward(c) > 0.0
    assert (c.uv >= 0.0).all() and (c.uv <= 1.0).all()
    assert rig is not None and (rig.parents[1:] >= 0).all() and rig.parents[0] == -1
    assert (rig.parents < np.arange(len(rig.parents))).all() and len(set(rig.names)) == rig.joint_count
    assert np.allclose(rig.weights.sum(1), 1.0, atol=1e-5) and ((rig.weights > 0).sum(1) <= 8).all()
    turn = rig.rest_world[:, :3, :3]
    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(3), atol=1e-9) and (np.linalg.det(turn) > 0).all()
    still = posed_world(rig, sixd_identity(1, rig.joint_count), np.zeros((1, rig.joint_count, 3)))
    posed = pose_vertices(c.vertices, rig.weights, still @ np.linalg.inv(rig.rest_world))
    assert np.abs(posed[0] - c.vertices).max() < 1e-5


def test_wasp_has_nan_weights(shared_data):
    with pytest.raises(InputError, match=r"Wasp.*'Wasp' has \d+ of \d+ vertices with NaN"):
        load_character(shared_data / "rigs" / "quaternius_enemy_Wasp.glb")


@pytest.mark.parametrize("name", ["kenney_platformer_character.glb", "pip.glb", "tumble.glb", "mochi.glb"])
def test_unskinned_positions_agree_with_trimesh(shared_data, repository, name):
    folder = repository / "assets" / "characters"
    path = folder / name if (folder / name).exists() else shared_data / "rigs" / name
    ours = load_character(path).character
    theirs = trimesh.load(path, force="scene", process=False).to_geometry()
    triangles = theirs.vertices[theirs.faces].reshape(-1, 9)
    mine = ours.vertices[ours.faces].reshape(-1, 9) / ours.unit_scale
    order = [np.lexsort(t.round(5).T) for t in (triangles, mine)]
    assert len(triangles) == len(mine)
    assert np.abs(triangles[order[0]] - mine[order[1]]).max() < 2e-5 * ours.height_m


@pytest.mark.parametrize("factor", [0.001, 0.01, 100.0])
def test_scaling_the_file_changes_nothing_at_equal_height(tmp_path, make_skinned, factor):
    results = []
    for scale in (1.0, factor):
        writer = make_skinned()
        writer.json["nodes"].append({"children": [0, 1], "scale": [scale] * 3, "rotation": [0.5, 0.5, 0.5, 0.5]})
        writer.json["scenes"][0]["nodes"] = [4]
        results.append(load_character(writer.save(tmp_path / "a.glb"), height_m=1.3))
    a, b = (r.character for r in results)
    assert np.array_equal(a.faces, b.faces) and np.array_equal(a.atlas, b.atlas)
    assert np.abs(a.vertices - b.vertices).max() <= 2e-7 and a.height_m == pytest.approx(1.3, rel=1e-12)
    assert a.unit_scale / b.unit_scale == pytest.approx(factor, rel=1e-9)
    ra, rb = (r.own_rig for r in results)
    assert np.abs(ra.rest_world - rb.rest_world).max() < 1e-9 and np.array_equal(ra.weights, rb.weights)


def test_scaled_positions_change_nothing_either(shared_data, tmp_path, make_tetrahedron):
    a = load_character(make_tetrahedron().save(tmp_path / "a.glb"), height_m=0.7).character
    writer = make_tetrahedron()
    values = np.frombuffer(bytes(writer.data[:48]), "<f4") * np.float32(100.0)
    writer.data[:48] = values.tobytes()
    b = load_character(writer.save(tmp_path / "b.glb"), height_m=0.7).character
    assert np.abs(a.vertices - b.vertices).max() <= 1e-7


def test_height_rule(tmp_path, make_tetrahedron):
    for scale, height, warned in ((1.0, 1.0, 0), (0.25, 0.25, 0), (3.9, 3.9, 0), (0.01, 1.7, 1), (300.0, 1.7, 1)):
        writer = make_tetrahedron()
        writer.json["nodes"][0]["scale"] = [scale] * 3
        loaded = load_character(writer.save(tmp_path / "a.glb"))
        assert loaded.character.height_m == pytest.approx(height, rel=1e-6)
        assert loaded.character.unit_scale == pytest.approx(height / scale, rel=1e-6)
        assert len(loaded.warnings) == warned
        assert load_character(tmp_path / "a.glb", height_m=2.5).character.height_m == pytest.approx(2.5)


@pytest.mark.parametrize("where", ["node", "parent", "matrix"])
def test_mirrors_keep_faces_outward(tmp_path, make_tetrahedron, where):
    writer = make_tetrahedron()
    if where == "node":
        writer.json["nodes"][0]["scale"] = [-1, 1, 1]
    elif where == "matrix":
        writer.json["nodes"][0]["matrix"] = list(np.diag([1.0, -2.0, 1.0, 1.0]).ravel())
    else:
        writer.node(children=[0], scale=[-1, -1, -1])
        writer.json["scenes"][0]["nodes"] = [1]
    character = load_character(writer.save(tmp_path / "m.glb")).character
    assert outward(character) > 0.0
    across = face_normals(character.vertices, character.faces)
    assert ((across * character.normals[character.faces].sum(1)).sum(-1) > 0).all()


def test_nested_transforms_and_normals_in_closed_form(tmp_path, writer):
    built = writer()
    rng = np.random.default_rng(1)
    points, directions = rng.random((9, 3)), rng.normal(size=(9, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mesh = built.mesh(points, np.arange(9), NORMAL=built.accessor(directions, "VEC3"))
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0])
    built.node(mesh=mesh, scale=[1.0, 2.0, 0.5], translation=[0.1, 0.2, 0.3])
    built.node(children=[0], rotation=turn.as_quat().tolist(), scale=[1.5, 1.5, 1.5])
    built.json["scenes"][0]["nodes"] = [1]
    character = load_character(built.save(tmp_path / "a.glb")).character
    expected = turn.apply((points * [1.0, 2.0, 0.5] + [0.1, 0.2, 0.3]) * 1.5)
    assert np.abs(character.vertices - expected * character.unit_scale).max() < 1e-6
    normals = turn.apply(directions / [1.0, 2.0, 0.5])
    assert np.abs(character.normals - normals / np.linalg.norm(normals, axis=1, keepdims=True)).max() < 1e-6


def test_order_kept_unreferenced_and_degenerate_dropped(tmp_path, writer):
    built = writer()
    points = np.arange(21.0).reshape(7, 3) ** 2 / 400.0
    built.node(mesh=built.mesh(points, np.array([[6, 4, 1], [1, 1, 4], [0, 4, 6]])))
    character = load_character(built.save(tmp_path / "a.glb")).character
    assert np.allclose(character.vertices / character.unit_scale, points[[0, 1, 4, 6]].astype(np.float32))
    assert character.faces.tolist() == [[3, 2, 1], [0, 2, 3]]


def test_strips_fans_sparse_and_quantized(tmp_path, writer):
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=float)
    for mode, corners, expected in (
        (5, [0, 1, 2, 3], [[0, 1, 2], [2, 1, 3]]),
        (6, [0, 1, 3, 2], [[0, 1, 3], [0, 3, 2]]),
    ):
        built = writer()
        built.node(mesh=built.mesh(square, np.array(corners)))
        built.json["meshes"][0]["primitives"][0]["mode"] = mode
        assert load_character(built.save(tmp_path / "s.glb")).character.faces.tolist() == expected
    built = writer()
    built.node(mesh=built.mesh(square, np.array([[0, 1, 2], [2, 1, 3]])))
    built.json["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": built.view(np.array([3], "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": built.view(np.array([2, 2, 0], "<f4").tobytes())},
    }
    assert load_character(built.save(tmp_path / "p.glb")).character.vertices[3].tolist() == [2, 2, 0]
    built = writer()
    built.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    built.node(mesh=0, scale=[2, 2, 2])
    short = built.accessor(np.pad(square * 32767, ((0, 0), (0, 0))).astype(int), "VEC3", "i2", normalized=True)
    index = built.accessor(np.array([[0], [1], [2]]), "SCALAR", "u2")
    built.json["meshes"] = [{"primitives": [{"attributes": {"POSITION": short}, "indices": index}]}]
    view = built.json["bufferViews"][0]
    assert view["byteLength"] == 24
    assert load_character(built.save(tmp_path / "q.glb")).character.vertices.tolist() == [
        [0, 0, 0],
        [2, 0, 0],
        [0, 2, 0],
    ]


def test_default_morph_weights_shape_the_rest(tmp_path, make_tetrahedron):
    writer = make_tetrahedron()
    shift = writer.accessor(np.tile([0.0, 1.0, 0.0], (4, 1)) * [[0], [0], [1], [0]], "VEC3")
    writer.json["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": shift}]
    writer.json["meshes"][0]["weights"] = [0.5]
    assert load_character(writer.save(tmp_path / "a.glb")).character.vertices[:, 1].max() == pytest.approx(1.5)
    writer.json["nodes"][0]["weights"] = [0.25]
    assert load_character(writer.save(tmp_path / "a.glb")).character.vertices[:, 1].max() == pytest.approx(1.25)


def test_own_rig_of_rigid_parts_under_joints(shared_data):
    """Robot: most faces hang on bones rigidly; each such vertex moves with exactly one joint."""
    rig = load_character(shared_data / "rigs" / "RobotExpressive.glb").own_rig
    assert (rig.weights.max(1) > 0.999).mean() > 0.5 and rig.joint_count == 43
    kenney = load_character(shared_data / "rigs" / "kenney_platformer_character.glb").own_rig
    assert set(np.unique(kenney.weights)) == {0.0, 1.0} and kenney.joint_count >= 6


def test_several_roots_get_one(tmp_path, make_skinned):
    writer = make_skinned()
    writer.json["nodes"][2].pop("children")
    writer.json["scenes"][0]["nodes"] = [0, 1, 3]
    rig = load_character(writer.save(tmp_path / "a.glb")).own_rig
    assert rig.names[0] == "root" and set(rig.names) == {"root", "a", "b", "c"}
    assert rig.parents[0] == -1 and (rig.parents[1:] >= 0).all() and rig.joint_count == 4


def test_external_files_and_input_files(tmp_path, make_tetrahedron):
    import json

    from studio_pipeline.stages.character import input_files

    writer = make_tetrahedron()
    document = {"buffers": [{"byteLength": len(writer.data), "uri": "parts/b%20in.bin"}]} | writer.json
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "b in.bin").write_bytes(bytes(writer.data))
    (tmp_path / "a.gltf").write_text(json.dumps(document))
    assert load_character(tmp_path / "a.gltf").character.vertices.shape == (4, 3)
    assert input_files(tmp_path / "a.gltf") == [tmp_path / "a.gltf", tmp_path / "parts" / "b in.bin"]
    (tmp_path / "parts" / "b in.bin").unlink()
    with pytest.raises(InputError, match="not there"):
        load_character(tmp_path / "a.gltf")
