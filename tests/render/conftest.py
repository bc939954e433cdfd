"""Characters and cameras that the renderer's tests share."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.schema.records import CameraPath, Character


def character_of(vertices, faces, *, normals=None, uv=None, atlas=None, vertex_colors=None):
    vertices = np.asarray(vertices, np.float32)
    faces = np.asarray(faces, np.int32)
    if normals is None:
        normals = np.asarray(trimesh.Trimesh(vertices, faces, process=False).vertex_normals)
    return Character(
        name="made",
        vertices=vertices,
        normals=np.asarray(normals, np.float32),
        faces=faces,
        uv=np.full((len(vertices), 2), 0.5, np.float32) if uv is None else np.asarray(uv, np.float32),
        atlas=np.full((4, 4, 4), 255, np.uint8) if atlas is None else atlas,
        vertex_colors=np.ones((len(vertices), 3), np.float32) if vertex_colors is None else np.float32(vertex_colors),
        height_m=float(np.ptp(vertices, axis=0).max()),
        unit_scale=1.0,
    )


def camera_at(eye, target=(0.0, 0.0, 0.0), *, focal=80.0, width=64, height=64, frames=1):
    matrix = look_at(np.array(eye), np.array(target), np.array([0.0, 1.0, 0.0]))
    return CameraPath(
        world_to_camera=np.repeat(matrix[None], frames, 0), focal=np.full(frames, focal), width=width, height=height
    )


@pytest.fixture(scope="session")
def make_character():
    return character_of


@pytest.fixture(scope="session")
def make_camera():
    return camera_at


@pytest.fixture(scope="session")
def sphere():
    mesh = trimesh.creation.icosphere(4, 0.5)
    return character_of(mesh.vertices, mesh.faces, normals=np.asarray(mesh.vertices) * 2.0)
