"""Cameras of the protocol: three-quarter, steady, filled by the motion exactly as much as asked for."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.cameras import focal_from_fov, look_at
from studio_pipeline.schema.records import CameraPath

__all__ = ["AZIMUTH", "FILL", "motion_camera"]

AZIMUTH = np.radians(37.5)  # three-quarter, from +Z towards +X
ELEVATION = np.radians(10.0)
FOV_Y = np.radians(30.0)
FILL = 0.9  # of the frame's height, or of its width when the motion is wider


def motion_camera(
    vertices: np.ndarray,
    *,
    size: int,
    azimuth: float = float(AZIMUTH),
    elevation: float = float(ELEVATION),
    fill: float = FILL,
) -> CameraPath:
    """A steady camera in which all frames of a motion together fill ``fill`` of the picture's tighter side.

    With the orientation fixed, a point stays inside an edge when it lies in a half space that moves with the camera,
    so distance and aim follow from the extreme points, without iteration on the tight axis.

    Args:
        vertices: Posed. [T, V, 3] [m]
        size: Side of the square picture [px].
        azimuth: From +Z towards +X [rad].
        elevation: Above the horizon [rad].
        fill: Share of the picture's side.
    """
    away = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    turn = look_at(away, np.zeros(3), np.array([0.0, 1.0, 0.0]))[:3, :3]
    points = vertices.reshape(-1, 3).astype(np.float64) @ turn.T
    focal = focal_from_fov(float(FOV_Y), size)
    slope = fill * size / 2.0 / focal
    # Camera at e: |q - e| <= slope * (e.z - q.z) on both axes.
    upper = (points[:, :2] + slope * points[:, 2:]).max(0)
    lower = (-points[:, :2] + slope * points[:, 2:]).max(0)
    distance = float(((upper + lower) / (2.0 * slope)).max())
    eye = np.array([*((upper - lower) / 2.0), distance])
    loose = int(((upper + lower) / (2.0 * slope)).argmin())
    reach = distance - points[:, 2]
    for _ in range(32):  # centre the axis that has room
        across = (points[:, loose] - eye[loose]) / reach
        eye[loose] += (across.max() + across.min()) / 2.0 * float(reach.mean())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -eye
    count = len(vertices)
    return CameraPath(
        world_to_camera=np.repeat(matrix[None], count, axis=0), focal=np.full(count, focal), width=size, height=size
    )
