"""Direct alignment: how the rendered picture's colours change with the pose, pixel by pixel, against the frame.

At a pixel the render shows a point of the surface. When the pose moves that point by d pixels and turns its normal by
dn, the colour seen there changes by ``-grad(I) d + albedo dL/dn dn`` (brightness constancy plus shading). Beside the
silhouette, and beside edges where one part hides another, the nearer surface is what moves the colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.stages.lifted_motion.appearance import Synthesis, harmonics_gradient

__all__ = ["PixelSamples", "Residuals", "colour_residuals", "pixel_samples", "softened"]

LUMA_CHROMA = np.array([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]], np.float32)
CHROMA_BLUR = 2.0  # video keeps colour at half the size: finer differences of it are the codec's [px]
CHROMA_SHARE = 0.7  # how much a difference in colour counts beside one in luma
STEP = 0.015  # depth difference that makes an edge, of the diagonal


@dataclass(frozen=True)
class PixelSamples:
    """Pixels of the picture and the surface points that move their colours."""

    rows: np.ndarray  # [N]
    columns: np.ndarray  # [N]
    faces: np.ndarray  # [N]
    shares: np.ndarray  # [N, 3] barycentrics
    inside: np.ndarray  # [N] bool: the pixel itself shows that point


@dataclass(frozen=True)
class Residuals:
    """What the frame shows more than the render, and how the render changes."""

    values: np.ndarray  # [N, 3], 0..1 sRGB
    slopes: np.ndarray  # [N, 3, 2] per pixel of motion of the surface point
    shading: np.ndarray  # [N, 3, 3] per change of its unit normal
    weights: np.ndarray  # [N]


def pixel_samples(synthesis: Synthesis, slope: np.ndarray, *, reach: int, jump: float, count: int) -> PixelSamples:
    """Choose pixels that say something about the pose.

    Args:
        synthesis: The render.
        slope: Strength of the picture's gradient [H, W].
        reach: Pixels this far outside the silhouette still count.
        jump: Depth difference [m] that makes an inner edge.
        count: About how many to choose.
    """
    scale = synthesis.scale
    faces = np.ascontiguousarray(synthesis.raster.face_ids[0][::scale, ::scale])
    depth = np.where(faces >= 0, synthesis.raster.depth[0][::scale, ::scale], np.inf).astype(np.float32)
    height, width = faces.shape
    covered = faces >= 0
    owner = np.arange(height * width).reshape(height, width)
    if not covered.any():
        nothing = np.zeros(0, int)
        return PixelSamples(nothing, nothing, nothing, np.zeros((0, 3)), np.zeros(0, bool))
    # Outside: the nearest covered pixel.
    distance, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    pixel_of = np.zeros(int(labels.max()) + 1, int)
    pixel_of[labels[covered]] = owner[covered]
    near = (~covered) & (distance <= reach)
    owner = np.where(near, pixel_of[labels], owner)
    # Behind an inner edge: the nearer surface's pixel beside it.
    best = depth.copy()
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = np.full_like(depth, np.inf)
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = depth[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
        nearer = covered & (moved < best - jump)
        best = np.where(nearer, moved, best)
        owner = np.where(nearer, np.arange(height * width).reshape(height, width) - dy * width - dx, owner)
    chosen = _chosen(covered | near, slope, count)
    rows, columns = np.nonzero(chosen)
    owners = owner[rows, columns]
    y, x = owners // width, owners % width
    shares = synthesis.raster.barycentrics[0][y * scale, x * scale]
    return PixelSamples(rows, columns, faces[y, x], shares, (y == rows) & (x == columns))


def _chosen(allowed: np.ndarray, slope: np.ndarray, count: int) -> np.ndarray:
    """The strongest edges, and a regular grid for what is flat."""
    values = slope[allowed]
    if len(values) <= count:
        return allowed
    strongest = allowed & (slope >= np.partition(values, -(3 * count // 4))[-(3 * count // 4)])
    step = max(1, int(np.sqrt(4.0 * len(values) / count)))
    grid = np.zeros_like(allowed)
    grid[step // 2 :: step, step // 2 :: step] = True
    return strongest | (allowed & grid)


def softened(picture: np.ndarray, blur: float) -> np.ndarray:
    """Luma and chroma (BT.709) of an sRGB picture [H, W, 3] uint8, blurred [px]; chroma at least as video blurs it."""
    channels = (picture.astype(np.float32) / 255.0) @ LUMA_CHROMA.T
    channels[..., 1:] *= CHROMA_SHARE
    luma = cv2.GaussianBlur(np.ascontiguousarray(channels[..., 0]), (0, 0), blur)
    chroma = cv2.GaussianBlur(np.ascontiguousarray(channels[..., 1:]), (0, 0), max(blur, CHROMA_BLUR))
    return np.dstack([luma, chroma])


def colour_residuals(
    samples: PixelSamples,
    picture: np.ndarray,
    rendered: np.ndarray,
    frame: np.ndarray,
    slopes: tuple[np.ndarray, np.ndarray],
    normals: np.ndarray,
    light: np.ndarray,
    noise: float,
) -> Residuals:
    """Residuals and slopes at the samples.

    Args:
        samples: From `pixel_samples`.
        picture: The render [H, W, 3] uint8 sRGB.
        rendered: The render `softened` [H, W, 3].
        frame: The frame, blurred alike.
        slopes: Horizontal and vertical gradients [H, W, 3] per pixel, means of render and frame (Malis 2004, ESM).
        normals: Unit normals of the samples [N, 3], world.
        light: Spherical harmonics [9, 3].
        noise: Residual that is not worth believing [0..1].
    """
    y, x = samples.rows, samples.columns
    value = frame[y, x] - rendered[y, x]
    slope = -np.stack([slopes[0][y, x], slopes[1][y, x]], axis=-1)
    lit, change = harmonics_gradient(normals, light)
    # d sRGB / d light factor: the colour is about (albedo * light) ** (1 / 2.2).
    factor = np.where(lit > 0.05, picture[y, x] / (255.0 * 2.2 * np.maximum(lit, 0.05)), 0.0)
    mix = LUMA_CHROMA * np.array([[1.0], [CHROMA_SHARE], [CHROMA_SHARE]])
    shading = np.matmul(mix, factor[..., None] * change) * samples.inside[:, None, None]
    size = np.linalg.norm(value, axis=1)
    weight = 1.0 / np.square(1.0 + np.square(size / (4.0 * noise))) / noise**2
    return Residuals(value, slope, shading, weight)
