"""What stands around a character: a soft studio backdrop and the shadow where it touches the ground."""

from __future__ import annotations

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.render.raster import camera_for, rasterize_screen
from studio_pipeline.schema.records import CameraPath

__all__ = ["backdrop", "contact_shadow"]

_CELLS = 128  # cells along a side of the shadow's map
_DITHER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16.0 - 15.0 / 32.0


def backdrop(
    width: int,
    height: int,
    *,
    top: tuple[int, int, int] = (196, 208, 224),
    bottom: tuple[int, int, int] = (238, 234, 228),
) -> np.ndarray:
    """A soft vertical gradient with a slight vignette, dithered against banding. [H, W, 3] uint8 sRGB"""
    ends = srgb_to_linear(np.array([top, bottom]) / 255.0)
    rows = (np.arange(height) + 0.5) / height
    columns = (np.arange(width) + 0.5) / width
    blend = rows * rows * (3.0 - 2.0 * rows)
    colour = ends[0] * (1.0 - blend[:, None]) + ends[1] * blend[:, None]
    away = (columns[None, :] - 0.5) ** 2 + (rows[:, None] - 0.5) ** 2
    linear = colour[:, None, :] * (1.0 - 0.16 * away)[..., None]
    dither = np.tile(_DITHER, (height // 4 + 1, width // 4 + 1))[:height, :width, None]
    return np.clip(np.round(linear_to_srgb(linear) * 255.0 + dither), 0, 255).astype(np.uint8)


def contact_shadow(
    vertices: np.ndarray,
    faces: np.ndarray,
    camera: CameraPath,
    *,
    ground: float | None = None,
    strength: float = 0.5,
) -> np.ndarray:
    """How much light of the ground reaches the camera, as a factor of the background.

    The character is seen from below; the nearer its surface is to the ground, the darker the ground under it.

    Args:
        vertices: World positions [m]. [T, V, 3]
        faces: Vertex indices. [F, 3]
        camera: T frames, or one for all.
        ground: Height of the ground [m]; the lowest vertex of the first frame when None.
        strength: Share of light that is lost where the character stands.

    Returns:
        [T, H, W] float32 in 0..1, 1 where the camera doesn't look at the ground.
    """
    level = float(vertices[0, :, 1].min()) if ground is None else ground
    extent = float(np.ptp(vertices[0], axis=0).max())
    camera = camera_for(camera, len(vertices))
    factors = np.ones((len(vertices), camera.height, camera.width), np.float32)
    for frame, points in enumerate(vertices):
        centre = (points.min(0) + points.max(0)) / 2.0
        side = 2.0 * float(np.ptp(points[:, [0, 2]], axis=0).max()) + 0.2 * extent
        dark = strength * _darkness(points, faces, centre, side, level, extent)
        factors[frame] = 1.0 - _seen_on_ground(dark, camera.at([frame]), centre, side, level)
    return factors


def _darkness(
    points: np.ndarray, faces: np.ndarray, centre: np.ndarray, side: float, level: float, extent: float
) -> np.ndarray:
    """Map of the ground [_CELLS, _CELLS], 1 under a touching surface; columns along x, rows along z."""
    import cv2

    screen = np.empty((1, len(points), 3), np.float32)
    screen[0, :, 0] = ((points[:, 0] - centre[0]) / side + 0.5) * _CELLS
    screen[0, :, 1] = ((points[:, 2] - centre[2]) / side + 0.5) * _CELLS
    # Depths must be positive for the rasterizer; perspective division by them is harmless for nearest heights.
    lift = 4.0 * extent
    screen[0, :, 2] = np.maximum(points[:, 1] - level, -0.5 * extent) + lift
    height = rasterize_screen(screen, faces, _CELLS, _CELLS).depth[0] - lift
    dark = np.exp(-np.maximum(np.nan_to_num(height, nan=1e9), 0.0) / (0.12 * extent)).astype(np.float32)
    wide = cv2.GaussianBlur(dark, (0, 0), 0.035 * extent / side * _CELLS + 0.5)
    soft = cv2.GaussianBlur(dark, (0, 0), 0.1 * extent / side * _CELLS + 0.5)
    return np.minimum(0.8 * wide + 0.9 * soft, 1.0)


def _seen_on_ground(dark: np.ndarray, camera: CameraPath, centre: np.ndarray, side: float, level: float) -> np.ndarray:
    """The map as the camera sees it on the plane y = level. [H, W]"""
    import cv2

    rotation, shift = camera.world_to_camera[0, :3, :3], camera.world_to_camera[0, :3, 3]
    eye = -rotation.T @ shift
    x = (np.arange(camera.width) + 0.5 - camera.width / 2.0) / camera.focal[0]
    y = (camera.height / 2.0 - np.arange(camera.height) - 0.5) / camera.focal[0]
    local = np.stack(np.broadcast_arrays(x[None, :], y[:, None], -1.0), axis=-1)
    rays = local @ rotation
    down = np.where(np.abs(rays[..., 1]) > 1e-9, rays[..., 1], 1e-9)
    distance = (level - eye[1]) / down
    hit = eye + rays * distance[..., None]
    column = np.where(distance > 0.0, ((hit[..., 0] - centre[0]) / side + 0.5) * _CELLS - 0.5, -9.0)
    row = np.where(distance > 0.0, ((hit[..., 2] - centre[2]) / side + 0.5) * _CELLS - 0.5, -9.0)
    limits = (-9.0, _CELLS + 9.0)
    places = (np.clip(column, *limits).astype(np.float32), np.clip(row, *limits).astype(np.float32))
    return cv2.remap(dark, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
