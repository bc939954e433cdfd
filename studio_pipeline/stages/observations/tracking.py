"""Points on the surface seen at index 0, followed by dense flow and Lucas-Kanade with a round-trip check."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.stages.observations import ClassicalSettings

__all__ = ["SurfacePoints", "follow", "sample_surface"]


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the surface at index 0."""

    pixels: np.ndarray  # [N, 2] float32, centres at +0.5
    faces: np.ndarray  # [N] int32
    barycentrics: np.ndarray  # [N, 3] float32


def sample_surface(
    gray: np.ndarray, face_ids: np.ndarray, barycentrics: np.ndarray, mask: np.ndarray, count: int
) -> SurfacePoints:
    """Spread about ``count`` points over the visible surface, on corners of the texture where there are some.

    gray [H, W] uint8, face_ids [H, W] int32 (-1 outside), barycentrics [H, W, 3], mask [H, W] bool
    """
    allowed = ((face_ids >= 0) & mask).astype(np.uint8)
    inner = cv2.erode(allowed, np.ones((3, 3), np.uint8))
    allowed = inner if inner.sum() > 0.5 * allowed.sum() else allowed
    spacing = max(1.5, 0.8 * float(np.sqrt(allowed.sum() / max(count, 1))))
    free = allowed > 0
    response = cv2.cornerMinEigenVal(gray, 5).ravel()
    candidates = np.flatnonzero(free)
    order = candidates[np.argsort(-response[candidates], kind="stable")]
    taken: list[tuple[int, int]] = []
    width, reach = gray.shape[1], int(np.ceil(spacing))
    oy, ox = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    near = ox**2 + oy**2 < spacing**2
    padded = np.pad(free, reach)
    for flat in order:
        y, x = divmod(int(flat), width)
        if padded[y + reach, x + reach]:
            taken.append((y, x))
            padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1] &= ~near
    rows = np.array(taken, dtype=np.int64).reshape(-1, 2)
    y, x = rows.T
    return SurfacePoints(
        np.stack([x + 0.5, y + 0.5], axis=-1).astype(np.float32),
        face_ids[y, x].astype(np.int32),
        barycentrics[y, x].astype(np.float32),
    )


def _sampled(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values of ``field`` [H, W, C] at pixels [N, 2]."""
    x, y = (points[:, 0] - 0.5).astype(np.float32), (points[:, 1] - 0.5).astype(np.float32)
    return cv2.remap(field, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]


def _similarity(first: np.ndarray, a: np.ndarray, second: np.ndarray, b: np.ndarray, window: int) -> np.ndarray:
    """Normalised correlation of patches around pixels a [N, 2] and b [N, 2]; 1 where both are flat. [N]"""
    offset = np.arange(window) - window // 2
    oy, ox = np.meshgrid(offset, offset, indexing="ij")
    patches = []
    for image, points in ((first, a), (second, b)):
        x = (points[:, 0, None] - 0.5 + ox.ravel()).astype(np.float32)
        y = (points[:, 1, None] - 0.5 + oy.ravel()).astype(np.float32)
        patch = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        patches.append(patch - patch.mean(1, keepdims=True))
    scale = np.linalg.norm(patches[0], axis=1), np.linalg.norm(patches[1], axis=1)
    flat = (scale[0] < 1.5 * window) & (scale[1] < 1.5 * window)
    score = (patches[0] * patches[1]).sum(1) / np.maximum(scale[0] * scale[1], 1e-6)
    return np.where(flat, 1.0, score)


class _Step:
    """From one frame to the next, forwards and backwards."""

    def __init__(self, before: np.ndarray, after: np.ndarray, settings: ClassicalSettings) -> None:
        self.before, self.after, self.settings = before, after, settings
        dense = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.forward = dense.calc(before, after, None)  # pyright: ignore
        self.backward = dense.calc(after, before, None)  # pyright: ignore

    def _lk(
        self, first: np.ndarray, second: np.ndarray, points: np.ndarray, guess: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        window = (self.settings.track_window,) * 2
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            first, second, (points - 0.5)[:, None], (guess - 0.5)[:, None].copy(), winSize=window, maxLevel=1,
            criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 0.01),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW, minEigThreshold=1e-3,
        )  # fmt: skip
        return moved[:, 0] + 0.5, status.ravel() > 0

    def move(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where pixels [N, 2] go, and whether the way back returns to them."""
        bound = self.settings.forward_backward
        coarse = points + _sampled(self.forward, points)
        back = coarse + _sampled(self.backward, coarse)
        coarse_fine = np.linalg.norm(back - points, axis=1) < bound
        fine, found = self._lk(self.before, self.after, points, coarse)
        home, returned = self._lk(self.after, self.before, fine, points + (fine - coarse))
        fine_good = found & returned & (np.linalg.norm(home - points, axis=1) < bound)
        # The patch may slide along an edge: Lucas-Kanade refines the dense flow, it does not overrule it.
        fine_good &= np.linalg.norm(fine - coarse, axis=1) < 2.0
        moved = np.where(fine_good[:, None], fine, coarse).astype(np.float32)
        good = (fine_good | coarse_fine) & np.isfinite(moved).all(1)
        good &= _similarity(self.before, points, self.after, moved, 7) > self.settings.similarity
        return moved, good


def follow(
    frames: np.ndarray, masks: np.ndarray, points: np.ndarray, settings: ClassicalSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Follow pixels of index 0 through the clip; a point once lost stays lost.

    frames [T, H, W, 3] uint8, masks [T, H, W] uint8, points [N, 2] -> tracks [T, N, 2] float32, visibility [T, N] bool
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    tracks = np.repeat(points[None].astype(np.float32), len(frames), axis=0)
    seen = np.zeros((len(frames), len(points)), dtype=bool)
    seen[0] = True
    for index in range(1, len(frames)):
        tracks[index] = tracks[index - 1]
        alive = np.flatnonzero(seen[index - 1])
        if not len(alive) or not masks[index].any():
            continue
        moved, good = _Step(gray[index - 1], gray[index], settings).move(tracks[index - 1, alive])
        good &= _sampled(masks[index].astype(np.float32)[..., None], moved).reshape(-1) > 127.0
        tracks[index, alive[good]] = moved[good]
        seen[index, alive[good]] = True
    return tracks, seen
