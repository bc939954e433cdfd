"""The geometric rig against shapes whose skeleton is known, and against anything that a file may hold."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, Rig
from studio_pipeline.stages.rig.checks import check_rig
from studio_pipeline.stages.rig.geometric import bone_frames, build_rig


def character_of(mesh: trimesh.Trimesh) -> Character:
    count = len(mesh.vertices)
    return Character(
        name="shape",
        vertices=np.asarray(mesh.vertices, dtype=np.float32),
        normals=np.tile(np.float32([0, 1, 0]), (count, 1)),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        uv=np.zeros((count, 2), np.float32),
        atlas=np.full((4, 4, 4), 200, np.uint8),
        vertex_colors=np.ones((count, 3), np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def capsule(start, stop, radius: float) -> trimesh.Trimesh:
    start, stop = np.array(start, float), np.array(stop, float)
    mesh = trimesh.creation.capsule(height=np.linalg.norm(stop - start), radius=radius, count=[16, 16])
    mesh.apply_translation(-mesh.bounds.mean(0))
    mesh.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], stop - start))
    mesh.apply_translation((start + stop) / 2)
    return mesh


def tube(line: np.ndarray, radius: float, sides: int = 16) -> trimesh.Trimesh:
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rings = []
    for point, ahead in zip(line, np.gradient(line, axis=0), strict=True):
        frame = trimesh.geometry.align_vectors([0, 0, 1], ahead)[:3, :2]
        rings.append(point + ring @ frame.T)
    cloud = np.concatenate([*rings, line[[0, -1]]])
    faces = []
    for step in range(len(line) - 1):
        for side in range(sides):
            a, b = step * sides + side, step * sides + (side + 1) % sides
            faces += [[a, b, b + sides], [a, b + sides, a + sides]]
    last = (len(line) - 1) * sides
    for side in range(sides):
        after = (side + 1) % sides
        faces += [[len(cloud) - 2, after, side], [len(cloud) - 1, last + side, last + after]]
    return trimesh.Trimesh(cloud, faces, process=False)


def biped(gap: float = 0.01) -> trimesh.Trimesh:
    hip = 0.06 + gap / 2
    parts = [capsule((0, 0.75, 0), (0, 1.3, 0), 0.13), trimesh.creation.icosphere(3, 0.14)]
    parts[1].apply_translation((0, 1.62, 0))
    parts.append(capsule((0, 1.35, 0), (0, 1.6, 0), 0.05))
    for side in (-1, 1):
        parts.append(capsule((side * hip, 0.78, 0), (side * hip, 0.06, 0), 0.06))
        parts.append(capsule((side * 0.08, 1.3, 0), (side * 0.75, 1.25, 0), 0.05))
    return trimesh.util.concatenate(parts)


def leaves(rig: Rig) -> np.ndarray:
    return np.setdiff1d(np.arange(rig.joint_count), rig.parents)


def children(rig: Rig) -> np.ndarray:
    return np.bincount(rig.parents[1:], minlength=rig.joint_count)


def bone_distance(rig: Rig, points: np.ndarray) -> np.ndarray:
    """From points to bones: from heads to tails, and from parents to children."""
    share = np.linspace(0, 1, 33)[:, None, None]
    starts = np.concatenate([rig.heads, rig.heads[rig.parents[1:]]])
    cloud = (starts + share * (np.concatenate([rig.tails, rig.heads[1:]]) - starts)).reshape(-1, 3)
    return np.linalg.norm(points[:, None] - cloud[None], axis=2).min(1)


def test_a_forked_tube_has_one_branching_of_three() -> None:
    ends = np.array([[0, -1, 0], [0.8, 0.8, 0], [-0.8, 0.8, 0.3]])
    mesh = trimesh.util.concatenate([capsule((0, 0, 0), end, 0.12) for end in ends])
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert len(leaves(rig)) in (2, 3)  # the root may be one of the ends
    tips = rig.tails[leaves(rig)]
    reached = [np.linalg.norm(np.vstack([tips, rig.heads[:1]]) - end, axis=1).min() for end in ends]
    assert max(reached) < 0.3
    line = np.concatenate([np.linspace(0, 1, 21)[:, None] * end for end in ends])
    assert bone_distance(rig, line).max() < 0.17


def test_a_bent_tube_is_a_chain_along_its_middle() -> None:
    along = np.linspace(-1, 1, 80)
    line = np.stack([0.35 * np.sin(3.5 * along), 0 * along, 1.6 * along], axis=1)
    mesh = tube(line, 0.1)
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert children(rig)[1:].max() <= 1 and children(rig)[0] <= 2
    assert 6 <= rig.joint_count <= 16
    assert bone_distance(rig, line).max() < 0.1


def test_separate_parts_make_one_tree() -> None:
    left, right = trimesh.creation.icosphere(2, 0.5), trimesh.creation.icosphere(2, 0.4)
    left.apply_translation((-1, 0, 0))
    right.apply_translation((0.9, 0.2, 0))
    mesh = trimesh.util.concatenate([left, right])
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert (rig.parents[1:] >= 0).all() and rig.parents[0] == -1
    count = len(left.vertices)
    owners = [np.argmax(rig.weights[part].sum(0)) for part in (slice(None, count), slice(count, None))]
    assert owners[0] != owners[1]  # each ball moves on its own


def test_a_mirrored_body_gets_a_mirrored_rig() -> None:
    mesh = biped()
    rig, symmetric = build_rig(mesh.vertices, mesh.faces)
    assert symmetric
    flip = np.array([-1.0, 1.0, 1.0])
    partner = np.argmin(np.linalg.norm(rig.heads[:, None] * flip - rig.heads[None], axis=2), axis=1)
    assert np.abs(rig.heads[partner] - rig.heads * flip).max() < 1e-9
    assert np.array_equal(partner[partner], np.arange(rig.joint_count))
    sides = str.maketrans("LR", "RL")
    assert [rig.names[p] for p in partner] == [n[:-1] + n[-1].translate(sides) for n in rig.names]
    assert {"hips", "head", "thigh.L", "shin.R", "foot.L", "upper_arm.R", "forearm.L"} <= set(rig.names)
    twin = np.argmin(np.linalg.norm(mesh.vertices[:, None] * flip - mesh.vertices[None], axis=2), axis=1)
    difference = np.abs(rig.weights[twin][:, partner] - rig.weights)  # the triangles are not mirrored: nor the normals
    assert difference.max() < 0.25 and difference.mean() < 2e-3


def pair_only() -> trimesh.Trimesh:
    """A head on a neck with two ears, and nothing in the middle beyond it."""
    parts = [capsule((0, 0, 0), (0, 1, 0), 0.12)]
    parts += [capsule((0, 1, 0), (side * 0.5, 1.5, 0), 0.07) for side in (-1, 1)]
    return trimesh.util.concatenate(parts)


def test_neither_of_a_pair_continues_the_spine() -> None:
    mesh = pair_only()
    rig, symmetric = build_rig(mesh.vertices, mesh.faces)
    assert symmetric
    flip = np.array([-1.0, 1.0, 1.0])
    partner = np.argmin(np.linalg.norm(rig.heads[:, None] * flip - rig.heads[None], axis=2), axis=1)
    assert np.array_equal(np.where(rig.parents < 0, -1, partner[rig.parents]), rig.parents[partner])
    assert all(abs(rig.heads[j, 0]) < 1e-9 for j, name in enumerate(rig.names) if "." not in name)


def test_a_sack_with_a_knot_bends_in_its_belly() -> None:
    ball = trimesh.creation.icosphere(3, 0.5).apply_translation((0, 0.5, 0))
    knot = [capsule((0, 0.95, 0), (side * 0.3, 1.3, 0), 0.06) for side in (-1, 1)]
    mesh = trimesh.util.concatenate([ball, *knot])
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    in_ball = (np.linalg.norm(rig.heads - [0, 0.5, 0], axis=1) < 0.45) & (np.abs(rig.heads[:, 0]) < 1e-6)
    assert in_ball.sum() >= 3
    assert rig.heads[0, 1] < 0.35  # it stands on its root
    assert np.ptp(rig.weights[: len(ball.vertices)], axis=0)[in_ball].min() > 0.3


def test_weights_do_not_cross_the_gap_between_legs() -> None:
    mesh = biped(gap=0.03)
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    low = rig.heads[:, 1] < 0.6
    right_leg = low & (rig.heads[:, 0] < 0)
    on_left = (mesh.vertices[:, 1] < 0.5) & (mesh.vertices[:, 0] > 0)
    assert right_leg.any() and on_left.any()
    # Through the body the other leg is at least 0.4 away though it stands 0.03 from this one.
    assert rig.weights[on_left][:, right_leg].sum(1).max() < 0.02
    assert rig.weights[on_left][:, low & ~right_leg].sum(1).min() > 0.5


def test_a_blob_gets_a_spine_that_bends() -> None:
    mesh = trimesh.creation.icosphere(3, 0.4)
    mesh.apply_scale((1.0, 1.1, 0.9))
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert 3 <= rig.joint_count <= 5
    assert children(rig).max() == 1
    upward = (rig.tails - rig.heads)[:, 1]
    assert (upward > 0).all()
    assert np.ptp(rig.weights, axis=0).min() > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_units_change_nothing(scale: float) -> None:
    mesh = biped()
    rig, _ = build_rig(mesh.vertices.astype(np.float32), mesh.faces)
    scaled, _ = build_rig((mesh.vertices * scale).astype(np.float32), mesh.faces)
    assert scaled.names == rig.names
    assert np.abs(scaled.heads / scale - rig.heads).max() < 0.01
    assert np.abs(scaled.weights - rig.weights).mean() < 1e-3


def test_same_input_same_bytes(tmp_path) -> None:
    mesh = biped()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        build_rig(mesh.vertices, mesh.faces)[0].save(tmp_path / name)
    for name in ("rig.npz", "rig.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def hostile() -> dict[str, trimesh.Trimesh]:
    draw = np.random.default_rng(3)
    ball = trimesh.creation.icosphere(2, 0.5)
    plane = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    soup = draw.normal(size=(600, 3))
    flat = np.vstack([ball.faces, draw.integers(0, len(ball.vertices), (4000, 1)).repeat(3, 1)])
    fan = [[0, 1, 2 + i] for i in range(9)]
    fins = np.vstack([[[0, 0, 0], [0, 1, 0]], [[np.cos(a), 0.5, np.sin(a)] for a in np.linspace(0, 6, 9)]])
    sheet = trimesh.creation.box((4, 0.002, 0.8)).subdivide().subdivide()
    wings = trimesh.util.concatenate([ball, sheet])
    hair = [capsule((0, 0, 0), d, 0.004) for d in draw.normal(size=(12, 3))]
    inside_out = ball.copy()
    inside_out.invert()
    return {
        "plane": plane,
        "one triangle": trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False),
        "line": trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False),
        "needle": trimesh.creation.cylinder(0.001, 2.0, sections=6),
        "soup": trimesh.Trimesh(soup, np.arange(600).reshape(-1, 3), process=False),
        "degenerate": trimesh.Trimesh(ball.vertices, flat, process=False),
        "non-manifold": trimesh.Trimesh(fins, fan, process=False),
        "half": trimesh.Trimesh(ball.vertices, ball.faces[ball.triangles_center[:, 1] > 0], process=False),
        "wings": wings,
        "hair": trimesh.util.concatenate([ball, *hair]),
        "inside out": inside_out,
        "dust": trimesh.util.concatenate(
            [trimesh.creation.icosphere(0, 0.01).apply_translation(p) for p in draw.normal(size=(120, 3))]
        ),
    }


QUICK = ("plane", "degenerate", "line")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in sorted(hostile())]
)
def test_every_mesh_gets_a_usable_rig(name: str) -> None:
    mesh = hostile()[name]
    rig, _ = build_rig(mesh.vertices, mesh.faces)
    assert 2 <= rig.joint_count <= 60
    assert len(set(rig.names)) == rig.joint_count
    failed = [v for v in check_rig(character_of(mesh), rig) if not v.passed]
    assert not failed, failed
    turn = np.zeros((1, rig.joint_count, 6), np.float32)
    turn[..., 0], turn[..., 4] = 1, 1
    still = Motion(rotations=turn, translations=np.zeros((1, rig.joint_count, 3), np.float32), fps=24, first_frame=1)
    posed = pose_vertices(mesh.vertices, rig.weights, skinning_transforms(rig, still))[0]
    assert np.abs(posed - mesh.vertices).max() < 1e-5 * max(1.0, np.abs(mesh.vertices).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dust", "line", "one triangle", "soup"])
def test_the_default_takes_every_mesh_too(name: str) -> None:
    from studio_pipeline.stages.rig import STAGE, auto

    assert STAGE.default == "auto"
    mesh = hostile()[name]
    rig, *_ = auto.build_rig(mesh.vertices, mesh.faces)
    failed = [v for v in check_rig(character_of(mesh), rig) if not v.passed and v.blocking]
    assert rig.joint_count >= 2 and not failed, failed


def test_a_point_is_refused() -> None:
    with pytest.raises(InputError, match="no extent"):
        build_rig(np.zeros((3, 3)), np.array([[0, 1, 2]]))


def test_frames_run_along_the_bones_and_are_rigid() -> None:
    draw = np.random.default_rng(0)
    heads, tails = draw.normal(size=(50, 3)), draw.normal(size=(50, 3))
    tails[0] = heads[0] + [0, 0, 1]
    tails[1] = heads[1] + [0, -1, 0]
    frames = bone_frames(heads, tails)
    rotation = frames[:, :3, :3]
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(rotation), 1)
    assert np.allclose(rotation[:, :, 1], (tails - heads) / np.linalg.norm(tails - heads, axis=1, keepdims=True))
    assert np.allclose(frames[:, :3, 3], heads)
    assert np.allclose(frames[1, :3, 2], [0, 0, 1])
