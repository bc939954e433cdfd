"""A character prepared for the differentiable renderer: colours, welded edges, shared normals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from studio_pipeline.render import soft_kernels
from studio_pipeline.render.runtime import initialize
from studio_pipeline.render.surface import linear_atlas, normal_groups, weld
from studio_pipeline.schema.records import Character

__all__ = ["RenderMesh", "mesh_edges"]


@dataclass(frozen=True, kw_only=True)
class RenderMesh:
    """What stays the same in all frames; build it once with `from_character`."""

    faces: torch.Tensor  # [F, 3] int64
    groups: torch.Tensor  # [V] int64, vertices of one group share a normal
    group_count: int
    surface: Any  # soft_kernels.Surface, arrays on the mesh's device
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
        surface = soft_kernels.Surface()
        kept = []
        for name, value, dtype in (
            ("faces", character.faces.astype(np.int32), wp.vec3i),
            ("uv", character.uv.astype(np.float32), wp.vec2),
            ("tints", character.vertex_colors.astype(np.float32), wp.vec3),
            ("atlas", linear_atlas(character), wp.vec3),
            ("edges", edges, wp.vec3i),
            ("edge_faces", edge_faces, wp.vec2i),
        ):
            array = wp.array(np.ascontiguousarray(value), dtype=dtype, device=device)
            setattr(surface, name, array)
            kept.append(array)
        return cls(
            faces=torch.as_tensor(character.faces.astype(np.int64), device=device),
            groups=torch.as_tensor(groups.astype(np.int64), device=device),
            group_count=int(groups.max()) + 1,
            surface=surface,
            keep=tuple(kept),
        )

    def normals(self, vertices: torch.Tensor) -> torch.Tensor:
        """Unit vertex normals of posed ``vertices`` [T, V, 3], area-weighted, differentiable. [T, V, 3]"""
        a, b, c = (vertices[:, self.faces[:, corner]] for corner in range(3))
        area = torch.linalg.cross(b - a, c - a)
        summed = vertices.new_zeros(len(vertices), self.group_count, 3)
        for corner in range(3):
            summed = summed.index_add(1, self.groups[self.faces[:, corner]], area)
        return torch.nn.functional.normalize(summed, dim=-1, eps=1e-20)[:, self.groups]


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
