"""Differentiable rendering: pictures whose gradients reach the vertices.

The visible surface is found by the hard rasterizer. Around its outline, the silhouette is soft:
``0.5 + 0.5 tanh(d / 2 sigma) / tanh(3)`` with d the signed distance [px] from the pixel centre to the nearest
outline edge (positive inside), cut at 6 sigma: 0.5 on the line itself, so the sum of the silhouette is the area
at any sigma, and with a small sigma it is an anti-aliased mask. Colour is the surface's colour blended over the
background by that coverage; outside, the surface's colour is that of the nearest outline point. Inside, where one
part hides another, colour is blended across the edge (`render.inner_kernels`); the other outputs stay as they are.
Faces that cross the near plane are clipped there.

Gradients with respect to vertices: through the outline (silhouette and blended colour), through the edges inside it
(colour), through the perspective-correct barycentrics (texture, vertex colours, depth, normals), through vertex
normals (lighting). Which face is visible, and the colour that bleeds outside, are held constant. Everything is float32.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import adjoint_kernels, inner_kernels, kernels, lighting, outline_kernels, soft_kernels
from studio_pipeline.render.inputs import Lambert, background_of, harmonics_of, light_of
from studio_pipeline.render.mesh import RenderMesh, launch, launch_rows, spread, view
from studio_pipeline.render.raster import NEAR_M, camera_for
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.records import CameraPath

__all__ = ["Lambert", "RenderMesh", "RenderOutput", "project_points", "render"]

CUT_SIGMAS = 6.0

_LEAST_DEPTH_M = 1e-5  # vertices nearer to the camera's plane are moved there: float32 gradients need the room
_SKIPPABLE = ("color", "normals")
_KERNELS = (kernels, outline_kernels, inner_kernels, soft_kernels, adjoint_kernels)


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
    inner_edges: bool = True,
    skip: Collection[str] = (),
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
        inner_edges: Blend colours where one part hides another; without, such edges are hard and have no gradient.
        skip: Outputs that aren't needed, of "color" and "normals": left out, they have no frames, and time is saved.
    """
    if wrong := sorted(set(skip) - set(_SKIPPABLE)):
        raise ValueError(f"skip takes {' and '.join(_SKIPPABLE)}, not {', '.join(wrong)}")
    initialize(*(module.__name__ for module in _KERNELS))
    count, vertices = len(vertices), vertices.to(torch.float32)
    pixels, _, divided = _project(vertices, camera, _LEAST_DEPTH_M)
    screen = torch.cat([pixels, divided[..., None]], dim=-1)
    setup = _Setup(
        mesh=mesh,
        width=camera.width,
        height=camera.height,
        fringe=_fringe(sigma),
        light=light_of(shading),
        inner_edges=inner_edges,
        skip=frozenset(skip),
    )
    light = harmonics_of(shading, count, vertices.device)
    behind = background_of(background, count, camera, vertices.device)
    outputs: Any = _Render.apply(screen, mesh.normals(vertices), light, behind, setup)
    names = ("color", "silhouette", "depth", "normals", "barycentrics", "face_ids")
    return RenderOutput(**dict(zip(names, outputs, strict=True)))


def project_points(points: torch.Tensor, camera: CameraPath) -> tuple[torch.Tensor, torch.Tensor]:
    """Torch twin of `geometry.cameras.project`: [T, N, 3] -> pixels [T, N, 2] and depths [T, N], differentiable."""
    pixels, depth, _ = _project(points, camera, 1e-9)
    return pixels, depth


def _project(points: torch.Tensor, camera: CameraPath, least: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels, depths, and the depths that were divided by: ``least`` where one is nearer to zero."""
    camera = camera_for(camera, len(points))
    matrix = torch.as_tensor(camera.world_to_camera, dtype=points.dtype, device=points.device)
    focal = torch.as_tensor(camera.focal, dtype=points.dtype, device=points.device)[:, None]
    seen = points @ matrix[:, :3, :3].transpose(1, 2) + matrix[:, None, :3, 3]
    depth = -seen[..., 2]
    divided = torch.where(depth.abs() > least, depth, depth + (least - depth).detach())
    scale = focal / divided
    x = camera.width / 2.0 + scale * seen[..., 0]
    y = camera.height / 2.0 - scale * seen[..., 1]
    return torch.stack([x, y], dim=-1), depth, divided


@dataclass(kw_only=True)
class _Setup:
    """What one call of `render` holds besides tensors."""

    mesh: RenderMesh
    width: int
    height: int
    fringe: Any
    light: Any
    inner_edges: bool
    skip: frozenset[str]
    kept: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)  # per part, for the adjoint

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def frames_of(self, name: str, count: int) -> int:
        """How many frames of an output are made."""
        return 0 if name in self.skip else count


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, screen: Any, normals: Any, harmonics: Any, background: Any, setup: _Setup) -> Any:
        ctx.set_materialize_grads(False)
        screen, normals, harmonics = (value.detach().contiguous() for value in (screen, normals, harmonics))
        shape, device = (len(screen), *setup.size), screen.device
        coloured = setup.frames_of("color", len(screen))
        face_ids = torch.empty(shape, dtype=torch.int32, device=device)
        depth, silhouette = torch.empty(shape, device=device), torch.empty(shape, device=device)
        color, foreground = (torch.empty(coloured, *setup.size, 3, device=device) for _ in range(2))
        seen_normals = torch.empty(setup.frames_of("normals", len(screen)), *setup.size, 3, device=device)
        barycentrics = torch.empty(*shape, 3, device=device)

        def work(part: slice) -> None:
            posed = _posed(setup, (view(screen, part), view(normals, part), view(harmonics, part)))
            seen = (view(face_ids, part), view(barycentrics, part), view(depth, part))
            keys, inner = _visible(setup, posed, seen)
            setup.kept[part.start, part.stop] = (posed, keys, inner)
            behind = view(background, part if len(background) > 1 else slice(0, 1))
            drawn = [view(value, part) for value in (color, foreground, silhouette, seen_normals)]
            shape = (setup.mesh.surface, posed)
            lit = (setup.light, setup.fringe, seen[1], keys, behind)
            launch_rows(soft_kernels.compose, setup.size, seen[0], *shape, *lit, *drawn)
            if inner.marks.size:
                layers = (inner, behind, drawn[1], drawn[2], drawn[0])
                launch_rows(soft_kernels.blend_inner, setup.size, seen[0], *shape, *layers)

        spread(screen, work)
        ctx.setup = setup
        ctx.save_for_backward(screen, normals, harmonics, background, face_ids, barycentrics, foreground, silhouette)
        ctx.mark_non_differentiable(face_ids)
        return color, silhouette, depth, seen_normals, barycentrics, face_ids

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        setup: _Setup = ctx.setup
        screen, normals, harmonics, background, face_ids, barycentrics, foreground, silhouette = ctx.saved_tensors
        none = torch.empty(0, *setup.size, device=screen.device)
        none3 = torch.empty(0, *setup.size, 3, device=screen.device)
        g_color, g_silhouette, g_depth, g_normals, g_barycentrics = (
            like if gradient is None else gradient.to(torch.float32).contiguous()
            for like, gradient in zip((none3, none, none, none3, none3), gradients[:5], strict=True)
        )
        g_screen, g_vertex_normals, g_harmonics = (torch.zeros_like(value) for value in (screen, normals, harmonics))

        def work(part: slice) -> None:
            ids, g_points, g_light = view(face_ids, part), view(g_screen, part), view(g_harmonics, part)
            behind = view(background, part if len(background) > 1 else slice(0, 1))
            posed, keys, inner = setup.kept[part.start, part.stop]
            cover, g_drawn = view(silhouette, part), view(g_color, part)
            shape = (setup.mesh.surface, posed, setup.light)
            if g_drawn.size or g_silhouette.numel():
                made = (setup.fringe, keys, inner, behind, view(foreground, part), cover)
                flows = (g_drawn, view(g_silhouette, part), g_points, g_light)
                launch_rows(adjoint_kernels.outline_adjoint, setup.size, ids, *shape, *made, *flows)
            flows = (g_drawn, view(g_depth, part), view(g_normals, part), view(g_barycentrics, part))
            if any(flow.size for flow in flows):
                flows = (*flows, g_points, view(g_vertex_normals, part), g_light)
                hit = (inner, view(barycentrics, part), cover)
                launch_rows(adjoint_kernels.surface_adjoint, setup.size, ids, *shape, *hit, *flows)

        spread(screen, work)
        lit = setup.light.mode != lighting.UNLIT
        return (
            g_screen,
            g_vertex_normals if lit or gradients[3] is not None else None,
            g_harmonics if setup.light.mode == lighting.HARMONICS else None,
            None,
            None,
        )


def _posed(setup: _Setup, arrays: tuple[wp.array, wp.array, wp.array]) -> Any:
    """Arrays [T, ...] of screen vertices, normals and harmonics, and what follows for each face."""
    posed = outline_kernels.Posed()
    posed.screen, posed.normals, posed.harmonics = arrays
    faces = len(setup.mesh.faces)
    posed.facts = wp.empty((len(arrays[0]), faces), dtype=wp.vec2, device=arrays[0].device)
    launch(soft_kernels.face_facts, faces, posed.screen, setup.mesh.surface, NEAR_M, posed.facts)
    return posed


def _visible(setup: _Setup, posed: Any, seen: tuple[wp.array, wp.array, wp.array]) -> tuple[wp.array, Any]:
    """Fill face ids, barycentrics and depth; the keys of the outline, and the edges inside it."""
    points, surface, ids = posed.screen, setup.mesh.surface, seen[0]
    keys = wp.full(ids.shape, kernels.EMPTY_KEY, dtype=wp.uint64, device=points.device)
    launch(kernels.zbuffer, len(setup.mesh.faces), points, surface.faces, NEAR_M, 0, keys)
    launch_rows(kernels.resolve_rows, setup.size, points, surface.faces, keys, 0.0, *seen)
    keys.fill_(kernels.EMPTY_KEY)
    edges = surface.edges.shape[0]
    launch(outline_kernels.outline_distance, edges, points, surface, posed.facts, ids, setup.fringe, keys)
    count = len(ids) if setup.inner_edges and "color" not in setup.skip else 0
    inner = inner_kernels.Inner()
    pairs = (count, 2, *setup.size)
    inner.keys = wp.full(pairs, kernels.EMPTY_KEY, dtype=wp.uint64, device=points.device)
    inner.marks = wp.zeros((count, *setup.size), dtype=wp.uint8, device=points.device)
    if count:
        launch(inner_kernels.find_inner, edges, points, surface, posed.facts, ids, seen[2], NEAR_M, inner)
    return keys, inner


def _fringe(sigma: float) -> Any:
    if not sigma > 0.0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    fringe = outline_kernels.Fringe()
    fringe.sigma, fringe.reach, fringe.near = sigma, CUT_SIGMAS * sigma, NEAR_M
    fringe.span = float(np.tanh(CUT_SIGMAS / 2.0))
    return fringe
