"""Shared normals, welded edges, colour encoding."""

from __future__ import annotations

import numpy as np
import trimesh
from skimage.color import rgb2lab

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.render.mesh import RenderMesh, mesh_edges
from studio_pipeline.render.surface import normal_groups, posed_normals


def split(mesh):
    """Every face with vertices of its own."""
    return np.asarray(mesh.vertices)[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3)


def test_srgb_there_and_back():
    values = np.arange(256) / 255.0
    assert np.abs(linear_to_srgb(srgb_to_linear(values)) - values).max() < 1e-5
    # Relative luminance 0.184 is CIE L* = 50: an independent path through skimage's own sRGB decoding.
    grey = linear_to_srgb(np.full((1, 1, 3), 0.18418652))
    assert abs(rgb2lab(grey)[0, 0, 0] - 50.0) < 1e-2


def test_seams_stay_smooth_and_hard_edges_stay_hard(make_character):
    sphere = trimesh.creation.icosphere(3)
    points, faces = split(sphere)
    smooth = make_character(points, faces, normals=points)
    normals = posed_normals(smooth.vertices[None], faces, normal_groups(smooth))[0]
    assert np.abs(normals - points).max() < 0.02
    box = trimesh.creation.box()
    points, faces = split(box)
    hard = make_character(points, faces, normals=np.repeat(box.face_normals, 3, 0))
    normals = posed_normals(hard.vertices[None], faces, normal_groups(hard))[0]
    assert np.abs(normals - hard.normals).max() < 1e-6


def test_normals_follow_the_pose_in_numpy_and_torch(sphere):
    import torch

    stretch = np.array([2.0, 1.0, 0.5], np.float32)
    expected = sphere.vertices / stretch
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    posed = (sphere.vertices * stretch)[None]
    ours = posed_normals(posed, sphere.faces, normal_groups(sphere))
    assert np.abs(ours[0] - expected).max() < 0.03
    twin = RenderMesh.from_character(sphere).normals(torch.from_numpy(posed)).numpy()
    assert np.abs(ours - twin).max() < 1e-5


def test_edges_are_found_across_seams_and_borders_kept():
    sphere = trimesh.creation.icosphere(2)
    points, faces = split(sphere)
    edges, sides = mesh_edges(faces, points)
    assert len(edges) == 3 * len(faces) // 2 and (sides >= 0).all()
    assert all(set(edge) == set(face) for edge, face in zip(edges, faces[sides[:, 0]], strict=True))
    open_edges, open_sides = mesh_edges(faces[1:], points)
    assert len(open_edges) == len(edges) and (open_sides[:, 1] < 0).sum() == 3
    # Three faces on one edge: each keeps it as a border of its own.
    fan = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1]], float)
    edges, sides = mesh_edges(np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]), fan)
    assert len(edges) == 9 and (sides[:, 1] == -1).all()
