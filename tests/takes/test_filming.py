"""Camera directives: where the camera stands, how it moves, and that the background moves as the camera says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np
import pytest
from support.takes import directives, pip, take

from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.takes.filming.moves import MOVES
from studio_pipeline.stages.takes.previz import Previz, make_previz

T, SIDE = 9, 96


@lru_cache(maxsize=32)
def shot(*tags: str) -> Previz:
    place = () if any(tag.startswith("environment.place") for tag in tags) else ("environment.place=meadow",)
    return take(*place, *tags, frames=T, size=SIDE)


def eyes(camera: CameraPath) -> np.ndarray:
    return -np.einsum("tba,tb->ta", camera.world_to_camera[:, :3, :3], camera.world_to_camera[:, :3, 3])


def middle() -> np.ndarray:
    vertices = pip()[0].vertices
    return (vertices.min(0) + vertices.max(0)) / 2.0


def lens(camera: CameraPath, index: int) -> np.ndarray:
    """Camera coordinates to pixels whose centres are whole numbers, homogeneous. [3, 3]"""
    focal = camera.focal[index]
    return np.array([[focal, 0, 0.5 - SIDE / 2], [0, -focal, 0.5 - SIDE / 2], [0, 0, -1.0]])


def turned(camera: CameraPath, first: int, last: int) -> np.ndarray:
    """The homography of everything when the eye stays: K1 R1 R0^T K0^-1. [3, 3]"""
    turn = camera.world_to_camera[last, :3, :3] @ camera.world_to_camera[first, :3, :3].T
    return lens(camera, last) @ turn @ np.linalg.inv(lens(camera, first))


def of_ground(camera: CameraPath, index: int) -> np.ndarray:
    """The homography from (x, z, 1) on the ground to pixels. [3, 3]"""
    matrix, level = camera.world_to_camera[index], float(pip()[0].vertices[:, 1].min())
    return lens(camera, index) @ np.stack(
        [matrix[:3, 0], matrix[:3, 2], matrix[:3, 1] * level + matrix[:3, 3]], axis=-1
    )


def carried(made: Previz, carry: np.ndarray, first: int, last: int, near: float = np.inf) -> tuple[float, float]:
    """Mean error of frame ``last`` against ``first``, and against it carried by a homography.

    Beside the character, and on the ground within ``near`` m of its middle where that is given.
    """
    camera, frames, alpha = made.camera, made.clip.frames, made.clip.alpha
    assert alpha is not None
    known = np.full((SIDE, SIDE), 255, np.uint8) - cv2.dilate(alpha[first], np.ones((3, 3)))
    moved = cv2.warpPerspective(frames[first], carry, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    seen = cv2.warpPerspective(known, carry, (SIDE, SIDE)) > 250
    seen &= cv2.dilate(alpha[last], np.ones((3, 3))) == 0
    if np.isfinite(near):
        grid = np.stack([*np.meshgrid(np.arange(SIDE), np.arange(SIDE)), np.ones((SIDE, SIDE))], axis=-1)
        place = grid @ np.linalg.inv(of_ground(camera, last)).T
        there = place[..., :2] / place[..., 2:]
        seen &= (np.linalg.norm(there - middle()[[0, 2]], axis=-1) < near) & (place[..., 2] > 0)
    assert seen.mean() > 0.08
    errors = [np.abs(frames[last].astype(float) - picture).mean(-1)[seen].mean() for picture in (frames[first], moved)]
    return float(errors[0]), float(errors[1])


@pytest.mark.parametrize("move", ["pan_left", "pan_right", "tilt_up", "tilt_down", "roll", "zoom_in", "zoom_out"])
def test_turning_and_zooming_carry_the_background_as_the_camera_says(move: str) -> None:
    made = shot("motion.performance=hold", "camera.lens=wide", f"camera.move={move}")
    assert np.ptp(eyes(made.camera), axis=0).max() < 1e-9
    still, moved = carried(made, turned(made.camera, 3, 5), 3, 5)
    assert moved < 0.6 * still


@pytest.mark.parametrize(
    "move", ["truck_in", "truck_back", "slide_left", "slide_right", "crane_up", "crane_down", "orbit"]
)
def test_travelling_carries_the_ground_as_the_camera_says_and_no_turn_does(move: str) -> None:
    made = shot("motion.performance=hold", "camera.lens=wide", "environment.place=city", f"camera.move={move}")
    size = float(np.ptp(pip()[0].vertices[:, 1]))
    assert np.linalg.norm(eyes(made.camera)[-1] - eyes(made.camera)[0]) > 0.2 * size
    camera = made.camera
    ground = of_ground(camera, 5) @ np.linalg.inv(of_ground(camera, 3))
    still, moved = carried(made, ground, 3, 5, 3.0 * size)
    _, wrong = carried(made, turned(camera, 3, 5), 3, 5, 3.0 * size)
    assert moved < 0.6 * still and moved < 0.75 * wrong


WAYS = {
    "pan_left": (0, 1), "pan_right": (0, -1), "tilt_up": (1, 1), "tilt_down": (1, -1), "slide_left": (0, 1),
    "slide_right": (0, -1), "crane_up": (1, 1), "crane_down": (1, -1),
}  # fmt: skip


@pytest.mark.parametrize("move", WAYS)
def test_things_move_against_the_camera_in_the_picture(move: str) -> None:
    axis, sign = WAYS[move]
    camera = shot(f"camera.move={move}").camera
    pixels = project(camera, np.broadcast_to(middle(), (T, 1, 3)))[0][:, 0, axis]
    assert sign * (pixels[-1] - pixels[0]) > 0.03 * SIDE
    assert (sign * np.diff(pixels) > -1e-9).all()
    quickest = np.abs(np.diff(pixels))
    assert quickest[len(quickest) // 2] > 2.0 * max(quickest[0], quickest[-1])  # slow in, slow out


def spread(camera: CameraPath, index: int) -> float:
    """Size of a rod far behind the character against one at it, in the picture."""
    right, back = camera.world_to_camera[index, 0, :3], camera.world_to_camera[index, 2, :3]
    rods = [middle() + depth * -back + side * right for depth in (0.0, 4.0) for side in (-0.2, 0.2)]
    pixels = project(camera.at([index]), np.array([rods]))[0][0]
    near, far = np.linalg.norm(pixels[1] - pixels[0]), np.linalg.norm(pixels[3] - pixels[2])
    return float(far / near)


def test_a_zoom_keeps_the_perspective_and_a_truck_changes_it() -> None:
    for move, grows in (("zoom_in", True), ("zoom_out", False), ("truck_in", True), ("truck_back", False)):
        camera = shot(f"camera.move={move}").camera
        depth = np.linalg.norm(eyes(camera) - middle(), axis=1)
        size = camera.focal / depth
        assert (size[-1] > 1.3 * size[0]) == grows and (size[-1] < size[0] / 1.3) != grows
        ratio = spread(camera, T - 1) / spread(camera, 0)
        assert abs(ratio - 1.0) < 1e-9 if "zoom" in move else abs(ratio - 1.0) > 0.05


def test_an_orbit_keeps_its_distance() -> None:
    camera = shot("camera.move=orbit").camera
    away = eyes(camera) - middle()
    assert np.ptp(np.linalg.norm(away, axis=1)) < 1e-6
    turned = np.degrees(np.ptp(np.unwrap(np.arctan2(away[:, 0], away[:, 2]))))
    assert 50.0 < turned < 90.0


def test_a_follow_pan_keeps_who_walks_in_place() -> None:
    made = shot("motion.performance=walk", "camera.move=follow_pan")
    centre = (made.acted.vertices.min(1) + made.acted.vertices.max(1))[:, None] / 2.0
    assert np.linalg.norm(centre[-1] - centre[0]) > 0.3 * made.acted.plan.height
    followed = project(made.camera, centre)[0][:, 0, 0]
    lost = project(made.camera.at(np.zeros(T, dtype=int)), centre)[0][:, 0, 0]
    assert np.ptp(followed) < 0.25 * np.ptp(lost)


def test_a_shake_waits_for_the_impact_and_a_hand_is_never_still() -> None:
    made = take("motion.performance=attack", "camera.move=shake", frames=16, size=64)
    turned = np.abs(made.camera.world_to_camera[:, :3, :3] - made.camera.world_to_camera[0, :3, :3]).max((1, 2))
    first = int(np.flatnonzero(turned > 1e-6)[0])
    assert 4 < first < 15 and turned[first : first + 2].max() > 3.0 * turned[-1]
    hand = shot("camera.move=handheld").camera
    steps = np.abs(np.diff(hand.world_to_camera[:, :3], axis=0)).max((1, 2))
    assert (steps > 1e-5).all() and steps.max() < 0.1


def test_a_whip_pan_is_fast_smeared_and_short() -> None:
    made = shot("motion.performance=hold", "camera.move=whip_pan")
    turned = np.abs(np.diff(made.camera.world_to_camera[:, 0, :3], axis=0)).max(1)
    assert (turned > 0.2 * turned.max()).sum() <= 3
    fast = int(turned.argmax())
    gray = made.clip.frames.astype(float).mean(-1)
    across, down = (np.abs(np.diff(gray, axis=axis)).mean((1, 2)) for axis in (2, 1))
    blurred = min(across[fast] / down[fast], across[fast + 1] / down[fast + 1])
    assert blurred < 0.7 * across[0] / down[0]  # along the turn alone


@pytest.mark.parametrize("move", sorted(MOVES))
def test_the_character_stays_in_the_picture(move: str) -> None:
    made = shot("motion.performance=walk", f"camera.move={move}")
    pixels = project(made.camera, made.acted.vertices)[0]
    inside = ((pixels > 0) & (pixels < SIDE)).all(-1).mean(1)
    assert inside[0] > 0.9 and inside.min() > 0.75


def test_framings_are_nested() -> None:
    order = ["extreme_close_up", "close_up", "bust", "medium", "full", "long", "extreme_long"]
    camera = {name: shot(f"camera.framing={name}").camera for name in order if name != "full"}
    camera["full"] = shot().camera
    high = pip()[0].vertices
    sizes = []
    for name in order:
        pixels = project(camera[name].at([0]), high[None])[0][0]
        sizes.append(float(np.ptp(pixels[:, 1])) / SIDE)
    assert all(a > 1.12 * b for a, b in itertools.pairwise(sizes))
    assert sizes[-1] < 0.25 and 0.3 < sizes[-2] < 0.6 and sizes[1] > 1.1


def test_angles_are_what_they_are_called() -> None:
    def elevation(camera: CameraPath) -> float:
        return float(np.degrees(np.arcsin(camera.world_to_camera[0, 2, 1])))

    base = elevation(shot().camera)
    assert elevation(shot("camera.angle=high").camera) > base + 20.0
    assert elevation(shot("camera.angle=birds_eye").camera) > 80.0
    low = shot("camera.angle=low").camera
    assert elevation(low) < -8.0 and eyes(low)[0, 1] > pip()[0].vertices[:, 1].min()  # above the ground
    dutch = shot("camera.angle=dutch").camera.world_to_camera[0, :3, :3]
    assert abs(np.degrees(np.arcsin(dutch[0, 1]))) == pytest.approx(15.0, abs=0.5)


def test_lenses_change_perspective_and_not_the_size() -> None:
    ratios, sizes = [], []
    for tags in (("camera.lens=wide",), (), ("camera.lens=tele",)):
        camera = shot(*tags).camera
        sizes.append(float(np.ptp(project(camera.at([0]), pip()[0].vertices[None])[0][0][:, 1])) / SIDE)
        ratios.append(spread(camera, 0))
    assert ratios[0] < ratios[1] < ratios[2] and np.ptp(sizes) < 0.25


def test_subjective_looks_out_of_the_head_and_goes_along_with_it() -> None:
    made = shot("camera.angle=subjective", "motion.performance=look_around")
    character, rig = pip()
    plan = body_plan(rig, character.vertices)
    eye, size = eyes(made.camera)[0], float(np.ptp(character.vertices[:, 1]))
    assert eye[1] > character.vertices[:, 1].min() + 0.5 * size
    gaze = -made.camera.world_to_camera[:, 2, :3]
    assert gaze[0] @ plan.front > 0.9 and np.degrees(np.arccos(np.clip(gaze @ gaze[0], -1, 1))).max() > 10.0


def test_an_explicit_camera_stays_where_it_is() -> None:
    character, rig = pip()
    fixed = frame_points(character.vertices, width=SIDE, height=SIDE, azimuth=1.0).at(np.zeros(T, dtype=int))
    keyed = replace(fixed, focal=fixed.focal * np.linspace(1.0, 1.1, T))
    asked = directives(("camera.move=truck_in", "camera.angle=low", "camera.lens=wide"))
    options = {"fps": Fraction(12), "frame_count": T, "first_frame": 1, "seed": 1, "explicit_camera": True}
    made = make_previz(character, rig, fixed, asked, **options)
    assert (
        np.allclose(made.camera.world_to_camera[0], fixed.world_to_camera[0]) and made.camera.focal[0] == fixed.focal[0]
    )
    assert np.linalg.norm(eyes(made.camera)[-1] - middle()) < 0.8 * np.linalg.norm(eyes(fixed)[0] - middle())
    assert set(made.not_obeyed) == {"camera.angle=low", "camera.lens=wide"} and "camera.move=truck_in" in made.obeyed
    made = make_previz(character, rig, keyed, asked, **options)
    assert made.camera is keyed and not made.obeyed and len(made.not_obeyed) == 3
