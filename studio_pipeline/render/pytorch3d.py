"""The differentiable renderer's second implementation: the same interface, made by PyTorch3D.

PyTorch3D projects, rasterizes and blends; texture lookups, normals and light are written here in torch, after
`render.textures` and `render.lighting`. What differs from `render.differentiable`:

- The silhouette is SoftRas': from all faces near a pixel, at most `FACES_PER_PIXEL` of them. ``sigma`` [px] becomes
  ``(2 sigma / min(width, height))^2`` in NDC, so that sigma away from a lone edge both silhouettes are 0.27 or 0.73.
- Colour is PyTorch3D's softmax over those faces, blended over the background by that silhouette. Edges where one part
  hides another are soft by that alone; ``inner_edges`` changes nothing.

On a CPU it is orders of magnitude slower than the Warp renderer: it is there to check it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp
from pytorch3d.renderer import (
    BlendParams,
    MeshRasterizer,
    PerspectiveCameras,
    RasterizationSettings,
    sigmoid_alpha_blend,
    softmax_rgb_blend,
)
from pytorch3d.structures import Meshes

from studio_pipeline.render.differentiable import RenderOutput
from studio_pipeline.render.inputs import Lambert, background_of
from studio_pipeline.render.mesh import RenderMesh
from studio_pipeline.render.raster import NEAR_M, camera_for
from studio_pipeline.render.softras import blur_for
from studio_pipeline.schema.records import CameraPath

__all__ = ["FACES_PER_PIXEL", "cameras_of", "ndc_sigma", "rasterize", "render"]

FACES_PER_PIXEL = 50
"""How many faces near a pixel PyTorch3D keeps, nearest first."""

_TURN = np.diag([-1.0, 1.0, -1.0])  # its cameras look along +Z with +X to the left


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
    """`differentiable.render` by PyTorch3D; arguments and results are the same, see this module for what differs."""
    del inner_edges
    if not sigma > 0.0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    count, vertices = len(vertices), vertices.to(torch.float32)
    camera = camera_for(camera, count)
    surface = _Surface.of(mesh, vertices, camera)
    hard = rasterize(vertices, mesh, camera)
    ids = hard.pix_to_face[..., 0]
    hit, frames = ids >= 0, torch.arange(count, device=vertices.device)[:, None, None]
    barycentrics = torch.where(hit[..., None], hard.bary_coords[..., 0, :], 0.0)
    seen_normals = vertices.new_zeros(0 if "normals" in skip else count, *ids.shape[1:], 3)
    if len(seen_normals):
        seen_normals = seen_normals.masked_scatter(hit[..., None], surface.normal(ids[hit], barycentrics[hit]))
    blend = BlendParams(sigma=ndc_sigma(sigma, camera), gamma=1e-4, background_color=(0.0, 0.0, 0.0))
    soft = rasterize(vertices, mesh, camera, blur_radius=blur_for(blend.sigma), faces=FACES_PER_PIXEL)
    colors = vertices.new_zeros(*soft.pix_to_face.shape, 3)
    silhouette = sigmoid_alpha_blend(colors, soft, blend)[..., 3]
    color = vertices.new_zeros(0, *ids.shape[1:], 3)
    if "color" not in skip:
        near = soft.pix_to_face >= 0
        made = surface.color(soft.pix_to_face[near], soft.bary_coords[near], shading)
        foreground = softmax_rgb_blend(colors.masked_scatter(near[..., None], made), soft, blend)[..., :3]
        behind = background_of(background, count, camera, vertices.device)
        color = behind + (foreground - behind) * silhouette[..., None]
    return RenderOutput(
        color=color,
        silhouette=silhouette,
        depth=torch.where(hit, hard.zbuf[..., 0], 0.0),
        normals=seen_normals,
        face_ids=torch.where(hit, ids - frames * len(mesh.faces), -1).to(torch.int32),
        barycentrics=barycentrics,
    )


def ndc_sigma(sigma: float, camera: CameraPath) -> float:
    """SoftRas' sigma [NDC^2] for a softness in pixels."""
    return (2.0 * sigma / min(camera.width, camera.height)) ** 2


def cameras_of(camera: CameraPath, device: torch.device) -> Any:
    """The same cameras in PyTorch3D's convention."""

    def tensor(value: Any) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(value), dtype=torch.float32, device=device)

    count = camera.frame_count
    return PerspectiveCameras(
        R=tensor((_TURN @ camera.world_to_camera[:, :3, :3]).transpose(0, 2, 1)),
        T=tensor(camera.world_to_camera[:, :3, 3] @ _TURN),
        focal_length=tensor(camera.focal)[:, None].expand(count, 2),
        principal_point=tensor([[camera.width / 2.0, camera.height / 2.0]]).expand(count, 2),
        image_size=tensor([[camera.height, camera.width]]).expand(count, 2),
        in_ndc=False,
        device=device,
    )


def rasterize(
    vertices: torch.Tensor, mesh: RenderMesh, camera: CameraPath, *, blur_radius: float = 0.0, faces: int = 1
) -> Any:
    """PyTorch3D's fragments of posed vertices [T, V, 3]; faces are clipped at `raster.NEAR_M` where one reaches it."""
    cameras = cameras_of(camera, vertices.device)
    depth = cameras.get_world_to_view_transform().transform_points(vertices.detach())[..., 2]
    settings = RasterizationSettings(
        image_size=(camera.height, camera.width),
        blur_radius=blur_radius,
        faces_per_pixel=faces,
        bin_size=0 if vertices.device.type == "cpu" else None,
        z_clip_value=NEAR_M if bool((depth < NEAR_M).any()) else None,
    )
    world = Meshes(verts=vertices, faces=mesh.faces[None].expand(len(vertices), -1, -1))
    return MeshRasterizer(cameras, settings)(world)


@dataclass(kw_only=True)
class _Surface:
    """A posed mesh's faces, all frames one after the other (T F), as PyTorch3D numbers them."""

    mesh: RenderMesh
    normals: torch.Tensor  # [T, V, 3]
    turn: torch.Tensor  # [T F] -1 where a face is seen from behind
    level: torch.Tensor  # [T F] of the atlas

    @classmethod
    def of(cls, mesh: RenderMesh, vertices: torch.Tensor, camera: CameraPath) -> _Surface:
        """Normals, and what depends on the faces on the screen."""
        screen = cameras_of(camera, vertices.device).transform_points_screen(vertices.detach())
        corners = screen[:, mesh.faces, :2]
        area = _cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
        levels = wp.to_torch(mesh.surface.atlas.levels)
        uv = wp.to_torch(mesh.surface.uv)[mesh.faces]
        texels = _cross(uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]).abs() * float(levels[0, 1] * levels[0, 2])
        level = 0.5 * torch.log2((texels / area.abs().clamp(min=1e-12)).clamp(min=1.0, max=4.0 ** (len(levels) - 1)))
        return cls(
            mesh=mesh,
            normals=_vertex_normals(vertices, mesh),
            turn=torch.where(area > 0.0, -1.0, 1.0).reshape(-1),
            level=level.reshape(-1),
        )

    def normal(self, faces: torch.Tensor, barycentrics: torch.Tensor) -> torch.Tensor:
        """Unit normals at spots of faces [N], turned to the viewer. [N, 3]"""
        frame, face = faces // len(self.mesh.faces), faces % len(self.mesh.faces)
        corners = self.normals[frame[:, None], self.mesh.faces[face]]
        mixed = (corners * barycentrics[..., None]).sum(-2)
        return torch.nn.functional.normalize(mixed, dim=-1, eps=1e-8) * self.turn[faces, None]

    def color(
        self, faces: torch.Tensor, barycentrics: torch.Tensor, shading: Lambert | torch.Tensor | None
    ) -> torch.Tensor:
        """Colour at spots of faces [N], lit. [N, 3]"""
        face = faces % len(self.mesh.faces)
        surface, corners = self.mesh.surface, self.mesh.faces[face]
        uv = (wp.to_torch(surface.uv)[corners] * barycentrics[..., None]).sum(-2)
        tint = (wp.to_torch(surface.tints)[corners] * barycentrics[..., None]).sum(-2)
        albedo = _look_up(surface.atlas, uv, self.level[faces]) * tint
        if shading is None:
            return albedo
        normal = self.normal(faces, barycentrics)
        if isinstance(shading, Lambert):
            towards = torch.nn.functional.normalize(normal.new_tensor(shading.direction), dim=0)
            return albedo * (shading.ambient + (1.0 - shading.ambient) * (normal @ towards).clamp(min=0.0))[:, None]
        given = torch.broadcast_to(shading.to(normal), (len(self.normals), 9, 3))[faces // len(self.mesh.faces)]
        return albedo * (_harmonics(normal)[..., None] * given).sum(-2)


def _cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _vertex_normals(vertices: torch.Tensor, mesh: RenderMesh) -> torch.Tensor:
    """Unit vertex normals, area-weighted over the groups that share one. [T, V, 3]"""
    corners = vertices[:, mesh.faces]
    areas = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    groups = wp.to_torch(mesh.groups).long()
    sums = vertices.new_zeros(len(vertices), mesh.group_count, 3)
    for corner in range(3):
        sums = sums.index_add(1, groups[mesh.faces[:, corner]], areas)
    return torch.nn.functional.normalize(sums[:, groups], dim=-1)


def _look_up(atlas: Any, uv: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Colours at uv [N, 2]: bilinear within two levels of the atlas, linear between them. [N, 3]"""
    texels, levels = wp.to_torch(atlas.texels), wp.to_torch(atlas.levels).long()

    def within(index: torch.Tensor) -> torch.Tensor:
        start, size = levels[index, 0], levels[index, 1:]
        place = uv * size - 0.5
        low = place.floor()
        part, corner = place - low, low.long()
        rows = []
        for y in (0, 1):
            pair = [
                texels[start + (corner[:, 1] + y) % size[:, 1] * size[:, 0] + (corner[:, 0] + x) % size[:, 0]]
                for x in (0, 1)
            ]
            rows.append(torch.lerp(pair[0], pair[1], part[:, :1]))
        return torch.lerp(rows[0], rows[1], part[:, 1:])

    low = level.floor().long()
    return torch.lerp(within(low), within((low + 1).clamp(max=len(levels) - 1)), (level - low)[:, None])


def _harmonics(normal: torch.Tensor) -> torch.Tensor:
    """Real spherical harmonics up to order 2 at unit normals [N, 3]: 1, y, z, x, xy, yz, 3zz-1, xz, xx-yy. [N, 9]"""
    x, y, z = normal.unbind(-1)
    first = [0.282095 * torch.ones_like(x), 0.488603 * y, 0.488603 * z, 0.488603 * x]
    second = [1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3.0 * z * z - 1.0)]
    return torch.stack([*first, *second, 1.092548 * x * z, 0.546274 * (x * x - y * y)], dim=-1)
