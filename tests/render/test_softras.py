"""SoftRas against a brute-force float64 twin, finite differences and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.render import runtime
from studio_pipeline.render.differentiable import Lambert, RenderMesh
from studio_pipeline.render.softras import blur_for, silhouette, soft_color

SUN = Lambert(direction=(0.3, 0.5, 1.0), ambient=0.3)


def segment_squares(p, a, b):
    """Squared distances of points [P, 2] from segments [F, 2]: [F, P]."""
    along = b - a
    t = ((p[None] - a[:, None]) * along[:, None]).sum(-1) / along.square().sum(-1)[:, None]
    return (a[:, None] + t.clamp(0, 1)[..., None] * along[:, None] - p[None]).square().sum(-1)


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def vertex_normals(vertices, faces):
    areas = torch.linalg.cross(
        vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    )
    normals = torch.zeros_like(vertices)
    for corner in range(3):
        normals = normals.index_add(0, faces[:, corner], areas)
    return torch.nn.functional.normalize(normals, dim=-1)


def brute_force(vertices, character, camera, *, sigma, background, gamma=1e-4, znear=1.0, zfar=100.0, light=SUN):
    """Every face against every pixel, in float64 and by autograd: colour [H, W, 3] and silhouette [H, W]."""
    faces = torch.from_numpy(character.faces.astype(np.int64))
    matrix = torch.from_numpy(camera.world_to_camera[0]).double()
    points = vertices @ matrix[:3, :3].T + matrix[:3, 3]
    depth = -points[:, 2]
    unit = 2.0 / min(camera.width, camera.height)
    screen = points[:, :2] * float(camera.focal[0]) / depth[:, None] * unit  # NDC, +Y up, centre at 0
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = torch.from_numpy(np.stack([x - camera.width / 2, camera.height / 2 - y], -1).reshape(-1, 2) * unit)
    a, b, c = screen[faces].unbind(1)
    area = cross(b - a, c - a)
    parts = torch.stack(
        [cross(q[:, None] - pixels, r[:, None] - pixels) for q, r in ((b, c), (c, a), (a, b))], -1
    ) * area.sign().reshape(-1, 1, 1)
    square = torch.minimum(
        torch.minimum(segment_squares(pixels, a, b), segment_squares(pixels, b, c)), segment_squares(pixels, c, a)
    )
    inside = (parts > 0).all(-1)
    signed = torch.where(inside, -square, square)
    near = (signed < blur_for(sigma)) & (area.abs() > 1e-8)[:, None]
    chance = torch.sigmoid(-signed / sigma) * near
    clear = (1.0 - chance).prod(0)
    weights = parts.clamp(min=0.0) / depth[faces][:, None]
    barycentrics = weights / weights.sum(-1, keepdim=True)
    spot_depth = (barycentrics * depth[faces][:, None]).sum(-1)
    tints = torch.from_numpy(character.vertex_colors).double()[faces]
    color = (barycentrics[..., None] * tints[:, None]).sum(-2)
    normals = vertex_normals(vertices, faces)
    mixed = torch.nn.functional.normalize((barycentrics[..., None] * normals[faces][:, None]).sum(-2), dim=-1)
    mixed = mixed * area.sign().reshape(-1, 1, 1)
    sun = torch.nn.functional.normalize(torch.tensor(light.direction).double(), dim=0)
    color = color * (light.ambient + (1 - light.ambient) * (mixed @ sun).clamp(min=0.0))[..., None]
    inverse = torch.where(near, (zfar - spot_depth) / (zfar - znear), 0.0)
    most = inverse.max(0).values.clamp(min=1e-10)
    softmax = chance * ((inverse - most) / gamma).exp()
    rest = ((1e-10 - most) / gamma).exp().clamp(min=1e-10)
    total = softmax.sum(0) + rest
    blended = ((softmax[..., None] * color).sum(0) + rest[:, None] * torch.tensor(background)) / total[:, None]
    size = (camera.height, camera.width)
    return blended.reshape(*size, 3), (1.0 - clear).reshape(size)


@pytest.fixture(scope="module")
def lump(make_character):
    """A dented ball in smooth colours, 320 faces."""
    ball = trimesh.creation.icosphere(2, 0.5)
    points = np.asarray(ball.vertices) * (1.0 + 0.2 * np.sin(5.0 * np.asarray(ball.vertices)))
    return make_character(points, ball.faces, vertex_colors=0.5 + 0.4 * np.sin(4.0 * points + 1.0))


@pytest.mark.parametrize(("width", "height", "sigma"), [(45, 32, 1.5e-3), (32, 40, 4e-4)])
def test_pictures_and_gradients_are_the_brute_force_ones(lump, make_camera, width, height, sigma):
    camera = make_camera((0.4, 0.5, 2.0), focal=52.0, width=width, height=height)
    mesh, background = RenderMesh.from_character(lump), (0.2, 0.7, 0.4)
    pulls = torch.randn(height, width, 4, generator=torch.Generator().manual_seed(0)).double()
    exact = torch.from_numpy(lump.vertices).double().requires_grad_()
    color, cover = brute_force(exact, lump, camera, sigma=sigma, background=background)
    vertices = torch.from_numpy(lump.vertices)[None].requires_grad_()
    ours = soft_color(vertices, mesh, camera, background=background, shading=SUN, sigma=sigma)
    alone = silhouette(vertices, mesh, camera, sigma=sigma)
    assert 0.2 < float(cover.detach().mean()) < 0.8
    assert (ours.color[0] - color).abs().max() < 1e-4
    assert (ours.silhouette[0] - cover).abs().max() < 1e-5
    assert (ours.silhouette - alone).abs().max() < 1e-6
    for made, found in ((cover, alone[0]), (cover, ours.silhouette[0]), (color, ours.color[0])):
        pull = pulls[..., 3] if made.ndim == 2 else pulls[..., :3]
        (theirs,) = torch.autograd.grad((made * pull).sum(), exact, retain_graph=True)
        (gradient,) = torch.autograd.grad((found * pull).sum(), vertices, retain_graph=True)
        assert (gradient[0] - theirs).norm() < 2e-3 * theirs.norm()


def slope_of(loss, start, direction, step):
    """Analytic and central-difference derivative of ``loss`` along ``direction``."""
    value = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(value), value)
    difference = float(loss(start + step * direction) - loss(start - step * direction))
    return float((gradient * direction).sum()), difference / (2 * step)


def test_silhouette_gradient_against_differences(lump, make_camera):
    camera = make_camera((0.3, 0.4, 2.0), focal=75.0)
    mesh, start = RenderMesh.from_character(lump), torch.from_numpy(lump.vertices)[None]
    y, x = np.mgrid[:64, :64]
    weight = torch.from_numpy(np.sin(x / 9.0) * np.cos(y / 7.0))

    def loss(v):
        return (silhouette(v, mesh, camera, sigma=1e-3, blur_radius=16e-3) * weight).double().sum()

    for direction in (torch.sin(3 * start + 1), torch.cos(2 * start.flip(-1))):
        ours, theirs = slope_of(loss, start, direction, 2e-4)
        assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("shading", ["none", "lambert", "harmonics"])
def test_colour_gradient_against_differences(lump, make_camera, make_character, shading):
    """Well inside the outline: at the edge of what faces reach, PyTorch3D's colour has steps."""
    x = np.arange(64) / 64 * 2 * np.pi
    atlas = np.full((64, 64, 4), 200, np.uint8)
    atlas[..., 0] = (128 + 90 * np.sin(x)[None] * np.cos(x)[:, None]).astype(np.uint8)
    ball = trimesh.creation.icosphere(3, 0.5)
    points = np.asarray(ball.vertices) * (1.0 + 0.1 * np.sin(4.0 * np.asarray(ball.vertices)))
    textured = make_character(
        points, ball.faces, uv=0.5 + 0.4 * points[:, :2], atlas=atlas, vertex_colors=0.6 + 0.3 * np.sin(3 * points)
    )
    light = {
        "none": None,
        "lambert": SUN,
        "harmonics": torch.from_numpy(np.random.default_rng(2).normal(size=(9, 3))).float(),
    }[shading]
    camera = make_camera((0.3, 0.4, 2.0), focal=90.0)
    mesh, start = RenderMesh.from_character(textured), torch.from_numpy(textured.vertices)[None]
    away = (silhouette(start, mesh, camera) < 0.5).float()
    core = (torch.nn.functional.max_pool2d(away, 17, 1, 8) == 0)[0, ..., None]
    y, x = np.mgrid[:64, :64]
    weight = torch.from_numpy(np.sin(x / 9.0) * np.cos(y / 7.0))[..., None] * core * torch.tensor([1, 0.5, -0.3])

    def loss(v):
        made = soft_color(v, mesh, camera, shading=light, sigma=1e-3, gamma=1e-3, blur_radius=16e-3)
        return (made.color[0] * weight).double().sum()

    for direction in (torch.sin(3 * start + 1), torch.cos(2 * start.flip(-1))):
        ours, theirs = slope_of(loss, start, direction, 5e-4)
        assert ours == pytest.approx(theirs, rel=0.03, abs=0.02)


def test_one_triangle_covers_its_area_and_its_border_has_the_formulas_profile(make_character, make_camera):
    corners = np.array([[-1.0, -0.8, 0], [1.1, -0.6, 0], [0.1, 0.9, 0]])
    mesh = RenderMesh.from_character(make_character(corners, [[0, 1, 2]], normals=[[0, 0, 1]] * 3))
    camera = make_camera((0, 0, 4.0), focal=360.0, width=256, height=256)
    vertices = torch.from_numpy(corners)[None].float().requires_grad_()
    scale = 360.0 / 4.0
    area = abs(float(np.cross(corners[1] - corners[0], corners[2] - corners[0])[2])) / 2 * scale**2
    for sigma, tolerance in ((1e-8, 0.005), (1e-6, 0.005), (1e-4, 0.01)):
        cover = silhouette(vertices, mesh, camera, sigma=sigma)
        assert float(cover.detach().sum()) == pytest.approx(area, rel=tolerance)
    # Moving a corner changes the area by half the opposite edge times the way across it.
    (gradient,) = torch.autograd.grad(silhouette(vertices, mesh, camera, sigma=1e-4).sum(), vertices)
    opposite = corners[2] - corners[1]
    expected = scale**2 / 2 * np.array([-opposite[1], opposite[0]])
    assert np.allclose(gradient[0, 0, :2], expected, atol=0.03 * np.abs(expected).max())
    # A lone edge: x = 0 runs through the middle of the picture; far ends don't matter.
    plane = np.array([[0.0, -9.0, 0], [0.0, 9.0, 0], [-9.0, 0.0, 0]])
    mesh = RenderMesh.from_character(make_character(plane, [[0, 1, 2]], normals=[[0, 0, 1]] * 3))
    row = silhouette(torch.from_numpy(plane)[None].float(), mesh, camera, sigma=1e-4)[0, 128].double().numpy()
    x = (np.arange(256) + 0.5 - 128) / 128
    reached = np.where(x < 0, True, x * x < blur_for(1e-4))
    assert np.abs(row - reached / (1.0 + np.exp(np.minimum(np.sign(x) * x * x / 1e-4, 80)))).max() < 1e-5


def test_colours_that_tell_the_depth_give_the_spheres(make_character, make_camera):
    ball = trimesh.creation.icosphere(4, 0.5)
    tints = np.repeat(np.asarray(ball.vertices)[:, 2:] + 0.5, 3, 1)
    mesh = RenderMesh.from_character(make_character(ball.vertices, ball.faces, vertex_colors=tints))
    camera = make_camera((0, 0, 3.0), focal=300.0, width=128, height=128)
    seen = soft_color(torch.from_numpy(np.asarray(ball.vertices))[None], mesh, camera).color[0, ..., 0].numpy()
    y, x = (np.mgrid[:128, :128] + 0.5 - 64.0) / 300.0
    slope = x * x + y * y
    inner = slope < (0.8 * 0.5 / np.sqrt(9.0 - 0.25)) ** 2
    # Ray (x, y, -1) t meets |p| = 0.5 around (0, 0, -3).
    depth = (3.0 - np.sqrt(9.0 - (1.0 + slope) * 8.75, where=inner, out=np.zeros_like(slope))) / (1.0 + slope)
    assert np.abs(3.0 - (seen - 0.5) - depth)[inner].max() < 6e-3


def test_nothing_in_sight_leaves_the_background(lump, make_camera):
    mesh, camera = RenderMesh.from_character(lump), make_camera((0, 0, 3.0))
    behind = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    vertices = torch.from_numpy(lump.vertices)[None] + torch.tensor([[[0.0, 0.0, 9.0]], [[99.0, 0.0, 0.0]]])
    vertices.requires_grad_()
    made = soft_color(vertices, mesh, camera, background=behind)
    assert torch.equal(made.color, behind) and (made.silhouette == 0).all()
    (made.color.sum() + made.silhouette.sum()).backward()
    assert (vertices.grad == 0).all()


def test_vertices_behind_the_camera_give_finite_gradients(lump, make_camera):
    mesh, camera = RenderMesh.from_character(lump), make_camera((0.0, 0.0, 0.3))
    vertices = torch.from_numpy(lump.vertices)[None].requires_grad_()
    made = soft_color(vertices, mesh, camera, shading=SUN)
    (made.color.sum() + made.silhouette.sum() + silhouette(vertices, mesh, camera).sum()).backward()
    assert torch.isfinite(vertices.grad).all() and torch.isfinite(made.color).all()


def test_harmonics_are_linear_and_their_gradient_exact(lump, make_camera):
    mesh, camera = RenderMesh.from_character(lump), make_camera((0.3, 0.4, 2.0))
    start = torch.from_numpy(lump.vertices)[None].repeat(2, 1, 1)
    weight = torch.randn(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    coefficients = torch.randn(9, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    total = (soft_color(start, mesh, camera, shading=coefficients).color * weight).sum()
    (gradient,) = torch.autograd.grad(total, coefficients)
    assert float((gradient * coefficients).sum().detach()) == pytest.approx(float(total.detach()), rel=1e-3)


def test_threads_and_odd_sizes_change_no_bit(lump, make_camera, monkeypatch):
    mesh, camera = RenderMesh.from_character(lump), make_camera((0.3, 0.4, 2.0), width=37, height=29)
    start = torch.from_numpy(lump.vertices)[None] + 0.1 * torch.randn(
        5, 1, 3, generator=torch.Generator().manual_seed(0)
    )
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(runtime, "FRAME_THREADS", threads)
        vertices = start.clone().requires_grad_()
        made = soft_color(vertices, mesh, camera, shading=SUN)
        (made.color.square().sum() + silhouette(vertices, mesh, camera).sum()).backward()
        results.append((made.color.detach().numpy().tobytes(), vertices.grad.numpy().tobytes()))
    assert results[0] == results[1] == results[2]
    alone = soft_color(start[2:3], mesh, camera, shading=SUN)
    assert torch.equal(alone.color, soft_color(start, mesh, camera, shading=SUN).color[2:3])


def test_bad_arguments_are_told(lump, make_camera):
    mesh, vertices, camera = RenderMesh.from_character(lump), torch.zeros(1, 162, 3), make_camera((0, 0, 3.0))
    with pytest.raises(ValueError, match="sigma"):
        silhouette(vertices, mesh, camera, sigma=0.0)
    with pytest.raises(ValueError, match="blur_radius"):
        silhouette(vertices, mesh, camera, blur_radius=-1.0)
    with pytest.raises(ValueError, match="gamma"):
        soft_color(vertices, mesh, camera, gamma=-1.0)
    with pytest.raises(ValueError, match="zfar"):
        soft_color(vertices, mesh, camera, znear=2.0, zfar=1.0)
