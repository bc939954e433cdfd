"""The plane about which a body mirrors itself, if there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.voxels import surface_points

__all__ = ["MirrorPlane", "find_mirror_plane"]

_SAMPLES = 1500
_MEAN_TOLERANCE, _TAIL_TOLERANCE = 0.006, 0.03  # of the diagonal: mean and 97th percentile of the mirrored distance


@dataclass(frozen=True, kw_only=True)
class MirrorPlane:
    """Points p with ``normal . p = offset``; ``to_plane`` maps the world so that the plane becomes x = 0."""

    normal: np.ndarray  # [3] float64, unit; its largest component is positive
    offset: float

    @property
    def to_plane(self) -> np.ndarray:
        """Rigid world-to-plane-frame matrix, +x along the normal, y as close to the world's as it gets. [4, 4]"""
        up = np.array([0.0, 1.0, 0.0]) if abs(self.normal[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
        side = np.cross(self.normal, up)
        side /= np.linalg.norm(side)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([self.normal, np.cross(side, self.normal), side])
        matrix[0, 3] = -self.offset
        return matrix

    def reflect(self, points: np.ndarray) -> np.ndarray:
        """Mirror points [N, 3]."""
        return points - 2.0 * (points @ self.normal - self.offset)[:, None] * self.normal


def find_mirror_plane(vertices: np.ndarray, faces: np.ndarray) -> MirrorPlane | None:
    """The first of x = 0, axis planes through the middle and principal planes that mirrors the surface onto itself.

    Args:
        vertices: Positions [V, 3].
        faces: Triangles [F, 3].
    """
    import igl

    vertices = np.ascontiguousarray(vertices, dtype=np.float64)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    cloud = surface_points(vertices, faces, diagonal / 60.0, limit=300_000)
    cloud = cloud[np.unique(np.linspace(0, len(cloud) - 1, _SAMPLES).astype(int))]
    for plane in _candidates(vertices, cloud):
        squared = np.asarray(igl.point_mesh_squared_distance(plane.reflect(cloud), vertices, faces)[0]).ravel()
        distance = np.sqrt(np.maximum(squared, 0.0)) / diagonal
        if distance.mean() < _MEAN_TOLERANCE and np.percentile(distance, 97.0) < _TAIL_TOLERANCE:
            return plane
    return None


def _candidates(vertices: np.ndarray, cloud: np.ndarray) -> list[MirrorPlane]:
    middle = (vertices.min(0) + vertices.max(0)) / 2.0
    x, z = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    planes = [MirrorPlane(normal=x, offset=0.0), MirrorPlane(normal=x, offset=float(middle[0]))]
    planes.append(MirrorPlane(normal=z, offset=float(middle[2])))
    centre = cloud.mean(0)
    for axis in np.linalg.eigh(np.cov((cloud - centre).T))[1].T[::-1]:
        axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
        if abs(axis[1]) < 0.5:  # left and right, not above and below
            planes.append(MirrorPlane(normal=axis, offset=float(axis @ centre)))
    return planes
