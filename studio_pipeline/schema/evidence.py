"""What a captioner's network is shown of a clip; made by `studio_pipeline.caption.evidence.gather`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Evidence"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one clip in W windows of F frames; a shorter window is zero after the clip's end, or still.

    The motion of ``actors`` is that to the next frame, to the right and down, once the camera's is out: 128 where there
    is none, ``128 + 127 * sign * sqrt(speed / fastest)``.
    """

    thumbs: np.ndarray  # [W, F, S, S, 3] uint8 sRGB, whole pictures, squeezed into squares
    actors: np.ndarray  # [W, F, S, S, 4] uint8, squares that go along with the subject: luma, mask, motion
    details: np.ndarray  # [W, D, Z, Z, 3] uint8 sRGB, larger pictures of the subject at some moments
    signals: np.ndarray  # [W, F, C] float32, curves over time
    measures: np.ndarray  # [M] float32, the clip's measures, NaN where missing
