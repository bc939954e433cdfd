"""A character prepared for the differentiable renderer: colours, welded edges, shared normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import normal_kernels, outline_kernels
from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.render.surface import linear_atlas, normal_groups, weld
from studio_pipeline.render.textures import atlas_pyramid
from studio_pipeline.schema.records import Character

__all__ = ["RenderMesh", "mesh_edges"]


@dataclass(frozen=True, kw_only=True)
class RenderMesh:
    """What stays the same in all frames; build it once with `from_character`."""

    faces: torch.Tensor  # [F, 3] int64
    groups: Any  # Warp array [V] int32, vertices of one group share a normal
    group_count: int
    surface: Any  # outline_kernels.Surface, arrays on the mesh's device
    keep: tuple[Any, ...]  # what the surface's arrays look into

    @property
    def device(self) -> torch.device:
        """Where the mesh lies."""
        return self.faces.device

    @classmethod
    def from_character(cls, character: Character, *, device: str = "cpu") -> RenderMesh:
        """Prepare ``character``'s faces and colours on ``device``."""
        initialize()
        groups = normal_groups(character)
        edges, edge_faces = mesh_edges(character.faces, character.vertices)
        surface = outline_kernels.Surface()
        surface.atlas = atlas_pyramid(linear_atlas(character), device=device)
        kept = []
        for name, value, dtype in (
            ("faces", character.faces.astype(np.int32), wp.vec3i),
            ("uv", character.uv.astype(np.float32), wp.vec2),
            ("tints", character.vertex_colors.astype(np.float32), wp.vec3),
            ("edges", edges, wp.vec3i),
            ("edge_faces", edge_faces, wp.vec2i),
        ):
            array = wp.array(np.ascontiguousarray(value), dtype=dtype, device=device)
            setattr(surface, name, array)
            kept.append(array)
        return cls(
            faces=torch.as_tensor(character.faces.astype(np.int64), device=device),
            groups=wp.array(groups.astype(np.int32), device=device),
            group_count=int(groups.max()) + 1,
            surface=surface,
            keep=tuple(kept),
        )

    def normals(self, vertices: torch.Tensor) -> torch.Tensor:
        """Unit vertex normals of posed ``vertices`` [T, V, 3], area-weighted, differentiable. [T, V, 3]"""
        initialize(normal_kernels.__name__)
        result: Any = _Normals.apply(vertices, self)
        return result


class _Normals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Any, mesh: RenderMesh) -> Any:
        vertices = vertices.detach().to(torch.float32).contiguous()
        sums = torch.zeros(len(vertices), mesh.group_count, 3, device=vertices.device)
        normals = torch.empty_like(vertices)

        def work(part: slice) -> None:
            points, total, result = (view(value, part) for value in (vertices, sums, normals))
            launch(normal_kernels.sum_areas, len(mesh.faces), points, mesh.surface.faces, mesh.groups, total)
            launch(normal_kernels.normals_of_sums, result.shape[1], total, mesh.groups, result)

        spread(vertices, work)
        ctx.mesh = mesh
        ctx.save_for_backward(vertices, sums)
        return normals

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        mesh: RenderMesh = ctx.mesh
        vertices, sums = ctx.saved_tensors
        g_normals = gradients[0].contiguous()
        g_sums, g_vertices = torch.zeros_like(sums), torch.zeros_like(vertices)

        def work(part: slice) -> None:
            points, total, g_total = (view(value, part) for value in (vertices, sums, g_sums))
            shape = (mesh.surface.faces, mesh.groups)
            g_result, g_points = view(g_normals, part), view(g_vertices, part)
            launch(normal_kernels.sums_adjoint, g_result.shape[1], total, mesh.groups, g_result, g_total)
            launch(normal_kernels.areas_adjoint, len(mesh.faces), points, *shape, g_total, g_points)

        spread(vertices, work)
        return g_vertices, None


def view(tensor: torch.Tensor, part: slice) -> wp.array:
    """Frames of a contiguous tensor as a Warp array; a last axis of three floats becomes vec3."""
    piece = tensor[part]
    if piece.dtype == torch.float32 and piece.shape[-1] == 3 and piece.ndim in (3, 4):
        return wp.from_torch(piece, dtype=wp.vec3, requires_grad=False)
    return wp.from_torch(piece, requires_grad=False)


def spread(tensor: torch.Tensor, work: Callable[[slice], None]) -> None:
    """Frames over threads on the CPU, all at once on the stream that torch uses on a GPU."""
    if tensor.device.type == "cpu":
        over_frames(len(tensor), work)
    else:
        with wp.ScopedStream(wp.stream_from_torch(tensor.device)):
            work(slice(0, len(tensor)))


def launch(kernel: wp.Kernel, dim: int | tuple[int, ...], first: wp.array, *arguments: Any) -> None:
    """Launch over the frames of ``first`` [T, ...] times ``dim``, on its device."""
    rest = dim if isinstance(dim, tuple) else (dim,)
    wp.launch(kernel, dim=(first.shape[0], *rest), inputs=[first, *arguments], device=first.device)


def launch_rows(kernel: wp.Kernel, size: tuple[int, int], first: wp.array, *arguments: Any) -> None:
    """Launch over the frames of ``first`` [T, ...], rows and lanes of pictures of ``size`` (H, W), on its device.

    The kernel's last parameter is the number of lanes, and lane k visits columns k, k + lanes, ...: on a GPU one a
    column; on a CPU, where a launch is one thread, a single one, which spares it the way from an index to a pixel.
    """
    lanes = size[1] if first.device.is_cuda else 1
    launch(kernel, (size[0], lanes), first, *arguments, lanes)


def mesh_edges(faces: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a mesh, found across texture seams by position.

    Returns:
        edges [E, 3] int32: two end vertices and the vertex across in the first face; edge_faces [E, 2] int32: the
        faces on both sides, -1 at a border. Each face of an edge that more than two share is a border of its own.
    """
    places = weld(vertices, tolerance=max(float(np.ptp(vertices, axis=0).max()), 1e-9) * 1e-6)
    corners = np.concatenate([faces[:, [0, 1, 2]], faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]])
    owner = np.tile(np.arange(len(faces)), 3)
    ends = np.sort(places[corners[:, :2]], axis=1)
    proper = ends[:, 0] != ends[:, 1]
    corners, owner, ends = corners[proper], owner[proper], ends[proper]
    order = np.lexsort((owner, ends[:, 1], ends[:, 0]))
    corners, owner, ends = corners[order], owner[order], ends[order]
    _, start, count = np.unique(ends, axis=0, return_index=True, return_counts=True)
    single = np.repeat(count, count) != 2
    first = start[count == 2]
    edges = np.concatenate([corners[first], corners[single]])
    sides = np.concatenate(
        [
            np.stack([owner[first], owner[first + 1]], axis=1),
            np.stack([owner[single], np.full(int(single.sum()), -1)], axis=1),
        ]
    )
    return edges.astype(np.int32), sides.astype(np.int32)
