"""Faces that cross the near plane: against closed forms, a ray caster and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.render.raster import NEAR_M, rasterize

HEIGHT_M = 1.3  # of the camera over the ground


def ground(corners=((-50.0, -40.0), (55.0, -45.0), (60.0, 70.0), (-45.0, 50.0))):
    """A plane under and behind a camera at the origin, y = 0: two triangles."""
    vertices = np.array([[x, 0.0, z] for x, z in corners], np.float32)
    return vertices, np.array([[0, 2, 1], [0, 3, 2]])


def over_ground(make_camera):
    return make_camera((0.4, HEIGHT_M, 0.3), (0.0, HEIGHT_M - 0.5, -1.0), focal=45.0, width=72, height=56)


def rays_of(camera):
    """World directions of the pixels' rays, one unit deep. [H, W, 3]"""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    local = np.stack(
        [(x - camera.width / 2) / camera.focal[0], (camera.height / 2 - y) / camera.focal[0], -1 + 0 * x], -1
    )
    return local @ camera.world_to_camera[0, :3, :3]


def test_ground_under_and_behind_the_camera_has_its_depth(make_camera):
    vertices, faces = ground()
    camera = over_ground(make_camera)
    raster = rasterize(vertices[None], faces, camera)
    down = -rays_of(camera)[..., 1]
    expected = HEIGHT_M / np.where(down > 0, down, np.nan)
    points = np.array([0.4, HEIGHT_M, 0.3]) + rays_of(camera) * np.nan_to_num(expected, nan=1e6)[..., None]
    inside = np.ones(expected.shape, bool)
    for (x0, _, z0), (x1, _, z1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (points[..., 2] - z0) - (z1 - z0) * (points[..., 0] - x0) > 0
    inside &= np.isfinite(expected)
    assert ((raster.face_ids[0] >= 0) == inside).all() and 0.4 < inside.mean() < 0.95
    assert (np.abs(raster.depth[0] - expected)[inside] < 1e-4 * expected[inside]).all()
    places = np.einsum("nk,nkd->nd", raster.barycentrics[0][inside], vertices[faces[raster.face_ids[0][inside]]])
    assert np.abs(places - points[inside]).max() < 2e-3


@pytest.mark.parametrize("seed", range(4))
def test_triangles_all_around_the_camera_against_rays(make_camera, seed):
    """Large triangles near the camera, most of them across its plane, against trimesh's ray caster."""
    rng = np.random.default_rng(seed)
    vertices = (rng.normal(size=(40, 1, 3)) * 0.7 + rng.normal(size=(40, 3, 3)) * 1.5).reshape(-1, 3).astype(np.float32)
    faces = np.arange(120).reshape(40, 3)
    camera = make_camera((0.2, 0.1, 0.3), (0.1, 0.0, -1.0), focal=30.0, width=48, height=40)
    raster = rasterize(vertices[None], faces, camera)
    depths = vertices[faces] @ -camera.world_to_camera[0, 2, :3] - camera.world_to_camera[0, 2, 3]
    across = (depths.min(1) < NEAR_M) & (depths.max(1) > NEAR_M)
    assert across.sum() > 10
    rays = rays_of(camera).reshape(-1, 3)
    eye = np.array([0.2, 0.1, 0.3])
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    places, ray, hit = mesh.ray.intersects_location(np.tile(eye, (len(rays), 1)), rays, multiple_hits=True)
    away = ((places - eye) * rays[ray]).sum(1) / (rays[ray] ** 2).sum(1)
    keep = away > NEAR_M
    order = np.lexsort((-away[keep], ray[keep]))
    ids = np.full(len(rays), -1)
    depth = np.full(len(rays), np.nan)
    ids[ray[keep][order]], depth[ray[keep][order]] = hit[keep][order], away[keep][order]  # the nearest is written last
    same = raster.face_ids[0].ravel() == ids
    assert same.mean() > 0.998
    seen = same & (ids >= 0)
    assert across[ids[seen]].mean() > 0.2
    assert (np.abs(raster.depth[0].ravel() - depth)[seen] < 2e-5 + 2e-4 * depth[seen]).all()


def test_no_cracks_between_clipped_and_whole_faces(make_camera):
    """A fine grid under the camera: every ray below the horizon meets exactly one of its faces."""
    x, z = np.meshgrid(np.linspace(-30, 30, 41), np.linspace(-30, 30, 41))
    vertices = np.stack([x, 0 * x, z], -1).reshape(-1, 3).astype(np.float32)
    cell = (np.arange(40)[:, None] * 41 + np.arange(40)).reshape(-1)
    faces = np.concatenate([np.stack([cell, cell + 41, cell + 1], 1), np.stack([cell + 1, cell + 41, cell + 42], 1)])
    for step in range(5):
        eye = np.array([0.3 + 0.11 * step, 0.02 + 0.2 * step, 0.2])
        camera = make_camera(eye, eye + np.array([0.1, -0.7, -1.0]), focal=40.0)
        raster = rasterize(vertices[None], faces, camera)
        down = -rays_of(camera)[..., 1]
        short = eye[1] / np.where(down > 0, down, 1e-9) < 25.0
        assert (raster.face_ids[0] >= 0)[short].all() and not (raster.face_ids[0] >= 0)[down <= 0].any()
        # All are seen from above, so nothing is lost without backs, and nothing is left of the backs.
        front = rasterize(vertices[None], faces, camera, cull_back=True).face_ids
        assert np.array_equal(front, raster.face_ids)
        assert (rasterize(vertices[None], faces[:, ::-1], camera, cull_back=True).face_ids == -1).all()


@pytest.mark.parametrize("depth", [0.0, 1e-30, -1e-30, 1e-12, -1e-9, 1e-6, -1e-6, 9e-4, -1e-3])
def test_a_vertex_in_the_cameras_plane_breaks_nothing(make_camera, depth):
    """As its depth goes to zero, the rest of the face stays where it is."""
    matrix = look_at(np.zeros(3), np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0]))
    camera = make_camera((0, 0, 0.0), (0, 0, -1.0), focal=30.0)
    assert np.allclose(camera.world_to_camera[0], matrix)
    face = np.array([[0, 1, 2]])
    vertices = np.array([[-3.0, -0.5, -4.0], [3.0, -0.5, -4.0], [0.2, -0.5, -depth]])
    ids = rasterize(vertices[None], face, camera).face_ids
    near = rasterize(vertices[None] + [[[0, 0, 0], [0, 0, 0], [0, 0, -0.002 + depth]]], face, camera).face_ids
    assert (ids >= 0).sum() > 300 and (ids != near).mean() < 0.003
