"""Accents of timing on curves whose answer is known, and what is found to happen in a motion."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.stages.takes.acting import act
from studio_pipeline.stages.takes.moments import moments
from studio_pipeline.stages.takes.smears import smeared
from studio_pipeline.stages.takes.timing import CURVES, TIMES, retimed, shaped

FPS = 24.0


@pytest.fixture
def step(bodies):
    """One joint turns by 1 rad between frames 20 and 28 of 60, all others rest."""
    rig, character = bodies("biped")
    plan = body_plan(rig, character.vertices)
    curves = np.zeros((60, rig.joint_count, 3))
    u = np.clip((np.arange(60) - 20) / 8.0, 0.0, 1.0)
    curves[:, 1, 0] = u * u * (3.0 - 2.0 * u)
    return curves, plan


def test_anticipation_goes_back_first_and_overshoot_goes_too_far(step) -> None:
    curves, plan = step
    early = shaped(curves, plan, {"anticipation"}, FPS)[:, 1, 0]
    late = shaped(curves, plan, {"overshoot"}, FPS)[:, 1, 0]
    assert early[:20].min() < -0.08 and early.max() < 1.05
    assert late[28:].max() > 1.08 and late.min() > -0.05
    assert abs(early[-1] - 1.0) < 0.01 and abs(late[-1] - 1.0) < 0.01  # and both arrive
    assert np.abs(shaped(curves, plan, {"overshoot"}, FPS)[:, 5]).max() == 0.0


def test_loose_parts_arrive_later_the_farther_out(step) -> None:
    curves, plan = step
    arm = plan.arms[0][0].joints
    for joint in arm:
        curves[:, joint, 0] = curves[:, 1, 0]
    dragged = shaped(curves, plan, {"follow_through"}, FPS)

    def arrival(joint: int) -> int:
        return int(np.argmax(dragged[:, joint, 0] > 0.5))

    assert arrival(1) < arrival(arm[0]) < arrival(arm[1])


def test_time_is_bent_but_neither_stopped_nor_turned_back() -> None:
    seconds = np.arange(97) / FPS
    for name in TIMES:
        bent = retimed(seconds, {name})
        assert (np.diff(bent) > 0.0).all() and bent[0] == 0.0 and abs(bent[-1] - seconds[-1]) < 0.2
    pace = {name: np.diff(retimed(seconds, {name})) * FPS for name in TIMES}
    assert pace["snap"].max() > 1.8 and pace["snap"].min() < 0.35
    assert pace["ease"][0] < 0.35 > pace["ease"][-1] and pace["ease"][48] > 1.2
    assert np.median(pace["moving_hold"]) < 0.5 < 1.5 < pace["moving_hold"].max()
    assert np.array_equal(retimed(seconds, set()), seconds)


@pytest.mark.parametrize("accent", sorted({*TIMES, *CURVES, "squash_stretch"}))
@pytest.mark.parametrize("name", ["biped", "quadruped", "ball"])
def test_accents_keep_the_rest_pose_and_the_ground(bodies, view, directed, name: str, accent: str) -> None:
    rig, character = bodies(name)
    ask = directed({"motion.performance": "jump", "motion.accent": accent})
    options = {"fps": Fraction(24), "frame_count": 30, "first_frame": 1, "seed": 1}
    result = act(rig, character.vertices, view(character, 30), ask, **options)
    assert np.allclose(result.vertices[0], character.vertices, atol=1e-5)
    assert result.vertices[..., 1].min() > character.vertices[:, 1].min() - 1e-4
    plain = act(rig, character.vertices, view(character, 30), directed({"motion.performance": "jump"}), **options)
    if not result.refused:
        assert np.abs(result.vertices - plain.vertices).max() > 0.004


def test_a_landing_is_found_and_a_body_goes_where_it_faces(bodies, view, directed) -> None:
    rig, character = bodies("biped")
    options = {"fps": Fraction(24), "frame_count": 30, "first_frame": 1, "seed": 1}
    result = act(rig, character.vertices, view(character, 30), directed({"motion.performance": "jump"}), **options)
    found = moments(result.vertices, rig, result.plan, 24.0, performance="jump")
    low = result.vertices[..., 1].min(1) - character.vertices[:, 1].min()
    assert found.impacts and all(low[t] < 0.03 < low[t - 1] for t in found.impacts)
    assert np.allclose([place[1] for place in found.struck], character.vertices[:, 1].min(), atol=1e-5)
    ask = directed({"motion.performance": "walk", "motion.path": "travel_right"})
    result = act(rig, character.vertices, view(character, 30), ask, **options)
    found = moments(result.vertices, rig, result.plan, 24.0, performance="walk")
    way = found.centre[-1] - found.centre[0]
    way[1] = 0.0
    assert found.front[-1] @ way / np.linalg.norm(way) > 0.9 > abs(found.front[0] @ way / np.linalg.norm(way)) - 0.05


def test_the_library_plays_what_it_has_on_two_legs(bodies, view, directed) -> None:
    options = {"fps": Fraction(24), "frame_count": 24, "first_frame": 1, "seed": 1, "library": True}
    rig, character = bodies("biped")
    for name in ("walk", "jump"):
        ask = directed({"motion.performance": name, "motion.timing": "twos"})
        played = act(rig, character.vertices, view(character, 24), ask, **options)
        assert played.played == f"{name}.bvh"
        assert np.allclose(played.vertices[0], character.vertices, atol=1e-5)
        low = played.vertices[..., 1].min(1) - character.vertices[:, 1].min()
        assert low.min() > -1e-4 and (name == "jump" or low.max() < 1e-3)
        assert np.array_equal(played.motion.rotations[3], played.motion.rotations[4])
    rig, character = bodies("quadruped")
    ask = directed({"motion.performance": "walk"})
    assert act(rig, character.vertices, view(character, 24), ask, **options).played == "procedural"


def test_smears_reach_back_along_the_way_of_the_fastest_frames(bodies, view, directed) -> None:
    rig, character = bodies("biped")
    options = {"fps": Fraction(24), "frame_count": 30, "first_frame": 1, "seed": 1}
    result = act(rig, character.vertices, view(character, 30), directed({"motion.performance": "attack"}), **options)
    found = moments(result.vertices, rig, result.plan, 24.0, performance="attack")
    drawn = smeared(result.vertices, found)
    changed = np.flatnonzero(np.abs(drawn - result.vertices).max((1, 2)) > 1e-6)
    assert 1 <= len(changed) <= 8 and 0 not in changed
    for frame in changed:
        step, moved = result.vertices[frame] - result.vertices[frame - 1], drawn[frame] - result.vertices[frame]
        far = np.linalg.norm(moved, axis=1) > 0.3 * np.linalg.norm(moved, axis=1).max()
        cosine = (step * moved).sum(1)[far] / (np.linalg.norm(step, axis=1) * np.linalg.norm(moved, axis=1))[far]
        assert (cosine < -0.99).all()
    idle = act(rig, character.vertices, view(character, 30), directed({"motion.performance": "hold"}), **options)
    slow = moments(idle.vertices, rig, idle.plan, 24.0, performance="hold")
    assert smeared(idle.vertices, slow) is idle.vertices
