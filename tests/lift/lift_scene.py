"""A bending tentacle with known motion, and pictures of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.geometry.rotations import axis_angle_to_matrix, matrix_to_sixd
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Motion, Observations, Rig

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


def filmed(
    character: Character, vertices: np.ndarray, size: int, azimuth: float = 0.2
) -> tuple[CameraPath, Clip, np.ndarray]:
    """Camera, clip (unlit, four samples a pixel, with noise) and coverage [T, H, W] 0..1."""
    import cv2

    view = frame_points(vertices.reshape(-1, 3), width=size, height=size, azimuth=azimuth, elevation=0.1, fill=0.8)
    camera = view.at(np.zeros(len(vertices), dtype=int))
    raster = rasterize(vertices, character.faces, camera.resized(4 * size, 4 * size))
    rng = np.random.default_rng(0)
    frames, coverage = [], []
    for ids, shares in zip(raster.face_ids, raster.barycentrics, strict=True):
        picture = np.full((4 * size, 4 * size, 3), (0.1, 0.15, 0.25))
        hit = ids >= 0
        picture[hit] = (character.vertex_colors[character.faces[ids[hit]]] * shares[hit][..., None]).sum(1)
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        srgb = np.where(small <= 0.0031308, 12.92 * small, 1.055 * small ** (1 / 2.4) - 0.055)
        frames.append(np.clip(255.0 * srgb + rng.normal(0.0, 1.0, small.shape), 0, 255).round().astype(np.uint8))
        coverage.append(cv2.resize(hit.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
    return camera, Clip(frames=np.stack(frames), fps=Fraction(24), first_frame=1001), np.stack(coverage)


def seen_exactly(character: Character, camera: CameraPath, vertices: np.ndarray, coverage: np.ndarray) -> Observations:
    """Observations without error: true masks, and the projections of a few surface points."""
    from studio_pipeline.geometry.cameras import project

    front = np.unique(rasterize(vertices[:1], character.faces, camera.at([0])).face_ids)
    faces = front[front >= 0][::4].astype(np.int32)
    shares = np.full((len(faces), 3), 1.0 / 3.0, np.float32)
    tracks = project(camera, vertices[:, character.faces[faces]].mean(2))[0]
    return Observations(
        masks=np.round(coverage * 255.0).astype(np.uint8),
        tracks=tracks.astype(np.float32),
        visibility=np.ones(tracks.shape[:2], bool),
        track_faces=faces,
        track_barycentrics=shares,
    )
