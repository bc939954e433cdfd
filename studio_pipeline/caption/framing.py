"""Shot size: how much of the picture the subject takes, and whether it is cut off by the border."""

from __future__ import annotations

import numpy as np

from studio_pipeline.caption.readings import Reading
from studio_pipeline.caption.subject import Subject

__all__ = ["framing"]

_FIELD = "camera.framing"
_WHOLE = (("extreme_long", 0.0), ("long", 0.28), ("full", 0.5))
"""Least extent of a subject that is wholly in the picture, share of the picture's tighter side."""
_CUT = (("medium", 0.0), ("bust", 0.36), ("close_up", 0.5), ("extreme_close_up", 0.72))
"""Least share of the picture that a subject takes that the border cuts off."""


def framing(subject: Subject, size: tuple[int, int]) -> Reading:
    """The shot size; the usual frame's where it changes. Abstains without a subject. ``size``: width and height."""
    boxes = subject.boxes[np.isfinite(subject.boxes[:, 0])]
    if not subject.trust or not len(boxes):
        return Reading(looked_at=(_FIELD,))
    heights, widths = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
    height, area = float(np.median(heights)), float(np.median(subject.areas))
    touches = [float((boxes[:, i] < 0.01).mean() if i < 2 else (boxes[:, i] > 0.99).mean()) for i in range(4)]
    cut = touches[3] > 0.5 or sum(share > 0.5 for share in touches) >= 2 or height > 0.97
    extent = max(height * size[1], float(np.median(widths)) * size[0]) / min(size)
    scale, amount = (_CUT, area) if cut else (_WHOLE, extent)
    index = max(i for i, (_, least) in enumerate(scale) if amount >= least)
    gaps = [abs(amount - least) for _, least in scale[1:]]
    confidence = (0.5 + 0.5 * min(1.0, min(gaps) / 0.1)) * (0.5 + 0.5 * subject.trust)
    measures = {
        "subject_height_share": round(height, 4),
        "subject_width_share": round(float(np.median(widths)), 4),
        "subject_area_share": round(area, 4),
        "subject_height_change_share": round(float(heights[-1] - heights[0]), 4),
        "subject_x_share": round(float(np.median(boxes[:, 0] + boxes[:, 2])) / 2.0, 4),
        "subject_y_share": round(float(np.median(boxes[:, 1] + boxes[:, 3])) / 2.0, 4),
        "subject_cut_left_share": round(touches[0], 3),
        "subject_cut_top_share": round(touches[1], 3),
        "subject_cut_right_share": round(touches[2], 3),
        "subject_cut_bottom_share": round(touches[3], 3),
    }
    return Reading(looked_at=(_FIELD,), values={_FIELD: {scale[index][0]: confidence}}, measures=measures)
