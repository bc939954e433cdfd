"""SoftRas: silhouettes and colours to which *all* faces near a pixel contribute, with gradients to all of them.

The model is that of Liu et al., "Soft Rasterizer" (ICCV 2019), in the units and with the conventions of PyTorch3D:
pixels are measured in NDC, in which the shorter side of the picture spans 2. With d_j the signed squared distance of a
pixel centre to the border of face j (negative inside) and p_j = 1 / (1 + exp(d_j / sigma)):

- silhouette = 1 - prod_j (1 - p_j)
- colour = (sum_j w_j c_j + w_b background) / (sum_j w_j + w_b), w_j = p_j exp((i_j - i_max) / gamma),
  w_b = max(exp((1e-10 - i_max) / gamma), 1e-10), i = (zfar - z) / (zfar - znear)

over the faces with d_j < blur_radius. c_j and z_j are the face's colour and depth at its perspective-correct
barycentrics, negative ones set to 0. Faces that reach nearer than `raster.NEAR_M` or have less than 1e-8 for an area
(of the parallelogram, NDC) are left out. Left out as negligible: from the colour, faces whose depth alone gives them
less than 1e-6 of the nearest face's weight.

Pictures are the same in any order of execution (sums in fixed point); so are gradients on the CPU. On a GPU gradients
are sums of float32 atomics, repeatable to round-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import (
    lighting,
    softras_blend_kernels,
    softras_kernels,
    softras_nearest_kernels,
    softras_shading,
)
from studio_pipeline.render.differentiable import project_points
from studio_pipeline.render.inputs import Lambert, background_of, harmonics_of, light_of
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lanes import LANES, Lanes, LongLanes
from studio_pipeline.render.mesh import RenderMesh, launch, spread, view
from studio_pipeline.render.raster import NEAR_M
from studio_pipeline.render.runtime import initialize
from studio_pipeline.schema.records import CameraPath

__all__ = ["SoftPicture", "blur_for", "silhouette", "soft_color"]

LEAST_AREA = 1e-8  # NDC, as PyTorch3D's kEpsilon
NEGLIGIBLE = 1e-6


@dataclass(frozen=True, kw_only=True)
class SoftPicture:
    """What `soft_color` gives, per frame; both carry gradients."""

    color: torch.Tensor  # [T, H, W, 3] linear light
    silhouette: torch.Tensor  # [T, H, W]


def blur_for(sigma: float) -> float:
    """Squared distance [NDC^2] at which a face covers a pixel by 1e-4: beyond it faces don't count by default."""
    return float(np.log(1.0 / 1e-4 - 1.0) * sigma)


def silhouette(
    vertices: torch.Tensor,
    mesh: RenderMesh,
    camera: CameraPath,
    *,
    sigma: float = 1e-4,
    blur_radius: float | None = None,
) -> torch.Tensor:
    """Soft silhouettes of posed vertices, from all faces near a pixel. [T, H, W] float32

    Args:
        vertices: World positions [m], on the mesh's device; taken as float32. [T, V, 3]
        mesh: From `RenderMesh.from_character`.
        camera: T frames, or one for all.
        sigma: Softness of a face's border [NDC^2].
        blur_radius: Faces whose squared distance is larger don't count [NDC^2]; None: `blur_for` (sigma).
    """
    initialize(softras_kernels.__name__)
    soft = _soft(camera, sigma, blur_radius)
    result: Any = _Silhouette.apply(_screen(vertices, camera), mesh, soft, camera.height)
    return result


def soft_color(
    vertices: torch.Tensor,
    mesh: RenderMesh,
    camera: CameraPath,
    *,
    background: torch.Tensor | Sequence[float] | None = None,
    shading: Lambert | torch.Tensor | None = None,
    sigma: float = 1e-4,
    gamma: float = 1e-4,
    znear: float = 1.0,
    zfar: float = 100.0,
    blur_radius: float | None = None,
) -> SoftPicture:
    """Colours blended over all faces near a pixel by their nearness on the screen and in depth.

    Args:
        vertices: World positions [m], on the mesh's device; taken as float32. [T, V, 3]
        mesh: From `RenderMesh.from_character`.
        camera: T frames, or one for all.
        background: As for `differentiable.render`; no gradient.
        shading: As for `differentiable.render`.
        sigma: Softness of a face's border [NDC^2].
        gamma: Softness in depth: how much of the range between znear and zfar weighs e times less.
        znear: Where inverse depth is 1 [m].
        zfar: Where inverse depth is 0 [m].
        blur_radius: Faces whose squared distance is larger don't count [NDC^2]; None: `blur_for` (sigma).
    """
    initialize(*(m.__name__ for m in (softras_kernels, softras_nearest_kernels, softras_blend_kernels)))
    count, vertices = len(vertices), vertices.to(torch.float32)
    soft = _soft(camera, sigma, blur_radius)
    softmax = _softmax(soft, gamma, znear, zfar)
    setup = _Setup(mesh=mesh, soft=soft, softmax=softmax, light=light_of(shading), height=camera.height)
    light = setup.light.mode != lighting.UNLIT
    normals = mesh.normals(vertices) if light else torch.zeros_like(vertices)
    behind = background_of(background, count, camera, vertices.device)
    outputs: Any = _Color.apply(
        _screen(vertices, camera), normals, harmonics_of(shading, count, vertices.device), behind, setup
    )
    return SoftPicture(color=outputs[0], silhouette=outputs[1])


@dataclass(kw_only=True)
class _Setup:
    """What one call of `soft_color` holds besides tensors."""

    mesh: RenderMesh
    soft: Any
    softmax: Any
    light: Any
    height: int

    def scene(self, screen: wp.array, normals: wp.array, harmonics: wp.array) -> Any:
        """The kernels' `Scene` for some frames."""
        scene = softras_shading.Scene()
        scene.screen, scene.normals, scene.harmonics = screen, normals, harmonics
        scene.surface, scene.light = self.mesh.surface, self.light
        scene.soft, scene.softmax = self.soft, self.softmax
        return scene


def _screen(vertices: torch.Tensor, camera: CameraPath) -> torch.Tensor:
    pixels, depth = project_points(vertices.to(torch.float32), camera)
    return torch.cat([pixels, depth[..., None]], dim=-1)


def _soft(camera: CameraPath, sigma: float, blur_radius: float | None) -> Any:
    if not sigma > 0.0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    blur = blur_for(sigma) if blur_radius is None else blur_radius
    if not blur >= 0.0:
        raise ValueError(f"blur_radius must not be negative, not {blur_radius}")
    pixel = 2.0 / min(camera.width, camera.height)  # [NDC]
    soft = softras_kernels.Soft()
    soft.width, soft.near = camera.width, NEAR_M
    soft.rate, soft.reach = pixel * pixel / sigma, float(np.sqrt(blur)) / pixel
    soft.limit, soft.least_area = blur / sigma, LEAST_AREA / (pixel * pixel)
    return soft


def _softmax(soft: Any, gamma: float, znear: float, zfar: float) -> Any:
    if not (gamma > 0.0 and zfar > znear):
        raise ValueError(f"gamma must be positive and zfar beyond znear, not {gamma}, {znear} and {zfar}")
    softmax = softras_shading.Softmax()
    softmax.steepness, softmax.gamma, softmax.z_near, softmax.z_far = 1.0 / (gamma * (zfar - znear)), gamma, znear, zfar
    # The nearest face may itself weigh no more than what is left of it at the blur radius.
    least = NEGLIGIBLE / (1.0 + np.exp(min(soft.limit, 80.0)))
    softmax.deepest = float(-np.log(least)) / softmax.steepness
    return softmax


def _padded(width: int) -> int:
    return -(-width // LANES) * LANES


def _blocks(tensor: torch.Tensor, part: slice, dtype: Any = Lanes) -> wp.array:
    """Frames of a padded tensor [T, ..., B LANES] as vectors [T, ..., B]."""
    piece = tensor[part]
    return wp.from_torch(piece.view(*piece.shape[:-1], -1, LANES), dtype=dtype, requires_grad=False)


class _Silhouette(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, screen: Any, mesh: RenderMesh, soft: Any, height: int) -> Any:
        screen = screen.detach().contiguous()
        shape = (len(screen), height, _padded(soft.width))
        clear = torch.empty(shape, device=screen.device)

        def work(part: slice) -> None:
            sums = torch.zeros(part.stop - part.start, *shape[1:], dtype=torch.int64, device=screen.device)
            points, everything = view(screen, part), slice(None)
            walked = _blocks(sums, everything, LongLanes)
            launch(softras_kernels.occlusion, len(mesh.faces), points, mesh.surface.faces, soft, walked)
            launch(softras_kernels.transmit, walked.shape[1:], walked, _blocks(clear, part))

        spread(screen, work)
        ctx.mesh, ctx.soft = mesh, soft
        ctx.save_for_backward(screen, clear)
        return 1.0 - clear[..., : soft.width]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        screen, clear = ctx.saved_tensors
        flows, g_screen = _flows(clear, gradients[0]), torch.zeros_like(screen)

        def work(part: slice) -> None:
            arguments = (ctx.mesh.surface.faces, ctx.soft, _blocks(flows, part), view(g_screen, part))
            launch(softras_kernels.occlusion_adjoint, len(ctx.mesh.faces), view(screen, part), *arguments)

        spread(screen, work)
        return g_screen, None, None, None


class _Color(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, screen: Any, normals: Any, harmonics: Any, background: Any, setup: _Setup) -> Any:
        ctx.set_materialize_grads(False)
        screen, normals, harmonics = (value.detach().contiguous() for value in (screen, normals, harmonics))
        mesh, soft, device = setup.mesh, setup.soft, screen.device
        shape = (len(screen), setup.height, _padded(soft.width))
        clear, firsts, weights = (torch.empty(shape, device=device) for _ in range(3))
        owners = torch.empty(shape, dtype=torch.int32, device=device)
        color = torch.empty(len(screen), setup.height, soft.width, 3, device=device)

        def work(part: slice) -> None:
            count, everything = part.stop - part.start, slice(None)
            points, kernels = view(screen, part), softras_nearest_kernels
            sums = torch.zeros(count, *shape[1:], dtype=torch.int64, device=device)
            keys = torch.full((count, *shape[1:]), EMPTY_KEY - 2**64, dtype=torch.int64, device=device)
            walked = (_blocks(sums, everything, LongLanes), _blocks(keys, everything, kernels.KeyLanes))
            launch(kernels.nearest, len(mesh.faces), points, mesh.surface.faces, soft, *walked)
            launch(softras_kernels.transmit, walked[0].shape[1:], walked[0], _blocks(clear, part))
            split = (_blocks(firsts, part), _blocks(owners, part, kernels.IndexLanes))
            launch(kernels.split_keys, walked[1].shape[1:], walked[1], *split)
            totals = torch.zeros(count, setup.height, 4, shape[2], dtype=torch.int64, device=device)
            scene = setup.scene(points, view(normals, part), view(harmonics, part))
            gathered = (_blocks(firsts, part), _blocks(totals, everything, LongLanes))
            launch(softras_blend_kernels.gather, len(mesh.faces), gathered[0], scene, gathered[1])
            made = (view(background, _behind(background, part)), _blocks(weights, part), view(color, part))
            launch(softras_blend_kernels.blend, walked[0].shape[1:], gathered[1], gathered[0], setup.softmax, *made)

        spread(screen, work)
        ctx.setup = setup
        ctx.save_for_backward(screen, normals, harmonics, background, clear, firsts, owners, weights, color)
        return color, 1.0 - clear[..., : soft.width]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        setup: _Setup = ctx.setup
        screen, normals, harmonics, background, clear, firsts, owners, weights, color = ctx.saved_tensors
        g_color = torch.zeros_like(color) if gradients[0] is None else gradients[0].to(torch.float32).contiguous()
        flows = torch.zeros_like(clear) if gradients[1] is None else _flows(clear, gradients[1])
        pulls = torch.empty(*clear.shape[:2], 5, clear.shape[2], device=screen.device)
        g_screen, g_normals, g_harmonics = (torch.zeros_like(value) for value in (screen, normals, harmonics))

        def work(part: slice) -> None:
            kernels = softras_blend_kernels
            known = (_blocks(weights, part), _blocks(firsts, part), setup.softmax)
            flow = (view(background, _behind(background, part)), view(g_color, part), _blocks(pulls, part))
            size = (setup.height, clear.shape[2] // LANES)
            launch(kernels.blend_pixels_adjoint, size, view(color, part), *known, *flow)
            scene = setup.scene(view(screen, part), view(normals, part), view(harmonics, part))
            owned = _blocks(owners, part, softras_nearest_kernels.IndexLanes)
            results = [view(value, part) for value in (g_screen, g_normals, g_harmonics)]
            arguments = (owned, scene, flow[2], _blocks(flows, part), *results)
            launch(kernels.blend_adjoint, len(setup.mesh.faces), known[1], *arguments)

        spread(screen, work)
        mode = setup.light.mode
        lit = g_normals if mode != lighting.UNLIT else None
        return g_screen, lit, g_harmonics if mode == lighting.HARMONICS else None, None, None


def _flows(clear: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Adjoint of the silhouette times what is let through, padded with zeros."""
    flows = torch.zeros_like(clear)
    width = gradient.shape[-1]
    torch.mul(clear[..., :width], gradient, out=flows[..., :width])
    return flows


def _behind(background: torch.Tensor, part: slice) -> slice:
    return part if len(background) > 1 else slice(0, 1)
