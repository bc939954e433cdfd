"""Dense optical flow of two pictures: DIS (Kroeger et al. 2016, "Fast optical flow using dense inverse search")."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["DenseFlow"]

# px of the shorter side: a patch of 8 px at a quarter of the resolution. Of smaller pictures that are long OpenCV 5.0
# reads what lies beyond them, and the process dies of it.
_LEAST = 32


class DenseFlow:
    """Finds flows; keeps what can be kept between pictures of one size.

    Args:
        preset: OpenCV's: patches are followed down to a quarter of the resolution by "fast", to half by "medium".
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
