"""The solid of simple characters: volumes, embedding, binding, units, and what happens when the mesher hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.tetmesh import tet_volumes
from studio_pipeline.schema.arrays import load_arrays, save_arrays
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.rig.geometric import build_rig
from studio_pipeline.stages.solid import STAGE, meshing
from studio_pipeline.stages.solid.ftetwild import build_solid
from studio_pipeline.stages.solid.settings import SolidSettings

QUICK = SolidSettings(tets=(150, 3000), cells=40, epsilon=0.01)


def character_of(mesh: trimesh.Trimesh, scale: float = 1.0) -> Character:
    count = len(mesh.vertices)
    return Character(
        name="shape",
        vertices=(np.asarray(mesh.vertices) * scale).astype(np.float32),
        normals=np.asarray(mesh.vertex_normals, dtype=np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        uv=np.zeros((count, 2), np.float32),
        atlas=np.full((4, 4, 4), 200, np.uint8),
        vertex_colors=np.ones((count, 3), np.float32),
        height_m=scale,
        unit_scale=1.0,
    )


def rig_of(character: Character) -> Rig:
    return build_rig(character.vertices, character.faces)[0]


def limbed() -> trimesh.Trimesh:
    """A ball with a stick and a free-standing flat fin: closed, open and apart."""
    ball = trimesh.creation.icosphere(2, 0.3)
    stick = trimesh.creation.cylinder(0.07, 1.0, sections=12).apply_translation((0, 0, 0.6))
    fin = trimesh.Trimesh([[0.32, 0, 0], [0.9, 0.1, 0], [0.9, 0.5, 0.1]], [[0, 1, 2]], process=False)
    return trimesh.util.concatenate([ball, stick, fin])


@pytest.fixture(scope="module")
def limbed_solid():
    character = character_of(limbed())
    rig = rig_of(character)
    return character, rig, build_solid(character, rig, QUICK)


def test_volumes_are_positive_and_near_the_true_one(limbed_solid) -> None:
    character, _, built = limbed_solid
    volumes = tet_volumes(built.solid.vertices, built.solid.tets)
    assert (volumes > 0).all()
    ball, stick = 4 / 3 * np.pi * 0.3**3, np.pi * 0.07**2 * (1.1 - 0.3)
    assert ball + stick < volumes.sum() * 1.15 and volumes.sum() < 1.35 * (ball + stick)  # the fin is thickened
    assert character.vertices.dtype == np.float32


def test_skin_comes_back_from_its_embedding(limbed_solid) -> None:
    character, _, built = limbed_solid
    solid = built.solid
    assert len(solid.surface_tets) == len(character.vertices)
    corners = solid.vertices[solid.tets[solid.surface_tets]].astype(np.float64)
    back = np.einsum("vc,vca->va", solid.surface_barycentrics.astype(np.float64), corners)
    assert np.abs(back - character.vertices).max() < 2e-6 * character.diagonal
    assert built.measured.distance.max() < 0.02 * character.diagonal


def test_weights_and_bones_are_carried_over(limbed_solid) -> None:
    _, rig, built = limbed_solid
    solid = built.solid
    assert solid.vertex_weights.shape == (len(solid.vertices), rig.joint_count)
    assert np.abs(solid.vertex_weights.sum(1) - 1.0).max() < 1e-5 and solid.vertex_weights.min() >= 0.0
    held = solid.tet_joints >= 0
    assert 0.01 < held.mean() < 0.6
    centres = solid.vertices[solid.tets].mean(1)
    for joint in np.unique(solid.tet_joints[held]):
        share = np.linspace(0, 1, 20)[:, None]
        bone = rig.heads[joint] + share * (rig.tails[joint] - rig.heads[joint])
        own = centres[solid.tet_joints == joint]
        # The fin has one limb in its middle: its corner is 0.32 away.
        assert np.linalg.norm(own[:, None] - bone[None], axis=2).min(1).max() < 0.35
    # A vertex of the solid at the far end of the stick follows what the stick's end follows.
    stick_end = np.argmax(solid.vertices[:, 2])
    skin_end = np.argmax(limbed().vertices[:, 2])
    assert np.abs(solid.vertex_weights[stick_end] - rig.weights[skin_end]).max() < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_units_change_nothing(limbed_solid, scale: float) -> None:
    _, rig, built = limbed_solid
    character = character_of(limbed(), scale)
    moved = rig.rest_world.copy()
    moved[:, :3, 3] *= scale
    scaled = Rig(
        names=rig.names, parents=rig.parents, rest_world=moved, tails=rig.tails * np.float32(scale), weights=rig.weights
    )
    other = build_solid(character, scaled, QUICK)
    ratio = len(other.solid.tets) / len(built.solid.tets)
    assert 0.8 < ratio < 1.25  # float32 positions differ in the last bit: and fTetWild's order of work follows
    volume = [tet_volumes(s.vertices, s.tets).sum() for s in (built.solid, other.solid)]
    assert volume[1] / scale**3 == pytest.approx(volume[0], rel=0.03)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the mesher's entropy is fixed on Linux only")
def test_two_runs_give_the_same_bytes(tmp_path, limbed_solid) -> None:
    character, rig, built = limbed_solid
    again = build_solid(character, rig, QUICK)
    for name, solid in (("a", built.solid), ("b", again.solid)):
        (tmp_path / name).mkdir()
        solid.save(tmp_path / name)
    assert (tmp_path / "a" / "solid.npz").read_bytes() == (tmp_path / "b" / "solid.npz").read_bytes()


def test_stage_writes_its_payload_and_all_verdicts(tmp_path) -> None:
    character = character_of(trimesh.creation.icosphere(2, 0.5))
    for name in ("character", "rig", "out"):
        (tmp_path / name).mkdir()
    character.save(tmp_path / "character")
    rig_of(character).save(tmp_path / "rig")
    inputs = {"character": tmp_path / "character", "rig": tmp_path / "rig"}
    run = STAGE.backends["ftetwild"].load()
    result = run(StageContext(settings=QUICK, inputs=inputs, shot=None, out=tmp_path / "out"))
    assert tuple(v.name for v in result.verdicts) == STAGE.checks and all(v.passed for v in result.verdicts)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"solid.npz", "solid.json", "preview.png"}
    assert result.figures["driven_joints"] == result.figures["weighted_joints"]
    assert 0.9 < result.figures["volume_ratio"] < 1.15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plane", "needle", "half"])
def test_open_and_thin_shapes_get_a_solid(kind: str) -> None:
    ball = trimesh.creation.icosphere(2, 0.5)
    meshes = {
        "plane": trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False),
        "needle": trimesh.creation.cylinder(0.002, 1.0, sections=6),
        "half": trimesh.Trimesh(ball.vertices, ball.faces[ball.triangles_center[:, 1] > 0]),
    }
    character = character_of(meshes[kind])
    built = build_solid(character, rig_of(character), QUICK)
    assert (tet_volumes(built.solid.vertices, built.solid.tets) > 0).all()
    assert built.measured.distance.max() < 0.03 * character.diagonal


def test_a_hanging_mesher_is_killed_and_tried_again(monkeypatch, tmp_path) -> None:
    started = tmp_path / "started"
    code = f"import os,time; open({str(started)!r}, 'a').write(str(os.getpid()) + '\\n'); time.sleep(60)"
    real = subprocess.run

    def hang(command, **options):
        return real([sys.executable, "-c", code], **options)

    monkeypatch.setattr(meshing.subprocess, "run", hang)
    ball = trimesh.creation.icosphere(1, 0.3)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"no tetrahedra in 2 attempts \(killed after 1.5 s\)"):
        meshing.tetrahedralise(ball.vertices, ball.faces, SolidSettings(timeout_s=1.5, attempts=2))
    assert time.monotonic() - begun < 30
    pids = [int(line) for line in started.read_text().split()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_crash_is_one_clear_line(monkeypatch) -> None:
    real = subprocess.run

    def crash(command, **options):
        return real([sys.executable, "-c", "raise SystemExit('out of luck')"], **options)

    monkeypatch.setattr(meshing.subprocess, "run", crash)
    ball = trimesh.creation.icosphere(1, 0.3)
    with pytest.raises(InputError, match="ended with code 1 out of luck"):
        meshing.tetrahedralise(ball.vertices, ball.faces, SolidSettings(attempts=1))


def test_a_fine_surface_is_thinned_and_stays_closed() -> None:
    from studio_pipeline.stages.solid.ftetwild import _FACES, _thinned

    ball = trimesh.creation.icosphere(5, 0.5)
    points, faces = _thinned(ball.vertices, ball.faces)
    thin = trimesh.Trimesh(points, faces, process=False)
    assert len(ball.faces) > _FACES >= len(faces) and thin.is_watertight
    assert thin.volume == pytest.approx(ball.volume, rel=1e-3)
    few = trimesh.creation.icosphere(2, 0.5)
    assert _thinned(few.vertices, few.faces)[1] is few.faces


def test_bones_let_go_where_they_meet() -> None:
    from studio_pipeline.physics.scenes import bar_solid
    from studio_pipeline.stages.solid.binding import bind_tets

    solid = bar_solid(4, 2)  # 1 m up the y axis, half as wide as long bones are: two of them meet in the middle
    heads, tails = np.array([[0.0, 0, 0], [0, 0.5, 0]]), np.array([[0.0, 0.5, 0], [0, 1, 0]])
    weights = np.zeros((len(solid.vertices), 2))
    weights[:, 1] = solid.vertices[:, 1] > 0.5
    weights[:, 0] = 1.0 - weights[:, 1]
    for parents, held in (([-1, 0], False), ([-1, -1], True)):
        joints = bind_tets(solid.vertices.astype(float), solid.tets, weights, heads, tails, np.array(parents))
        height = solid.vertices[solid.tets].mean(1)[:, 1]
        assert (joints[np.abs(height - 0.25) < 0.05] == 0).any() and (joints[np.abs(height - 0.75) < 0.05] == 1).any()
        assert (joints[np.abs(height - 0.1) < 0.04] == 0).any()  # the root's own end is held
        assert (joints[np.abs(height - 0.5) < 0.07] >= 0).any() == held


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the mesher can't be kept on one core")
def test_the_mesher_works_alone(tmp_path) -> None:
    """Two threads race: counts of successes differ in every other run then, the result in one of a hundred."""
    mesh = trimesh.creation.icosphere(4, 0.4)
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces.astype(np.int32)}
    settings = {"epsilon": np.array(0.004), "edge_length": np.array(0.05), "cpu_s": np.array(60.0)}
    save_arrays(tmp_path / "surface.npz", **arrays, **settings)
    command = [sys.executable, "-m", "studio_pipeline.stages.solid._mesher", "surface.npz"]
    told = set()
    for name in ("a.npz", "b.npz", "c.npz", "d.npz"):
        done = subprocess.run([*command, name], cwd=tmp_path, capture_output=True, text=True, check=True)
        told.add(tuple(line for line in done.stdout.splitlines() if line.startswith("success")))
        assert load_arrays(tmp_path / name)["reproducible"]
    assert len(told) == 1 and len(next(iter(told))) > 10
