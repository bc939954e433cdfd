"""The Warp renderers beside PyTorch3D, where that is installed; and what is told where it isn't."""

from __future__ import annotations

import importlib.util
import inspect

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.render import differentiable
from studio_pipeline.render.backends import renderer
from studio_pipeline.render.differentiable import Lambert, RenderMesh
from studio_pipeline.render.softras import blur_for, silhouette, soft_color
from studio_pipeline.schema.errors import BackendUnavailable

PRESENT = importlib.util.find_spec("pytorch3d") is not None
needs_pytorch3d = pytest.mark.skipif(not PRESENT, reason="pytorch3d is not installed")
SUN = Lambert(direction=(0.3, 0.5, 1.0))


def cosine(a, b):
    return float((a.double() * b.double()).sum() / (a.double().norm() * b.double().norm()))


@pytest.fixture(scope="module")
def lump(make_character):
    """A dented ball in smooth colours, 1280 faces."""
    ball = trimesh.creation.icosphere(3, 0.5)
    points = np.asarray(ball.vertices) * (1.0 + 0.2 * np.sin(5.0 * np.asarray(ball.vertices)))
    return make_character(points, ball.faces, vertex_colors=0.5 + 0.4 * np.sin(4.0 * points + 1.0))


@pytest.fixture(scope="module")
def hills(make_character):
    """A wavy sheet, no face of which is seen edge-on."""
    y, x = np.mgrid[-1:1:24j, -1:1:24j] * 0.6
    points = np.stack([x, y, 0.1 * np.sin(5 * x) * np.cos(4 * y)], -1).reshape(-1, 3)
    corner = (np.arange(23)[:, None] * 24 + np.arange(23)).reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 25], 1), np.stack([corner, corner + 25, corner + 24], 1)]
    )
    return make_character(points, faces, vertex_colors=0.5 + 0.4 * np.sin(4.0 * points + 1.0))


def gradients(loss, character):
    vertices = torch.from_numpy(character.vertices)[None].requires_grad_()
    (gradient,) = torch.autograd.grad(loss(vertices), vertices)
    return gradient


def test_absence_is_told_in_one_line(monkeypatch):
    assert renderer("warp") is differentiable.render
    monkeypatch.setitem(__import__("sys").modules, "pytorch3d", None)
    monkeypatch.setitem(__import__("sys").modules, "pytorch3d.renderer", None)
    with pytest.raises(BackendUnavailable) as told:
        renderer("pytorch3d")
    line = str(told.value)
    assert line.startswith("lifted_motion: {renderer: pytorch3d}") and "build it" in line and "\n" not in line


@needs_pytorch3d
def test_interfaces_are_the_same():
    ours, theirs = (inspect.signature(renderer(name)) for name in ("warp", "pytorch3d"))
    assert ours.parameters.keys() == theirs.parameters.keys()
    assert [p.default for p in ours.parameters.values()] == [p.default for p in theirs.parameters.values()]


@needs_pytorch3d
@pytest.mark.parametrize("shading", ["none", "lambert", "harmonics"])
def test_hard_outputs_and_colour_inside(lump, make_camera, shading):
    camera = make_camera((0.4, 0.5, 2.0), focal=82.0, width=72, height=56, frames=2)
    harmonics = 0.5 + 0.3 * torch.eye(9, 3)
    light = {"none": None, "lambert": SUN, "harmonics": harmonics}[shading]
    mesh = RenderMesh.from_character(lump)
    start = torch.from_numpy(lump.vertices)[None] * torch.tensor([1.0, 1.1])[:, None, None]
    ours, theirs = (
        renderer(name)(start, mesh, camera, shading=light, background=(0.1, 0.5, 0.2)) for name in ("warp", "pytorch3d")
    )
    same = ours.face_ids == theirs.face_ids
    assert same.float().mean() >= 0.999 and (ours.face_ids >= 0).float().mean() > 0.3
    both = same & (ours.face_ids >= 0)
    assert (ours.depth / theirs.depth.clamp(min=1e-9) - 1.0)[both].abs().max() < 1e-5
    assert (ours.barycentrics - theirs.barycentrics)[both].abs().max() < 1e-3
    assert (ours.normals - theirs.normals)[both].abs().max() < 1e-3
    assert theirs.face_ids.dtype == torch.int32 and (theirs.depth[theirs.face_ids < 0] == 0).all()
    away = (ours.face_ids < 0).float()
    inner = torch.nn.functional.max_pool2d(away, 7, 1, 3) == 0
    # Blended with what is near by in space and on the screen, a colour is still about the surface's.
    assert (ours.color - theirs.color)[inner].abs().mean() < 0.01
    far = torch.nn.functional.max_pool2d(1 - away, 15, 1, 7) == 0
    assert (theirs.color[far] - torch.tensor([0.1, 0.5, 0.2])).abs().max() < 1e-6
    # At the outline several faces add up, so that SoftRas swells by about sigma.
    assert float(theirs.silhouette.sum()) == pytest.approx(float(ours.silhouette.sum()), rel=0.15)
    skipped = renderer("pytorch3d")(start, mesh, camera, skip=("color", "normals"))
    assert len(skipped.color) == 0 and len(skipped.normals) == 0
    assert torch.equal(skipped.silhouette, theirs.silhouette)


@needs_pytorch3d
def test_gradients_of_depth_and_silhouette_point_the_same_way(hills, make_camera):
    camera = make_camera((0.2, 0.1, 2.5), focal=110.0)
    mesh, weight = RenderMesh.from_character(hills), torch.randn(64, 64, generator=torch.Generator().manual_seed(3))

    def loss(name, output):
        return lambda v: (getattr(renderer(name)(v, mesh, camera, sigma=1.5), output)[0] * weight).sum()

    assert cosine(*(gradients(loss(name, "depth"), hills) for name in ("warp", "pytorch3d"))) > 0.99
    # Two kinds of silhouette: alike in the large.
    smooth = torch.nn.functional.avg_pool2d(weight[None], 9, 1, 4)[0]
    weight = smooth
    assert cosine(*(gradients(loss(name, "silhouette"), hills) for name in ("warp", "pytorch3d"))) > 0.8


@needs_pytorch3d
def test_softras_silhouette(lump, make_camera):
    from pytorch3d.renderer import BlendParams, sigmoid_alpha_blend

    from studio_pipeline.render.pytorch3d import rasterize

    camera = make_camera((0.4, 0.5, 2.0), focal=88.0, width=80, height=64)
    mesh, sigma = RenderMesh.from_character(lump), 1e-3
    weight = torch.randn(64, 80, generator=torch.Generator().manual_seed(0))

    def theirs(vertices):
        fragments = rasterize(vertices, mesh, camera, blur_radius=blur_for(sigma), faces=150)
        colors = torch.zeros(*fragments.pix_to_face.shape, 3)
        return sigmoid_alpha_blend(colors, fragments, BlendParams(sigma=sigma))[..., 3]

    start = torch.from_numpy(lump.vertices)[None]
    cover = silhouette(start, mesh, camera, sigma=sigma)
    assert cover.mean() > 0.3 and (cover - theirs(start)).abs().max() < 1e-3
    ours = gradients(lambda v: (silhouette(v, mesh, camera, sigma=sigma)[0] * weight).sum(), lump)
    other = gradients(lambda v: (theirs(v)[0] * weight).sum(), lump)
    assert cosine(ours, other) > 0.999 and float(ours.norm() / other.norm()) == pytest.approx(1.0, rel=1e-2)


@needs_pytorch3d
def test_softras_colour(hills, make_camera):
    """On faces that are seen edge-on PyTorch3D's gradients are round-off; `test_softras` has those in float64."""
    from pytorch3d.renderer import BlendParams, softmax_rgb_blend
    from pytorch3d.renderer.mesh.textures import TexturesVertex
    from pytorch3d.structures import Meshes

    from studio_pipeline.render.pytorch3d import rasterize

    camera = make_camera((0.2, 0.1, 2.5), focal=95.0, width=72, height=64)
    mesh, sigma, background = RenderMesh.from_character(hills), 1e-3, (0.2, 0.6, 0.4)
    tints = torch.from_numpy(hills.vertex_colors)[None]

    def theirs(vertices):
        fragments = rasterize(vertices, mesh, camera, blur_radius=blur_for(sigma), faces=150)
        world = Meshes(vertices, mesh.faces[None], textures=TexturesVertex(tints))
        params = BlendParams(sigma=sigma, gamma=1e-4, background_color=background)
        return softmax_rgb_blend(world.sample_textures(fragments), fragments, params)

    def ours(vertices):
        made = soft_color(vertices, mesh, camera, sigma=sigma, background=background)
        return torch.cat([made.color, made.silhouette[..., None]], -1)

    start = torch.from_numpy(hills.vertices)[None]
    picture, other = ours(start), theirs(start)
    assert picture[..., 3].mean() > 0.3 and (picture - other).abs().max() < 1e-3
    weight = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    mine, expected = (gradients(lambda v, f=f: (f(v) * weight).sum(), hills) for f in (ours, theirs))
    assert cosine(mine, expected) > 0.99
    assert float(mine.norm() / expected.norm()) == pytest.approx(1.0, rel=0.02)
