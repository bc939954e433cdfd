"""Is the subject of a take the shot's character: index 0 against the character as the take's camera sees it."""

from __future__ import annotations

import numpy as np

from studio_pipeline.models.judge.footage import smooth_background_mask
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character
from studio_pipeline.stages.take_report.filters import Filter

__all__ = ["contour_agreement", "rest_mask", "subject_filter"]

_NEAR = 0.02  # of the picture's longer side: how far from its place a contour may lie
_EDGE = 6.0  # 8-bit levels a pixel of an edge
_ALONG = 0.7  # least cosine between the contour's normal and the picture's gradient


def rest_mask(character: Character, camera: CameraPath) -> np.ndarray:
    """The rest silhouette at index 0, as the camera sees it. [H, W] bool"""
    from studio_pipeline.render.raster import rasterize

    return rasterize(character.vertices[None], character.faces, camera.at([0])).face_ids[0] >= 0


def subject_filter(clip: Clip, rest: np.ndarray, *, least: float) -> Filter:
    """Whether index 0 shows the silhouette ``rest`` [H, W] bool.

    With coverage (alpha) the silhouettes' overlap counts; without it the better of the overlap with what stands out
    from the border's colours, and of how much of the silhouette's contour is an edge of the picture.
    """
    frame = clip.frames[0]
    if not rest.any():
        return Filter("wrong_subject", True, 1.0, "the camera doesn't see the character at index 0: nothing to compare")
    alpha = clip.alpha
    if alpha is not None and (alpha[0] < 128).any() and (alpha[0] > 127).any():
        value = _iou(alpha[0] > 127, rest)
        how = "overlap (IoU) of its coverage"
    else:
        seen = smooth_background_mask(frame)
        overlap, contour = _iou(seen, rest), contour_agreement(frame, rest)
        value, how = (overlap, "overlap (IoU) of what stands out") if overlap >= contour else (contour, "contour found")
    message = f"{value:.2f} {how} with the character's silhouette at index 0, at least {least:.2f}"
    return Filter("wrong_subject", value >= least, round(value, 4), message)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def contour_agreement(frame: np.ndarray, rest: np.ndarray) -> float:
    """Share of the contour of ``rest`` [H, W] bool near which the picture has an edge that runs the same way.

    What the same contour finds in the mean at eight other places is taken off, so that a busy picture proves nothing.
    """
    import cv2

    gray = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    soft = cv2.GaussianBlur(rest.astype(np.float32), (0, 0), 2.0)
    inner = rest & ~cv2.erode(rest.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)
    rows, columns = np.nonzero(inner)
    if not len(rows):
        return 0.0
    grow = max(1, round(_NEAR * max(rest.shape)))
    normal = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)], -1)[rows, columns]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    slope = np.stack([cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)], -1) / 8.0
    strong = np.linalg.norm(slope, axis=-1)
    across = slope / np.maximum(strong, 1e-6)[..., None]
    edge = strong > _EDGE

    def found(down: int, right: int) -> float:
        hit = np.zeros(len(rows), bool)
        for dy in range(-grow, grow + 1):
            for dx in range(-grow, grow + 1):
                y = np.clip(rows + down + dy, 0, rest.shape[0] - 1)
                x = np.clip(columns + right + dx, 0, rest.shape[1] - 1)
                hit |= edge[y, x] & (np.abs((across[y, x] * normal).sum(1)) > _ALONG)
        return float(hit.mean())

    shift = max(3 * grow, round(0.1 * max(rest.shape)))
    elsewhere = [found(a * shift, b * shift) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    here, chance = found(0, 0), float(np.mean(elsewhere))
    return max(0.0, here - chance) / max(1.0 - chance, 0.3)
