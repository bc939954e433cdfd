"""Patches that tracks were born with: compared with, and aligned to, later frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.stages.observations.sampling import sampled

__all__ = ["Matched", "Picture", "Templates"]

NOISE = 4.0  # what a grey value of a decoded frame is off by [8-bit levels]
ROUNDS = 4
FARTHEST = 3.0  # a match further off than this is another place [px]


class Picture:
    """A frame's mask-aware grey values and their slopes."""

    def __init__(self, gray: np.ndarray, mask: np.ndarray) -> None:
        """Args: gray [H, W] uint8, mask [H, W] uint8 coverage."""
        smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 0.7)
        slopes = [cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)]
        self.layers = np.stack([smooth, *slopes, mask.astype(np.float32) / 255.0], axis=-1)


@dataclass(frozen=True)
class Matched:
    """Patches found again."""

    pixels: np.ndarray  # [N, 2]
    score: np.ndarray  # [N] correlation with the patch of birth, -1 ... 1
    texture: np.ndarray  # [N] standard deviation of the patch [8-bit levels]
    blind: np.ndarray  # [N] standard deviation of the place along the direction that the texture tells least [px]
    moved: np.ndarray  # [N] distance from the place it was looked for [px]


class Templates:
    """Patches around places of one frame."""

    def __init__(self, picture: Picture, pixels: np.ndarray, window: int, depth: np.ndarray | None = None) -> None:
        """Cut out the patches.

        Args:
            picture: The frame of birth.
            pixels: Places in it. [N, 2]
            window: Side of a patch [px].
            depth: Depth of the surface in that frame, so that a patch keeps to its own limb. [H, W] [m], NaN outside
        """
        self.picture, self.pixels, self.depth = picture, pixels, depth
        offset = np.arange(window) - window // 2
        self.grid = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2).astype(np.float64)  # [P, 2]
        self.window = np.exp(-np.square(self.grid).sum(1) / (2.0 * (0.35 * window) ** 2))
        self.depth_step = 0.0
        if depth is not None:
            known = depth[np.isfinite(depth)]
            self.depth_step = 0.04 * float(np.ptp(known)) if len(known) else 0.0

    def _patches(self, some: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grey values [n, P] of the frame of birth as a warp shows them, and how much each counts."""
        back = np.linalg.inv(matrix)
        place = self.pixels[some][:, None] + np.einsum("nab,pb->npa", back, self.grid)
        layers = sampled(self.picture.layers, place)
        weight = self.window * layers[..., 3]
        if self.depth is not None:
            filled = np.where(np.isfinite(self.depth), self.depth, 1e6).astype(np.float32)
            step = sampled(filled, place) - sampled(filled, self.pixels[some])[:, None]
            weight = weight * (np.abs(step) < max(self.depth_step, 1e-9))
        return layers[..., 0], weight + 1e-6

    def match(
        self,
        some: np.ndarray,
        picture: Picture,
        start: np.ndarray,
        matrix: np.ndarray,
        expected: np.ndarray,
        hold: np.ndarray,
    ) -> Matched:
        """Align patches with a frame, starting at given places.

        Brightness and contrast may change. Where the texture says little the result stays near what is expected.

        Args:
            some: Which patches. [n]
            picture: The frame.
            start: Where to begin. [n, 2]
            matrix: How the surroundings were warped since birth. [n, 2, 2]
            expected: The place that neighbours expect. [n, 2]
            hold: Its standard deviation [px]. [n]
        """
        values, weight = self._patches(some, matrix)
        place = start.astype(np.float64).copy()
        prior = 1.0 / np.square(hold)
        best, best_score = place.copy(), np.full(len(some), -2.0)
        told = np.zeros((len(some), 2, 2))
        for turn in range(ROUNDS + 1):
            layers = sampled(picture.layers, place[:, None] + self.grid)
            both = weight * (0.1 + layers[..., 3])
            model, deviation = _contrasted(values, layers[..., 0], both)
            score = _correlation(values, layers[..., 0], both)
            better = score > best_score
            best[better], best_score[better] = place[better], score[better]
            if turn == ROUNDS:
                break
            slopes, error = layers[..., 1:3], model - layers[..., 0]
            # Neighbouring pixels err together: a patch counts like a ninth of its pixels.
            trust = both / (9.0 * NOISE**2) / (1.0 + np.square(error / (3.0 * NOISE + 0.5 * deviation[:, None])))
            told = np.einsum("np,npa,npb->nab", trust, slopes, slopes)
            value = np.einsum("np,npa,np->na", trust, slopes, error) + prior[:, None] * (expected - place)
            place = place + _step(told + prior[:, None, None] * np.eye(2), value)
        moved = np.linalg.norm(best - start, axis=1)
        blind = 1.0 / np.sqrt(np.maximum(np.linalg.eigvalsh(told)[:, 0], 1e-4))
        return Matched(best, best_score, deviation, blind, moved)


def _step(square: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Solutions of [n, 2, 2] x = [n, 2], none longer than a pixel and a half."""
    step = np.linalg.solve(square, value[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return step * np.minimum(1.0, 1.5 / np.maximum(length, 1e-9))


def _contrasted(values: np.ndarray, seen: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patches with brightness and contrast of what is seen, and their standard deviation. [n, P], [n]"""
    total = weight.sum(1, keepdims=True)
    a, b = (weight * values).sum(1, keepdims=True) / total, (weight * seen).sum(1, keepdims=True) / total
    own = np.sqrt((weight * np.square(values - a)).sum(1, keepdims=True) / total)
    now = np.sqrt((weight * np.square(seen - b)).sum(1, keepdims=True) / total)
    gain = np.clip((now + NOISE) / (own + NOISE), 0.5, 2.0)
    return (values - a) * gain + b, own[:, 0]


def _correlation(values: np.ndarray, seen: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted correlation; noise in flat patches counts as agreement of neither kind."""
    total = weight.sum(1, keepdims=True)
    a = values - (weight * values).sum(1, keepdims=True) / total
    b = seen - (weight * seen).sum(1, keepdims=True) / total
    floor = total[:, 0] * 1.0
    both = np.sqrt(((weight * a * a).sum(1) + floor) * ((weight * b * b).sum(1) + floor))
    return ((weight * a * b).sum(1)) / both
