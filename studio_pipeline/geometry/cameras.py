"""Cameras: from a shot's words to matrices, and points to pixels (see `schema.records.CameraPath`)."""

from __future__ import annotations

import numpy as np

from studio_pipeline.schema.records import CameraPath

__all__ = ["focal_from_fov", "frame_points", "look_at", "orbit", "project"]


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """World-to-camera matrix of a camera at ``eye`` that looks at ``target``. [4, 4] float64"""
    eye, target, up = (np.asarray(v, dtype=np.float64) for v in (eye, target, up))
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(back, right), back])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def focal_from_fov(fov_y: float, height: int) -> float:
    """Focal length [px] of a vertical field of view [rad] on a picture ``height`` [px] high."""
    return height / 2.0 / np.tan(fov_y / 2.0)


def project(camera: CameraPath, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points [T, N, 3] -> pixels [T, N, 2] and depths [T, N] (positive in front of the camera)."""
    rotation, shift = camera.world_to_camera[:, :3, :3], camera.world_to_camera[:, :3, 3]
    seen = np.einsum("tab,tnb->tna", rotation, points.astype(np.float64)) + shift[:, None]
    depth = -seen[..., 2]
    safe = np.where(np.abs(depth) > 1e-9, depth, 1e-9)
    x = camera.width / 2.0 + camera.focal[:, None] * seen[..., 0] / safe
    y = camera.height / 2.0 - camera.focal[:, None] * seen[..., 1] / safe
    return np.stack([x, y], axis=-1), depth


def frame_points(
    points: np.ndarray,
    *,
    width: int,
    height: int,
    azimuth: float = np.radians(35.0),
    elevation: float = np.radians(12.0),
    fov_y: float = np.radians(30.0),
    fill: float = 0.85,
) -> CameraPath:
    """A one-frame camera in which ``points`` [N, 3] fill ``fill`` of the picture's tighter side.

    ``azimuth`` turns from +Z towards +X, ``elevation`` lifts the camera [rad].
    """
    points = np.asarray(points, dtype=np.float64)
    centre = (points.min(0) + points.max(0)) / 2.0
    direction = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    focal = focal_from_fov(fov_y, height)
    rotation = look_at(direction, np.zeros(3), np.array([0.0, 1.0, 0.0]))[:3, :3]
    local = (points - centre) @ rotation.T
    # Smallest distance at which every point stays inside the frame on both axes, then centred and refined.
    distance = float(
        np.max(
            np.concatenate(
                [
                    local[:, 2] + np.abs(local[:, 0]) * focal / (fill * width / 2.0),
                    local[:, 2] + np.abs(local[:, 1]) * focal / (fill * height / 2.0),
                ]
            )
        )
    )
    matrix = look_at(centre + direction * distance, centre, np.array([0.0, 1.0, 0.0]))
    return CameraPath(world_to_camera=matrix[None], focal=np.array([focal]), width=width, height=height)


def orbit(camera: CameraPath, centre: np.ndarray, angle: float) -> CameraPath:
    """The same camera turned by ``angle`` [rad] about the vertical axis through ``centre`` [3]."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.eye(4)
    turn[:3, :3] = [[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]]
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    return CameraPath(
        world_to_camera=camera.world_to_camera @ np.linalg.inv(turn),
        focal=camera.focal.copy(),
        width=camera.width,
        height=camera.height,
    )
