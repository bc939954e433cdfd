"""A small textured tube with three joints, bent and turned, seen by a moving camera."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from support.blender import blender

from studio_pipeline.geometry.cameras import frame_points, orbit
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd, sixd_identity
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.records import CameraPath, Character, Motion, PointCache, Rig
from studio_pipeline.stages.delivery.scene import DeliveryScene

__all__ = ["blender", "make_scene"]


def tube(*, unit_scale: float = 1.0, tinted: bool = False, around: int = 12, along: int = 9) -> Character:
    """A closed tube of 1.2 m along Y with a seam, a checkered atlas, in metres."""
    turn, height = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, around + 1), np.linspace(0.0, 1.2, along))
    radius = 0.15 + 0.03 * np.sin(4.0 * height)
    side = np.stack([radius * np.sin(turn), height, radius * np.cos(turn)], axis=-1).reshape(-1, 3)
    outward = np.stack([np.sin(turn), np.zeros_like(turn), np.cos(turn)], axis=-1).reshape(-1, 3)
    uv = np.stack([turn / (2.0 * np.pi), 1.0 - height / 1.2], axis=-1).reshape(-1, 2)
    index = np.arange(along * (around + 1)).reshape(along, around + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    caps = []
    for ring, y, up in ((index[0], 0.0, -1.0), (index[-1], 1.2, 1.0)):
        first = len(side)
        side = np.concatenate([side, side[ring], [[0.0, y, 0.0]]])
        outward = np.concatenate([outward, np.tile([0.0, up, 0.0], (around + 2, 1))])
        uv = np.concatenate([uv, np.full((around + 2, 2), 0.5)])
        rim, hub = np.arange(first, first + around + 1), first + around + 1
        pair = (rim[:-1], rim[1:]) if up > 0 else (rim[1:], rim[:-1])
        caps.append(np.stack([pair[0], pair[1], np.full(around, hub)], axis=-1))
    faces = np.concatenate([faces, *caps])
    atlas = np.full((64, 64, 4), 255, dtype=np.uint8)
    atlas[..., :3] = np.where((np.indices((64, 64)).sum(0) // 8 % 2)[..., None] == 1, (230, 120, 40), (60, 90, 200))
    colors = np.ones((len(side), 3), dtype=np.float32)
    if tinted:
        colors[:, 0] = side[:, 1] / 1.2
    return Character(
        name="tube",
        vertices=side.astype(np.float32),
        normals=outward.astype(np.float32),
        faces=faces.astype(np.int32),
        uv=uv.astype(np.float32),
        atlas=atlas,
        vertex_colors=colors,
        height_m=1.2,
        unit_scale=unit_scale,
    )


def tube_rig(character: Character) -> Rig:
    """Three joints up the tube, turned frames, six influences at most (three joints share out their weight)."""
    rest = np.tile(np.eye(4), (3, 1, 1))
    rest[:, :3, 3] = [[0.0, 0.05, 0.0], [0.0, 0.45, 0.02], [0.0, 0.8, 0.0]]
    rest[:, :3, :3] = axis_angle_to_matrix(np.array([[0.0, 0.0, 0.4], [0.3, 0.0, 0.1], [0.0, -0.8, 0.0]]))
    distance = np.abs(character.vertices[:, 1, None] - np.array([0.2, 0.6, 1.0]))
    weights = np.exp(-((distance / 0.18) ** 2)).astype(np.float64)
    weights[weights < 1e-3] = 0.0
    weights /= weights.sum(1, keepdims=True)
    return Rig(
        names=("hips", "spine.001", "head"),
        parents=np.array([-1, 0, 1], dtype=np.int32),
        rest_world=rest,
        tails=np.array([[0.0, 0.45, 0.0], [0.0, 0.8, 0.0], [0.0, 1.2, 0.0]], dtype=np.float32),
        weights=weights.astype(np.float32),
        backend="test",
    )


def tube_motion(frames: int, fps: Fraction, first: int) -> Motion:
    """Index 0 at rest, then the tube bends, twists and slides."""
    phase = np.linspace(0.0, 1.0, frames)[:, None]
    rotations = sixd_identity(frames, 3)
    for joint, axis in enumerate([[0.0, 0.5, 0.3], [0.9, 0.0, 0.4], [0.2, 1.6, 0.0]]):
        rotations[:, joint] = matrix_to_sixd(axis_angle_to_matrix(phase * np.array(axis)))
    translations = np.zeros((frames, 3, 3))
    translations[:, 0] = phase * np.array([0.2, 0.05, -0.1])
    return Motion(
        rotations=rotations.astype(np.float32), translations=translations.astype(np.float32), fps=fps, first_frame=first
    )


def build_scene(
    *,
    frames: int = 9,
    fps: Fraction = Fraction(24),
    handles: int = 1,
    unit_scale: float = 1.0,
    tinted: bool = False,
    moving_camera: bool = True,
    zoom: bool = False,
    size: tuple[int, int] = (96, 128),
    shot_id: str = "demo_010_0010",
) -> DeliveryScene:
    """The tube's shot; index 0 at rest."""
    character = tube(unit_scale=unit_scale, tinted=tinted)
    rig, motion = tube_rig(character), tube_motion(frames, fps, 1001 - handles)
    skinned = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
    wobble = 0.02 * np.sin(np.arange(frames))[:, None, None] * character.vertices[None, :, 1:2]
    points = (skinned + wobble * np.array([1.0, 0.0, 0.5])).astype(np.float32)
    view = frame_points(points.reshape(-1, 3), width=size[0], height=size[1], fill=0.8)
    angles = np.linspace(0.0, 0.3, frames) if moving_camera else np.zeros(1)
    views = [orbit(view, np.array([0.0, 0.6, 0.0]), angle) for angle in angles]
    focal = view.focal[0] * (np.linspace(1.0, 0.9, len(views)) if zoom else np.ones(len(views)))
    camera = CameraPath(
        world_to_camera=np.concatenate([v.world_to_camera for v in views]),
        focal=focal,
        width=size[0],
        height=size[1],
    )
    cache = PointCache(
        points=points,
        stiffness=np.full(4, 1e5, dtype=np.float32),
        fallback=np.zeros(frames, dtype=bool),
        fps=fps,
        first_frame=1001 - handles,
    )
    return DeliveryScene(
        shot_id=shot_id,
        fps=fps,
        frames=(1001, 1001 + frames - 1 - 2 * handles),
        handles=handles,
        character=character,
        rig=rig,
        camera=camera,
        motion=motion,
        cache=cache,
    )


SceneMaker = Callable[..., DeliveryScene]


@pytest.fixture(scope="session")
def make_scene() -> SceneMaker:
    """Builds a `DeliveryScene` of the tube."""
    return build_scene
