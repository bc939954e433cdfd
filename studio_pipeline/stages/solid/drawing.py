"""A picture of the tetrahedra, the half towards the camera cut away and left as faint wires."""

from __future__ import annotations

import colorsys

import numpy as np

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.geometry.tetmesh import boundary_faces
from studio_pipeline.schema.records import Character, Solid

__all__ = ["draw_cutaway"]

_PAPER, _GHOST, _SKIN, _FLESH = (244, 243, 240), (214, 216, 220), (176, 186, 200), (240, 206, 170)
_LIGHT = np.array([0.35, 0.70, 0.62])


def draw_cutaway(character: Character, solid: Solid, size: int = 512) -> np.ndarray:
    """The solid from the front at three quarters: skin side grey, cut flesh warm, tetrahedra held by a joint coloured.

    Returns:
        Picture [size, size, 3] uint8 sRGB.
    """
    import cv2

    fine = 2 * size
    azimuth = np.radians(35.0)
    camera = frame_points(character.vertices, width=fine, height=fine, azimuth=azimuth)
    towards = np.array([np.sin(azimuth), 0.0, np.cos(azimuth)])
    centres = solid.vertices[solid.tets].mean(1).astype(np.float64)
    keep = np.flatnonzero((centres - centres.mean(0)) @ towards <= 0.0)
    faces, owner = boundary_faces(solid.tets[keep])
    whole = boundary_faces(solid.tets)[0]
    tet = keep[owner]
    outer = {tuple(face) for face in np.sort(whole, axis=1).tolist()}
    is_skin = np.array([tuple(face) in outer for face in np.sort(faces, axis=1).tolist()])
    color = np.where(is_skin[:, None], _SKIN, _joint_colors(solid)[tet])
    corners = solid.vertices[faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-300
    light = 0.66 + 0.34 * np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), -0.4, 1.0)
    pixels, depth = project(camera, solid.vertices[None])
    picture = np.full((fine, fine, 3), _PAPER, dtype=np.uint8)
    ghost = np.round((pixels[0][whole] - 0.5) * 16.0).astype(np.int32)
    cv2.polylines(picture, list(ghost), True, _GHOST, 1, cv2.LINE_AA, 4)
    shapes = np.round((pixels[0][faces] - 0.5) * 16.0).astype(np.int32)
    facing = np.einsum("fa,fa->f", normal, _eye(camera) - corners.mean(1)) > 0.0
    for index in np.argsort(-depth[0][faces].mean(1), kind="stable"):
        if facing[index]:
            fill = tuple(float(c) for c in np.clip(color[index] * light[index], 0, 255))
            line = tuple(0.72 * c for c in fill)
            cv2.fillPoly(picture, [shapes[index]], fill, cv2.LINE_AA, 4)
            cv2.polylines(picture, [shapes[index]], True, line, 1, cv2.LINE_AA, 4)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def _joint_colors(solid: Solid) -> np.ndarray:
    """Colour of each tetrahedron. [E, 3]"""
    count = solid.vertex_weights.shape[1]
    hues = [colorsys.hls_to_rgb((0.09 + 0.381966 * joint) % 1.0, 0.60, 0.62) for joint in range(count)]
    table = np.vstack([np.array(hues) * 255.0, _FLESH])
    return table[solid.tet_joints]  # -1 takes the last row


def _eye(camera) -> np.ndarray:
    matrix = camera.world_to_camera[0]
    return -matrix[:3, :3].T @ matrix[:3, 3]
