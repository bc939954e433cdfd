"""A case as it is filmed: the protocol's plate, or one that is hard on purpose. Reported apart from each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from studio_pipeline.evaluation.framing import AZIMUTH, motion_camera
from studio_pipeline.evaluation.plates import Plate, as_seen, draw, film, make_set
from studio_pipeline.evaluation.rays import camera_points
from studio_pipeline.evaluation.surfaces import Surface, to_linear
from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.schema.records import CameraPath, Character

__all__ = ["HARD", "Filmed", "film_shot"]

EASED = 6  # the last index that eases into the clip
SHUTTER = 0.5  # of a frame: 180 degrees
SUBFRAMES = 6
NOISE, FLICKER = 6.0, 0.08  # standard deviations [8-bit levels], share of the light
GHOST = (12, 13, 14)  # indices that show a limb that isn't there


@dataclass(frozen=True)
class Filmed:
    """A shot and its truth."""

    vertices: np.ndarray  # [T, V, 3] float32 [m], what each frame shows
    camera: CameraPath
    plate: Plate
    azimuth: float  # of the camera [rad]


def film_shot(character: Character, vertices: np.ndarray, *, size: int, seed: int, hard: str | None = None) -> Filmed:
    """Film a motion by the protocol, or as the hard case ``hard`` (see `HARD`).

    Args:
        character: Whose.
        vertices: True, index 0 at rest. [T, V, 3] [m]
        size: Side of the picture [px].
        seed: Draws lights, backdrop and damage.
        hard: Name of a hard case.
    """
    if hard is not None:
        return HARD[hard](character, vertices, size, seed)
    camera = motion_camera(vertices, size=size)
    return Filmed(vertices, camera, film(character, vertices, camera, seed=seed), float(AZIMUTH))


def _ramp(count: int) -> np.ndarray:
    """0 up to index `EASED`, then smoothly to 1 at the last. [count]"""
    u = np.clip((np.arange(count) - EASED) / max(count - 1 - EASED, 1), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _leaves_frame(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """It drifts to the picture's right edge until half of the body is outside."""
    camera = motion_camera(vertices, size=size)
    count = len(vertices)
    u = np.clip(2.0 * _ramp(count), 0.0, 1.0)  # there by the middle, then it stays
    centres = np.stack([camera_points(camera, t, v).mean(0) for t, v in enumerate(vertices)])
    reach = -centres[:, 2] * (size / 2.0) / camera.focal - centres[:, 0]
    right = camera.world_to_camera[:, 0, :3]
    moved = (vertices + (u * reach)[:, None, None] * right[:, None]).astype(np.float32)
    return Filmed(moved, camera, film(character, moved, camera, seed=seed), float(AZIMUTH))


def _limbs_cross(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """Seen from the side, where legs pass each other and arms pass the trunk."""
    azimuth = float(np.pi / 2.0)
    camera = motion_camera(vertices, size=size, azimuth=azimuth)
    return Filmed(vertices, camera, film(character, vertices, camera, seed=seed), azimuth)


def _turn(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """It turns by 180 degrees about the vertical axis from index 7 to the end."""
    middle = (vertices[0].min(0) + vertices[0].max(0)) / 2.0
    turns = axis_angle_to_matrix(np.pi * _ramp(len(vertices))[:, None] * np.array([0.0, 1.0, 0.0]))
    turned = (np.einsum("tab,tvb->tva", turns, vertices - middle) + middle).astype(np.float32)
    return film_shot(character, turned, size=size, seed=seed)


def _motion_blur(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """An open shutter of 180 degrees: sub-frames averaged in linear light; index 0 is sharp."""
    camera = motion_camera(vertices, size=size)
    stage, surface = make_set(character, camera, seed=seed), Surface(character)
    last = len(vertices) - 1
    linear, truth = [], []
    for t, posed in enumerate(vertices):
        truth.append(draw(surface, posed, camera, t, stage))
        times = t + SHUTTER * ((np.arange(SUBFRAMES) + 0.5) / SUBFRAMES - 0.5) if t else np.zeros(0)
        exposed = []
        for time in np.clip(times, 0, last):
            before = min(int(time), last - 1)
            between = vertices[before] + (time - before) * (vertices[before + 1] - vertices[before])
            exposed.append(draw(surface, between, camera, t, stage).linear)
        linear.append(np.mean(exposed, axis=0) if exposed else truth[0].linear)
    return Filmed(vertices, camera, as_seen(linear, truth, stage), float(AZIMUTH))


def _damaged(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """Grain, flicker, and a second copy of a limb in the frames `GHOST`."""
    camera = motion_camera(vertices, size=size)
    rng = np.random.default_rng([seed, 0xBAD])
    stage, surface = make_set(character, camera, seed=seed), Surface(character)
    ghost = Surface(_with_limb(character))
    linear, truth = [], []
    for t, posed in enumerate(vertices):
        truth.append(draw(surface, posed, camera, t, stage))
        picture = truth[-1].linear
        if t in GHOST:
            axis = camera.world_to_camera[t, 2, :3]
            centre = posed.mean(0)
            turn = axis_angle_to_matrix(np.radians(70.0) * axis)
            picture = draw(ghost, np.concatenate([posed, (posed - centre) @ turn.T + centre]), camera, t, stage).linear
        linear.append(picture * (1.0 + (rng.normal() * FLICKER if t else 0.0)))
    clean = as_seen(linear, truth, stage)
    noisy = np.rint(np.clip(clean.rendered + rng.normal(0.0, NOISE, clean.rendered.shape), 0, 255)).astype(np.uint8)
    return Filmed(vertices, camera, as_seen([to_linear(frame) for frame in noisy], truth, stage), float(AZIMUTH))


def _with_limb(character: Character) -> Character:
    """The character and, on vertices of its own, the fifth of its faces that reaches out farthest to one side."""
    middles = character.vertices[character.faces].mean(1)
    away = middles - np.median(middles, axis=0)
    tip = away[np.argmax((away**2).sum(1))]
    along = away @ (tip / np.linalg.norm(tip))
    limb = character.faces[along > np.quantile(along, 0.8)]
    return replace(
        character,
        **{
            name: np.concatenate([getattr(character, name)] * 2)
            for name in ("vertices", "normals", "uv", "vertex_colors")
        },
        faces=np.concatenate([character.faces, limb + len(character.vertices)]),
    )


def _on_twos(character: Character, vertices: np.ndarray, size: int, seed: int) -> Filmed:
    """Every pose held for two frames, as drawn animation does: 12 poses a second."""
    held = vertices[np.arange(len(vertices)) // 2 * 2]
    return film_shot(character, held, size=size, seed=seed)


HARD: dict[str, Callable[[Character, np.ndarray, int, int], Filmed]] = {
    "leaves_frame": _leaves_frame,
    "limbs_cross": _limbs_cross,
    "turn_180": _turn,
    "motion_blur": _motion_blur,
    "damaged_plate": _damaged,
    "on_twos": _on_twos,
}
"""Hard cases by name."""
