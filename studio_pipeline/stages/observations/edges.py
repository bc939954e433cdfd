"""Where masks' edges lie: index 0, whose silhouette is known, tells whether they are set too far in or out.

Half a pixel all around a figure of a hundred looks like one percent of size, and a lift takes it for distance. Ink is
the common cause: a dark outline blurred into a bright fill has the background's own brightness.
"""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.observations.silhouettes import signed_distance

__all__ = ["edge_offset", "moved_edges"]

FINE = 4  # samples along a pixel's side
REACH = 3.0  # a mask's edge farther from the silhouette's is another edge [px]
LEAST = 0.3  # an offset below it is within the measurement's own error [px]


def edge_offset(mask: np.ndarray, character: Character, camera: CameraPath) -> float:
    """How far the mask of index 0 [H, W] uint8 reaches beyond the rest silhouette, median along it [px].

    Zero where that is within the measurement's own error, or the mask hardly shows the rest pose.
    """
    large = camera.at([0]).resized(camera.width * FINE, camera.height * FINE)
    rest = rasterize(character.vertices[None].astype(np.float32), character.faces, large).face_ids[0] >= 0
    edge = rest & (cv2.erode(rest.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    edge[[0, -1], :] = edge[:, [0, -1]] = False  # the picture's border is no edge
    beyond = signed_distance(mask, FINE)[1][edge] - 0.5 / FINE
    near = beyond[np.abs(beyond) < REACH]
    offset = float(np.median(near)) if 2 * len(near) > len(beyond) and len(near) > 50 else 0.0
    return offset if abs(offset) >= LEAST else 0.0


def moved_edges(masks: np.ndarray, offset: float) -> np.ndarray:
    """Masks [T, H, W] uint8 with their edges moved inwards by ``offset`` [px]."""
    result = masks.copy()
    for index, mask in enumerate(masks):
        if (mask > 127).any() and not (mask > 127).all():
            coverage = np.clip(0.5 + signed_distance(mask, FINE)[1] - offset, 0.0, 1.0).astype(np.float32)
            small = cv2.resize(coverage, mask.shape[::-1], interpolation=cv2.INTER_AREA)
            result[index] = np.round(255.0 * small).astype(np.uint8)
    return result
