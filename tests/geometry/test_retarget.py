"""Retargeting: the same body gives the same motion, a file's conventions change nothing, feet stay where they stand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.motions import MOTIONS

from studio_pipeline.geometry.bvh import Bvh, read_bvh
from studio_pipeline.geometry.retarget import retarget
from studio_pipeline.geometry.retarget.figure import SIDES, figure_of_rig
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.geometry.skinning import pose_vertices, posed_world, skinning_transforms
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Motion, Rig

FPS = Fraction(30)


def places(rig: Rig, motion: Motion) -> np.ndarray:
    return posed_world(rig, motion.rotations, motion.translations)[..., :3, 3]


def directions(joints: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Unit vectors from each joint's parent to it. [T, J - 1, 3]"""
    along = joints[:, 1:] - joints[:, parents[1:]]
    return along / np.linalg.norm(along, axis=-1, keepdims=True)


def angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1.0, 1.0)))


def of_rig(rig: Rig, turns: dict[int, np.ndarray], frames: int, scale: float = 1.0) -> Bvh:
    """A motion file of a rig's own skeleton: local turns of some joints, the others still."""
    parents = rig.parents
    offsets = rig.heads.copy()
    offsets[1:] -= rig.heads[parents[1:]]
    rotations = np.tile(np.eye(3), (frames, rig.joint_count, 1, 1))
    for joint, turn in turns.items():
        rotations[:, joint] = turn
    positions = np.repeat(offsets[None], frames, axis=0)
    positions[:, 0] += 0.05 * np.sin(np.linspace(0.0, 3.0, frames))[:, None] * [1.0, 0.3, -0.7]
    ends = np.where(np.isin(np.arange(rig.joint_count), parents)[:, None], np.nan, rig.tails - rig.heads)
    return Bvh(
        names=rig.names, parents=parents, offsets=scale * offsets, ends=scale * ends, rotations=rotations,
        positions=scale * positions, frame_time=1 / 30,
    )  # fmt: skip


def known_motion(rig: Rig, frames: int = 40) -> Bvh:
    """Everything moves: smooth random turns of all joints, up to half a radian."""
    rng = np.random.default_rng(5)
    time = np.linspace(0.0, 2.0 * np.pi, frames)[:, None]
    turns = {}
    for joint in range(rig.joint_count):
        axis, phase = rng.normal(size=3), rng.uniform(0.0, 6.0)
        size = 0.1 if joint == 0 else 0.5
        turns[joint] = axis_angle_to_matrix(size * np.sin(time + phase) * axis / np.linalg.norm(axis))
    return of_rig(rig, turns, frames)


def test_a_motion_of_the_same_skeleton_comes_back(pip: tuple[Character, Rig]) -> None:
    character, rig = pip
    bvh = known_motion(rig)
    result = retarget(rig, character.vertices, bvh, keep_heading=True, contacts=False)
    assert result.motion.fps == 30 and result.motion.rotations.shape == (40, rig.joint_count, 6)
    _, wanted = bvh.world()
    found = places(rig, result.motion)
    told = [joint for joint in range(1, rig.joint_count) if rig.names[joint] != "tuft"]
    error = angle_deg(directions(found, rig.parents), directions(wanted, rig.parents))[:, np.array(told) - 1]
    assert error.max() < 1.0
    # The path of the hips too, from where they rest.
    assert np.abs((found[:, 0] - found[0, 0]) - (wanted[:, 0] - wanted[0, 0])).max() < 2e-3
    assert {"thigh.L", "forearm.R", "head", "hand.L"} <= set(result.parts)


def another_file(bvh: Bvh, *, names: bool, scale: float, world: np.ndarray, rest: dict[str, np.ndarray]) -> Bvh:
    """The same motion as another program writes it: other names, units, axes, and another rest pose."""
    turns, joints = bvh.world()
    count = len(bvh.names)
    posed = np.tile(np.eye(3), (count, 1, 1))  # how the new rest pose turns each joint, in the old rest's world
    for joint in range(count):
        own = rest.get(bvh.names[joint], np.eye(3))
        posed[joint] = (posed[bvh.parents[joint]] if bvh.parents[joint] >= 0 else np.eye(3)) @ own
    posed = world @ posed
    turns = world @ turns @ np.swapaxes(posed, 1, 2)
    above = np.where(bvh.parents[:, None, None] >= 0, posed[bvh.parents], world)
    offsets = scale * np.einsum("jab,jb->ja", above, bvh.offsets)
    local = np.where(bvh.parents[:, None, None] >= 0, np.swapaxes(turns[:, bvh.parents], -1, -2) @ turns, turns)
    positions = np.repeat(offsets[None], len(turns), axis=0)
    positions[:, 0] = scale * joints[:, 0] @ world.T
    mixamo = {
        "hips": "Hips",
        "spine_01": "Spine",
        "spine_02": "Spine1",
        "chest": "Spine2",
        "neck_01": "Neck",
        "head": "Head",
    }
    limbs = {"clavicle": "Shoulder", "upper_arm": "Arm", "forearm": "ForeArm", "hand": "Hand", "thigh": "UpLeg",
             "shin": "Leg", "foot": "Foot", "toe": "ToeBase"}  # fmt: skip
    called = []
    for name in bvh.names:
        part, _, side = name.partition(".")
        called.append("mixamorig:" + (mixamo.get(name) or {"L": "Left", "R": "Right"}[side] + limbs[part]))
    return replace(
        bvh, names=tuple(called) if names else tuple(f"n{i * 37 % 101}" for i in range(count)), offsets=offsets,
        ends=scale * np.einsum("jab,jb->ja", posed, bvh.ends), rotations=local, positions=positions,
    )  # fmt: skip


def about(axis: int, degrees: float) -> np.ndarray:
    return axis_angle_to_matrix(np.radians(degrees) * np.eye(3)[axis])


ARMS_DOWN = {"upper_arm.L": about(2, -70.0), "upper_arm.R": about(2, 70.0)}
BENT = {**ARMS_DOWN, "forearm.L": about(1, -20.0), "forearm.R": about(1, 20.0), "thigh.L": about(2, 12.0),
        "thigh.R": about(2, -12.0), "shin.L": about(0, 10.0), "shin.R": about(0, 10.0)}  # fmt: skip
Z_UP = about(0, 90.0)


@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        ({"names": True, "scale": 100.0, "world": np.eye(3), "rest": {}}, 0.2),
        ({"names": False, "scale": 1.0, "world": np.eye(3), "rest": {}}, 0.2),
        ({"names": True, "scale": 39.37, "world": Z_UP, "rest": {}}, 0.2),
        ({"names": True, "scale": 1.0, "world": about(1, 37.0), "rest": {}}, 0.2),
        ({"names": True, "scale": 1.0, "world": np.eye(3), "rest": ARMS_DOWN}, 2.5),
        ({"names": False, "scale": 100.0, "world": Z_UP, "rest": BENT}, 4.0),
    ],
    ids=["names and cm", "no names", "inches, Z up", "another heading", "arms down", "all at once"],
)
def test_the_files_conventions_change_nothing(pip, motions, name: str, case: dict, tolerance: float) -> None:
    character, rig = pip
    plain = places(rig, retarget(rig, character.vertices, motions[name]).motion)
    other = places(rig, retarget(rig, character.vertices, another_file(motions[name], **case)).motion)
    moved = [joint for joint in range(1, rig.joint_count) if rig.names[joint] != "tuft"]
    error = angle_deg(directions(plain, rig.parents), directions(other, rig.parents))[:, np.array(moved) - 1]
    assert error.max() < tolerance
    assert np.abs(plain[:, 0] - other[:, 0]).max() < 0.02 * character.height_m


def test_left_stays_left_and_up_stays_up(pip: tuple[Character, Rig]) -> None:
    character, rig = pip
    arm = rig.names.index("upper_arm.L")
    raised = of_rig(rig, {arm: np.tile(about(2, 75.0), (10, 1, 1))}, 10, scale=30.0)
    for world in (np.eye(3), Z_UP, about(1, 180.0)):
        turned = replace(raised, rotations=raised.rotations.copy(), positions=raised.positions.copy())
        turned.rotations[:, 0] = world @ turned.rotations[:, 0]
        turned.positions[:, 0] = turned.positions[:, 0] @ world.T
        joints = places(rig, retarget(rig, character.vertices, turned).motion)
        hands = [joints[5, rig.names.index("hand" + side)] for side in SIDES]
        assert hands[0][1] > hands[1][1] + 0.2 * character.height_m and hands[0][0] > 0.0 > hands[1][0]


def sole(character: Character, rig: Rig, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of a foot, and of its underside."""
    figure = figure_of_rig(rig, character.vertices)
    foot = figure.parts["foot" + side]
    below = [foot, *(j for j in range(rig.joint_count) if rig.parents[j] == foot)]
    skin = np.flatnonzero(rig.weights[:, below].sum(1) > 0.95)
    height = character.vertices[skin, 1]
    return skin, skin[height < height.min() + 0.01 * character.height_m]


def slide_and_sink(character: Character, rig: Rig, motion: Motion) -> tuple[float, float]:
    """How fast the lowest part of a standing foot moves [heights a second], and how deep any of it sinks [heights]."""
    posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion)).astype(np.float64)
    floor, fps = float(character.vertices[:, 1].min()), float(motion.fps)
    speeds, sink = [0.0], 0.0
    for side in SIDES:
        skin, under = sole(character, rig, side)
        sink = max(sink, floor - posed[:, skin, 1].min())
        points = posed[:, under]
        low = points[..., 1] < floor + 0.004 * character.height_m
        both = low[1:] & low[:-1]
        speed = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1) * fps
        speeds += [float(np.median(s[b])) for s, b in zip(speed, both, strict=True) if b.sum() >= 3]
    return float(np.percentile(speeds, 95)) / character.height_m, sink / character.height_m


@pytest.mark.parametrize("name", MOTIONS)
def test_feet_neither_slide_nor_sink(pip, motions, name: str) -> None:
    character, rig = pip
    result = retarget(rig, character.vertices, motions[name])
    slide, sink = slide_and_sink(character, rig, result.motion)
    assert slide < 0.12 and sink < 0.01  # the body itself goes at 0.5 heights a second in the walk
    free, _ = slide_and_sink(character, rig, retarget(rig, character.vertices, motions[name], contacts=False).motion)
    assert name in ("wave",) or slide < max(free, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "character_file", ["khronos_CesiumMan", "godot_mannequiny", "quaternius_single_knight_KnightCharacter"]
)
@pytest.mark.parametrize("motion", ["cmu_12_01_walk", "ad_cmu1_jumping_jacks", "ad_fair1_wave_hello"])
def test_captured_motions_on_other_characters(shared_data: Path, character_file: str, motion: str) -> None:
    from studio_pipeline.stages.character.load import load_character

    loaded = load_character(shared_data / "rigs" / f"{character_file}.glb")
    rig, character = loaded.own_rig, loaded.character
    assert rig is not None
    bvh = read_bvh(shared_data / "motion" / f"{motion}.bvh")
    result = retarget(rig, character.vertices, bvh, fps=FPS)
    assert result.figures["first_frame_dropped"] is (motion == "cmu_12_01_walk")
    slide, sink = slide_and_sink(character, rig, result.motion)
    assert slide < 0.35 and sink < 0.01  # captured feet drag a little themselves
    assert knees_bend_backwards(rig, character, result.motion)
    assert np.isfinite(result.motion.rotations).all() and np.isfinite(result.motion.translations).all()


def knees_bend_backwards(rig: Rig, character: Character, motion: Motion) -> bool:
    """No knee is bent forwards by more than 5 degrees, seen from the thigh."""
    figure = figure_of_rig(rig, character.vertices)
    world = posed_world(rig, motion.rotations, motion.translations)
    rest = rig.rest_world[:, :3, :3]
    for side in SIDES:
        thigh, shin, foot = (figure.parts[p + side] for p in ("thigh", "shin", "foot"))
        joints = world[..., :3, 3]
        left = world[:, thigh, :3, :3] @ rest[thigh].T @ figure.frame()[:, 0]
        bend = np.cross(joints[:, shin] - joints[:, thigh], joints[:, foot] - joints[:, shin])
        size = np.linalg.norm(joints[:, shin] - joints[:, thigh], axis=1) * np.linalg.norm(
            joints[:, foot] - joints[:, shin], axis=1
        )
        if ((bend * left).sum(1) / size).min() < -np.sin(np.radians(5.0)):
            return False
    return True


def ik_rig(rig: Rig) -> Rig:
    """The same character on a rig for inverse kinematics: a root on the floor, on which feet and a prop hang too."""
    count = rig.joint_count
    feet = [rig.names.index("foot" + side) for side in SIDES]
    order = [-1, *feet, *(j for j in range(count) if j not in feet)]
    rest = np.stack([np.eye(4) if j < 0 else rig.rest_world[j] for j in [*order, rig.names.index("tuft")]])
    above = [-1, 0, 0, *(0 if rig.parents[j] < 0 else order.index(rig.parents[j]) for j in order[3:]), 0]
    weights = np.stack([np.zeros(len(rig.weights)) if j < 0 else rig.weights[:, j] for j in [*order, 0]], axis=1)
    weights[:, -1] = 0.0
    return Rig(
        names=("root", *(f"bone_{j}" for j in order[1:]), "prop"),
        parents=np.array(above, np.int32),
        rest_world=rest,
        tails=np.stack([[0.0, 0.1, 0.0] if j < 0 else rig.tails[j] for j in [*order, 0]]).astype(np.float32),
        weights=weights.astype(np.float32),
    )


@pytest.mark.parametrize("name", ["walk", "jump"])
def test_feet_that_hang_on_the_root_go_the_same_way(pip, motions, name: str) -> None:
    character, rig = pip
    other = ik_rig(rig)
    plain = retarget(rig, character.vertices, motions[name]).motion
    result = retarget(other, character.vertices, motions[name]).motion
    a = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, plain))
    b = pose_vertices(character.vertices, other.weights, skinning_transforms(other, result))
    assert np.abs(a - b).max() < 1e-4
    root, hips, prop = (places(other, result)[:, j] for j in (0, 3, -1))
    assert np.ptp(root, axis=0).max() < 1e-9  # the root stays
    assert np.allclose(prop - prop[0], hips - hips[0], atol=1e-5)


def test_bodies_that_are_no_bipeds_are_refused_in_one_line(repository: Path, motions) -> None:
    from studio_pipeline.stages.character.load import load_character
    from studio_pipeline.stages.rig.geometric import build_rig

    for name, seen in (("tumble", "4 legs"), ("mochi", "no legs")):
        loaded = load_character(repository / "assets" / "characters" / f"{name}.glb")
        rig, _ = build_rig(loaded.character.vertices, loaded.character.faces)
        with pytest.raises(InputError, match=rf"{name}: is no biped \({seen} found\)") as caught:
            retarget(rig, loaded.character.vertices, motions["walk"], whom=name)
        assert "\n" not in str(caught.value)


def test_a_motion_of_no_biped_is_refused(pip: tuple[Character, Rig]) -> None:
    character, rig = pip
    count = 900  # deeper than Python recurses
    chain = Bvh(
        names=tuple(f"n{i}" for i in range(count)), parents=np.arange(-1, count - 1, dtype=np.int32),
        offsets=np.tile([0.0, 0.0, 1.0], (count, 1)), ends=np.full((count, 3), np.nan),
        rotations=np.tile(np.eye(3), (3, count, 1, 1)), positions=np.tile([0.0, 0.0, 1.0], (3, count, 1)),
        frame_time=0.1,
    )  # fmt: skip
    for bvh in (chain, replace(chain, offsets=0.0 * chain.offsets, positions=0.0 * chain.positions)):
        with pytest.raises(InputError, match=r"snake\.bvh: moves no biped"):
            retarget(rig, character.vertices, bvh, what="snake.bvh")


def test_spines_of_any_length_bend_as_much(pip, motions) -> None:
    """One joint between hips and chest or many: the chest turns the same, and the bend is shared."""
    character, rig = pip
    jump = motions["jump"]
    plain = retarget(rig, character.vertices, jump, contacts=False).motion
    # The same motion on a spine of one joint less: spine_02's turn is the chest's.
    gone = jump.names.index("spine_02")
    keep = [j for j in range(len(jump.names)) if j != gone]
    turns, joints = jump.world()
    parents = np.array(
        [keep.index(p if p != gone else jump.parents[gone]) if p >= 0 else -1 for p in jump.parents[keep]]
    )
    offsets = jump.rest()[keep] - np.where(parents[:, None] >= 0, jump.rest()[keep][parents], 0.0)
    local = np.where(
        parents[:, None, None] >= 0, np.swapaxes(turns[:, keep][:, parents], -1, -2) @ turns[:, keep], turns[:, keep]
    )
    positions = np.repeat(offsets[None], jump.frame_count, axis=0)
    positions[:, 0] = joints[:, 0]
    shorter = replace(
        jump, names=tuple(jump.names[j] for j in keep), parents=parents.astype(np.int32), offsets=offsets,
        ends=jump.ends[keep], rotations=local, positions=positions,
    )  # fmt: skip
    other = retarget(rig, character.vertices, shorter, contacts=False).motion
    chest = rig.names.index("chest")
    a, b = (posed_world(rig, m.rotations, m.translations)[:, chest, :3, :3] for m in (plain, other))
    apart = np.degrees(Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).magnitude())
    bent = np.degrees(Rotation.from_matrix(np.swapaxes(a[:1], 1, 2) @ a).magnitude())
    assert apart.max() < 0.1 and bent.max() > 30.0


def test_frame_rates_loops_and_staying_in_place(pip, motions) -> None:
    character, rig = pip
    walk = motions["walk"]
    film = retarget(rig, character.vertices, walk, fps=Fraction(24000, 1001)).motion
    assert film.fps == Fraction(24000, 1001) and film.frame_count == 26
    long = retarget(rig, character.vertices, walk, frames=97).motion
    one, two = places(rig, long)[40], places(rig, long)[72]
    assert long.frame_count == 97 and np.abs((two - two[0]) - (one - one[0])).max() < 5e-3
    assert places(rig, long)[-1, 0, 2] > 2.9 * places(rig, retarget(rig, character.vertices, walk).motion)[-1, 0, 2]
    still = places(rig, retarget(rig, character.vertices, walk, frames=97, in_place=True).motion)
    assert np.ptp(still[:, 0, 2]) < 0.03 * character.height_m
    with pytest.raises(InputError, match="does not end as it begins"):
        retarget(
            rig,
            character.vertices,
            replace(walk, rotations=walk.rotations[:20], positions=walk.positions[:20]),
            frames=40,
        )


def test_a_single_frame_is_a_pose(pip, motions) -> None:
    character, rig = pip
    wave = motions["wave"]
    pose = retarget(
        rig, character.vertices, replace(wave, rotations=wave.rotations[40:41], positions=wave.positions[40:41])
    )
    joints = places(rig, pose.motion)[0]
    assert pose.motion.frame_count == 1
    assert joints[rig.names.index("hand.R"), 1] > joints[rig.names.index("upper_arm.R"), 1]


def test_a_calibration_pose_is_left_out(pip, motions) -> None:
    character, rig = pip
    walk = motions["walk"]
    with_pose = replace(
        walk, rotations=np.concatenate([np.tile(np.eye(3), (1, 22, 1, 1)), walk.rotations]),
        positions=np.concatenate([walk.positions[:1], walk.positions]),
    )  # fmt: skip
    result = retarget(rig, character.vertices, with_pose)
    assert result.figures["first_frame_dropped"] and result.motion.frame_count == walk.frame_count
    plain = retarget(rig, character.vertices, walk)
    assert not plain.figures["first_frame_dropped"]
    assert np.abs(plain.motion.rotations - result.motion.rotations).max() < 1e-5


@pytest.mark.parametrize(("name", "parts"), [("walk", ("hips", "spine", "chest")), ("jump", ("head",))])
def test_arms_keep_out_of_a_wide_body_and_a_large_head(pip, motions, name: str, parts: tuple[str, ...]) -> None:
    from scipy.spatial import Delaunay

    character, rig = pip
    limbs = [rig.names.index(part + side) for part in ("upper_arm", "forearm", "hand") for side in SIDES]
    arms = np.flatnonzero(rig.weights[:, limbs].sum(1) > 0.9)
    body = np.flatnonzero(rig.weights[:, [rig.names.index(part) for part in parts]].sum(1) > 0.9)
    inside = {}
    for contacts in (False, True):
        motion = retarget(rig, character.vertices, motions[name], contacts=contacts).motion
        posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
        inside[contacts] = np.mean([(Delaunay(p[body]).find_simplex(p[arms]) >= 0).mean() for p in posed[::4]])
    assert inside[True] < 0.005 and inside[False] > 0.01  # of the arms' skin, in the hull of the body's
