"""Differentiable rendering: pictures whose gradients reach the vertices.

The visible surface is found by the hard rasterizer. Around its outline, the silhouette is soft:
``0.5 + 0.5 tanh(d / 2 sigma) / tanh(3)`` with d the signed distance [px] from the pixel centre to the nearest
outline edge (positive inside), cut at 6 sigma: 0.5 on the line itself, so the sum of the silhouette is the area
at any sigma, and with a small sigma it is an anti-aliased mask. Colour is the surface's colour blended over the
background by that coverage; outside, the surface's colour is that of the nearest outline point.

Gradients with respect to vertices: through the outline (silhouette and blended colour), through the
perspective-correct barycentrics (texture, vertex colours, depth, normals), through vertex normals (lighting).
Which face is visible, and the colour that bleeds outside, are held constant. Everything is float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import kernels, lighting, outline_kernels, soft_kernels
from studio_pipeline.render.mesh import RenderMesh, launch, spread, view
from studio_pipeline.render.raster import NEAR_M, camera_for
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.records import CameraPath

__all__ = ["Lambert", "RenderMesh", "RenderOutput", "project_points", "render"]

CUT_SIGMAS = 6.0


@dataclass(frozen=True, kw_only=True)
class Lambert:
    """One distant light and light from everywhere: ``ambient + (1 - ambient) max(n . direction, 0)``."""

    direction: tuple[float, float, float]  # world, towards the light
    ambient: float = 0.4


@dataclass(frozen=True, kw_only=True)
class RenderOutput:
    """What `render` gives, per frame; everything but ``face_ids`` carries gradients."""

    color: torch.Tensor  # [T, H, W, 3] linear light, blended over the background
    silhouette: torch.Tensor  # [T, H, W] soft coverage
    depth: torch.Tensor  # [T, H, W] -z in the camera [m], 0 where no face is hit
    normals: torch.Tensor  # [T, H, W, 3] unit, world, turned to the viewer, 0 where no face is hit
    face_ids: torch.Tensor  # [T, H, W] int32, -1 where no face is hit
    barycentrics: torch.Tensor  # [T, H, W, 3] perspective-correct, 0 where no face is hit


def render(
    vertices: torch.Tensor,
    mesh: RenderMesh,
    camera: CameraPath,
    *,
    background: torch.Tensor | Sequence[float] | None = None,
    sigma: float = 0.7,
    shading: Lambert | torch.Tensor | None = None,
) -> RenderOutput:
    """Render posed vertices with gradients.

    Args:
        vertices: World positions [m], on the mesh's device; taken as float32. [T, V, 3]
        mesh: From `RenderMesh.from_character`.
        camera: T frames, or one for all.
        background: Linear light: None (black), one colour, or a picture [H, W, 3] or [T, H, W, 3]; no gradient.
        sigma: Softness of the outline [px].
        shading: None (the surface's own colour), `Lambert`, or spherical harmonics up to order 2 as factors of
            that colour, [9, 3] or [T, 9, 3], differentiable; basis order 1, y, z, x, xy, yz, 3zz-1, xz, xx-yy.
    """
    initialize(kernels.__name__, outline_kernels.__name__, soft_kernels.__name__)
    count, vertices = len(vertices), vertices.to(torch.float32)
    pixels, depth = project_points(vertices, camera)
    screen = torch.cat([pixels, depth[..., None]], dim=-1)
    behind = _background(background, count, camera, vertices.device)
    given = shading if isinstance(shading, torch.Tensor) else torch.zeros(9, 3, device=vertices.device)
    harmonics = torch.broadcast_to(given, (count, 9, 3))
    setup = _Setup(mesh=mesh, width=camera.width, height=camera.height, fringe=_fringe(sigma), light=_light(shading))
    outputs: Any = _Render.apply(screen, mesh.normals(vertices), harmonics, behind, setup)
    color, silhouette, hit_depth, normals, barycentrics, face_ids = outputs
    return RenderOutput(
        color=color,
        silhouette=silhouette,
        depth=hit_depth,
        normals=normals,
        face_ids=face_ids,
        barycentrics=barycentrics,
    )


def project_points(points: torch.Tensor, camera: CameraPath) -> tuple[torch.Tensor, torch.Tensor]:
    """Torch twin of `geometry.cameras.project`: [T, N, 3] -> pixels [T, N, 2] and depths [T, N], differentiable."""
    camera = camera_for(camera, len(points))
    matrix = torch.as_tensor(camera.world_to_camera, dtype=points.dtype, device=points.device)
    focal = torch.as_tensor(camera.focal, dtype=points.dtype, device=points.device)[:, None]
    seen = points @ matrix[:, :3, :3].transpose(1, 2) + matrix[:, None, :3, 3]
    depth = -seen[..., 2]
    scale = focal / torch.where(depth.abs() > 1e-9, depth, torch.full_like(depth, 1e-9))
    x = camera.width / 2.0 + scale * seen[..., 0]
    y = camera.height / 2.0 - scale * seen[..., 1]
    return torch.stack([x, y], dim=-1), depth


@dataclass(kw_only=True)
class _Setup:
    """What one call of `render` holds besides tensors."""

    mesh: RenderMesh
    width: int
    height: int
    fringe: Any
    light: Any
    keys: list[tuple[slice, wp.array]] = field(default_factory=list)  # outline keys, kept for the adjoint


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, screen: Any, normals: Any, harmonics: Any, background: Any, setup: _Setup) -> Any:
        ctx.set_materialize_grads(False)
        screen, normals, harmonics = (value.detach().contiguous() for value in (screen, normals, harmonics))
        shape = (len(screen), setup.height, setup.width)
        face_ids = torch.empty(shape, dtype=torch.int32, device=screen.device)
        depth, silhouette = torch.empty(2, *shape, device=screen.device)
        color, foreground, seen_normals, barycentrics = torch.empty(4, *shape, 3, device=screen.device)
        outputs = (color, foreground, silhouette, seen_normals)

        def work(part: slice) -> None:
            points, hit = view(screen, part), (view(face_ids, part), view(barycentrics, part))
            _rasterize(setup.mesh, points, hit, view(depth, part))
            keys = _outline(setup, points, hit[0])
            setup.keys.append((part, keys))
            lit = (view(normals, part), setup.light, view(harmonics, part), setup.fringe)
            behind = view(background, part if len(background) > 1 else slice(0, 1))
            results = [view(value, part) for value in outputs]
            launch(soft_kernels.compose, shape[1:], points, setup.mesh.surface, *lit, *hit, keys, behind, *results)

        spread(screen, work)
        ctx.setup = setup
        ctx.save_for_backward(screen, normals, harmonics, background, face_ids, barycentrics, foreground, silhouette)
        ctx.mark_non_differentiable(face_ids)
        return color, silhouette, depth, seen_normals, barycentrics, face_ids

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        setup: _Setup = ctx.setup
        screen, normals, harmonics, background, face_ids, barycentrics, foreground, silhouette = ctx.saved_tensors
        kinds = {"color": foreground, "silhouette": silhouette, "depth": silhouette}
        kinds |= {"normals": foreground, "barycentrics": foreground}
        incoming = {
            name: torch.zeros_like(like) if gradient is None else gradient.to(torch.float32).contiguous()
            for (name, like), gradient in zip(kinds.items(), gradients[:5], strict=True)
        }
        g_screen, g_vertex_normals, g_harmonics = (torch.zeros_like(value) for value in (screen, normals, harmonics))
        kept = {(part.start, part.stop): keys for part, keys in setup.keys}

        def work(part: slice) -> None:
            points, ids = view(screen, part), view(face_ids, part)
            lit = (setup.mesh.surface, view(normals, part), setup.light, view(harmonics, part))
            g_pixels = {name: view(value, part) for name, value in incoming.items()}
            g_points, g_light = view(g_screen, part), view(g_harmonics, part)
            behind = view(background, part if len(background) > 1 else slice(0, 1))
            cover, keys = view(silhouette, part), kept[part.start, part.stop]
            made = (keys, behind, view(foreground, part), cover, g_pixels["color"], g_pixels["silhouette"])
            size = ids.shape[1:]
            launch(soft_kernels.outline_adjoint, size, points, *lit, setup.fringe, ids, *made, g_points, g_light)
            hit = (ids, view(barycentrics, part), cover)
            flows = (g_pixels["color"], g_pixels["depth"], g_pixels["normals"], g_pixels["barycentrics"])
            results = (g_points, view(g_vertex_normals, part), g_light)
            launch(soft_kernels.surface_adjoint, size, points, *lit, *hit, *flows, *results)

        spread(screen, work)
        lit = setup.light.mode != lighting.UNLIT
        return (
            g_screen,
            g_vertex_normals if lit or gradients[3] is not None else None,
            g_harmonics if setup.light.mode == lighting.HARMONICS else None,
            None,
            None,
        )


def _rasterize(mesh: RenderMesh, points: wp.array, hit: tuple[wp.array, wp.array], depth: wp.array) -> None:
    keys = wp.full(depth.shape, kernels.EMPTY_KEY, dtype=wp.uint64, device=points.device)
    faces = mesh.surface.faces
    launch(kernels.zbuffer, len(mesh.faces), points, faces, NEAR_M, 0, keys)
    launch(kernels.resolve, depth.shape[1:], points, faces, keys, 0.0, *hit, depth)


def _outline(setup: _Setup, points: wp.array, face_ids: wp.array) -> wp.array:
    keys = wp.full(face_ids.shape, kernels.EMPTY_KEY, dtype=wp.uint64, device=points.device)
    surface = setup.mesh.surface
    reach = setup.fringe.reach
    launch(outline_kernels.outline_distance, surface.edges.shape[0], points, surface, face_ids, NEAR_M, reach, keys)
    return keys


def _fringe(sigma: float) -> Any:
    if not sigma > 0.0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    fringe = outline_kernels.Fringe()
    fringe.sigma, fringe.reach = sigma, CUT_SIGMAS * sigma
    fringe.span = float(np.tanh(CUT_SIGMAS / 2.0))
    return fringe


def _light(shading: Lambert | torch.Tensor | None) -> Any:
    light = lighting.Light()
    if isinstance(shading, Lambert):
        direction = np.asarray(shading.direction, np.float64)
        light.mode, light.ambient = lighting.LAMBERT, shading.ambient
        light.direction = wp.vec3(*(direction / np.linalg.norm(direction)))
    else:
        light.mode = lighting.UNLIT if shading is None else lighting.HARMONICS
    return light


def _background(value: Any, count: int, camera: CameraPath, device: torch.device) -> torch.Tensor:
    """The background as [1 or T, H, W, 3] float32, contiguous."""
    size = (camera.height, camera.width, 3)
    if value is None:
        return torch.zeros(1, *size, device=device)
    picture = torch.as_tensor(value, dtype=torch.float32, device=device).detach()
    picture = picture.expand(1, *size) if picture.ndim < 4 else picture
    if picture.shape[1:] != size or len(picture) not in (1, count):
        raise ValueError(f"a background of shape {tuple(picture.shape)} for {count} frames of {size[1]} x {size[0]}")
    return picture.contiguous()
