"""The differentiable renderer against closed forms, finite differences and the hard rasterizer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.render import runtime
from studio_pipeline.render.differentiable import Lambert, RenderMesh, project_points, render
from studio_pipeline.render.raster import rasterize


def slope_of(loss, start, direction, step):
    """Analytic and central-difference derivative of ``loss`` along ``direction``."""
    value = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(value), value)
    plus, minus = loss(start + step * direction), loss(start - step * direction)
    return float((gradient * direction).sum()), float(plus - minus) / (2 * step)


@pytest.fixture(scope="module")
def triangle(make_character):
    return make_character([[-1.0, -0.8, 0], [1.1, -0.6, 0], [0.1, 0.9, 0]], [[0, 1, 2]], normals=[[0, 0, 1]] * 3)


@pytest.fixture(scope="module")
def blob(make_character):
    """A dented ball with smooth colours and texture, without seams."""
    ball = trimesh.creation.icosphere(4, 0.5)
    points = np.asarray(ball.vertices) * (1.0 + 0.1 * np.sin(4.0 * np.asarray(ball.vertices)))
    x = np.arange(64) / 64 * 2 * np.pi
    wave = (128 + 90 * np.stack([np.sin(x)[None] + 0 * x[:, None], np.cos(x)[:, None] + 0 * x[None]], -1)).astype(int)
    atlas = np.full((64, 64, 4), 200, np.uint8)
    atlas[..., :2] = np.clip(wave, 0, 255)
    tints = 0.6 + 0.3 * np.sin(3 * points)
    return make_character(points, ball.faces, uv=0.5 + 0.4 * points[:, :2], atlas=atlas, vertex_colors=tints)


def test_silhouette_sums_to_the_area_at_any_softness(triangle, make_camera):
    camera = make_camera((0, 0, 4.0), focal=90.0)
    mesh = RenderMesh.from_character(triangle)
    vertices = torch.from_numpy(triangle.vertices)[None].requires_grad_()
    pixels = project_points(vertices, camera)[0][0].detach().double()
    a, b, c = pixels
    area = abs(float((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0])) / 2
    for sigma, tolerance in ((0.4, 0.004), (0.7, 0.01), (1.5, 0.04)):
        total = render(vertices.detach(), mesh, camera, sigma=sigma).silhouette.sum()
        assert float(total) == pytest.approx(area, rel=tolerance)
    # Moving a corner changes the area by half the opposite edge times the way across it.
    (gradient,) = torch.autograd.grad(render(vertices, mesh, camera).silhouette.sum(), vertices)
    scale = 90.0 / 4.0
    expected = scale * np.array([[-(c - b)[1] / 2, -(c - b)[0] / 2]])
    sign = np.sign(float((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]))
    found = gradient[0, 0, :2].numpy()
    assert np.allclose(found, -sign * -expected[0], atol=0.06 * np.abs(expected).max())


def test_hard_outputs_are_the_rasterizers(sphere, make_camera):
    camera = make_camera((0.4, 0.5, 2.0), focal=90.0)
    out = render(torch.from_numpy(sphere.vertices)[None], RenderMesh.from_character(sphere), camera)
    hard = rasterize(sphere.vertices, sphere.faces, camera)
    hit = hard.face_ids >= 0
    assert (out.face_ids.numpy() == hard.face_ids).mean() > 0.9995
    same = hit & (out.face_ids.numpy() == hard.face_ids)
    assert np.abs(out.depth.numpy() - hard.depth)[same].max() < 1e-4
    assert (out.depth.numpy()[~hit & (out.face_ids.numpy() < 0)] == 0).all()
    # A sphere's normal is its own position.
    points = np.einsum("nk,nkd->nd", hard.barycentrics[same], sphere.vertices[sphere.faces[hard.face_ids[same]]])
    assert np.abs(out.normals.numpy()[same] - points / 0.5).max() < 0.03


def test_coverage_has_no_inner_lines(make_character, make_camera):
    """Where parts overlap the mask is whole; only the outer outline is soft."""
    quad = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float) * 0.5
    points = np.concatenate([quad, quad * [0.4, 2.6, 1] + [0.0, 0, 0.3], quad * 0.2 + [0.2, 0, -0.4]])
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(3)])
    character = make_character(points, faces)
    camera = make_camera((0, 0, 4.0), focal=120.0, width=96, height=96)
    out = render(torch.from_numpy(character.vertices)[None], RenderMesh.from_character(character), camera, sigma=0.7)
    covered = out.face_ids[0] >= 0
    inner = torch.nn.functional.max_pool2d((~covered).float()[None], 11, 1, 5)[0] == 0
    outer = torch.nn.functional.max_pool2d(covered.float()[None], 11, 1, 5)[0] == 0
    assert inner.sum() > 300 and (out.silhouette[0][inner] == 1).all() and (out.silhouette[0][outer] == 0).all()


def test_seams_do_not_show_in_the_mask(sphere, make_character, make_camera):
    camera = make_camera((0, 0, 2.0), focal=80.0)
    whole = render(torch.from_numpy(sphere.vertices)[None], RenderMesh.from_character(sphere), camera).silhouette
    points = sphere.vertices[sphere.faces].reshape(-1, 3)
    split = make_character(points, np.arange(len(points)).reshape(-1, 3), normals=points * 2)
    parted = render(torch.from_numpy(points)[None], RenderMesh.from_character(split), camera).silhouette
    assert (whole - parted).abs().max() < 1e-3


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_silhouette_gradient_against_differences(blob, make_camera, sigma):
    camera = make_camera((0.3, 0.4, 2.0), focal=110.0, width=80, height=80)
    mesh = RenderMesh.from_character(blob)
    start = torch.from_numpy(blob.vertices)[None]
    y, x = np.mgrid[:80, :80]
    weight = torch.from_numpy(np.sin(x / 13.0) * np.cos(y / 11.0 + 0.4)).float()
    for direction in (torch.sin(3 * start + 1), torch.cos(2 * start.flip(-1))):
        ours, theirs = slope_of(
            lambda v: (render(v, mesh, camera, sigma=sigma).silhouette * weight).double().sum(), start, direction, 3e-3
        )
        assert ours == pytest.approx(theirs, rel=0.03)


@pytest.mark.parametrize("shading", ["none", "lambert", "harmonics"])
def test_colour_gradient_against_differences(blob, make_camera, shading):
    """Inside the outline, so through texture, vertex colours and lighting only."""
    rng = np.random.default_rng(2)
    light = {
        "none": None,
        "lambert": Lambert(direction=(0.3, 0.5, 1.0), ambient=0.3),
        "harmonics": torch.from_numpy(rng.normal(size=(9, 3))).float(),
    }[shading]
    camera = make_camera((0.3, 0.4, 2.0), focal=110.0, width=80, height=80)
    mesh = RenderMesh.from_character(blob)
    start = torch.from_numpy(blob.vertices)[None]
    away = (render(start, mesh, camera).face_ids < 0).float()
    core = (torch.nn.functional.max_pool2d(away, 17, 1, 8) == 0).float()
    y, x = np.mgrid[:80, :80]
    weight = (torch.from_numpy(np.sin(x / 9.0) * np.cos(y / 7.0)).float() * core)[..., None] * torch.tensor(
        [1, 0.5, -0.3]
    )

    def loss(v):
        return (render(v, mesh, camera, shading=light).color * weight).double().sum()

    for direction in (torch.sin(3 * start + 1), torch.cos(2 * start.flip(-1))):
        ours, theirs = slope_of(loss, start, direction, 2e-3)
        assert ours == pytest.approx(theirs, rel=0.03, abs=0.02)


@pytest.mark.parametrize("output", ["depth", "normals"])
def test_depth_and_normal_gradients_against_differences(blob, make_camera, output):
    camera = make_camera((0.3, 0.4, 2.0), focal=110.0, width=80, height=80)
    mesh = RenderMesh.from_character(blob)
    start = torch.from_numpy(blob.vertices)[None]
    away = (render(start, mesh, camera).face_ids < 0).float()
    core = (torch.nn.functional.max_pool2d(away, 17, 1, 8) == 0).float()[0]
    y, x = np.mgrid[:80, :80]
    weight = torch.from_numpy(np.sin(x / 9.0 + 0.2) * np.cos(y / 7.0)).float() * core

    def loss(v):
        picture = getattr(render(v, mesh, camera), output)[0]
        return ((picture if picture.ndim == 2 else picture @ torch.tensor([1.0, 0.5, -0.3])) * weight).double().sum()

    for direction in (torch.sin(3 * start + 1), torch.cos(2 * start.flip(-1))):
        ours, theirs = slope_of(loss, start, direction, 3e-3)
        assert ours == pytest.approx(theirs, rel=0.02, abs=0.02)


def test_barycentric_gradient_inside_one_face(triangle, make_camera):
    camera = make_camera((0.4, 0.2, 3.0), focal=90.0)
    mesh = RenderMesh.from_character(triangle)
    start = torch.from_numpy(triangle.vertices)[None]
    away = (render(start, mesh, camera).face_ids < 0).float()
    core = (torch.nn.functional.max_pool2d(away, 5, 1, 2) == 0).float()[..., None]
    weight = core * torch.tensor([1.0, -2.0, 0.5])
    for seed in range(3):
        direction = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 3, 3))).float()
        ours, theirs = slope_of(
            lambda v: (render(v, mesh, camera).barycentrics * weight).double().sum(), start, direction, 2e-3
        )
        assert ours == pytest.approx(theirs, rel=2e-3, abs=0.05)


def test_flat_colour_is_blended_by_coverage_and_its_gradient_is_the_outlines(make_character, make_camera):
    ball = trimesh.creation.icosphere(3, 0.5)
    red = make_character(ball.vertices, ball.faces, vertex_colors=np.tile([0.8, 0.1, 0.2], (len(ball.vertices), 1)))
    mesh, camera = RenderMesh.from_character(red), make_camera((0, 0, 2.0), focal=90.0)
    start = torch.from_numpy(red.vertices)[None]
    behind = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    out = render(start, mesh, camera, background=behind)
    cover = out.silhouette[..., None]
    assert (out.color - (cover * torch.tensor([0.8, 0.1, 0.2]) + (1 - cover) * behind)).abs().max() < 1e-6
    ours, theirs = slope_of(
        lambda v: ((render(v, mesh, camera, background=behind).color - 0.5) ** 2).double().sum(),
        start,
        torch.sin(3 * start + 1),
        2e-3,
    )
    assert ours == pytest.approx(theirs, rel=0.05)


def test_harmonics_are_linear_and_their_gradient_exact(blob, make_camera):
    mesh, camera = RenderMesh.from_character(blob), make_camera((0.3, 0.4, 2.0))
    start = torch.from_numpy(blob.vertices)[None].repeat(3, 1, 1)
    weight = torch.randn(3, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    coefficients = torch.randn(9, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    total = (render(start, mesh, camera, shading=coefficients).color * weight).sum()
    (gradient,) = torch.autograd.grad(total, coefficients)
    assert float((gradient * coefficients).sum().detach()) == pytest.approx(float(total.detach()), rel=1e-3)
    # The constant term alone is a grey factor of the unlit picture.
    flat = torch.zeros(9, 3)
    flat[0] = 1 / 0.282095
    lit = render(start[:1], mesh, camera, shading=flat).color
    assert (lit - render(start[:1], mesh, camera).color).abs().max() < 1e-5


def test_threads_change_no_bit(blob, make_camera, monkeypatch):
    mesh, camera = RenderMesh.from_character(blob), make_camera((0.3, 0.4, 2.0))
    start = torch.from_numpy(blob.vertices)[None] + 0.1 * torch.randn(
        5, 1, 3, generator=torch.Generator().manual_seed(0)
    )
    results = []
    for threads in (1, 2, 2):
        monkeypatch.setattr(runtime, "FRAME_THREADS", threads)
        vertices = start.clone().requires_grad_()
        out = render(vertices, mesh, camera, shading=Lambert(direction=(1, 1, 1)))
        ((out.color**2).sum() + out.depth.sum() + out.silhouette.sum()).backward()
        results.append((out.color.detach().numpy().tobytes(), vertices.grad.numpy().tobytes()))
    assert results[0] == results[1] == results[2]


def test_a_mask_pulls_a_ball_to_its_place(sphere, make_camera):
    mesh, camera = RenderMesh.from_character(sphere), make_camera((0, 0, 3.0), focal=100.0)
    rest = torch.from_numpy(sphere.vertices)[None]
    goal = render(rest + torch.tensor([0.12, -0.08, 0.0]), mesh, camera, sigma=2.0).silhouette.detach()
    shift = torch.zeros(3, requires_grad=True)
    for step in range(40):
        loss = (render(rest + shift, mesh, camera, sigma=2.0).silhouette - goal).square().sum()
        (gradient,) = torch.autograd.grad(loss, shift)
        shift.data[:2] -= 0.03 * 0.88**step * gradient[:2] / gradient[:2].norm()
    assert (shift.detach()[:2] - torch.tensor([0.12, -0.08])).abs().max() < 5e-3


def test_vertices_behind_the_camera_give_finite_gradients(sphere, make_camera):
    mesh, camera = RenderMesh.from_character(sphere), make_camera((0.0, 0.0, 0.3))
    vertices = torch.from_numpy(sphere.vertices)[None].requires_grad_()
    out = render(vertices, mesh, camera, shading=Lambert(direction=(0, 0, 1)))
    (out.color.sum() + out.depth.sum() + out.silhouette.sum()).backward()
    assert torch.isfinite(vertices.grad).all()


def test_bad_arguments_are_told(sphere, make_camera):
    mesh, vertices = RenderMesh.from_character(sphere), torch.from_numpy(sphere.vertices)[None]
    with pytest.raises(ValueError, match="sigma"):
        render(vertices, mesh, make_camera((0, 0, 3.0)), sigma=0.0)
    with pytest.raises(ValueError, match="color and normals, not depth"):
        render(vertices, mesh, make_camera((0, 0, 3.0)), skip=["depth"])
    with pytest.raises(ValueError, match="background"):
        render(vertices, mesh, make_camera((0, 0, 3.0)), background=torch.zeros(2, 64, 64, 3))


@pytest.mark.parametrize("left_out", [("color",), ("normals",), ("color", "normals")])
def test_outputs_left_out_change_nothing_else(blob, make_camera, left_out):
    mesh, camera = RenderMesh.from_character(blob), make_camera((0.3, 0.4, 2.0))
    light = Lambert(direction=(1, 1, 1))
    results = []
    for skip in ((), left_out):
        vertices = torch.from_numpy(blob.vertices)[None].repeat(2, 1, 1).requires_grad_()
        out = render(vertices, mesh, camera, shading=light, skip=skip)
        kept = [name for name in ("color", "silhouette", "depth", "normals", "barycentrics") if name not in left_out]
        torch.stack([getattr(out, name).square().sum() for name in kept]).sum().backward()
        assert vertices.grad is not None
        results.append(
            [getattr(out, name).detach().numpy().tobytes() for name in kept] + [vertices.grad.numpy().tobytes()]
        )
    assert results[0] == results[1]
    assert all(getattr(out, name).shape[:3] == (0, 64, 64) for name in left_out)


@pytest.mark.parametrize("name", ["bevy_Fox.glb", "quaternius_enemy_Frog.glb", "godot_mannequiny.glb"])
def test_soft_mask_of_real_characters_is_their_coverage(shared_data, name):
    """Many parts, borders, overlaps: still one mask, as 8 x 8 samples a pixel give it."""
    import cv2

    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.render.look import Look, render_frames
    from studio_pipeline.stages.character.load import load_character

    character = load_character(shared_data / "rigs" / name).character
    camera = frame_points(character.vertices, width=160, height=160)
    vertices = torch.from_numpy(character.vertices)[None]
    soft = render(vertices, RenderMesh.from_character(character), camera, sigma=0.35).silhouette[0].numpy()
    look = Look(shading="flat", outline_px=0.0)
    cover = render_frames(character.vertices, character, camera, look=look, supersample=8).alpha[0] / 255.0
    assert soft.sum() == pytest.approx(cover.sum(), rel=0.02)
    assert np.abs(soft - cover).sum() < 0.08 * cover.sum()
    inner = cv2.erode((cover == 1).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert (soft[inner] < 0.98).mean() < 1e-3


def test_double_precision_vertices_are_taken(sphere, make_camera):
    vertices = torch.from_numpy(sphere.vertices)[None].double().requires_grad_()
    render(vertices, RenderMesh.from_character(sphere), make_camera((0, 0, 3.0))).silhouette.sum().backward()
    assert vertices.grad is not None and vertices.grad.dtype == torch.float64
