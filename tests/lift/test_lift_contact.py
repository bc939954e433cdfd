"""Planted feet: found in a walk whose feet are known to stand, held against an error that the camera hardly sees."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.lifted_motion.contact import find_contacts, hold_contacts
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton
from studio_pipeline.stages.lifted_motion.seams import find_seams

FRAMES, BONE, HIP = 16, 0.4, 0.15
UP = 2.0 * BONE * np.cos(0.3)  # height of the hips over the ankles at rest: knees bent by 0.3 rad both ways
ANKLE = 0.08
LIFTED = range(7, 11)  # frames in which the right foot is in the air


def _box(low: list[float], high: list[float]) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    return np.array(low) + corners * (np.array(high) - np.array(low)), np.array(faces)


def _walker() -> tuple[Character, Rig]:
    """A block on two legs of thigh, shin and foot, at x = -HIP and HIP, bending about x."""
    names, parents, heads = ["body"], [-1], [[0.0, UP + ANKLE, 0.0]]
    boxes = [_box([-0.3, UP + ANKLE - 0.05, -0.25], [0.3, UP + ANKLE + 0.7, 0.25])]
    knee = ANKLE + BONE * np.cos(0.3), BONE * np.sin(0.3)
    for side, x in (("R", -HIP), ("L", HIP)):
        base = len(names)
        names += [f"thigh{side}", f"shin{side}", f"foot{side}"]
        parents += [0, base, base + 1]
        heads += [[x, UP + ANKLE, 0.0], [x, knee[0], knee[1]], [x, ANKLE, 0.0]]
        boxes.append(_box([x - 0.06, knee[0], 0.0], [x + 0.06, UP + ANKLE, 0.12]))
        boxes.append(_box([x - 0.05, ANKLE, 0.0], [x + 0.05, knee[0], 0.1]))
        boxes.append(_box([x - 0.06, 0.0, -0.06], [x + 0.06, ANKLE, 0.16]))
    vertices = np.concatenate([points for points, _ in boxes]).astype(np.float32)
    faces = np.concatenate([face + 8 * i for i, (_, face) in enumerate(boxes)]).astype(np.int32)
    world = np.tile(np.eye(4), (len(names), 1, 1))
    world[:, :3, 3] = heads
    weights = np.repeat(np.eye(len(names), dtype=np.float32), 8, axis=0)
    rig = Rig(
        names=tuple(names),
        parents=np.array(parents, np.int32),
        rest_world=world,
        tails=np.array(heads, np.float32),
        weights=weights,
    )
    count = len(vertices)
    character = Character(
        name="walker",
        vertices=vertices,
        normals=np.tile(np.float32([0, 1, 0]), (count, 1)),
        faces=faces,
        uv=np.zeros((count, 2), np.float32),
        atlas=np.full((2, 2, 4), 255, np.uint8),
        vertex_colors=np.ones((count, 3), np.float32),
        height_m=float(np.ptp(vertices[:, 1])),
        unit_scale=1.0,
    )
    return character, rig


def _leg(hip: np.ndarray, ankle: np.ndarray) -> np.ndarray:
    """Turns about x of thigh, shin and foot [3] that put the ankle in place and keep the sole level."""
    reach = ankle - hip
    length = np.hypot(reach[1], reach[2])
    bend = np.arccos(np.clip(length / (2.0 * BONE), -1.0, 1.0))
    tilt = np.arctan2(reach[2], -reach[1])
    thigh = -(tilt + bend) + 0.3  # a turn by +a about x takes -y towards -z
    shin = -(tilt - bend) - 0.3 - thigh
    return np.array([thigh, shin, -thigh - shin])


def _walk(rig: Rig) -> list[Pose]:
    """The body sways; the left foot stands, the right one steps up and back."""
    poses = []
    for frame in range(FRAMES):
        time = frame / (FRAMES - 1)
        pose = Pose.rest(rig.joint_count)
        pose.translations[0] = [0.0, -0.06 * np.sin(np.pi * time), 0.1 * np.sin(2.0 * np.pi * time)]
        for start, x in ((1, -HIP), (4, HIP)):
            ankle = np.array([x, ANKLE, 0.0])
            if start == 1 and frame in LIFTED:
                ankle[1] += 0.15
            turns = _leg(np.array([x, UP + ANKLE, 0.0]) + pose.translations[0], ankle)
            pose.rotations[start : start + 3] = axis_angle_to_matrix(turns[:, None] * np.array([1.0, 0.0, 0.0]))
        poses.append(pose)
    return poses


def _vertices(character: Character, rig: Rig, poses: list[Pose]) -> np.ndarray:
    transforms = np.stack([Skeleton(rig).transforms(pose) for pose in poses])
    return pose_vertices(character.vertices.astype(np.float64), np.asarray(rig.weights, np.float64), transforms)


def _slide(vertices: np.ndarray, vertex: int) -> float:
    return float(np.ptp(vertices[:, vertex], axis=0).max())


@pytest.fixture(scope="module")
def walk():
    character, rig = _walker()
    poses = _walk(rig)
    vertices = _vertices(character, rig, poses)
    view = frame_points(vertices.reshape(-1, 3), width=256, height=256, azimuth=0.6, elevation=0.15, fill=0.85)
    return character, rig, poses, vertices, view.at(np.zeros(FRAMES, int))


def _wrong(camera: CameraPath, poses: list[Pose]) -> list[Pose]:
    """The same but for the distance to the camera."""
    away = camera.world_to_camera[0, 2, :3]
    wrong = [pose.copy() for pose in poses]
    for frame, pose in enumerate(wrong[1:], start=1):
        pose.translations[0] += 0.025 * np.sin(0.4 * frame) * away
    return wrong


def test_the_scene_stands(walk) -> None:
    _, rig, _, vertices, _ = walk
    left = np.flatnonzero(rig.weights[:, rig.names.index("footL")] == 1.0)
    assert max(_slide(vertices, v) for v in left) < 1e-6
    assert np.ptp(vertices[:, 0, 2]) > 0.15  # the body moves


def test_planted_feet_are_found(walk) -> None:
    character, rig, _, vertices, camera = walk
    contacts = find_contacts(character, rig, [camera], vertices)
    assert {rig.names[c.joint] for c in contacts} == {"footL", "footR"}
    assert all((c.first, c.last) == (0, FRAMES - 1) for c in contacts if rig.names[c.joint] == "footL")
    runs = {(c.first, c.last) for c in contacts if rig.names[c.joint] == "footR"}
    assert runs == {(0, LIFTED.start - 1), (LIFTED.stop, FRAMES - 1)}


def test_a_treadmill_and_a_swimmer_have_none(walk) -> None:
    character, rig, _, vertices, camera = walk
    along = camera.world_to_camera[0, 0, :3] / camera.focal[0] * 4.0
    creeping = vertices + along * 0.3 * np.arange(FRAMES)[:, None, None]  # a third of a pixel a frame
    assert find_contacts(character, rig, [camera], creeping) == []
    sinking = vertices.copy()
    sinking[5:8, :8] -= [0.0, 1.2, 0.0]  # something reaches far below what would be the ground
    assert find_contacts(character, rig, [camera], sinking) == []
    assert find_contacts(character, rig, [camera], vertices[:2]) == []


def test_what_slides_in_depth_is_held(walk) -> None:
    character, rig, poses, truth, camera = walk
    wrong = _wrong(camera, poses)
    before = _vertices(character, rig, wrong)
    contacts = find_contacts(character, rig, [camera], before)
    held, told = hold_contacts(character, rig, [camera], wrong, find_seams(character, rig), contacts)
    after = _vertices(character, rig, held)
    left = [c for c in told if rig.names[c.joint] == "footL"]
    assert left
    assert all(c.held and c.before_m > 0.03 and c.after_m < 0.15 * c.before_m for c in left)
    for contact in left:  # what is told is what happened
        path = before[contact.first : contact.last + 1, contact.vertex]
        gap = np.linalg.norm(path[:, None] - path[None], axis=-1).max()
        assert contact.before_m == pytest.approx(gap, rel=1e-6)
    # The motion came nearer to the truth, and the picture stayed.
    assert np.linalg.norm(after - truth, axis=-1).mean() < 0.6 * np.linalg.norm(before - truth, axis=-1).mean()
    moved = np.linalg.norm(project(camera, after)[0] - project(camera, before)[0], axis=-1)
    assert np.percentile(moved, 95) < 1.0
    np.testing.assert_allclose(after[0], character.vertices, atol=1e-6)


def test_what_would_move_the_picture_is_left(walk, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio_pipeline.stages.lifted_motion import contact as module

    monkeypatch.setattr(module, "MOST_PX", 1e-4)
    character, rig, poses, _, camera = walk
    wrong = _wrong(camera, poses)
    contacts = find_contacts(character, rig, [camera], _vertices(character, rig, wrong))
    held, told = hold_contacts(character, rig, [camera], wrong, find_seams(character, rig), contacts)
    assert held is wrong
    assert not any(c.held for c in told)
