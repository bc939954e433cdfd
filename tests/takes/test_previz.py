"""Procedural motion on bodies whose parts are known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.geometry.rotations import sixd_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.records import Rig
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.stages.takes.acting import act
from studio_pipeline.stages.takes.drawn import account
from studio_pipeline.stages.takes.performances import PERFORMANCES
from studio_pipeline.stages.takes.posing import keyed

T = 40


def acted(bodies, view, directed, name, performance, frames=T, seed=1, **options):
    rig, character = bodies(name, **options)
    camera = view(character, frames)
    extra = {"motion.performance": performance} if isinstance(performance, str) else performance
    result = act(
        rig,
        character.vertices,
        camera,
        directed(extra),
        fps=Fraction(24),
        frame_count=frames,
        first_frame=1001,
        seed=seed,
    )
    return rig, character, result


def test_every_value_of_the_taxonomy_has_a_performance() -> None:
    field = load_taxonomy().field("motion.performance")
    assert field is not None and set(field.values) == set(PERFORMANCES)


def test_bodies_are_understood(bodies) -> None:
    rig, character = bodies("biped")
    plan = body_plan(rig, character.vertices)
    assert [tuple(limb.joints for limb in pair) for pair in plan.legs] == [((3, 4, 5), (6, 7, 8))]
    assert [tuple(limb.joints for limb in pair) for pair in plan.arms] == [((9, 10), (11, 12))]
    assert plan.spine == (1,) and plan.head == (2,) and plan.upright and not plan.tails
    assert np.array_equal(plan.front, [0, 0, 1]) and np.array_equal(plan.left, [1, 0, 0])
    rig, character = bodies("quadruped")
    plan = body_plan(rig, character.vertices)
    assert [pair[0].joints for pair in plan.legs] == [(6, 7), (10, 11)]  # front first
    assert [tail.joints for tail in plan.tails] == [(4, 5)] and not plan.upright and plan.head == (2, 3)
    rig, character = bodies("chain")
    plan = body_plan(rig, character.vertices)
    assert not plan.legs and not plan.arms and len(plan.spine) + len(plan.head) == 7


@pytest.mark.parametrize("name", ["biped", "quadruped"])
def test_a_body_that_faces_away_is_its_mirror(bodies, name: str) -> None:
    rig, character = bodies(name, turned=True)
    plan = body_plan(rig, character.vertices)
    assert np.allclose(plan.front, [0, 0, -1]) and np.allclose(plan.left, [-1, 0, 0])
    for pair in (*plan.legs, *plan.arms):
        assert pair[0].points[0] @ plan.left > 0.0 > pair[1].points[0] @ plan.left
        assert pair[0].side == 1 and pair[1].side == -1


@pytest.mark.parametrize("name", ["biped", "quadruped", "chain", "ball"])
@pytest.mark.parametrize("performance", sorted(PERFORMANCES))
def test_index_0_rests_and_nothing_sinks(bodies, view, directed, name: str, performance: str) -> None:
    rig, character, result = acted(bodies, view, directed, name, performance)
    motion = result.motion
    assert np.allclose(sixd_to_matrix(motion.rotations[0]), np.eye(3), atol=1e-6) and np.allclose(
        motion.translations[0], 0, atol=1e-7
    )
    assert np.allclose(result.vertices[0], character.vertices, atol=1e-5)
    low = result.vertices[..., 1].min(1) - character.vertices[:, 1].min()
    assert low.min() > -1e-4
    if performance in ("walk", "idle", "sneak", "wave", "look_around", "fall", "attack") and (
        name in ("biped", "quadruped")
    ):
        assert np.abs(low).max() < 1e-4  # something always stands on the ground
    if performance in ("jump", "hop", "run", "fly"):
        assert low.max() > 0.02 * float(np.ptp(character.vertices[:, 1]))
    steps = np.linalg.norm(np.diff(result.vertices, axis=0), axis=-1).max()
    assert steps < 0.35 * character.diagonal
    posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
    assert np.array_equal(posed, result.vertices)
    if performance == "hold":
        assert np.abs(result.vertices - character.vertices).max() < 1e-5
    else:
        assert np.abs(result.vertices - character.vertices).max() > 0.004 * character.diagonal


def feet(result, rig, joints, front):
    return np.stack([result.vertices[:, rig.weights[:, joint] > 0.5].mean(1) @ front for joint in joints], axis=-1)


@pytest.mark.parametrize(("name", "turned"), [("biped", False), ("biped", True), ("quadruped", False)])
def test_legs_swing_against_each_other_and_arms_against_legs(bodies, view, directed, name: str, turned: bool) -> None:
    rig, character, result = acted(bodies, view, directed, name, "walk", frames=60, turned=turned)
    front = body_plan(rig, character.vertices).front
    pairs = {"biped": [(5, 8)], "quadruped": [(7, 9), (11, 13)]}[name]
    for left, right in pairs:
        moved = feet(result, rig, (left, right), front)[8:]
        moved = moved - moved.mean(0)
        assert np.corrcoef(moved.T)[0, 1] < -0.6
        assert np.ptp(moved, axis=0).min() > 0.1 * character.height_m
    if name == "biped":
        moved = feet(result, rig, (5, 10), front)[8:]
        assert np.corrcoef(moved.T)[0, 1] < -0.6  # left foot, left hand


def test_a_foot_on_the_ground_moves_back_and_a_lifted_one_forward(bodies, view, directed) -> None:
    rig, _, result = acted(bodies, view, directed, "biped", "walk", frames=60)
    ahead = feet(result, rig, (5, 8), np.array([0.0, 0, 1]))
    height = feet(result, rig, (5, 8), np.array([0.0, 1, 0]))
    speed = np.diff(ahead, axis=0)[8:]
    higher = height[9:, 0] > height[9:, 1]
    assert (np.where(higher, speed[:, 0], speed[:, 1]) > 0).mean() > 0.8
    assert (np.where(higher, speed[:, 1], speed[:, 0]) < 0).mean() > 0.8


def test_gaits_of_four_legs_differ(bodies, view, directed) -> None:
    def together(performance: str) -> float:
        rig, _, result = acted(bodies, view, directed, "quadruped", performance, frames=60)
        return float(np.corrcoef(feet(result, rig, (7, 13), np.array([0.0, 0, 1]))[8:].T)[0, 1])

    assert together("trot") > 0.7  # diagonal legs swing together
    assert together("walk") < 0.6


def test_names_and_joint_frames_mean_nothing(bodies, view, directed) -> None:
    rig, character, result = acted(bodies, view, directed, "biped", "dance")
    _, _, other = acted(bodies, view, directed, "biped", "dance", frames_seed=9)
    assert np.allclose(result.vertices, other.vertices, atol=1e-4)
    renamed = Rig(**{**vars(rig), "names": tuple(f"leg{i}" for i in range(rig.joint_count))})
    same = act(
        renamed,
        character.vertices,
        view(character, T),
        directed({"motion.performance": "dance"}),
        fps=Fraction(24),
        frame_count=T,
        first_frame=1001,
        seed=1,
    )
    assert np.array_equal(same.vertices, result.vertices)


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(bodies, view, directed) -> None:
    first, again, other = (acted(bodies, view, directed, "biped", "walk", seed=s)[2].motion for s in (1, 1, 2))
    assert first.rotations.tobytes() == again.rotations.tobytes()
    assert first.rotations.tobytes() != other.rotations.tobytes()


def test_poses_are_held_on_twos_and_threes(bodies, view, directed) -> None:
    for value, hold in (("twos", 2), ("threes", 3)):
        motion = acted(bodies, view, directed, "biped", {"motion.performance": "walk", "motion.timing": value})[
            2
        ].motion
        same = (motion.rotations[1:] == motion.rotations[:-1]).all((1, 2))
        expected = np.array([index > 0 and index % hold != 0 for index in range(T - 1)])
        assert np.array_equal(same, expected)


def test_energy_makes_movements_larger(bodies, view, directed) -> None:
    def spread(energy: str) -> float:
        rig, _, result = acted(
            bodies, view, directed, "biped", {"motion.performance": "walk", "motion.energy": energy}, frames=60
        )
        return float(np.ptp(feet(result, rig, (5,), np.array([0.0, 0, 1]))))

    assert spread("subtle") < 0.6 * spread("normal") < 0.75 * spread("lively")


def test_movements_shrink_to_stay_in_the_picture(bodies, view, directed) -> None:
    rig, character = bodies("biped")
    camera = view(character, T).resized(96, 96)
    tight = type(camera)(world_to_camera=camera.world_to_camera, focal=camera.focal * 1.38, width=96, height=96)
    ask = directed({"motion.performance": "jump", "motion.energy": "explosive"})
    options = {"fps": Fraction(24), "frame_count": T, "first_frame": 1001, "seed": 1}
    free = act(rig, character.vertices, tight, ask, keep_in_frame=False, **options)
    kept = act(rig, character.vertices, tight, ask, **options)
    assert free.in_frame < 1.0 and kept.in_frame > free.in_frame and kept.size < 1.0


def test_what_is_not_obeyed_is_said(bodies, view, directed) -> None:
    asked = directed({"motion.performance": "hold", "camera.move": "pan_left", "motion.accent": "anticipation"})
    refused = acted(bodies, view, directed, "biped", {"motion.performance": "hold", "motion.accent": "anticipation"})[2]
    assert refused.refused == ("motion.accent=anticipation",)  # a pose that is held has nothing to anticipate
    obeyed, not_obeyed = account(asked, refused.refused)
    assert set(obeyed) == {"motion.performance=hold", "camera.move=pan_left"}
    assert not_obeyed == ("motion.accent=anticipation",)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10_000), st.sampled_from(sorted(PERFORMANCES)), st.integers(1, 30))
def test_any_tree_moves(view_of, joints: int, seed: int, performance: str, frames: int) -> None:
    rng = np.random.default_rng(seed)
    parents = np.array([-1] + [int(rng.integers(0, j)) for j in range(1, joints)], np.int32)
    vertices = rng.normal(size=(30, 3)).astype(np.float32)
    rest = np.tile(np.eye(4), (joints, 1, 1))
    rest[:, :3, 3] = rng.normal(size=(joints, 3))
    weights = rng.dirichlet(np.full(joints, 0.3), 30).astype(np.float32)
    rig = Rig(
        names=tuple(map(str, range(joints))),
        parents=parents,
        rest_world=rest,
        tails=rest[:, :3, 3].astype(np.float32),
        weights=weights,
    )
    camera, ask = view_of(vertices, frames, performance)
    result = act(rig, vertices, camera, ask, fps=Fraction(24), frame_count=frames, first_frame=1, seed=0)
    assert np.isfinite(result.vertices).all() and np.allclose(result.vertices[0], vertices, atol=1e-4)


@pytest.fixture(scope="module")
def view_of(directed):
    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.schema.records import CameraPath

    def make(vertices: np.ndarray, frames: int, performance: str):
        one = frame_points(vertices, width=64, height=64, fill=0.6)
        camera = CameraPath(
            world_to_camera=np.repeat(one.world_to_camera, frames, 0),
            focal=np.repeat(one.focal, frames),
            width=64,
            height=64,
        )
        return camera, directed({"motion.performance": performance})

    return make


def test_keyed_passes_through_its_keys_without_overshoot() -> None:
    keys = [(0.0, 0.0), (0.3, -1.0), (0.5, 2.0), (1.0, 0.5)]
    assert np.allclose(keyed(np.array([k for k, _ in keys]), keys), [v for _, v in keys])
    dense = keyed(np.linspace(-0.5, 1.5, 400), keys)
    assert abs(dense.min() + 1.0) < 1e-3 and abs(dense.max() - 2.0) < 1e-3 and dense[0] == 0.0 and dense[-1] == 0.5


def test_ears_are_no_arms(bodies) -> None:
    ears = [(2, (side * 0.08, 1.86, 0), (side * 0.12, 2.1, 0), 0.03) for side in (1, -1)]
    rig, character = bodies("biped", more=ears)
    plan = body_plan(rig, character.vertices)
    assert len(plan.arms) == 1 and {limb.joints[0] for limb in plan.loose} == {13, 14} and plan.head == (2,)


def test_feet_that_hang_on_the_root_go_with_their_shins(bodies, view, directed) -> None:
    rig, character = bodies("biped", parents={5: 0, 8: 0})
    plan = body_plan(rig, character.vertices)
    assert {(joint, leader, foot) for joint, leader, foot in plan.followers} == {(5, 4, True), (8, 7, True)}
    camera, ask = view(character, T), directed({"motion.performance": "run"})
    options = {"fps": Fraction(24), "frame_count": T, "first_frame": 1, "seed": 1}
    posed = act(rig, character.vertices, camera, ask, **options).vertices
    for shin, foot in ((4, 5), (7, 8)):
        ends = [character.vertices[rig.weights[:, joint] > 0.5] for joint in (shin, foot)]
        first = np.linalg.norm(ends[0][:, None] - ends[1][None], axis=-1)
        a, b = np.unravel_index(first.argmin(), first.shape)
        moved = [posed[:, rig.weights[:, joint] > 0.5] for joint in (shin, foot)]
        gap = np.linalg.norm(moved[0][:, a] - moved[1][:, b], axis=-1)
        assert gap.max() < first.min() + 0.09  # they stay joined at the ankle
