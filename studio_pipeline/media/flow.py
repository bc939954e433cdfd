"""Dense optical flow of two pictures: DIS (Kroeger et al. 2016, "Fast optical flow using dense inverse search")."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["DenseFlow"]

_LEAST = 32  # px of the shorter side: OpenCV 5.0's DIS reads beyond smaller pictures that are long, and dies of it


class DenseFlow:
    """Finds flows; keeps what can be kept between pictures of one size.

    Args:
        preset: OpenCV's: "fast" ends at half the resolution, "medium" at the whole.
    """

    def __init__(self, preset: Literal["fast", "medium"] = "fast") -> None:
        import cv2

        presets = {"fast": cv2.DISOPTICAL_FLOW_PRESET_FAST, "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}
        self.finder = cv2.DISOpticalFlow.create(presets[preset])

    def between(self, before: np.ndarray, after: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """Where each pixel of one picture is in another.

        Args:
            before: Grey [H, W] uint8.
            after: Grey [H, W] uint8.
            guess: Flow that is tried too [H, W, 2] float32; None for none.

        Returns:
            Displacements (x, y) [px]. [H, W, 2] float32
        """
        height, width = before.shape
        below, beside = max(_LEAST - height, 0), max(_LEAST - width, 0)
        if not (below or beside):
            start = None if guess is None else guess.copy()
            return self.finder.calc(before, after, start)  # pyright: ignore
        before, after = (np.pad(one, ((0, below), (0, beside)), mode="edge") for one in (before, after))
        if guess is not None:
            guess = np.pad(guess, ((0, below), (0, beside), (0, 0)), mode="edge")
        return self.finder.calc(before, after, guess)[:height, :width]  # pyright: ignore
