"""A closed, orientable surface around any triangle soup, for programs that need a clean solid."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from studio_pipeline.geometry.voxels import VoxelBody

__all__ = ["envelope_surface"]

_SHEET_RADIUS = 0.95  # cells: sheets, needles and bridges become this thick on either side


def envelope_surface(
    vertices: np.ndarray, faces: np.ndarray, body: VoxelBody, *, offset: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A level of the signed distance to the mesh, closed parts filled and sheets thickened.

    Args:
        vertices: Positions [V, 3], the ones that ``body`` was made from.
        faces: Triangles [F, 3], without degenerate ones.
        body: The mesh as voxels.
        offset: How far outside of the skin the surface lies.

    Returns:
        Vertices [N, 3] float64 and faces [M, 3] int64, counter-clockwise seen from outside.
    """
    import igl
    from skimage.measure import marching_cubes

    distance = np.full(body.mask.shape, 4.0 * body.spacing)
    near: Any = ndimage.binary_dilation(body.mask, np.ones((3, 3, 3), dtype=bool), iterations=2)
    if len(faces):
        queries = np.ascontiguousarray(body.points(np.argwhere(near)))
        squared = igl.point_mesh_squared_distance(
            queries, np.ascontiguousarray(vertices, dtype=np.float64), np.ascontiguousarray(faces, dtype=np.int64)
        )[0]
        distance[near] = np.sqrt(np.maximum(np.asarray(squared).ravel(), 0.0))
    signed = np.where(body.solid, -distance, distance)
    sheet = body.mask & ~body.solid
    if sheet.any():
        apart: Any = ndimage.distance_transform_edt(~sheet)
        signed = np.minimum(signed, (apart - _SHEET_RADIUS) * body.spacing)
    points, triangles, _, _ = marching_cubes(signed, offset)
    points = body.origin + points.astype(np.float64) * body.spacing
    triangles = triangles.astype(np.int64)
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    if np.einsum("fa,fa->", a, np.cross(b, c)) < 0.0:
        triangles = triangles[:, ::-1]
    return points, np.ascontiguousarray(triangles)
