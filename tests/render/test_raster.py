"""The hard rasterizer against a ray caster and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from studio_pipeline.render import runtime
from studio_pipeline.render.raster import rasterize


def cast_rays(vertices, faces, camera):
    """Nearest hit of every pixel's ray by Moeller and Trumbore's test, float64: face ids, barycentrics, depth."""
    rotation, shift = camera.world_to_camera[0, :3, :3], camera.world_to_camera[0, :3, 3]
    points = vertices.astype(np.float64) @ rotation.T + shift
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = np.stack(
        [(x - camera.width / 2) / camera.focal[0], (camera.height / 2 - y) / camera.focal[0], -np.ones_like(x)], -1
    )
    ids = np.full(x.shape, -1)
    depth = np.full(x.shape, np.inf)
    weights = np.zeros((*x.shape, 3))
    for index, (a, b, c) in enumerate(points[faces]):
        p = np.cross(rays, c - a)
        determinant = p @ (b - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (p @ -a) / determinant
            q = np.cross(-a, b - a)
            v = (rays @ q) / determinant
            distance = ((c - a) @ q) / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0) & (distance < depth)
        ids[hit], depth[hit] = index, distance[hit]
        weights[hit] = np.stack([1 - u - v, u, v], -1)[hit]
    return ids, weights, depth


def test_soup_of_triangles_against_rays(make_camera):
    rng = np.random.default_rng(3)
    vertices = (rng.normal(size=(60, 1, 3)) * 0.6 + rng.normal(size=(60, 3, 3)) * 0.3).reshape(-1, 3).astype(np.float32)
    faces = np.arange(180).reshape(60, 3)
    camera = make_camera((0.5, 0.8, 4.0), width=80, height=56)
    ids, weights, depth = cast_rays(vertices, faces, camera)
    raster = rasterize(vertices[None], faces, camera)
    same = raster.face_ids[0] == ids
    assert same.mean() > 0.999 and (ids >= 0).mean() > 0.2
    hit = same & (ids >= 0)
    assert np.abs(raster.depth[0][hit] - depth[hit]).max() < 2e-5
    assert np.abs(raster.barycentrics[0][hit] - weights[hit]).max() < 2e-3
    assert np.isnan(raster.depth[0][raster.face_ids[0] < 0]).all()
    assert np.allclose(raster.barycentrics[0][raster.face_ids[0] >= 0].sum(-1), 1.0, atol=1e-5)


def test_sphere_has_its_depth_and_area(sphere, make_camera):
    camera = make_camera((0.0, 0.0, 3.0), focal=300.0, width=128, height=128)
    raster = rasterize(sphere.vertices[None], sphere.faces, camera)
    seen = raster.face_ids[0] >= 0
    radius = 300.0 * 0.5 / np.sqrt(9.0 - 0.25)  # tangent cone of a sphere of radius 0.5 at distance 3
    assert seen.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    y, x = (np.mgrid[:128, :128] + 0.5 - 64.0) / 300.0
    slope = x * x + y * y
    inner = slope < (0.8 * radius / 300.0) ** 2
    # Ray (x, y, -1) t meets |p| = 0.5 around (0, 0, -3).
    depth = (3.0 - np.sqrt(9.0 - (1.0 + slope) * 8.75, where=inner, out=np.zeros_like(slope))) / (1.0 + slope)
    assert np.abs(raster.depth[0][inner] - depth[inner]).max() < 3e-3
    assert seen[inner].all()  # no cracks between faces


def test_lowest_face_wins_a_tie_and_both_sides_are_seen(make_camera):
    vertices = np.array([[[-1, -1, 0], [1, -1, 0], [0, 1, 0]]], np.float32)
    faces = np.array([[2, 1, 0], [0, 1, 2], [1, 2, 0]])
    camera = make_camera((0.0, 0.0, 3.0))
    assert set(np.unique(rasterize(vertices, faces, camera).face_ids)) == {-1, 0}
    # Without backs the first face, which is clockwise from here, is left out.
    assert set(np.unique(rasterize(vertices, faces, camera, cull_back=True).face_ids)) == {-1, 1}


def test_pixel_centres_on_a_shared_edge_belong_to_exactly_one_face(make_camera):
    # Projects exactly to a square from pixel 8 to 24 whose diagonal runs through pixel centres.
    camera = make_camera((0.0, 0.0, 4.0), focal=32.0, width=32, height=32)
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    ids = rasterize(vertices[None], np.array([[0, 1, 2], [0, 2, 3]]), camera).face_ids[0]
    assert (ids >= 0).sum() == 256 and (ids[8:24, 8:24] >= 0).all()


def test_faces_behind_or_broken_are_left_out(make_camera):
    camera = make_camera((0.0, 0.0, 3.0))
    vertices = np.array(
        [[-1, -1, 0], [1, -1, 0], [0, 1, 0], [0, 0, 9], [0, 0, 3], [np.nan, 0, 0], [np.inf, 0, 0], [1e30, 0, 0]],
        np.float32,
    )
    broken = np.array([[3, 3, 4], [0, 5, 2], [3, 5, 2], [0, 6, 2], [0, 0, 1], [3, 4, 3]])
    assert (rasterize(vertices[None], broken, camera).face_ids == -1).all()
    whole = rasterize(vertices[None], np.concatenate([broken, [[0, 1, 2]]]), camera)
    alone = rasterize(vertices[None], np.array([[0, 1, 2]]), camera)
    assert np.array_equal(whole.face_ids >= 0, alone.face_ids >= 0) and (alone.face_ids >= 0).any()
    # A face that is far larger than the picture must neither hang nor overflow.
    assert (rasterize(vertices[None] * 1e4, np.array([[0, 1, 2]]), make_camera((0, 0, 5.0))).face_ids == 0).all()


def test_threads_change_nothing(sphere, make_camera, monkeypatch):
    rng = np.random.default_rng(0)
    vertices = sphere.vertices[None] + rng.normal(size=(5, 1, 3)).astype(np.float32) * 0.2
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(runtime, "FRAME_THREADS", threads)
        results.append(rasterize(vertices, sphere.faces, make_camera((0.0, 0.3, 3.0))))
    for other in results[1:]:
        for name in ("face_ids", "barycentrics", "depth"):
            assert getattr(other, name).tobytes() == getattr(results[0], name).tobytes()


def test_one_pose_for_many_cameras_and_one_camera_for_many_poses(sphere, make_camera):
    assert rasterize(sphere.vertices, sphere.faces, make_camera((0, 0, 3.0), frames=3)).face_ids.shape == (3, 64, 64)
    poses = np.repeat(sphere.vertices[None], 4, 0)
    assert rasterize(poses, sphere.faces, make_camera((0, 0, 3.0))).face_ids.shape == (4, 64, 64)
    with pytest.raises(ValueError, match="3 frames for 4"):
        rasterize(poses, sphere.faces, make_camera((0, 0, 3.0), frames=3))
