"""Where masks' edges lie: index 0, whose silhouette is known, tells whether they are set too far in or out.

Half a pixel all around a figure of a hundred looks like one percent of size, and a lift takes it for distance. Ink is
the common cause: a dark outline blurred into a bright fill has the background's own brightness.
"""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.records import CameraPath, Character

__all__ = ["edge_offset", "moved_edges"]

FINE = 4  # samples along a pixel's side
REACH = 3.0  # a mask's edge farther from the silhouette's is another edge [px]
LEAST = 0.3  # an offset below it is within the measurement's own error [px]


def _signed(inside: np.ndarray) -> np.ndarray:
    """Distance to the edge of a boolean picture at `FINE` samples a pixel, positive inside. [px]"""
    cells = inside.astype(np.uint8)
    distance = cv2.distanceTransform(cells, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - cells, cv2.DIST_L2, 5)
    return (distance - np.sign(distance) * 0.5) / FINE


def _fine(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    return cv2.resize(mask, (width * FINE, height * FINE), interpolation=cv2.INTER_LINEAR) > 127


def edge_offset(mask: np.ndarray, character: Character, camera: CameraPath) -> float:
    """How far the mask of index 0 [H, W] uint8 reaches beyond the rest silhouette, median along it [px].

    Zero where the mask doesn't show the rest pose, or hardly any of it.
    """
    large = camera.at([0]).resized(camera.width * FINE, camera.height * FINE)
    rest = rasterize(character.vertices[None].astype(np.float32), character.faces, large).face_ids[0] >= 0
    edge = rest & (cv2.erode(rest.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    edge[[0, -1], :] = edge[:, [0, -1]] = False  # the picture's border is no edge
    beyond = _signed(_fine(mask))[edge] - 0.5 / FINE
    near = beyond[np.abs(beyond) < REACH]
    return float(np.median(near)) if 2 * len(near) > len(beyond) and len(near) > 50 else 0.0


def moved_edges(masks: np.ndarray, offset: float) -> np.ndarray:
    """Masks [T, H, W] uint8 with their edges moved inwards by ``offset`` [px]; the same ones where it is tiny."""
    if abs(offset) < LEAST:
        return masks
    result = masks.copy()
    for index, mask in enumerate(masks):
        if (mask > 127).any() and not (mask > 127).all():
            coverage = np.clip(0.5 + _signed(_fine(mask)) - offset, 0.0, 1.0).astype(np.float32)
            small = cv2.resize(coverage, mask.shape[::-1], interpolation=cv2.INTER_AREA)
            result[index] = np.round(255.0 * small).astype(np.uint8)
    return result
