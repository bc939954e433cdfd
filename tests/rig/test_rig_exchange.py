"""A rig as a file: what other programs read from it, and what comes back from Blender after hand work."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pxr import Usd, UsdSkel, UsdValidation

from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.glb_conform import glb_faults
from studio_pipeline.stages.delivery.glb_reading import GlbFile
from studio_pipeline.stages.delivery.rig_files import write_rig
from studio_pipeline.stages.rig.carrying import carry_weights, shape_difference
from studio_pipeline.stages.rig.geometric import build_rig
from studio_pipeline.stages.rig.provided import rig_from_file


@pytest.fixture(scope="session")
def pip(repository: Path) -> tuple[Character, Rig]:
    """A shipped character with a rig of up to eight influences and names with dots."""
    character = load_character(repository / "assets" / "characters" / "pip.glb").character
    rig, _ = build_rig(character.vertices, character.faces)
    names = tuple(f"{name}.x" if index % 3 == 1 else name for index, name in enumerate(rig.names))
    assert (rig.weights > 0).sum(1).max() > 4
    return character, dataclasses.replace(rig, names=names)


@pytest.mark.parametrize("scale", [1.0, 0.0125])
def test_the_glb_holds_the_whole_skin(pip, tmp_path: Path, scale: float) -> None:
    character, rig = dataclasses.replace(pip[0], unit_scale=scale), pip[1]
    (path,) = write_rig(character, rig, tmp_path / "a.glb")
    assert glb_faults(path) == []
    file = GlbFile(path)
    joints, weights = file.influences()
    dense = np.zeros_like(rig.weights, dtype=float)
    np.add.at(dense, (np.arange(len(dense))[:, None], joints), weights)
    assert joints.shape[1] == 8 and np.abs(dense - rig.weights).max() < 1e-6
    assert np.abs(file.surface(None) - character.vertices / scale).max() < 1e-5 / scale
    assert write_rig(character, rig, tmp_path / "b.glb")[0].read_bytes() == path.read_bytes()
    four = dataclasses.replace(rig, weights=np.eye(rig.joint_count, dtype=np.float32)[np.argmax(rig.weights, axis=1)])
    write_rig(character, four, path)
    assert "JOINTS_1" not in GlbFile(path).primitive()["attributes"]


@pytest.mark.parametrize("ending", [".usd", ".usda", ".usdc"])
def test_the_usd_is_a_skeleton_as_openusd_has_it(pip, tmp_path: Path, ending: str) -> None:
    character, rig = dataclasses.replace(pip[0], unit_scale=0.01), pip[1]
    path, texture = write_rig(character, rig, tmp_path / f"a{ending}")
    assert texture == tmp_path / "textures" / "a_albedo.png" and sorted(tmp_path.iterdir()) == [path, texture.parent]
    stage = Usd.Stage.Open(str(path))
    issues = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators()).Validate(
        stage
    )
    assert [i.GetName() for i in issues if i.GetType() == UsdValidation.ValidationErrorType.Error] == []
    skeleton = UsdSkel.Skeleton(next(p for p in stage.Traverse() if p.IsA(UsdSkel.Skeleton)))
    query = UsdSkel.Cache().GetSkelQuery(skeleton)
    rest = np.array([np.array(m).T for m in query.ComputeJointSkelTransforms(Usd.TimeCode.Default(), atRest=True)])
    assert np.abs(rest[:, :3, 3] - rig.heads * 100.0).max() < 1e-3
    assert np.abs(rest[:, :3, :3] - rig.rest_world[:, :3, :3]).max() < 1e-5
    assert list(skeleton.GetJointNamesAttr().Get()) == list(rig.names)


def same_rig(character: Character, rig: Rig, back: Rig) -> dict[str, float]:
    """What differs, after joints are matched by name: heads in diagonals, axes, weights."""
    assert sorted(back.names) == sorted(rig.names)
    order = [back.names.index(name) for name in rig.names]
    parents = [back.names[back.parents[j]] if back.parents[j] >= 0 else None for j in order]
    assert parents == [rig.names[p] if p >= 0 else None for p in rig.parents]
    return {
        "heads": float(np.linalg.norm(back.heads[order] - rig.heads, axis=1).max()) / character.diagonal,
        "axes": float(np.abs(back.rest_world[order][:, :3, :3] - rig.rest_world[:, :3, :3]).max()),
        "weights": float(np.abs(back.weights[:, order] - rig.weights).max()),
    }


@pytest.mark.parametrize("ending", [".glb", ".usdc"])
def test_what_we_write_we_read(pip, tmp_path: Path, ending: str) -> None:
    character, rig = pip
    path = write_rig(character, rig, tmp_path / f"a{ending}")[0]
    found = same_rig(character, rig, rig_from_file(character, path))
    assert found["heads"] < 1e-6 and found["axes"] < 1e-6 and found["weights"] < 1e-6


def test_a_usd_that_was_edited_in_place_is_read_anew(pip, tmp_path: Path) -> None:
    character, rig = pip
    for number in range(3):
        names = tuple(f"{name}_{number}" for name in rig.names)
        path = write_rig(character, dataclasses.replace(rig, names=names), tmp_path / "a.usd")[0]
        assert rig_from_file(character, path).names == names


def shuffled(character: Character, rig: Rig, seed: int = 3) -> tuple[Character, Rig]:
    """The same shape with its vertices and faces in another order."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(character.vertices))
    where = np.argsort(order)
    parts = {name: getattr(character, name)[order] for name in ("vertices", "normals", "uv", "vertex_colors")}
    faces = where[character.faces][draw.permutation(len(character.faces))].astype(np.int32)
    return dataclasses.replace(character, faces=faces, **parts), dataclasses.replace(rig, weights=rig.weights[order])


def cut_by_weights(rig: Rig, character: Character) -> np.ndarray:
    """Weights that differ from vertex to vertex at one place: each vertex belongs to a joint of its own choosing."""
    owner = (np.arange(len(character.vertices)) * 7919) % rig.joint_count
    return np.eye(rig.joint_count, dtype=np.float32)[owner]


def test_an_override_with_reordered_vertices_is_accepted(pip, tmp_path: Path) -> None:
    character, rig = pip
    seams = len(character.vertices) - len(np.unique(character.vertices, axis=0))
    assert seams > 50
    rig = dataclasses.replace(rig, weights=cut_by_weights(rig, character))  # twins at a seam have other joints
    path = write_rig(*shuffled(character, rig), tmp_path / "mixed.glb")[0]
    assert same_rig(character, rig, rig_from_file(character, path))["weights"] < 1e-6


def test_seams_that_are_welded_are_averaged(pip) -> None:
    character, rig = pip
    places, twin = np.unique(character.vertices, axis=0, return_inverse=True)
    twin = twin.ravel()
    first = np.array([np.flatnonzero(twin == k)[0] for k in range(len(places))])
    welded = dataclasses.replace(
        character, vertices=places, faces=twin[character.faces].astype(np.int32), normals=character.normals[first],
        uv=character.uv[first], vertex_colors=character.vertex_colors[first],
    )  # fmt: skip
    assert np.abs(carry_weights(character, welded, rig.weights[first]) - rig.weights[first][twin]).max() < 1e-6
    split = cut_by_weights(rig, character)
    mean = np.stack([np.bincount(twin, split[:, j], len(places)) for j in range(rig.joint_count)], axis=1)
    mean /= mean.sum(1, keepdims=True)
    near = np.abs(carry_weights(welded, character, split) - mean).max(1)
    # One of the twins' weights, or their mean; never another place's.
    one_of = np.zeros(len(places), dtype=bool)
    np.logical_or.at(one_of, twin, np.abs(carry_weights(welded, character, split)[twin] - split).max(1) < 1e-5)
    assert ((near < 1e-5) | one_of).all()


def test_a_finer_mesh_of_the_same_shape_carries_its_weights(pip) -> None:
    import trimesh

    character, rig = pip
    vertices, faces = trimesh.remesh.subdivide(character.vertices, character.faces)
    count = len(vertices)
    fine = dataclasses.replace(
        character, vertices=vertices.astype(np.float32), faces=faces.astype(np.int32), normals=np.zeros((count, 3)),
        uv=np.zeros((count, 2), np.float32), vertex_colors=np.ones((count, 3), np.float32),
    )  # fmt: skip
    carried = carry_weights(fine, character, rig.weights)
    mixed = rig.weights[character.faces].reshape(-1, 3, rig.joint_count)
    edge = (character.vertices[character.faces] + np.roll(character.vertices[character.faces], -1, axis=1)) / 2
    middle = (mixed + np.roll(mixed, -1, axis=1)) / 2
    at = np.argmin(np.linalg.norm(fine.vertices[-200:, None] - edge.reshape(-1, 3)[None], axis=2), axis=1)
    expected = middle.reshape(-1, rig.joint_count)[at]
    crowded = (expected > 0).sum(1) > 8  # two vertices of eight influences each may have more between them
    assert np.abs(carried[-200:] - expected)[~crowded].max() < 1e-4
    assert np.allclose(carried.sum(1), 1.0, atol=1e-6) and (carried > 0).sum(1).max() <= 8


def bent(character: Character, amount: float) -> Character:
    """A bump on one side whose top is ``amount`` of the diagonal high."""
    vertices = character.vertices.astype(float)
    top = vertices[np.argmax(vertices[:, 2])]
    share = np.exp(-((np.linalg.norm(vertices - top, axis=1) / (0.05 * character.diagonal)) ** 2))
    vertices[:, 2] += amount * character.diagonal * share
    return dataclasses.replace(character, vertices=vertices.astype(np.float32))


def with_hat(character: Character) -> Character:
    """One more triangle behind the character, where the box doesn't grow."""
    low, high = character.vertices.min(0), character.vertices.max(0)
    corner = np.array([low[0], high[1], low[2]]) * 0.98 + 0.02 * (low + high) / 2
    more = np.stack([corner, corner + np.array([0.01, 0, 0]), corner + np.array([0, 0, 0.01])]).astype(np.float32)
    count = len(character.vertices)
    grown = {name: np.concatenate([getattr(character, name), getattr(character, name)[:3]])
             for name in ("normals", "uv", "vertex_colors")}  # fmt: skip
    return dataclasses.replace(
        character,
        vertices=np.concatenate([character.vertices, more]),
        faces=np.concatenate([character.faces, [[count, count + 1, count + 2]]]).astype(np.int32),
        **grown,
    )


def test_another_shape_is_refused_in_one_line(pip, tmp_path: Path) -> None:
    character, rig = pip
    slight = write_rig(bent(character, 0.006), rig, tmp_path / "slight.glb")[0]
    assert same_rig(character, rig, rig_from_file(character, slight))["weights"] < 0.2
    hat = with_hat(character)
    far = write_rig(bent(character, 0.02), rig, tmp_path / "far.glb")[0]
    extra = write_rig(
        hat, dataclasses.replace(rig, weights=np.concatenate([rig.weights, rig.weights[:3]])), tmp_path / "hat.glb"
    )[0]
    assert shape_difference(character, hat)[2]  # it is theirs that is too much
    for path in (far, extra):
        with pytest.raises(InputError, match=r"is not the shape of character pip: .* at most 1%") as told:
            rig_from_file(character, path)
        assert "\n" not in str(told.value) and path.name in str(told.value)
    write_rig(character, rig, tmp_path / "plain.glb")
    (tmp_path / "none.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(InputError, match="has no skeleton"):
        rig_from_file(character, tmp_path / "none.obj")


def through_blender(blender: Path, source: Path, target: Path, **wanted: Any) -> dict[str, Any]:
    """Open ``source`` in Blender, save it as ``target``; what Blender saw."""
    script, report = Path(__file__).with_name("blender_rig.py"), target.with_suffix(".json")
    command = [str(blender), str(script), str(source), str(target), str(report), json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and target.exists(), done.stderr[-2000:] + done.stdout[-2000:]
    return json.loads(report.read_text())


def check_what_blender_sees(seen: dict[str, Any], character: Character, rig: Rig, *, metres: bool) -> None:
    """Bones where the joints are, along the bones that go on; Blender is Z up."""
    upright = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    unit = 1.0 if metres else character.unit_scale
    assert sorted(seen["bones"]) in (sorted(rig.names), sorted(name.replace(".", "_") for name in rig.names))
    for index, name in enumerate(rig.names):
        bone = seen["bones"].get(name) or seen["bones"][name.replace(".", "_")]
        assert np.abs(np.array(bone["head"]) * unit - upright @ rig.heads[index]).max() < 1e-4 * character.diagonal
        assert np.abs(np.array(bone["axes"]) - upright @ rig.rest_world[index, :3, :3]).max() < 1e-3
        assert bone["along"] @ (upright @ rig.rest_world[index, :3, 1]) > 0.999  # +Y is the bone


@pytest.mark.slow
@pytest.mark.parametrize(("away", "home"), [(".glb", ".glb"), (".usd", ".usd"), (".glb", ".usd")])
def test_a_shipped_character_through_blender(blender, pip, tmp_path: Path, away: str, home: str, record_property):
    character, rig = pip
    source = write_rig(character, rig, tmp_path / f"pip{away}")[0]
    seen = through_blender(blender, source, tmp_path / f"back{home}", shuffle=away == home == ".glb")
    check_what_blender_sees(seen, character, rig, metres=away == ".usd")
    assert seen["influences"] == int((rig.weights > 0).sum(1).max()) and seen["pictures"]
    found = same_rig(character, rig, rig_from_file(character, tmp_path / f"back{home}"))
    record_property("difference", found)
    print(f"pip {away} -> Blender {seen['blender']} -> {home}: {found}")
    assert found["heads"] <= 1e-4 and found["axes"] <= 1e-3 and found["weights"] <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bevy_Fox", "quaternius_animal_Husky"])
@pytest.mark.parametrize("ending", [".glb", ".usd"])
def test_an_artists_rig_through_blender(blender, shared_data, tmp_path: Path, name: str, ending: str) -> None:
    loaded = load_character(shared_data / "rigs" / f"{name}.glb")
    character, rig = loaded.character, loaded.own_rig
    source = write_rig(character, rig, tmp_path / f"a{ending}")[0]
    seen = through_blender(blender, source, tmp_path / f"b{ending}")
    check_what_blender_sees(seen, character, rig, metres=ending == ".usd")
    found = same_rig(character, rig, rig_from_file(character, tmp_path / f"b{ending}"))
    print(f"{name} {ending}: {found}")
    assert found["heads"] <= 1e-4 and found["axes"] <= 1e-3 and found["weights"] <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".glb", ".usd"])
def test_a_joint_moved_in_blender_arrives_moved(blender, pip, tmp_path: Path, ending: str) -> None:
    character, rig = pip
    leaf = int(np.setdiff1d(np.arange(rig.joint_count), rig.parents)[0])
    name = rig.names[leaf]
    source = write_rig(character, rig, tmp_path / f"a{ending}")[0]
    given = name if ending == ".glb" else name.replace(".", "_")
    through_blender(blender, source, tmp_path / f"b{ending}", joint=given, by=[0.01, 0.02, 0.03])
    back = rig_from_file(character, tmp_path / f"b{ending}")
    order = [back.names.index(n) for n in rig.names]
    moved = back.heads[order] - rig.heads
    # Blender's x, y, z are our x, -z, y; only this joint moved, and the skin stayed where it was.
    assert np.abs(moved[leaf] - [0.01, 0.03, -0.02]).max() < 1e-4 * character.diagonal
    assert np.abs(np.delete(moved, leaf, axis=0)).max() < 1e-4 * character.diagonal
    assert np.abs(back.weights[:, order] - rig.weights).max() <= 1e-3


@pytest.mark.parametrize("ending", [".glb", ".usd"])
def test_a_write_that_fails_leaves_the_old_file(pip, tmp_path: Path, monkeypatch, ending: str) -> None:
    character, rig = pip
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("studio_pipeline.stages.delivery.gltf.GlbBuilder.write", full)
    monkeypatch.setattr("studio_pipeline.stages.delivery.usd_body.skinned_mesh", full)
    monkeypatch.setattr("studio_pipeline.stages.delivery.rig_files.skinned_mesh", full)
    with pytest.raises(StorageError, match=r"a\.\w+ can't be written \(No space left on device\)"):
        write_rig(character, rig, path)
    assert path.read_bytes() == b"old" and sorted(tmp_path.iterdir()) == [path]
