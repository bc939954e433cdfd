"""Bones drawn over a picture."""

from __future__ import annotations

import colorsys

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.schema.records import CameraPath, Rig

__all__ = ["chain_colors", "draw_skeleton"]

_FIXED_POINT = 4  # fractional bits of cv2's coordinates


def chain_colors(rig: Rig) -> np.ndarray:
    """A colour per joint, one hue per chain of bones. [J, 3] uint8 sRGB"""
    children = np.bincount(rig.parents[1:], minlength=rig.joint_count)
    chain = np.zeros(rig.joint_count, dtype=int)
    for joint in range(1, rig.joint_count):
        parent = rig.parents[joint]
        chain[joint] = chain[parent] if children[parent] == 1 and parent > 0 else chain.max() + 1
    colors = [colorsys.hls_to_rgb((0.09 + 0.381966 * c) % 1.0, 0.56, 0.78) for c in chain]
    return np.round(np.array(colors) * 255.0).astype(np.uint8)


def draw_skeleton(
    image: np.ndarray, rig: Rig, camera: CameraPath, *, posed: np.ndarray | None = None, frame: int = 0
) -> np.ndarray:
    """Draw the rig's bones over a picture, whatever hides them.

    Args:
        image: Picture [H, W, 3] uint8 sRGB; left as it is.
        rig: The skeleton.
        camera: Whose frame ``frame`` sees the picture; its size may differ from the picture's by one factor.
        posed: Posed joint frames [J, 4, 4]; None draws the rest pose.
        frame: Frame of the camera.

    Returns:
        A new picture [H, W, 3] uint8.
    """
    import cv2

    height, width = image.shape[:2]
    view = camera.at([min(frame, camera.frame_count - 1)]).resized(width, height)
    frames = rig.rest_world if posed is None else posed
    local = np.concatenate([rig.tails, np.ones((rig.joint_count, 1))], axis=1)
    to_tail = np.einsum("jab,jb->ja", np.linalg.inv(rig.rest_world), local)
    tails = np.einsum("jab,jb->ja", frames, to_tail)[:, :3]
    heads = frames[:, :3, 3]
    pixels, depth = project(view, np.concatenate([heads, tails])[None])
    start, stop = pixels[0, : len(heads)], pixels[0, len(heads) :]
    picture = np.ascontiguousarray(image).copy()
    unit = min(width, height) / 256.0
    order = np.argsort(-depth[0, : len(heads)], kind="stable")
    colors = chain_colors(rig)
    for joint in order:
        parent = rig.parents[joint]
        if parent >= 0 and np.linalg.norm(start[joint] - stop[parent]) > 2.0 * unit:
            _line(cv2, picture, start[parent], start[joint], (150, 150, 158), max(1, round(unit)))
    for joint in order:
        _bone(cv2, picture, start[joint], stop[joint], tuple(int(c) for c in colors[joint]), unit)
    return picture


def _line(cv2, picture: np.ndarray, start: np.ndarray, stop: np.ndarray, color: tuple, width: int) -> None:
    points = [tuple(int(v) for v in np.round((p - 0.5) * 2**_FIXED_POINT)) for p in (start, stop)]
    cv2.line(picture, *points, color, width, cv2.LINE_AA, _FIXED_POINT)


def _bone(cv2, picture: np.ndarray, start: np.ndarray, stop: np.ndarray, color: tuple, unit: float) -> None:
    """A slim kite from head to tail with a dot at the head, edged in dark."""
    along = stop - start
    length = float(np.linalg.norm(along))
    edge = (28, 30, 36)
    if length > 1.0:
        along = along / length
        aside = np.array([-along[1], along[0]]) * min(0.11 * length, 3.4 * unit)
        shape = np.stack([start, start + along * 0.22 * length + aside, stop, start + along * 0.22 * length - aside])
        fixed = np.round((shape - 0.5) * 2**_FIXED_POINT).astype(np.int32)[:, None]
        cv2.fillPoly(picture, [fixed], color, cv2.LINE_AA, _FIXED_POINT)
        cv2.polylines(picture, [fixed], True, edge, max(1, round(0.5 * unit)), cv2.LINE_AA, _FIXED_POINT)
    centre = tuple(int(v) for v in np.round((start - 0.5) * 2**_FIXED_POINT))
    radius = int(2.3 * unit * 2**_FIXED_POINT)
    cv2.circle(picture, centre, radius, color, -1, cv2.LINE_AA, _FIXED_POINT)
    cv2.circle(picture, centre, radius, edge, max(1, round(0.5 * unit)), cv2.LINE_AA, _FIXED_POINT)
