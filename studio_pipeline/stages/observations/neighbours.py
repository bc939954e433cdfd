"""What a track's neighbours on the surface say: how its surroundings were warped, and where it must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["Neighbours", "Warp"]

COUNT = 12  # neighbours of a track
LEAST = 4  # of them that must be seen
STIFF = 0.15  # how strongly a warp is held to the last one, as a share of the neighbours' own say


@dataclass(frozen=True)
class Warp:
    """From the surroundings of tracks at their birth to those of a frame."""

    matrix: np.ndarray  # [N, 2, 2]
    place: np.ndarray  # [N, 2] [px], where the neighbours put each track; NaN where too few are seen
    spread: np.ndarray  # [N] [px], how far the neighbours are from agreeing with each other


class Neighbours:
    """For every track its nearest neighbours at birth, and where they were then."""

    def __init__(self, births: np.ndarray, places: np.ndarray, pixels: np.ndarray, alive: np.ndarray) -> None:
        """Find the neighbours of tracks that are all born in one frame.

        Args:
            births: Indices of the tracks that look for neighbours. [M]
            places: What nearness is measured in, of all tracks: rest positions [m] or pixels. [N, 2 or 3]
            pixels: Where all tracks are in that frame. [N, 2]
            alive: Which tracks are seen in that frame. [N] bool
        """
        known = np.flatnonzero(alive)
        count = min(COUNT + 1, len(known))
        far, index = cKDTree(places[known]).query(places[births], k=np.arange(1, count + 1))
        index = known[index]
        other = index != births[:, None]
        self.index = index  # [M, K]
        self.offset = pixels[index] - pixels[births][:, None]  # [M, K, 2]
        reach = np.maximum(far[:, -1:], 1e-9)
        self.weight = other / (1.0 + np.square(far / (0.5 * reach)))  # [M, K]

    def warp(self, tracks: np.ndarray, seen: np.ndarray, last: np.ndarray) -> Warp:
        """Fit the warps of a frame robustly.

        Args:
            tracks: Places of all tracks in the frame. [N, 2]
            seen: Which of them count. [N] bool
            last: The warp before, which holds where neighbours say little. [M, 2, 2]
        """
        target = tracks[self.index].astype(np.float64)  # [M, K, 2]
        weight = self.weight * seen[self.index]
        scale = np.square(self.offset).sum(-1).mean(1)[:, None]
        robust = weight
        centre, matrix = np.zeros((len(last), 2)), last
        gap = np.zeros_like(weight)
        for _ in range(3):
            centre, matrix = self._fitted(target, robust, last, scale)
            gap = np.linalg.norm(target - centre[:, None] - np.einsum("nab,nkb->nka", matrix, self.offset), axis=-1)
            middle = (robust * gap).sum(1, keepdims=True) / np.maximum(robust.sum(1, keepdims=True), 1e-9)
            robust = weight / np.square(1.0 + np.square(gap / np.maximum(2.0 * middle, 0.3)))
        few = (weight > 0.0).sum(1) < LEAST
        spread = np.sqrt((robust * np.square(gap)).sum(1) / np.maximum(robust.sum(1), 1e-9))
        place = np.where(few[:, None], np.nan, centre)
        return Warp(np.where(few[:, None, None], last, matrix), place, spread)

    def _fitted(
        self, target: np.ndarray, weight: np.ndarray, last: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted affine fit target = centre + matrix offset, the matrix held to the last one."""
        total = np.maximum(weight.sum(1), 1e-9)[:, None]
        mean_to = (weight[..., None] * target).sum(1) / total
        mean_from = (weight[..., None] * self.offset).sum(1) / total
        to, start = target - mean_to[:, None], self.offset - mean_from[:, None]
        hold = (STIFF * total * scale)[..., None] * np.eye(2)
        square = np.einsum("nk,nka,nkb->nab", weight, start, start) + hold + 1e-9 * np.eye(2)
        cross = np.einsum("nk,nka,nkb->nab", weight, to, start) + np.einsum("nab,nbc->nac", last, hold)
        matrix = np.linalg.solve(square, cross.transpose(0, 2, 1)).transpose(0, 2, 1)
        return mean_to - np.einsum("nab,nb->na", matrix, mean_from), matrix
