"""From one frame to another: dense flow refined by Lucas-Kanade, with a round-trip check."""

from __future__ import annotations

import cv2
import numpy as np

from studio_pipeline.media.flow import DenseFlow
from studio_pipeline.stages.observations.sampling import sampled
from studio_pipeline.stages.observations.settings import ObservationSettings

__all__ = ["Step"]


class Step:
    """From one frame to another, forwards and backwards."""

    def __init__(self, before: np.ndarray, after: np.ndarray, settings: ObservationSettings) -> None:
        """Args: before and after, grey [H, W] uint8."""
        self.before, self.after, self.settings = before, after, settings
        dense = DenseFlow("medium")
        self.forward, self.backward = dense.between(before, after), dense.between(after, before)

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
        """Where pixels [N, 2] go, and whether the way back returns to them. [N, 2] float32, [N] bool"""
        if not len(points):
            return np.zeros((0, 2), np.float32), np.zeros(0, bool)
        points = points.astype(np.float32)
        bound = self.settings.forward_backward
        coarse = points + sampled(self.forward, points)
        back = coarse + sampled(self.backward, coarse)
        coarse_fine = np.linalg.norm(back - points, axis=1) < bound
        fine, found = self._lk(self.before, self.after, points, coarse)
        home, returned = self._lk(self.after, self.before, fine, points + (fine - coarse))
        fine_good = found & returned & (np.linalg.norm(home - points, axis=1) < bound)
        # The patch may slide along an edge: Lucas-Kanade refines the dense flow, it does not overrule it.
        fine_good &= np.linalg.norm(fine - coarse, axis=1) < 2.0
        moved = np.where(fine_good[:, None], fine, coarse).astype(np.float32)
        good = (fine_good | coarse_fine) & np.isfinite(moved).all(1)
        moved[~np.isfinite(moved).all(1)] = 0.0
        good &= _similarity(self.before, points, self.after, moved, 7) > self.settings.similarity
        return moved, good


def _similarity(first: np.ndarray, a: np.ndarray, second: np.ndarray, b: np.ndarray, window: int) -> np.ndarray:
    """Normalised correlation of patches around pixels a [N, 2] and b [N, 2]; 1 where both are flat. [N]"""
    offset = np.arange(window) - window // 2
    grid = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
    patches = []
    for image, points in ((first, a), (second, b)):
        patch = sampled(image, points[:, None] + grid).astype(np.float32)
        patches.append(patch - patch.mean(1, keepdims=True))
    scale = np.linalg.norm(patches[0], axis=1), np.linalg.norm(patches[1], axis=1)
    flat = (scale[0] < 1.5 * window) & (scale[1] < 1.5 * window)
    score = (patches[0] * patches[1]).sum(1) / np.maximum(scale[0] * scale[1], 1e-6)
    return np.where(flat, 1.0, score)
