"""Motions of another length: cut, or walked on where the last frame is the first one again, only farther on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studio_pipeline.geometry.bvh import Bvh
from studio_pipeline.schema.errors import InputError

__all__ = ["lengthened"]

_SAME = np.radians(6.0)  # how far a joint may be turned between the first and the last frame of a loop


def lengthened(bvh: Bvh, frames: int, *, what: object = "the motion") -> Bvh:
    """The motion in ``frames`` frames: its beginning, or several rounds of a loop.

    Raises:
        InputError: It is shorter and does not end as it begins.
    """
    count = bvh.frame_count
    if frames <= count:
        return replace(bvh, rotations=bvh.rotations[:frames], positions=bvh.positions[:frames])
    step = np.einsum("jab,jac->jbc", bvh.rotations[0], bvh.rotations[-1])
    angle = np.arccos(np.clip((np.trace(step, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0))
    if count < 3 or angle.max() > _SAME:
        raise InputError(
            f"has {count} frames and does not end as it begins, so that it can't go on for {frames}",
            where=what,
            do="ask for fewer frames, or give a motion that loops",
        )
    index = np.arange(frames)
    rounds, inner = index // (count - 1), index % (count - 1)
    positions = bvh.positions[inner].copy()
    positions[:, 0] += rounds[:, None] * (bvh.positions[-1, 0] - bvh.positions[0, 0])
    return replace(bvh, rotations=bvh.rotations[inner], positions=positions)
