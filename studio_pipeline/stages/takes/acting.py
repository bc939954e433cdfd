"""From directives to a motion: which performance, how large, how timed, and what of the rest can be obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d

from studio_pipeline.geometry.bodyparts import BodyPlan
from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.records import CameraPath, Motion, Rig
from studio_pipeline.stages.takes.library import library_motion
from studio_pipeline.stages.takes.performances import perform
from studio_pipeline.stages.takes.posing import Actor, held
from studio_pipeline.stages.takes.timing import CURVES, drifting, retimed

__all__ = ["ENERGIES", "HOLDS", "MOODS", "PATHS", "Acted", "act"]

HOLDS = {"ones": 1, "twos": 2, "threes": 3, "fours": 4}
"""Frames that a pose is held, by value of ``motion.timing``."""

ENERGIES = {
    "subtle": (0.4, 0.85),
    "gentle": (0.7, 0.87),
    "normal": (1.0, 1.0),
    "lively": (1.18, 1.12),
    "explosive": (1.4, 1.25),
}
"""Size and tempo by value of ``motion.energy``."""

MOODS = {
    "happy": (-3.0, -5.0, 1.05, 1.06), "sad": (9.0, 16.0, 0.85, 0.85), "angry": (7.0, 3.0, 1.08, 1.06),
    "scared": (5.0, 4.0, 1.1, 0.85), "shy": (4.0, 12.0, 0.95, 0.85), "proud": (-6.0, -6.0, 0.97, 1.0),
    "tired": (9.0, 12.0, 0.8, 0.85), "surprised": (-7.0, -7.0, 1.05, 1.0),
}  # fmt: skip
"""Pitch of spine and head [deg], tempo and size by value of ``subject.mood``."""

PATHS = ("in_place", "travel_left", "travel_right", "approach", "recede")
"""Values of ``motion.path``."""

_GOING = {"walk", "sneak", "trot", "run", "swim", "fly", "slither"}  # these face the way that they go
_TURN_S = 0.4  # [s] that it takes to face it
_MARGIN = 0.97  # of the half picture that vertices may fill


@dataclass(frozen=True)
class Acted:
    """A motion and its account."""

    motion: Motion
    vertices: np.ndarray  # [T, V, 3] float32 [m]
    plan: BodyPlan
    refused: tuple[str, ...]  # "field=value" of what was asked for and this body cannot do
    in_frame: float  # least share of vertices inside the picture over all frames
    size: float  # by how much movements were made smaller to stay in the picture
    played: str = "procedural"  # or the library's motion that was retargeted


def act(
    rig: Rig,
    vertices: np.ndarray,
    camera: CameraPath,
    directives: Directives,
    *,
    fps: Fraction,
    frame_count: int,
    first_frame: int,
    seed: int,
    keep_in_frame: bool = True,
    library: bool = False,
) -> Acted:
    """Animate a rig as directed.

    Args:
        rig: Any skeleton tree.
        vertices: Rest surface [V, 3], metres.
        camera: The shot's camera, T frames.
        directives: What to do.
        fps: Frames a second.
        frame_count: Number of frames T.
        first_frame: Frame number of index 0.
        seed: What chance depends on: which hand, a little of the tempo.
        keep_in_frame: Make movements smaller until the character stays in the picture.
        library: Play motions of the asset library where there is one and the body can.
    """
    plan = body_plan(rig, vertices)
    if library and (found := _from_library(rig, plan, vertices, camera, directives, fps, frame_count, first_frame)):
        return found
    size = 1.0
    followed = directives.get("camera.move") == "follow_pan"
    for _ in range(7):
        motion = _motion(rig, plan, vertices, camera, directives, fps, frame_count, first_frame, seed, size)
        posed = pose_vertices(vertices, rig.weights, skinning_transforms(rig, motion))
        away = _travel(directives, camera, plan, frame_count, float(fps)) * size if followed else 0.0
        inside = _inside(camera, posed - np.asarray(away, np.float32).reshape(-1, 1, 3 if followed else 1))
        if not keep_in_frame or inside.min() >= min(1.0, inside[0]) - 1e-9:
            break
        size *= 0.8
    return Acted(motion, posed, plan, _refused(directives, plan, rig), float(inside.min()), size)


def _from_library(
    rig: Rig, plan: BodyPlan, vertices: np.ndarray, camera: CameraPath, directives: Directives, fps: Fraction,
    frame_count: int, first_frame: int,
) -> Acted | None:  # fmt: skip
    """The performance retargeted from the library; its own timing and size are kept."""
    name = directives.get("motion.performance") or "idle"
    hold = HOLDS[directives.get("motion.timing") or "ones"]
    options = {"fps": fps, "frame_count": frame_count, "first_frame": first_frame, "hold": hold}
    motion = library_motion(name, rig, vertices, **options)
    if motion is None:
        return None
    travel = _travel(directives, camera, plan, frame_count, float(fps))[held(frame_count, hold)]
    motion.translations[:, 0] += (travel @ rig.rest_world[0, :3, :3]).astype(np.float32)
    posed = pose_vertices(vertices, rig.weights, skinning_transforms(rig, motion))
    kept = ("subject.mood", "motion.energy", "motion.accent")
    refused = tuple(f"{v.field}={v.value}" for v in directives.values() if v.field in kept and v.origin != "default")
    return Acted(motion, posed, plan, refused, float(_inside(camera, posed).min()), 1.0, f"{name}.bvh")


def _motion(
    rig: Rig,
    plan: BodyPlan,
    vertices: np.ndarray,
    camera: CameraPath,
    directives: Directives,
    fps: Fraction,
    frame_count: int,
    first_frame: int,
    seed: int,
    size: float,
) -> Motion:
    energy, tempo = ENERGIES[directives.get("motion.energy") or "normal"]
    mood = MOODS.get(directives.get("subject.mood") or "neutral")
    if mood:
        tempo, energy = tempo * mood[2], energy * mood[3]
    jitter = float(np.random.default_rng([seed, 7]).uniform(0.97, 1.03))
    accents = {item.value for item in directives.values() if item.field == "motion.accent"}
    seconds = retimed(np.arange(frame_count) / float(fps), accents)
    actor = Actor(rig, plan, seconds, energy=energy * size, tempo=tempo * jitter, seed=seed)
    actor.prepare(vertices)
    actor.accents = frozenset(accents & set(CURVES))
    name = directives.get("motion.performance") or "idle"
    perform(name, actor)
    if mood and name != "hold":
        actor.bend(pitch=np.radians(mood[0]) if plan.upright else 0.0)
        actor.nod(pitch=np.radians(mood[1]))
    if "moving_hold" in accents:
        drift = np.radians(2.4) * drifting(np.arange(frame_count) / float(fps))
        actor.bend(pitch=0.5 * drift, roll=drift)
        actor.nod(yaw=1.3 * drift, pitch=0.7 * drift)
    if "squash_stretch" in accents:
        actor.stretch = _squashed(actor, float(fps))
    travel = _travel(directives, camera, plan, frame_count, float(fps)) * size
    if name in _GOING and np.abs(travel).max() > 0.0:
        actor.whole(yaw=_heading(travel, plan) * _eased(frame_count, float(fps)))
    actor.offset += travel
    hold = HOLDS[directives.get("motion.timing") or "ones"]
    return actor.motion(vertices, fps, first_frame, hold=hold)


def _squashed(actor: Actor, fps: float) -> np.ndarray:
    """Stretch [T] of a body that lengthens as it gathers height or speed and flattens as it is stopped."""
    rise = np.gradient(gaussian_filter1d(actor.air, 0.04 * fps), 1.0 / fps) / max(actor.plan.height, 1e-9)
    thrown = np.gradient(np.gradient(gaussian_filter1d(actor.air, 0.05 * fps))) * fps**2 / max(actor.plan.height, 1e-9)
    given = 1.0 + 1.7 * (actor.stretch - 1.0)
    bounce = 0.16 * np.abs(rise) - 0.016 * np.maximum(thrown, 0.0)
    beat = 0.05 * np.sin(2.0 * np.pi * actor.seconds / 0.55) * (np.abs(given - 1.0).max() < 0.01)
    return np.clip(given + 0.3 * actor.air / actor.plan.height + bounce + beat, 0.62, 1.6)


def _heading(travel: np.ndarray, plan: BodyPlan) -> float:
    """The turn [rad] about up from where the body faces to where it goes."""
    way = travel[-1] - travel[0]
    return float(np.arctan2(np.cross(plan.front, way) @ plan.up, plan.front @ way))


def _eased(frame_count: int, fps: float) -> np.ndarray:
    u = np.clip(np.arange(frame_count) / fps / _TURN_S, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _travel(
    directives: Directives, camera: CameraPath, plan: BodyPlan, frame_count: int, fps: float
) -> np.ndarray:  # fmt: skip
    """World offsets [T, 3] of a character that crosses the picture, comes nearer, or has a camera that follows it."""
    right, back = camera.world_to_camera[0, 0, :3], camera.world_to_camera[0, 2, :3]
    ways = {"travel_left": -right, "travel_right": right, "approach": back, "recede": -back}
    way, length = ways.get(directives.get("motion.path") or "in_place"), 0.4 * plan.diagonal
    if way is None and directives.get("camera.move") == "follow_pan" and directives.get("motion.performance") in _GOING:
        way = right if plan.front @ right >= 0.0 else -right
        length = min(0.9 * frame_count / fps, 1.6) * plan.diagonal
    if way is None:
        return np.zeros((frame_count, 3))
    way = way - (way @ plan.up) * plan.up
    way = way / max(float(np.linalg.norm(way)), 1e-9)
    return np.linspace(0.0, length, frame_count)[:, None] * way


def _inside(camera: CameraPath, posed: np.ndarray) -> np.ndarray:
    """Share of vertices inside the picture. [T]"""
    pixels, depth = project(camera, posed)
    x = np.abs(pixels[..., 0] / camera.width * 2.0 - 1.0)
    y = np.abs(pixels[..., 1] / camera.height * 2.0 - 1.0)
    return ((x < _MARGIN) & (y < _MARGIN) & (depth > 0.0)).mean(1)


def _refused(directives: Directives, plan: BodyPlan, rig: Rig) -> tuple[str, ...]:
    """What this body cannot do though previz can."""
    still = directives.get("motion.performance") == "hold"
    loose = bool(plan.tails or plan.loose or plan.head or plan.arms or plan.wings)
    refused = []
    for item in directives.values():
        if item.field == "motion.accent":
            no = (still and item.value != "moving_hold") or (item.value == "follow_through" and not loose)
            no |= item.value == "squash_stretch" and rig.joint_count == 1  # one bone has nothing to stretch between
            refused += [f"{item.field}={item.value}"] if no else []
    return tuple(refused)
