"""Every measure, taken once: what was found on the way and what each says."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from studio_pipeline.caption.energy import energy, subject_flow
from studio_pipeline.caption.flashes import Light, flashes, light_of, transition
from studio_pipeline.caption.footage import Footage, prepare
from studio_pipeline.caption.frames_of import Still, stills
from studio_pipeline.caption.framing import framing
from studio_pipeline.caption.global_motion import GlobalMotion, global_motion
from studio_pipeline.caption.grain import grain, halftone
from studio_pipeline.caption.moves import camera_move, camera_path
from studio_pipeline.caption.outline import outline
from studio_pipeline.caption.palette import hour, palette
from studio_pipeline.caption.readings import Reading
from studio_pipeline.caption.rhythm import drawing_changes, rhythm
from studio_pipeline.caption.shading import shading
from studio_pipeline.caption.streaks import streaks
from studio_pipeline.caption.subject import Subject, find_subject

__all__ = ["Looked", "look"]

_DARK = 14.0  # grey levels, mean of a frame that shows nothing


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A clip as it was looked at."""

    footage: Footage
    motion: GlobalMotion  # of the background
    subject: Subject
    speeds: np.ndarray  # [T - 1] float64, see `subject_flow`
    flows: np.ndarray  # [T - 1, h, w, 2] float32, the same
    changes: np.ndarray  # [T - 1] float64, see `drawing_changes`
    light: Light
    pictures: list[Still]
    readings: tuple[Reading, ...]

    def measures(self) -> dict[str, Any]:
        """All numbers by name."""
        return {name: value for reading in self.readings for name, value in reading.measures.items()}


def look(frames: np.ndarray, fps: Fraction | float, *, alpha: np.ndarray | None = None) -> Looked:
    """Take every measure of a clip; arguments as `describe` has them."""
    footage = prepare(frames, fps, alpha)
    subject = find_subject(footage)
    motion = global_motion(footage, subject.masks if subject.trust else None)
    if not subject.trust:
        subject = find_subject(footage, motion)
        if subject.trust:
            motion = global_motion(footage, subject.masks)
    light = light_of(footage)
    odd = frozenset(int(t) for t in np.flatnonzero(light.flash | light.impact | (light.mean < _DARK)))
    pictures = stills(footage, subject, skip=odd)
    speeds, flows = subject_flow(footage, motion, subject)
    changes = drawing_changes(footage, motion, subject)
    readings = (
        camera_move(footage, camera_path(footage, motion, subject)), framing(subject, footage.size),
        energy(footage, subject, speeds), rhythm(changes, footage.fps), flashes(light), transition(light),
        streaks(pictures), palette(pictures), hour(pictures), outline(pictures), shading(pictures),
        halftone(pictures), grain(footage, pictures),
    )  # fmt: skip
    return Looked(
        footage=footage, motion=motion, subject=subject, speeds=speeds, flows=flows, changes=changes,
        light=light, pictures=pictures, readings=readings,
    )  # fmt: skip
