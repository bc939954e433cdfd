"""What one frame says against a rendered pose: flow, contour, tracks and depth, as weighted linear equations."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from studio_pipeline.media.flow import DenseFlow
from studio_pipeline.stages.lifted_motion.appearance import Synthesis
from studio_pipeline.stages.observations.silhouettes import signed_distance

__all__ = ["Contour", "contour_matches", "flow_between", "sampled", "surface_samples"]


def sampled(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values of ``field`` [H, W] or [H, W, C] float32 at pixels [N, 2]; edges repeat."""
    x, y = (points[:, 0] - 0.5).astype(np.float32), (points[:, 1] - 0.5).astype(np.float32)
    parts = [slice(i, i + 30000) for i in range(0, max(len(points), 1), 30000)]  # cv2.remap's limit is 32767 rows
    return np.concatenate(
        [
            cv2.remap(field, x[part, None], y[part, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            for part in parts
        ]
    )


class Contour:
    """A mask's edge with sub-pixel places: a signed distance field and points with outward normals."""

    def __init__(self, mask: np.ndarray) -> None:
        """Args: mask [H, W] uint8 coverage with something in it and something outside."""
        height, width = mask.shape
        fine = max(1, min(4, 1024 // max(height, width)))
        inside, distance = signed_distance(mask, fine)
        small = cv2.resize(distance.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        self.distance = small  # [H, W] px, positive inside
        self.gradient = np.stack(
            [cv2.Sobel(small, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(small, cv2.CV_32F, 0, 1, scale=0.125)], axis=-1
        )
        edge = inside.astype(bool) & (cv2.erode(inside, np.ones((3, 3), np.uint8)) == 0)
        edge[[0, -1], :] = edge[:, [0, -1]] = False  # the picture's border is no contour
        y, x = np.nonzero(edge)
        keep = slice(None, None, fine)
        self.points = np.stack([(x[keep] + 0.5) / fine, (y[keep] + 0.5) / fine], axis=-1)
        normal = -sampled(self.gradient, self.points)
        self.normals = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)


@dataclass(frozen=True)
class SurfaceSamples:
    """Visible surface points of a render."""

    pixels: np.ndarray  # [N, 2], centres at +0.5
    faces: np.ndarray  # [N]
    shares: np.ndarray  # [N, 3] barycentrics


def _picked(synthesis: Synthesis, y: np.ndarray, x: np.ndarray, scale: int) -> SurfaceSamples:
    faces, shares = synthesis.raster.face_ids[0], synthesis.raster.barycentrics[0]
    return SurfaceSamples(np.stack([(x + 0.5) / scale, (y + 0.5) / scale], axis=-1), faces[y, x], shares[y, x])


def surface_samples(synthesis: Synthesis, count: int, scale: int) -> SurfaceSamples:
    """About ``count`` visible points on a regular grid of the picture, away from the silhouette's last samples."""
    covered = (synthesis.raster.face_ids[0] >= 0).astype(np.uint8)
    inner = cv2.erode(covered, np.ones((3, 3), np.uint8)) > 0
    step = max(1, int(np.sqrt(inner.sum() / max(count, 1))))
    grid = np.zeros_like(inner)
    grid[step // 2 :: step, step // 2 :: step] = True
    y, x = np.nonzero(inner & grid)
    return _picked(synthesis, y, x, scale)


def contour_matches(
    contour: Contour, synthesis: Synthesis, scale: int, reach: float
) -> tuple[SurfaceSamples, np.ndarray, np.ndarray]:
    """Pair the render's silhouette with the mask's contour, both ways.

    Returns:
        Surface points on the render's silhouette, the direction in which each is measured [N, 2], and how far it
        has to go along it [N] [px].
    """
    covered = (synthesis.raster.face_ids[0] >= 0).astype(np.uint8)
    edge = (covered > 0) & (cv2.erode(covered, np.ones((3, 3), np.uint8)) == 0)
    edge[[0, -1], :] = edge[:, [0, -1]] = False
    y, x = np.nonzero(edge)
    if not len(y) or not len(contour.points):
        return _picked(synthesis, y[:0], x[:0], scale), np.zeros((0, 2)), np.zeros(0)
    own = _picked(synthesis, y, x, scale)
    blurred = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 1.2 * scale)
    slope = np.stack([cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)], axis=-1)[y, x]
    outward = -slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    inset = 0.5 / scale  # a covered sample's centre lies this far inside the silhouette on average
    # From the render to the mask: along the distance field.
    stride = slice(None, None, max(1, scale))
    first = SurfaceSamples(own.pixels[stride], own.faces[stride], own.shares[stride])
    away = -sampled(contour.gradient, first.pixels)
    size = np.linalg.norm(away, axis=1)
    gap = sampled(contour.distance, first.pixels) - inset
    valid = (size > 0.5) & (np.abs(gap) < reach) & ((away * outward[stride]).sum(1) > 0.3 * size)
    one = [first.pixels[valid], first.faces[valid], first.shares[valid]]
    one_way, one_gap = away[valid] / size[valid, None], gap[valid]
    # From the mask to the render: the nearest silhouette sample that faces the same way.
    features = np.concatenate([own.pixels, 4.0 * outward], axis=1)
    asked = np.concatenate([contour.points, 4.0 * contour.normals], axis=1)
    far, index = cKDTree(features).query(asked)
    good = (far < reach) & ((contour.normals * outward[index]).sum(1) > 0.5)
    index = index[good]
    two_gap = ((contour.points[good] - own.pixels[index]) * outward[index]).sum(1) - inset
    samples = SurfaceSamples(
        np.concatenate([one[0], own.pixels[index]]),
        np.concatenate([one[1], own.faces[index]]),
        np.concatenate([one[2], own.shares[index]]),
    )
    return samples, np.concatenate([one_way, outward[index]]), np.concatenate([one_gap, two_gap])


def flow_between(
    rendered: np.ndarray, frame: np.ndarray, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where rendered pixels lie in the frame, by dense flow.

    Args:
        rendered: The render [H, W] uint8.
        frame: The clip's frame [H, W] uint8.
        pixels: Places in the render [N, 2].

    Returns:
        Displacements [N, 2] [px], confidences [N] in 0..1 from the round trip, and what the texture can tell, a
        2 x 2 weight per point with eigenvalues in 0..1 (an edge tells nothing along itself). [N, 2, 2]
    """
    dense = DenseFlow("medium")
    forward, backward = dense.between(rendered, frame), dense.between(frame, rendered)
    shift = sampled(forward, pixels)
    error = np.linalg.norm(shift + sampled(backward, pixels + shift), axis=1)
    confidence = 1.0 / (1.0 + (error / 0.7) ** 2)
    picture = cv2.GaussianBlur(rendered, (0, 0), 0.8).astype(np.float32)
    gx, gy = cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=0.125)
    products = cv2.GaussianBlur(np.stack([gx * gx, gx * gy, gy * gy], axis=-1), (0, 0), 2.0)
    xx, xy, yy = sampled(products, pixels).T
    tensor = np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)
    strength = 0.5 * (xx + yy) + np.sqrt(0.25 * (xx - yy) ** 2 + xy**2)
    tensor /= (strength + 4.0)[:, None, None]
    return shift, confidence, tensor + 0.05 * np.eye(2)
