"""A bending tentacle with known motion, and pictures of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from support.filming import filmed, seen_exactly

from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.records import Character, Motion, Rig

__all__ = ["JOINTS", "bending", "filmed", "posed", "seen_exactly", "tentacle"]

LENGTH, RADIUS, JOINTS = 1.2, 0.14, 3


def tentacle() -> tuple[Character, Rig]:
    """An upright tapered tube of coloured patches on a chain of three joints."""
    rows, around = 25, 16
    height = np.linspace(0.0, LENGTH, rows)
    angle = np.linspace(0.0, 2.0 * np.pi, around, endpoint=False)
    radius = RADIUS * np.sqrt(np.clip(1.0 - (height / LENGTH) ** 4, 0.05, 1.0))
    side = np.stack([np.sin(angle), np.zeros(around), np.cos(angle)], axis=-1)
    rings = side[None] * radius[:, None, None] + np.array([0.0, 1.0, 0.0]) * height[:, None, None]
    vertices = np.concatenate([rings.reshape(-1, 3), [[0.0, 0.0, 0.0], [0.0, LENGTH, 0.0]]]).astype(np.float32)
    faces = []
    for row in range(rows - 1):
        for column in range(around):
            a, b = row * around + column, row * around + (column + 1) % around
            faces += [[a, b, b + around], [a, b + around, a + around]]
    for column in range(around):
        after, top = (column + 1) % around, (rows - 1) * around
        faces += [[rows * around, after, column], [rows * around + 1, top + column, top + after]]
    normals = np.concatenate([np.tile(side, (rows, 1)), [[0, -1, 0], [0, 1, 0]]]).astype(np.float32)
    colours = np.random.default_rng(5).uniform(0.05, 1.0, (len(vertices), 3)).astype(np.float32)
    character = Character(
        name="tentacle",
        vertices=vertices,
        normals=normals,
        faces=np.array(faces, dtype=np.int32),
        uv=np.zeros((len(vertices), 2), np.float32),
        atlas=np.full((2, 2, 4), 255, np.uint8),
        vertex_colors=colours,
        height_m=LENGTH,
        unit_scale=1.0,
    )
    world = np.tile(np.eye(4), (JOINTS, 1, 1))
    world[:, 1, 3] = LENGTH / JOINTS * np.arange(JOINTS)
    world[1, :3, :3] = axis_angle_to_matrix(np.array([0.3, -0.8, 0.2]))
    place = np.clip(vertices[:, 1] / LENGTH * JOINTS - 0.5, 0.0, JOINTS - 1.0)
    weights = np.clip(1.0 - np.abs(place[:, None] - np.arange(JOINTS)), 0.0, 1.0)
    tails = world[:, :3, 3] + [0.0, LENGTH / JOINTS, 0.0]
    rig = Rig(
        names=("root", "middle", "tip"),
        parents=np.array([-1, 0, 1], dtype=np.int32),
        rest_world=world,
        tails=tails.astype(np.float32),
        weights=weights.astype(np.float32),
    )
    return character, rig


def bending(rig: Rig, frames: int) -> Motion:
    """The root slides and turns, the others bend in the picture's plane."""
    time = np.linspace(0.0, 1.0, frames)
    vectors = np.zeros((frames, JOINTS, 3))
    vectors[:, 0, 2] = 0.3 * time
    world_bend = np.array([0.0, 0.0, 1.0])
    for joint in (1, 2):
        vectors[:, joint] = 0.6 * time[:, None] * (rig.rest_world[joint, :3, :3].T @ world_bend)
    shifts = np.zeros((frames, JOINTS, 3))
    shifts[:, 0, 0] = 0.2 * time
    return Motion(
        rotations=matrix_to_sixd(axis_angle_to_matrix(vectors)).astype(np.float32),
        translations=shifts.astype(np.float32),
        fps=Fraction(24),
        first_frame=1001,
    )


def posed(character: Character, rig: Rig, motion: Motion) -> np.ndarray:
    """Vertices of a motion [T, V, 3]."""
    return pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
