"""Hard rasterization: which face each pixel centre sees, where on it, and how far away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from studio_pipeline.geometry.cameras import project
from studio_pipeline.render import kernels
from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.schema.records import CameraPath

__all__ = ["NEAR_M", "Raster", "camera_for", "rasterize", "screen_vertices"]

NEAR_M = 1e-3
"""What is nearer than this [m], or behind the camera, isn't seen: faces that reach there are clipped, not discarded."""

_LEAST_DEPTH_M = 1e-9  # `project` divides by no less; a depth of 0 would lose where the vertex is


@dataclass(frozen=True, kw_only=True)
class Raster:
    """What each pixel centre sees."""

    face_ids: np.ndarray  # [T, H, W] int32, -1 on the background
    barycentrics: np.ndarray  # [T, H, W, 3] float32, perspective-correct, zero on the background
    depth: np.ndarray  # [T, H, W] float32, -z in the camera [m], NaN on the background


def rasterize(vertices: np.ndarray, faces: np.ndarray, camera: CameraPath, *, cull_back: bool = False) -> Raster:
    """Rasterize a mesh at pixel centres.

    Both sides of a face are seen unless ``cull_back``; at equal depth the lowest face index wins; faces are clipped
    at `NEAR_M` in front of the camera; faces with a vertex that isn't finite are left out.

    Args:
        vertices: World positions [m]. [T, V, 3] or, for one frame, [V, 3]
        faces: Vertex indices, counter-clockwise seen from outside. [F, 3]
        camera: One camera a frame, or one for all; a single vertex frame is repeated for many cameras.
        cull_back: Leave out faces seen from behind.
    """
    initialize(kernels.__name__)
    screen = screen_vertices(vertices, camera)
    return rasterize_screen(screen, faces, camera.width, camera.height, cull_back=cull_back)


def rasterize_screen(
    screen: np.ndarray, faces: np.ndarray, width: int, height: int, *, cull_back: bool = False
) -> Raster:
    """`rasterize` from vertices already on the screen: [T, V, 3] float32 (x [px], y [px], depth [m]).

    Behind the camera depths are negative and x, y are where the line through the eye meets the picture, as
    `screen_vertices` gives them; a depth of exactly 0 leaves the vertex's faces out.
    """
    initialize(kernels.__name__)
    count = len(screen)
    result = Raster(
        face_ids=np.empty((count, height, width), np.int32),
        barycentrics=np.empty((count, height, width, 3), np.float32),
        depth=np.empty((count, height, width), np.float32),
    )
    corners = wp.array(np.ascontiguousarray(faces, np.int32), dtype=wp.vec3i, device="cpu", copy=False)

    def work(part: slice) -> None:
        frames = part.stop - part.start
        points = wp.array(screen[part], dtype=wp.vec3, device="cpu", copy=False)
        keys = wp.array(np.full((frames, height, width), kernels.EMPTY_KEY, np.uint64), device="cpu", copy=False)
        wp.launch(
            kernels.zbuffer,
            dim=(frames, len(faces)),
            inputs=[points, corners, NEAR_M, int(cull_back), keys],
            device="cpu",
        )
        outputs = [
            wp.array(result.face_ids[part], device="cpu", copy=False),
            wp.array(result.barycentrics[part], dtype=wp.vec3, device="cpu", copy=False),
            wp.array(result.depth[part], device="cpu", copy=False),
        ]
        inputs = [points, corners, keys, float("nan"), *outputs, 1]
        wp.launch(kernels.resolve_rows, dim=(frames, height, 1), inputs=inputs, device="cpu")

    over_frames(count, work)
    return result


def camera_for(camera: CameraPath, count: int) -> CameraPath:
    """The camera with exactly ``count`` frames: as it is, or its only frame repeated.

    Raises:
        ValueError: It has neither one frame nor ``count``.
    """
    if camera.frame_count == count:
        return camera
    if camera.frame_count != 1:
        raise ValueError(f"a camera of {camera.frame_count} frames for {count} frames of vertices")
    return camera.at(np.zeros(count, dtype=int))


def screen_vertices(vertices: np.ndarray, camera: CameraPath) -> np.ndarray:
    """Vertices [T, V, 3] or [V, 3] on the screen: x [px], y [px], depth [m]. [T, V, 3] float32"""
    points = vertices[None] if vertices.ndim == 2 else vertices
    if len(points) == 1 and camera.frame_count > 1:
        points = np.broadcast_to(points, (camera.frame_count, *points.shape[1:]))
    pixels, depth = project(camera_for(camera, len(points)), points)
    depth = np.where(np.abs(depth) > _LEAST_DEPTH_M, depth, _LEAST_DEPTH_M)  # as `project` has divided
    return np.concatenate([pixels, depth[..., None]], axis=-1).astype(np.float32)
