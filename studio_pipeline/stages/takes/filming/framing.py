"""Where the camera stands: framing, angle and lens choose eye, direction and focal length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.bodyparts import BodyPlan
from studio_pipeline.geometry.cameras import frame_points, look_at
from studio_pipeline.geometry.skinning import posed_world
from studio_pipeline.schema.records import CameraPath, Motion, Rig

__all__ = ["ANGLES", "FRAMINGS", "LENSES", "Standpoint", "head_of", "standpoint"]

FRAMINGS = {
    "extreme_close_up": ("face", 1.0), "close_up": ("head", 0.9), "bust": ("bust", 0.86), "medium": ("upper", 0.86),
    "full": ("all", 0.85), "long": ("all", 0.44), "extreme_long": ("all", 0.17),
}  # fmt: skip
"""By value of ``camera.framing``: the part that is framed, and how much of the picture's tighter side it fills."""

LENSES = {"wide": 66.0, "normal": None, "tele": 8.0, "fisheye": 80.0}
"""Vertical field of view [deg] by value of ``camera.lens``; None: the canonical view's."""

ANGLES = ("eye_level", "low", "high", "birds_eye", "dutch", "subjective")
"""Values of ``camera.angle``."""

_HIGH, _ABOVE, _LOWEST, _LEAN = np.radians([40.0, 88.0, -34.0, 15.0])
_LOW_LENS = 46.0  # [deg]: from below, a shorter lens makes it tell, unless one is asked for
_OWN_LENS = 62.0  # [deg] of the character's own eyes


@dataclass(frozen=True)
class Standpoint:
    """A camera before it moves. T frames: its own eyes carry a character's view along."""

    eye: np.ndarray  # [T, 3] m
    rotation: np.ndarray  # [T, 3, 3], world to camera
    focal: np.ndarray  # [T] px
    pivot: np.ndarray  # [3] m, what it looks at
    width: int
    height: int

    @property
    def distance(self) -> float:
        """From the eye to the pivot at index 0 [m]."""
        return float(np.linalg.norm(self.eye[0] - self.pivot))

    def path(self) -> CameraPath:
        """The camera that stands there."""
        matrices = np.tile(np.eye(4), (len(self.eye), 1, 1))
        matrices[:, :3, :3] = self.rotation
        matrices[:, :3, 3] = -np.einsum("tab,tb->ta", self.rotation, self.eye)
        return CameraPath(world_to_camera=matrices, focal=self.focal, width=self.width, height=self.height)


def head_of(rig: Rig, vertices: np.ndarray, plan: BodyPlan) -> np.ndarray:
    """Indices of the head's vertices; of the upper third of a body that has none."""
    if plan.head:
        last = plan.head[-1]
        below = np.zeros(rig.joint_count, dtype=bool)
        below[last] = True
        for joint, parent in enumerate(rig.parents):
            below[joint] |= parent >= 0 and below[parent]
        region = np.flatnonzero(rig.weights[:, below].sum(1) > 0.5)
        if len(region) >= 8:
            return region
    level = np.quantile(vertices[:, 1], 0.66)
    return np.flatnonzero(vertices[:, 1] >= level)


def standpoint(
    camera: CameraPath, rig: Rig, vertices: np.ndarray, plan: BodyPlan, motion: Motion, *, framing: str, angle: str,
    lens: str,
) -> Standpoint:  # fmt: skip
    """The camera as framing, angle and lens ask for it; with the defaults, the canonical view.

    Args:
        camera: The canonical view, T frames.
        rig: The character's.
        vertices: Its rest surface [V, 3].
        plan: Its parts.
        motion: What it does: `subjective` goes along with the head.
        framing: One of `FRAMINGS`.
        angle: One of `ANGLES`.
        lens: One of `LENSES`.
    """
    head = vertices[head_of(rig, vertices, plan)]
    if angle == "subjective":
        return _own_eyes(camera, rig, head, plan, motion, lens)
    if (framing, angle, lens) in (("full", "eye_level", "normal"), ("full", "dutch", "normal")):
        middle = (vertices.min(0) + vertices.max(0)) / 2.0
        return _leaned(_of_camera(camera, middle), angle)
    part, fill = FRAMINGS[framing]
    points = _part(part, vertices, head, rig, plan)
    back = camera.world_to_camera[0, 2, :3]
    azimuth, elevation = np.arctan2(back[0], back[2]), np.arcsin(np.clip(back[1], -1.0, 1.0))
    canonical = 2.0 * np.arctan(camera.height / 2.0 / camera.focal[0])
    asked = LENSES[lens] or (_LOW_LENS if angle == "low" else None)
    options = {"width": camera.width, "height": camera.height, "azimuth": azimuth, "fill": fill}
    options |= {"fov_y": canonical if asked is None else np.radians(asked)}
    if angle == "low":
        elevation = _lowest(points, vertices, options)
    elevation = {"high": max(elevation, _HIGH), "birds_eye": _ABOVE}.get(angle, elevation)
    one = frame_points(points, elevation=elevation, **options)
    still = one.at(np.zeros(camera.frame_count, dtype=int))
    return _leaned(_of_camera(still, (points.min(0) + points.max(0)) / 2.0), angle)


def _part(part: str, vertices: np.ndarray, head: np.ndarray, rig: Rig, plan: BodyPlan) -> np.ndarray:
    """What a framing shows of a body at rest. [N, 3]"""
    if part == "all":
        return vertices
    if part == "head":
        return head
    middle = (head.min(0) + head.max(0)) / 2.0
    size = float(np.ptp(head, axis=0).max())
    if part == "face":
        ahead = (head - middle) @ plan.front
        front = head[ahead > 0.3 * ahead.max()]
        spread = np.abs(front - np.median(front, axis=0)) / np.maximum(np.ptp(front, axis=0), 1e-9)
        return front[(spread < 0.3).all(1)] if (spread < 0.3).all(1).sum() >= 8 else front
    if part == "upper" and plan.upright:
        hips = float(rig.heads[plan.body, 1])
        chosen = vertices[(vertices[:, 1] > min(hips, float(head[:, 1].min())))]
    else:
        chosen = vertices[np.linalg.norm(vertices - middle, axis=1) < (0.95 if part == "bust" else 1.7) * size]
    # Arms that reach out of the picture don't make it wider.
    near = np.abs((chosen - middle) @ plan.left) < (0.75 if part == "bust" else 1.1) * size
    return chosen[near] if near.sum() >= 8 else chosen


def _lowest(points: np.ndarray, vertices: np.ndarray, options: dict) -> float:  # pyright: ignore[reportMissingTypeArgument]
    """The lowest elevation [rad] whose eye stays above the ground."""
    ground, size = float(vertices[:, 1].min()), float(np.ptp(vertices, axis=0).max())
    low, high = _LOWEST, 0.3
    for _ in range(20):
        middle = (low + high) / 2.0
        eye = _eye(frame_points(points, elevation=middle, **options))[0]
        low, high = (low, middle) if eye[1] > ground + 0.06 * size else (middle, high)
    return high


def _eye(camera: CameraPath) -> np.ndarray:
    return -np.einsum("tba,tb->ta", camera.world_to_camera[:, :3, :3], camera.world_to_camera[:, :3, 3])


def _of_camera(camera: CameraPath, pivot: np.ndarray) -> Standpoint:
    return Standpoint(
        eye=_eye(camera), rotation=camera.world_to_camera[:, :3, :3].copy(), focal=camera.focal.astype(np.float64),
        pivot=pivot.astype(np.float64), width=camera.width, height=camera.height,
    )  # fmt: skip


def _leaned(stand: Standpoint, angle: str) -> Standpoint:
    """A dutch angle leans the horizon, and steps back so that nobody loses a foot."""
    if angle != "dutch":
        return stand
    cosine, sine = np.cos(_LEAN), np.sin(_LEAN)
    lean = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    eye = stand.pivot + 1.14 * (stand.eye - stand.pivot)
    return Standpoint(
        eye=eye, rotation=lean @ stand.rotation, focal=stand.focal, pivot=stand.pivot, width=stand.width,
        height=stand.height,
    )  # fmt: skip


def _own_eyes(
    camera: CameraPath, rig: Rig, head: np.ndarray, plan: BodyPlan, motion: Motion, lens: str
) -> Standpoint:  # fmt: skip
    """What the character sees: an eye before the face that goes along with the head, a little downwards."""
    low, high = head.min(0).astype(np.float64), head.max(0).astype(np.float64)
    middle, size = (low + high) / 2.0, float((high - low).max())
    ahead = float(((head - middle) @ plan.front).max())
    eye = middle + plan.front * (ahead + 0.08 * size)
    down = np.radians(16.0)
    gaze = np.cos(down) * plan.front - np.sin(down) * plan.up
    view = look_at(eye, eye + gaze, plan.up)[:3, :3]
    joint = plan.head[-1] if plan.head else plan.body
    moved = posed_world(rig, motion.rotations, motion.translations)[:, joint] @ np.linalg.inv(rig.rest_world[joint])
    eyes = np.einsum("tab,b->ta", moved[:, :3, :3], eye) + moved[:, :3, 3]
    fov = np.radians(LENSES[lens] or _OWN_LENS)
    focal = np.full(len(eyes), camera.height / 2.0 / np.tan(fov / 2.0))
    rotation = np.einsum("ab,tcb->tac", view, moved[:, :3, :3])
    pivot = eye + 3.0 * size * gaze
    return Standpoint(
        eye=eyes, rotation=rotation, focal=focal, pivot=pivot, width=camera.width, height=camera.height
    )  # fmt: skip
