"""A mesh as the networks see it: points on its surface with outward normals, in a box of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.meshes import face_normals
from studio_pipeline.geometry.voxels import oriented_faces

__all__ = ["Cloud", "cloud_of"]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Points of a surface; the box [-1, 1]^3 holds the mesh, its longest side filling it."""

    points: np.ndarray  # [N, 3] float32, in the box
    normals: np.ndarray  # [N, 3] float32, unit
    centre: np.ndarray  # [3] float64, of the mesh, in its unit
    scale: float  # half the mesh's longest side, in its unit

    def to_mesh(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the box in the mesh's unit."""
        return np.asarray(points, dtype=np.float64) * self.scale + self.centre

    def from_mesh(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the mesh in the box."""
        return (np.asarray(points, dtype=np.float64) - self.centre) / self.scale

    def mirrored(self) -> Cloud:
        """The cloud seen in the plane x = 0 of its box."""
        turned = np.array([-1.0, 1.0, 1.0], dtype=np.float32)
        return Cloud(
            points=self.points * turned, normals=self.normals * turned, centre=self.centre * turned, scale=self.scale
        )


def cloud_of(vertices: np.ndarray, faces: np.ndarray, count: int, *, seed: int) -> Cloud:
    """Points [count, 3] spread over a surface by area, in random order.

    Args:
        vertices: Positions [V, 3], any unit, finite.
        faces: Triangles [F, 3]; closed parts that are inside out are turned around, degenerate ones left out.
        count: Number of points.
        seed: The same seed gives the same points.

    Raises:
        ValueError: The mesh has no area.
    """
    rng = np.random.default_rng(seed)
    vertices = np.asarray(vertices, dtype=np.float64)
    used = vertices[np.unique(faces)] if len(faces) else vertices
    low, high = used.min(0), used.max(0)
    centre, scale = (low + high) / 2.0, float((high - low).max()) / 2.0
    if not (np.isfinite(scale) and scale > 0.0):
        raise ValueError("the mesh has no extent")
    welded, twin = np.unique((vertices - centre) / scale, axis=0, return_inverse=True)
    corners = oriented_faces(welded, twin.ravel()[faces])
    across = face_normals(welded, corners)
    area = np.linalg.norm(across, axis=1)
    if not area.sum() > 0.0:
        raise ValueError("the mesh has no area")
    # One draw in each of `count` equal shares of the area: nearer to even than independent draws.
    steps = (np.arange(count) + rng.random(count)) / count * area.sum()
    chosen = np.minimum(np.searchsorted(np.cumsum(area), steps, side="right"), len(area) - 1)
    chosen = rng.permutation(chosen)
    u, v = rng.random((2, count))
    over = u + v > 1.0
    u, v = np.where(over, 1.0 - u, u), np.where(over, 1.0 - v, v)
    a, b, c = (welded[corners[chosen, corner]] for corner in range(3))
    points = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    normals = across[chosen] / area[chosen, None]
    return Cloud(points=points.astype(np.float32), normals=normals.astype(np.float32), centre=centre, scale=scale)
