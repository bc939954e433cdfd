"""From directives to a motion: which performance, how large, how timed, and what of the rest can be obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan
from studio_pipeline.geometry.bodyplan import body_plan
from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.directives import Directives
from studio_pipeline.schema.records import CameraPath, Motion, Rig
from studio_pipeline.stages.takes.performances import PERFORMANCES, perform
from studio_pipeline.stages.takes.posing import Actor

__all__ = ["HOLDS", "Acted", "act"]

HOLDS = {"ones": 1, "twos": 2, "threes": 3, "fours": 4}
"""Frames that a pose is held, by value of ``motion.timing``."""

_ENERGY = {
    "subtle": (0.4, 0.85),
    "gentle": (0.7, 0.87),
    "normal": (1.0, 1.0),
    "lively": (1.18, 1.12),
    "explosive": (1.4, 1.25),
}
# Pitch of spine and head [deg], tempo, size.
_MOODS = {
    "happy": (-3.0, -5.0, 1.05, 1.06), "sad": (9.0, 16.0, 0.85, 0.85), "angry": (7.0, 3.0, 1.08, 1.06),
    "scared": (5.0, 4.0, 1.1, 0.85), "shy": (4.0, 12.0, 0.95, 0.85), "proud": (-6.0, -6.0, 0.97, 1.0),
    "tired": (9.0, 12.0, 0.8, 0.85), "surprised": (-7.0, -7.0, 1.05, 1.0),
}  # fmt: skip
_KEYED = {"jump", "hop", "cheer", "attack", "look_around", "nod", "fall"}  # these have anticipation and overshoot
_MARGIN = 0.97  # of the half picture that vertices may fill


@dataclass(frozen=True)
class Acted:
    """A motion and its account."""

    motion: Motion
    vertices: np.ndarray  # [T, V, 3] float32 [m]
    obeyed: tuple[str, ...]  # "field=value"
    not_obeyed: tuple[str, ...]
    in_frame: float  # least share of vertices inside the picture over all frames
    size: float  # by how much movements were made smaller to stay in the picture


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
    """
    plan = body_plan(rig, vertices)
    size = 1.0
    for _ in range(7):
        motion = _motion(rig, plan, vertices, camera, directives, fps, frame_count, first_frame, seed, size)
        posed = pose_vertices(vertices, rig.weights, skinning_transforms(rig, motion))
        inside = _inside(camera, posed)
        if not keep_in_frame or inside.min() >= min(1.0, inside[0]) - 1e-9:
            break
        size *= 0.8
    obeyed, ignored = _account(directives, plan)
    return Acted(motion, posed, obeyed, ignored, float(inside.min()), size)


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
    energy, tempo = _ENERGY[directives.get("motion.energy") or "normal"]
    mood = _MOODS.get(directives.get("subject.mood") or "neutral")
    if mood:
        tempo, energy = tempo * mood[2], energy * mood[3]
    jitter = float(np.random.default_rng([seed, 7]).uniform(0.97, 1.03))
    seconds = np.arange(frame_count) / float(fps)
    actor = Actor(rig, plan, seconds, energy=energy * size, tempo=tempo * jitter, seed=seed)
    actor.prepare(vertices)
    name = directives.get("motion.performance") or "idle"
    perform(name, actor)
    if mood and name != "hold":
        actor.bend(pitch=np.radians(mood[0]) if plan.upright else 0.0)
        actor.nod(pitch=np.radians(mood[1]))
    if _asked(directives, "motion.accent", "squash_stretch"):
        actor.stretch = 1.0 + 1.5 * (actor.stretch - 1.0) + 0.5 * actor.air / plan.height
    actor.offset += _travel(directives, camera, plan, frame_count) * size
    hold = HOLDS[directives.get("motion.timing") or "ones"]
    return actor.motion(vertices, fps, first_frame, hold=hold)


def _asked(directives: Directives, field: str, value: str) -> bool:
    return any(item.field == field and item.value == value for item in directives.values())


def _travel(directives: Directives, camera: CameraPath, plan: BodyPlan, frame_count: int) -> np.ndarray:
    """World offsets [T, 3] of a character that crosses the picture or comes nearer."""
    right, back = camera.world_to_camera[0, 0, :3], camera.world_to_camera[0, 2, :3]
    ways = {"travel_left": -right, "travel_right": right, "approach": back, "recede": -back}
    way = ways.get(directives.get("motion.path") or "in_place")
    if way is None:
        return np.zeros((frame_count, 3))
    way = way - (way @ plan.up) * plan.up
    way = way / max(float(np.linalg.norm(way)), 1e-9)
    return np.linspace(0.0, 0.4 * plan.diagonal, frame_count)[:, None] * way


def _inside(camera: CameraPath, posed: np.ndarray) -> np.ndarray:
    """Share of vertices inside the picture. [T]"""
    pixels, depth = project(camera, posed)
    x = np.abs(pixels[..., 0] / camera.width * 2.0 - 1.0)
    y = np.abs(pixels[..., 1] / camera.height * 2.0 - 1.0)
    return ((x < _MARGIN) & (y < _MARGIN) & (depth > 0.0)).mean(1)


def _account(directives: Directives, plan: BodyPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was asked for (defaults don't count) and done, and what this backend cannot do."""
    name = directives.get("motion.performance") or "idle"
    done = {
        "motion.performance": set(PERFORMANCES), "motion.timing": set(HOLDS), "motion.energy": set(_ENERGY),
        "motion.path": {"in_place", "travel_left", "travel_right", "approach", "recede"},
        "subject.mood": {"neutral", *_MOODS}, "camera.move": {"fix"}, "camera.transition": {"cut"},
        "style.shading": {"cel", "two_step", "flat", "gradient"}, "style.line": {"clean", "thick", "thin", "none"},
        "environment.place": {"studio"}, "environment.time": {"dawn", "day", "sunset", "night"},
        "motion.accent": {"ease", "squash_stretch"}
        | ({"anticipation", "overshoot"} if name in _KEYED else set())
        | ({"follow_through"} if plan.tails or plan.loose else set()),
    }  # fmt: skip
    obeyed, ignored = [], []
    for item in directives.values():
        if item.origin != "default":
            (obeyed if item.value in done.get(item.field, ()) else ignored).append(f"{item.field}={item.value}")
    return tuple(obeyed), tuple(ignored)
