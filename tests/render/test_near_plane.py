"""Faces that cross the near plane: against closed forms, a ray caster and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.geometry.cameras import look_at
from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render.differentiable import Lambert, RenderMesh, render
from studio_pipeline.render.look import Look, render_frames
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


@pytest.fixture(scope="module")
def road(make_character):
    """A strip of ground that begins behind the camera, coloured smoothly; its sides are in the picture."""
    points = [[-0.9, 0.05, 6.0], [1.0, -0.05, 5.0], [1.2, 0.0, -9.0], [-1.1, 0.1, -8.0]]
    x = np.arange(64) / 64 * 2 * np.pi
    atlas = np.full((64, 64, 4), 150, np.uint8)
    atlas[..., 0] = (128 + 90 * np.sin(x))[None, :]
    atlas[..., 1] = (128 + 90 * np.cos(x))[:, None]
    tints = [[0.9, 0.5, 0.4], [0.3, 0.8, 0.5], [0.4, 0.6, 0.9], [0.8, 0.8, 0.3]]
    uv = [[0.2, 0.1], [0.8, 0.15], [0.75, 0.9], [0.25, 0.8]]
    return make_character(points, [[0, 1, 2], [0, 2, 3]], uv=uv, atlas=atlas, vertex_colors=tints)


def along_road(make_camera):
    return make_camera((0.1, HEIGHT_M, 1.0), (0.0, HEIGHT_M - 0.45, 0.0), focal=40.0, width=64, height=64)


def weights(height, width):
    y, x = np.mgrid[:height, :width]
    return torch.from_numpy(np.sin(x / 9.0 + 0.2) * np.cos(y / 7.0)).float()


def slopes(loss, start, step):
    """Analytic and central-difference derivatives with respect to every coordinate of every vertex. [V, 3] twice"""
    value = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(value), value)
    differences = torch.zeros(start.shape)
    for index in np.ndindex(*start.shape):
        moved = [start.clone(), start.clone()]
        moved[0][index] += step
        moved[1][index] -= step
        differences[index] = float(loss(moved[0]) - loss(moved[1])) / float(moved[0][index] - moved[1][index])
    return gradient[0].numpy(), differences[0].numpy()


@pytest.mark.parametrize("output", ["depth", "color", "lit", "normals", "barycentrics"])
def test_gradients_reach_vertices_behind_the_camera(road, make_camera, output):
    mesh, camera = RenderMesh.from_character(road), along_road(make_camera)
    start = torch.from_numpy(road.vertices)[None]
    away = (render(start, mesh, camera).face_ids < 0).float()
    core = (torch.nn.functional.max_pool2d(away, 11, 1, 5) == 0).float()[0]
    if output == "barycentrics":  # another face counts them differently
        other = (render(start, mesh, camera).face_ids != 0).float()
        core *= torch.nn.functional.max_pool2d(other, 3, 1, 1)[0] == 0
    assert core.mean() > 0.1 and (render(start, mesh, camera).depth[0][core > 0].min()) < 1.5
    shading = Lambert(direction=(0.4, 0.8, 0.3), ambient=0.2) if output == "lit" else None
    channels = torch.tensor([1.0, -0.4, 0.7])

    def loss(vertices):
        picture = getattr(render(vertices, mesh, camera, shading=shading), "color" if output == "lit" else output)[0]
        if output == "depth":
            return (picture.clamp(max=4.0) * weights(64, 64) * core).double().sum()
        return ((picture @ channels) * weights(64, 64) * core).double().sum()

    ours, theirs = slopes(loss, start, 2e-3)
    assert np.abs(theirs[:2]).max() > 1.0  # those behind matter
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max() + 0.02


@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_the_outline_reaches_behind_the_camera(road, make_camera, sigma):
    """Its sides leave the picture at the bottom, on their way to corners that are behind."""
    mesh, camera = RenderMesh.from_character(road), along_road(make_camera)
    start = torch.from_numpy(road.vertices)[None]
    soft = render(start, mesh, camera, sigma=sigma)
    bottom = soft.silhouette[0, -1]
    assert bottom[32] == 1 and (soft.silhouette[0, :8] == 0).all()

    def loss(vertices):
        return (render(vertices, mesh, camera, sigma=sigma).silhouette[0] * weights(64, 64)).double().sum()

    ours, theirs = slopes(loss, start, 4e-3)
    assert np.abs(theirs[:2]).max() > 0.5 and np.abs(theirs[2:]).max() > 2.0
    assert np.abs(ours - theirs).max() < 0.03 * np.abs(theirs).max()
    large = camera.resized(64 * 8, 64 * 8)
    cover = rasterize(road.vertices, road.faces, large).face_ids[0] >= 0
    cover = cover.reshape(64, 8, 64, 8).mean((1, 3))
    sharp = render(start, mesh, camera, sigma=0.35).silhouette[0].numpy()
    assert np.abs(sharp - cover).sum() < 0.02 * cover.sum() and np.abs(sharp - cover).max() < 0.3


def test_inner_edges_reach_behind_the_camera(road, make_character, make_camera):
    """The road over a plane far below it: its sides are inner edges that run to corners behind the camera."""
    below = np.array([[-60, -3, 40], [60, -3, 40], [60, -3, -90], [-60, -3, -90]], np.float32)
    tints = np.concatenate([np.tile([0.9, 0.3, 0.2], (4, 1)), np.tile([0.2, 0.4, 0.8], (4, 1))])
    character = make_character(
        np.concatenate([road.vertices, below]), np.concatenate([road.faces, road.faces + 4]), vertex_colors=tints
    )
    mesh, camera = RenderMesh.from_character(character), along_road(make_camera)
    start = torch.from_numpy(character.vertices)[None]
    channels = torch.tensor([1.0, -0.4, 0.7])
    large = render(start, mesh, camera.resized(64 * 12, 64 * 12), inner_edges=False, sigma=0.01).color[0]
    truth = large.reshape(64, 12, 64, 12, 3).mean((1, 3))[24:]
    soft, hard = (render(start, mesh, camera, inner_edges=wanted).color[0, 24:] for wanted in (True, False))
    assert (soft - truth).abs().sum() < 0.3 * (hard - truth).abs().sum()

    def loss(vertices):
        return (
            (render(vertices, mesh, camera).color[0, 24:, 6:-6] @ channels * weights(64, 64)[24:, 6:-6]).double().sum()
        )

    # Averaged over a walk, as pixels that change sides make small steps.
    for corner, axis in ((0, 0), (1, 0), (0, 1), (1, 1)):
        move = torch.zeros_like(start)
        move[0, corner, axis] = 1.0
        ours = 0.0
        for mark in np.linspace(-0.3, 0.3, 31):
            vertices = (start + float(mark) * move).requires_grad_()
            (gradient,) = torch.autograd.grad(loss(vertices), vertices)
            ours += float((gradient * move).sum()) / 31
        theirs = float(loss(start + 0.31 * move) - loss(start - 0.31 * move)) / 0.62
        assert ours == pytest.approx(theirs, rel=0.04)


@pytest.mark.parametrize("depth", [0.0, 1e-12, -1e-7, 1e-5, -1e-4, 5e-4, 2e-3])
def test_a_vertex_in_the_cameras_plane_gives_finite_gradients(make_character, make_camera, depth):
    points = np.array([[-3.0, -0.5, -4.0], [3.0, -0.5, -4.0], [0.2, -0.5, -depth]], np.float32)
    mesh = RenderMesh.from_character(make_character(points, [[0, 1, 2]], normals=[[0, 1, 0]] * 3))
    camera = make_camera((0, 0, 0.0), (0, 0, -1.0), focal=30.0)
    found = []
    for nudge in (0.0, -0.02):
        vertices = torch.from_numpy(points + np.float32([[0, 0, 0], [0, 0, 0], [0, 0, nudge]]))[None].requires_grad_()
        out = render(vertices, mesh, camera, shading=Lambert(direction=(0, 1, 0.5)))
        assert all(torch.isfinite(picture).all() for picture in (out.color, out.depth, out.silhouette))
        (gradient,) = torch.autograd.grad((out.depth[..., :40, :] * weights(40, 64)).sum() + out.color.sum(), vertices)
        found.append(gradient[0])
    # As good as two hundredths of a metre further on, where nothing is delicate.
    assert torch.isfinite(found[0]).all() and (found[0] - found[1]).abs().max() < 0.1 * found[1].abs().max()


def test_texture_is_filtered_as_far_away_as_it_is(make_character, make_camera):
    """A checkered plane to the horizon: grey in the distance, whole squares before the feet, in one face."""
    points, faces = ground()
    squares = (np.add.outer(np.arange(256) // 2, np.arange(256) // 2) % 2 * 255).astype(np.uint8)
    atlas = np.repeat(squares[..., None], 4, axis=-1)
    character = make_character(points, faces, uv=points[:, [0, 2]] / 100.0, atlas=atlas)
    camera = over_ground(make_camera)
    out = render(torch.from_numpy(points)[None], RenderMesh.from_character(character), camera)
    color, depth = out.color[0, ..., 0], out.depth[0]
    far, near = (depth > 20.0), (depth > 0) & (depth < 2.5)
    assert far.sum() > 50 and near.sum() > 50
    look = render_frames(points, character, camera, look=Look(shading="flat", outline_px=0.0), supersample=1)
    plain = srgb_to_linear(look.rgb[0, ..., 0] / 255.0)
    assert np.abs(plain - color.numpy())[(out.silhouette[0] == 1).numpy()].max() < 6e-3  # half of an 8-bit step
    assert (color[far] - 0.5 * out.silhouette[0][far]).abs().max() < 0.2 and color[near].std() > 0.3
