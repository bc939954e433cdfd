"""How large and fast the subject's movements are, apart from the camera's."""

from __future__ import annotations

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.global_motion import GlobalMotion
from studio_pipeline.caption.readings import Reading
from studio_pipeline.caption.subject import Subject
from studio_pipeline.media.flow import DenseFlow

__all__ = ["COARSE", "energy", "subject_flow"]

COARSE = 64
"""Longest side of the flows that are kept [px]."""
_STEPS = (("subtle", 0.0), ("gentle", 0.06), ("normal", 0.16), ("lively", 0.36), ("explosive", 0.75))
"""Least speed of each value, subject heights a second."""


def subject_flow(footage: Footage, motion: GlobalMotion, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """How the subject's surface moves from frame to frame once the camera's movement is out.

    Returns:
        Speeds [T - 1], small px a frame: the mean length over the upper half of the subject's pixels, so that a waving
        arm counts and a standing leg doesn't dilute it. Flows [T - 1, h, w, 2] float32 of the whole picture, `COARSE`
        px at most along a side, in small px a frame.
    """
    import cv2

    dense = DenseFlow()
    pairs, (width, height) = max(footage.count - 1, 0), footage.size
    shrink = min(1.0, COARSE / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    speeds, flows = np.zeros(pairs), np.zeros((pairs, size[1], size[0], 2), np.float32)
    for t in range(pairs):
        before, after = footage.grey[t], footage.grey[t + 1]
        where = subject.masks[t] if subject.masks[t].any() else np.ones(before.shape, bool)
        if np.abs(before.astype(np.int16) - after).max() <= 3:
            continue
        steady = cv2.warpAffine(
            after, motion.matrices[t], footage.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        flow = dense.between(before, steady)
        length = np.sort(np.linalg.norm(flow, axis=-1)[where])
        speeds[t] = length[len(length) // 2 :].mean()
        flows[t] = cv2.resize(flow, size, interpolation=cv2.INTER_AREA)
    return speeds, flows


def energy(footage: Footage, subject: Subject, speeds: np.ndarray) -> Reading:
    """Motion energy from `subject_flow`; abstains where there is no subject or one frame only."""
    height = float(np.nanmedian(subject.boxes[:, 3] - subject.boxes[:, 1])) if subject.trust else 1.0
    if not len(speeds) or not np.isfinite(height):
        return Reading(looked_at=("motion.energy",))
    scale = footage.fps / (max(height, 0.05) * footage.size[1])
    mean, peak = float(speeds.mean() * scale), float(np.percentile(speeds, 90) * scale)
    measures = {"motion_mean_heights_per_s": round(mean, 4), "motion_peak_heights_per_s": round(peak, 4)}
    index = max(i for i, (_, least) in enumerate(_STEPS) if mean >= least)
    value, least = _STEPS[index]
    most = _STEPS[index + 1][1] if index + 1 < len(_STEPS) else 2.0 * least
    edge = min(mean - least if index else most, most - mean if index + 1 < len(_STEPS) else most) / (most - least)
    confidence = (0.55 + 0.4 * min(1.0, 2.0 * max(edge, 0.0))) * (0.6 + 0.4 * subject.trust)
    return Reading(looked_at=("motion.energy",), values={"motion.energy": {value: confidence}}, measures=measures)
