"""What a pinhole camera sees of a triangle mesh, by ray casting (Embree): which face, where on it, how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.schema.errors import BackendUnavailable
from studio_pipeline.schema.records import CameraPath

__all__ = ["Hits", "cast", "extents", "require", "silhouettes"]


@dataclass(frozen=True)
class Hits:
    """Closest hits of the rays that hit anything. n of them."""

    rows: np.ndarray  # [n] int, sample row in the supersampled picture
    columns: np.ndarray  # [n] int
    faces: np.ndarray  # [n] int32
    barycentrics: np.ndarray  # [n, 3] float64
    depth: np.ndarray  # [n] float64, along the view axis [m]
    directions: np.ndarray  # [n, 3] float64, camera frame, z = -1


def require(module: str) -> None:
    """Say how to get an optional package of the evaluation.

    Raises:
        BackendUnavailable: ``module`` can't be imported.
    """
    import importlib

    try:
        importlib.import_module(module)
    except ImportError as error:
        raise BackendUnavailable(
            f"the evaluation needs the package {module!r} ({error})", do="pip install 'studio_pipeline[evaluate]'"
        ) from error


def camera_points(camera: CameraPath, frame: int, vertices: np.ndarray) -> np.ndarray:
    """Vertices [V, 3] in the camera's own frame, which looks down -Z. [V, 3] float64"""
    matrix = camera.world_to_camera[frame].astype(np.float64)
    return vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def extents(camera: CameraPath, frame: int, vertices: np.ndarray) -> np.ndarray | None:
    """Smallest and largest x and y [px] of posed vertices [V, 3]; None when one lies behind the camera. [2, 2]"""
    seen = camera_points(camera, frame, vertices)
    if (seen[:, 2] > -1e-6).any():
        return None
    focal = float(camera.focal[frame])
    x = camera.width / 2.0 - focal * seen[:, 0] / seen[:, 2]
    y = camera.height / 2.0 + focal * seen[:, 1] / seen[:, 2]
    return np.array([[x.min(), y.min()], [x.max(), y.max()]])


def cast(vertices: np.ndarray, faces: np.ndarray, camera: CameraPath, frame: int, *, samples: int = 1) -> Hits:
    """Shoot ``samples`` x ``samples`` rays through every pixel that the mesh's projected box covers.

    Both sides of a face are seen. Embree names the face in float32; where on it, and how far, is computed here in
    float64: with the camera at the origin the weight of corner a is proportional to d . (b x c).

    Args:
        vertices: Posed. [V, 3] world [m]
        faces: [F, 3] int32
        camera: A camera path.
        frame: Which of its frames.
        samples: Rays a pixel and axis.
    """
    require("embreex")
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    seen = camera_points(camera, frame, vertices)
    box = extents(camera, frame, vertices)
    limit = np.array([camera.width, camera.height])
    low, high = (np.zeros(2), limit) if box is None else np.clip([np.floor(box[0]) - 1, np.ceil(box[1]) + 1], 0, limit)
    columns, rows = (np.arange(int(a) * samples, int(b) * samples) for a, b in zip(low, high, strict=True))
    focal = float(camera.focal[frame])
    directions = np.empty((len(rows), len(columns), 3))
    directions[..., 0] = ((columns + 0.5) / samples - camera.width / 2.0) / focal
    directions[..., 1] = -((rows + 0.5) / samples - camera.height / 2.0)[:, None] / focal
    directions[..., 2] = -1.0
    directions = directions.reshape(-1, 3)
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, seen.astype(np.float32), np.ascontiguousarray(faces, dtype=np.int32))
    found = np.full(len(directions), -1, dtype=np.int32)
    if len(directions):
        found = scene.run(np.zeros((len(directions), 3), np.float32), directions.astype(np.float32))
    chosen = np.flatnonzero(found >= 0)
    face, direction = found[chosen], directions[chosen]
    weights, depth = _where(seen[faces], face, direction)
    grid = np.divmod(chosen, max(len(columns), 1))
    return Hits(
        rows=grid[0] + (rows[0] if len(rows) else 0),
        columns=grid[1] + (columns[0] if len(columns) else 0),
        faces=face,
        barycentrics=weights,
        depth=depth,
        directions=direction,
    )


def _where(corners: np.ndarray, face: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Barycentrics [n, 3] and depth [n] of rays from the origin on ``face`` of corners [F, 3, 3]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    opposite = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    weights = np.einsum("nkc,nc->nk", opposite[face], direction)
    weights *= np.sign(weights.sum(1, keepdims=True))
    weights = np.maximum(weights, 0.0)  # float32 lets a ray through just beside the edge
    total = weights.sum(1, keepdims=True)
    weights = np.where(total > 0.0, weights / np.maximum(total, 1e-300), 1.0 / 3.0)
    return weights, -(weights * corners[face][..., 2]).sum(1)


def silhouettes(vertices: np.ndarray, faces: np.ndarray, camera: CameraPath) -> np.ndarray:
    """Whether the ray through each pixel's centre hits the mesh. vertices [T, V, 3] -> [T, H, W] bool"""
    masks = np.zeros((len(vertices), camera.height, camera.width), dtype=bool)
    for frame, posed in enumerate(vertices):
        hits = cast(posed, faces, camera, frame)
        masks[frame, hits.rows, hits.columns] = True
    return masks
