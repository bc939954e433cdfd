"""Poses of several frames: what turns cost, the choice over time, passes from both ends, limbs that reach."""

from __future__ import annotations

import itertools

import lift_scene as scene
import numpy as np
import pytest

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, sixd_to_matrix
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.records import Motion, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.bridging import Bridge, bridged
from studio_pipeline.stages.lifted_motion.kinematics import Pose
from studio_pipeline.stages.lifted_motion.reaching import bare_points, reaches_of, reaching
from studio_pipeline.stages.lifted_motion.recovery import CREEP, JUMP, Recovery
from studio_pipeline.stages.lifted_motion.synthesis import Fitter

SIZE, FRAMES = 96, 7


def _fitter(rig: Rig, motion: Motion) -> tuple[Fitter, list[Pose]]:
    """A fitter of a filmed motion of the tentacle, and the true poses."""
    character, _ = scene.tentacle()
    vertices = scene.posed(character, rig, motion)
    camera, clip, coverage = scene.filmed(character, vertices, SIZE)
    observations = scene.seen_exactly(character, camera, vertices, coverage)
    rotations = sixd_to_matrix(motion.rotations).astype(np.float64)
    poses = [Pose(r, t.astype(np.float64)) for r, t in zip(rotations, motion.translations, strict=True)]
    return Fitter(character, rig, camera, clip, observations, LiftSettings()), poses


@pytest.fixture(scope="module")
def filmed() -> tuple[Fitter, list[Pose]]:
    rig = scene.tentacle()[1]
    return _fitter(rig, scene.bending(rig, FRAMES))


def _bent(pose: Pose, joint: int, turn: tuple[float, float, float]) -> Pose:
    other = pose.copy()
    other.rotations[joint] = other.rotations[joint] @ axis_angle_to_matrix(np.array(turn))
    return other


def _error(fitter: Fitter, pose: Pose, true: Pose) -> float:
    gap = np.linalg.norm(fitter.vertices_of(pose) - fitter.vertices_of(true), axis=1).mean()
    return float(gap / fitter.character.diagonal)


def test_the_way_through_all_frames_is_the_cheapest_of_all_ways(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, poses = filmed
    fitter.recovery = Recovery(fitter)
    bridge, rng = Bridge(fitter, poses), np.random.default_rng(2)
    for index in range(1, FRAMES):
        for _ in range(2):
            bridge.add(index, poses[index].moved(np.concatenate([rng.normal(0.0, 0.4, 9), np.zeros(9)])))
        bridge.costs[index] = list(rng.uniform(0.0, 4.0, len(bridge.poses[index])))
    assert [len(given) for given in bridge.poses] == [1] + [3] * (FRAMES - 1)

    def cost(way: tuple[int, ...]) -> float:
        chosen = [given[k].rotations for given, k in zip(bridge.poses, way, strict=True)]
        turns = sum(float(fitter.search.apart(a, b)) for a, b in itertools.pairwise(chosen))
        return turns + sum(costs[k] for costs, k in zip(bridge.costs, way, strict=True))

    ways = list(itertools.product(*(range(len(given)) for given in bridge.poses)))
    cheapest = min(ways, key=cost)
    assert [given.index(pose) for given, pose in zip(bridge.poses, bridge.best(), strict=True)] == list(cheapest)


@pytest.mark.parametrize("lost", [range(2, 5), range(4, FRAMES)], ids=["between", "to the end"])
def test_lost_frames_are_found_from_the_good_ones_beside_them(filmed: tuple[Fitter, list[Pose]], lost: range) -> None:
    """No search is left: what mends them is the pose of their neighbour alone, before or after them."""
    fitter, poses = filmed
    fitter.recovery = Recovery(fitter)
    fitter.recovery.found = lambda index, pose, expected, last, before: (pose, before)  # type: ignore[method-assign]
    given = [_bent(pose, 1, (0.2, 0.3, -1.3)) if index in lost else pose for index, pose in enumerate(poses)]
    assert min(_error(fitter, given[index], poses[index]) for index in lost) > 0.05
    mended = bridged(fitter, given)
    assert max(_error(fitter, pose, true) for pose, true in zip(mended, poses, strict=True)) < 0.03


def test_turns_cost_squares_near_and_logarithms_far(filmed: tuple[Fitter, list[Pose]]) -> None:
    fitter, _ = filmed
    speed = LiftSettings().speed

    def cost(angle: float) -> float:
        turned = axis_angle_to_matrix(np.array([[angle, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        return float(fitter.search.apart(np.tile(np.eye(3), (2, 1, 1)), turned))

    assert cost(0.02) == pytest.approx(0.5 * (0.02 / speed) ** 2, rel=1e-2)
    assert cost(3.0) - cost(1.5) < np.log(4.0)


def test_a_true_pose_of_many_bent_joints_costs_less_than_a_lost_tip() -> None:
    """Fingers: thirty joints that move next to nothing, all bent. They mustn't outweigh the tip, which is seen."""
    _, rig = scene.tentacle()
    count = 30
    fingers = Rig(
        names=(*rig.names, *(f"finger{k}" for k in range(count))),
        parents=np.concatenate([rig.parents, np.full(count, 2, np.int32)]),
        rest_world=np.concatenate([rig.rest_world, np.tile(rig.rest_world[2:], (count, 1, 1))]),
        tails=np.concatenate([rig.tails, np.tile(rig.tails[2:], (count, 1))]),
        weights=np.concatenate([rig.weights, np.zeros((len(rig.weights), count), np.float32)], axis=1),
    )
    motion = scene.bending(rig, FRAMES)
    still = np.tile(np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], np.float32), (FRAMES, count, 1))
    shifts = np.concatenate([motion.translations, np.zeros((FRAMES, count, 3), np.float32)], axis=1)
    rotations = np.concatenate([motion.rotations, still], axis=1)
    fitter, poses = _fitter(fingers, Motion(rotations=rotations, translations=shifts, fps=motion.fps, first_frame=1001))
    true, lost = poses[5].copy(), _bent(poses[5], 2, (0.0, 0.4, -1.0))
    true.rotations[3:] = axis_angle_to_matrix(np.array([0.0, 0.0, 2.0]))
    expected = Pose.rest(fitter.skeleton.count)
    costs = fitter.search.costs(5, [true, lost], expected)
    assert costs[0] < costs[1]


def test_a_tip_reaches_for_what_the_mask_shows_beyond_the_surface(filmed: tuple[Fitter, list[Pose]]) -> None:
    """Bent away by two joints, either of which alone leads nowhere."""
    fitter, poses = filmed
    lost = _bent(_bent(poses[6], 1, (0.1, 0.2, -1.4)), 2, (0.0, 0.3, -1.2))
    camera = fitter.search.scorer.camera
    rasters = [
        rasterize(fitter.vertices_of(pose)[None].astype(np.float32), fitter.character.faces, camera.at([6])).face_ids[0]
        for pose in (poses[6], lost)
    ]
    targets = bare_points(rasters[0] >= 0, rasters[1] >= 0)
    tip = int(fitter.vertices[:, 1].argmax())

    def seen(pose: Pose) -> np.ndarray:
        return project(camera.at([6]), fitter.vertices_of(pose)[None, [tip]])[0][0, 0]

    assert np.linalg.norm(targets[0] - seen(poses[6])) < 6.0 < np.linalg.norm(targets[0] - seen(lost)) / 2.0
    reaches = reaches_of(fitter.skeleton, fitter.vertices, fitter.weights, fitter.search.limbs)
    assert reaches and all(reach.length < 1.3 * scene.LENGTH for reach in reaches)
    found = reaching(fitter.search, reaches, 6, lost, targets, lost, 0)
    assert min(np.linalg.norm(seen(pose) - targets[0]) for pose in found) < 3.0
    assert min(_error(fitter, pose, poses[6]) for pose in found) < 0.5 * _error(fitter, lost, poses[6])


def test_what_gets_worse_slowly_is_tried_in_the_end(filmed: tuple[Fitter, list[Pose]]) -> None:
    """Steps too small to notice add up: the level that frames are compared with creeps, it does not follow."""
    fitter, poses = filmed
    fitter.recovery = Recovery(fitter)
    angles = np.linspace(0.0, 0.4, 400)
    bent = [_bent(poses[5], 2, (0.0, 0.0, float(angle))) for angle in angles]
    steps = [bent[0]]  # each explained worse than the one before by a little less than is noticed
    for pose, worse in zip(bent, fitter.search.data(5, bent) / fitter.floor, strict=True):
        if fitter.explained(5, steps[-1]) + 0.6 * JUMP < worse < 1.4:
            steps.append(pose)
    level, found = 1.0, steps[0]
    for pose in steps:
        found, after = fitter.recovery.found(5, pose, pose, pose, level)
        if found is not pose:
            break
        assert after <= max(level + CREEP, fitter.explained(5, pose)) + 1e-9
        level = after
    assert len(steps) > 6
    assert found is not pose
