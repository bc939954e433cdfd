"""What counts as the truth, how a rig follows a clip, and the skin of a given skeleton."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character.conftest import GlbWriter, skinned

from studio_pipeline.evaluation.rigs.motions import followed_joints, motion_figures
from studio_pipeline.evaluation.rigs.sources import RiggedArrays, RiggedFile, choose_sources
from studio_pipeline.evaluation.rigs.subjects import Subject, truth_of
from studio_pipeline.geometry.bones import bone_ends
from studio_pipeline.geometry.rotations import matrix_to_sixd
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion, Rig
from studio_pipeline.stages.rig.geometric import bone_frames, skin


def rig_of(heads, tails, parents, weights) -> Rig:
    heads, tails = np.array(heads, dtype=np.float64), np.array(tails, dtype=np.float64)
    return Rig(
        names=tuple(f"joint_{k}" for k in range(len(heads))),
        parents=np.array(parents, dtype=np.int32),
        rest_world=bone_frames(heads, tails),
        tails=tails.astype(np.float32),
        weights=np.array(weights, dtype=np.float32),
    )


def true_rig(subject: Subject) -> Rig:
    """The truth as a prediction. Of several roots the first takes the others: where joints lie stays."""
    truth = subject.truth
    parents = np.where(truth.parents < 0, 0, truth.parents)
    parents[0] = -1
    frames = np.tile(np.eye(4), (len(parents), 1, 1))
    frames[:, :3, 3] = truth.joints
    return Rig(
        names=truth.names, parents=parents, rest_world=frames, tails=truth.tails.astype(np.float32),
        weights=truth.weights,
    )  # fmt: skip


def with_helpers() -> GlbWriter:
    """The bar of three joints below a control that moves nothing, with a helper that nothing hangs on."""
    writer = skinned()
    control = writer.node(name="control", children=[1], translation=[0, 0, -3])
    helper = writer.node(name="helper", translation=[9, 9, 9])
    writer.json["nodes"][1]["translation"] = [0, 0, 3]
    writer.json["nodes"][3]["children"] = [helper]
    writer.json["scenes"][0]["nodes"] = [0, control]
    bind = np.tile(np.eye(4), (5, 1, 1))
    bind[1:4, 3, 1] = [0.0, -0.5, -1.0]
    index = writer.accessor(bind.reshape(5, 16), "MAT4")
    writer.json["skins"] = [{"joints": [1, 2, 3, control, helper], "inverseBindMatrices": index}]
    writer.json["animations"] = []
    return writer


def test_joints_that_own_skin_and_those_above_them_count(tmp_path: Path) -> None:
    truth = RiggedFile(with_helpers().save(tmp_path / "bar.glb")).open().truth
    assert truth.names == ("control", "a", "b", "c")  # not the helper
    assert truth.parents.tolist() == [-1, 0, 1, 2]
    np.testing.assert_allclose(truth.weights.sum(1), 1.0, atol=1e-6)
    assert truth.weights[:, 0].max() == 0.0 and (truth.weights[:, 1:].max(0) > 0.4).all()


def test_a_root_that_the_file_lacks_is_no_joint(tmp_path: Path) -> None:
    writer = skinned()
    del writer.json["nodes"][1]["children"]
    writer.json["nodes"][2]["translation"] = [0, 0.5, 0]
    writer.json["scenes"][0]["nodes"] = [0, 1, 2]
    writer.json["animations"] = []
    source = RiggedFile(writer.save(tmp_path / "bar.glb"))
    truth = source.open().truth
    assert truth.names == ("a", "b", "c") and truth.parents.tolist() == [-1, -1, 1]
    assert len(truth.skeleton.bones) == 2  # b to c, and a alone


def test_owning_less_than_a_thousandth_is_owning_nothing() -> None:
    weights = np.array([[0.9991, 0.0009, 0.0], [0.4, 0.0, 0.6]])
    rig = rig_of([[0, 0, 0], [0, 1, 0], [1, 0, 0]], [[0, 1, 0], [0, 2, 0], [2, 0, 0]], [-1, 0, 0], weights)
    truth, kept = truth_of(rig)
    assert kept.tolist() == [0, 2]
    np.testing.assert_allclose(truth.weights, [[1.0, 0.0], [0.4, 0.6]], atol=1e-6)
    with pytest.raises(InputError, match="moves no vertex"):
        truth_of(replace(rig, weights=np.zeros_like(rig.weights)))


def test_the_end_of_a_leaf_is_made_from_the_shape_alone() -> None:
    bar = trimesh.creation.box((0.2, 2.0, 0.2)).subdivide().subdivide().subdivide()
    weights = np.eye(2)[(bar.vertices[:, 1] > 0).astype(int)]
    rig = rig_of([[0, -1, 0], [0, 0, 0]], [[0, 0, 0], [0, 0.01, 0]], [-1, 0], weights)
    truth, _ = truth_of(rig)
    ends = bone_ends(truth.joints, truth.parents, bar.vertices)
    np.testing.assert_allclose(ends, [[0, 0, 0], [0, 1, 0]], atol=0.1)
    swapped, _ = truth_of(replace(rig, weights=weights[:, ::-1].astype(np.float32)))
    np.testing.assert_array_equal(bone_ends(swapped.joints, swapped.parents, bar.vertices), ends)


def test_arrays_are_subjects_too() -> None:
    bar = trimesh.creation.box((0.2, 2.0, 0.2))
    weights = np.eye(2)[(bar.vertices[:, 1] > 0).astype(int)]
    rig = rig_of([[0, -1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0]], [-1, 0], weights)
    source = RiggedArrays(name="bar", vertices=bar.vertices, faces=bar.faces, rig=rig)
    subject = source.open()
    assert source.group == "procedural" and subject.character.diagonal == pytest.approx(np.sqrt(4.08))
    np.testing.assert_allclose(subject.truth.tails, rig.tails)
    moved = replace(source, rig=replace(rig, tails=rig.tails + 1))
    assert moved.digest() != source.digest() == replace(source).digest()


def lifted(rig: Rig, joint: int, by: float) -> Motion:
    """Two frames, in the second of which a joint moves along its own bone."""
    count = rig.joint_count
    turn = np.tile(matrix_to_sixd(np.eye(3)), (2, count, 1)).astype(np.float32)
    move = np.zeros((2, count, 3), np.float32)
    move[1, joint, 1] = by  # +Y runs along the bone
    return Motion(rotations=turn, translations=move, fps=Fraction(24), first_frame=0)


def test_motion_of_a_rig_with_too_few_joints_by_hand() -> None:
    bar = trimesh.creation.box((0.2, 2.0, 0.2))  # 4 vertices below, 4 above
    weights = np.eye(2)[(bar.vertices[:, 1] > 0).astype(int)]
    rig = rig_of([[0, -1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0]], [-1, 0], weights)
    motions = (("up", lifted(rig, 1, 0.5)), ("nothing", lifted(rig, 1, 0.001)))
    subject = RiggedArrays(name="bar", vertices=bar.vertices, faces=bar.faces, rig=rig, motions=motions).open()
    diagonal = np.sqrt(4.08)
    still = 100 * 0.5 / 2 / 2 / diagonal  # half of the vertices, one of two frames
    found = motion_figures(subject, rig)
    assert found is not None and found["percent"] == 0.0 and found["still_percent"] == pytest.approx(still)
    assert [clip["name"] for clip in found["clips"]] == ["up"]  # the other doesn't move enough to count
    lower = rig_of([[0, -0.9, 0]], [[0, -0.2, 0]], [-1], np.ones((8, 1)))
    upper = rig_of([[0, 0.2, 0]], [[0, 0.9, 0]], [-1], np.ones((8, 1)))
    assert followed_joints(subject, lower).tolist() == [0] and followed_joints(subject, upper).tolist() == [1]
    for single in (lower, upper):  # all vertices stay, or all move: half of them are wrong either way
        assert motion_figures(subject, single)["percent"] == pytest.approx(still)  # pyright: ignore
    finer = rig_of(
        [[0, -1, 0], [0, -0.5, 0], [0, 0, 0], [0, 0.6, 0]], [[0, -0.5, 0], [0, 0, 0], [0, 0.6, 0], [0, 1, 0]],
        [-1, 0, 1, 2], np.eye(4)[np.where(bar.vertices[:, 1] > 0, 3, 0)],
    )  # fmt: skip
    assert followed_joints(subject, finer).tolist() == [0, 0, 1, 1]
    assert motion_figures(subject, finer)["percent"] == 0.0  # pyright: ignore


def test_a_file_retargeted_to_itself_errs_by_nothing(tmp_path: Path) -> None:
    subject = RiggedFile(skinned().save(tmp_path / "bar.glb")).open()
    found = motion_figures(subject, true_rig(subject))
    assert found is not None and found["percent"] == 0.0 and found["still_percent"] > 5.0


@pytest.mark.parametrize("name", ["bevy_Fox.glb", "quaternius_animal_Husky.glb", "godot_mannequiny.glb"])
def test_real_rigs_retargeted_to_themselves_err_by_nothing(shared_data: Path, name: str) -> None:
    subject = RiggedFile(shared_data / "rigs" / name).open()
    found = motion_figures(subject, true_rig(subject))
    assert found is not None and found["percent"] < 1e-9 and found["still_percent"] > 1.0


def test_chosen_files(repository: Path, shared_data: Path, tmp_path: Path) -> None:
    assert {source.name for source in choose_sources([], None)} == {"mochi", "pip", "tumble"}
    assert len(choose_sources([], shared_data)) >= 20
    pip = str(repository / "assets" / "characters" / "pip.glb")
    assert [source.path for source in choose_sources([pip], shared_data)] == [Path(pip)]
    with pytest.raises(InputError, match="no such file"):
        choose_sources([str(tmp_path / "none.glb")], None)


def test_skin_of_a_given_skeleton() -> None:
    bar = trimesh.creation.box((0.3, 2.0, 0.3)).subdivide().subdivide().subdivide().subdivide()
    heads = np.array([[0, -2.5, 0], [0, -0.9, 0], [0, 0, 0]])  # the first, below the bar, reaches into it
    tails = np.array([[0, -0.9, 0], [0, 0, 0], [0, 0.9, 0]])
    weights = skin(bar.vertices, bar.faces, heads, tails, np.array([-1, 0, 1]))
    assert weights.shape == (len(bar.vertices), 3) and weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
    height = bar.vertices[:, 1]
    assert weights[height > 0.7, 2].min() > 0.95 and weights[(height < -0.3) & (height > -0.6), 1].min() > 0.8
    middle = np.abs(height) < 1e-6
    np.testing.assert_allclose(weights[middle][:, 1:].mean(0), 0.5, atol=0.1)
    assert weights[height > -0.5, 0].max() < 0.2  # what runs outside owns nothing far away
    twice = skin(30.0 * bar.vertices, bar.faces, 30.0 * heads, 30.0 * tails, np.array([-1, 0, 1]))
    np.testing.assert_allclose(twice, weights, atol=1e-3)  # the unit changes nothing
