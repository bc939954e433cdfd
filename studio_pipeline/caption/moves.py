"""What the camera does: the background's path says which move, the subject beside it which kind of move.

A turning camera shifts near and far alike, a travelling one shifts what is near more; a lens that grows longer enlarges
everything alike, a camera that comes closer enlarges the subject more than what lies behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.caption.footage import Footage
from studio_pipeline.caption.global_motion import GlobalMotion
from studio_pipeline.caption.readings import Reading, sure
from studio_pipeline.caption.subject import Subject

__all__ = ["Path", "camera_move", "camera_path"]

_FIELD = "camera.move"
_LEVER = 0.3  # mean distance of the picture's points from its centre, in widths: turns growth and roll into shifts
_STILL = 0.018  # widths: a camera whose picture moved less in all stood still
_SLOW = 0.01  # widths a second: over a long clip errors add up to as much
_WHIP = 0.075  # widths a frame


@dataclass(frozen=True, kw_only=True)
class Path:
    """The background's movement over the clip. Shifts in picture widths, content to the right and down."""

    seconds: float  # the clip's length
    known: float  # share of the pairs of frames whose motion is known
    shift: tuple[float, float]  # in all
    scale: float  # natural logarithm, in all
    roll: float  # rad, in all
    straight: float  # 0..1, how much of the way led somewhere
    unrest: float  # widths, rms of the shift about a smooth path
    turns: float  # 0..1, how often a frame goes back on the frame before, along the unrest
    peak: float  # widths a frame, the fastest
    burst: float  # 0..1, share of the way that the fastest quarter second makes
    still: float  # share of pairs where nothing outside the subject changed
    subject_shift: tuple[float, float]  # widths, of the subject in all; NaN where it isn't known
    subject_scale: float  # natural logarithm, of the subject in all; NaN where it isn't known


def camera_path(footage: Footage, motion: GlobalMotion, subject: Subject) -> Path:
    """Sum the pairs of frames up."""
    known, seconds = motion.known, max(footage.count - 1, 1) / footage.fps
    if not known.any():
        return Path(
            seconds=seconds, known=0.0, shift=(0.0, 0.0), scale=0.0, roll=0.0, straight=0.0, unrest=0.0, turns=0.0,
            peak=0.0, burst=0.0,
            still=float(motion.still.mean()) if len(known) else 1.0, subject_shift=(np.nan, np.nan),
            subject_scale=np.nan,
        )  # fmt: skip
    steps = np.where(known[:, None], motion.shift, np.nanmedian(motion.shift, axis=0))
    scale = np.where(known, motion.scale, np.nanmedian(motion.scale))
    roll = np.where(known, motion.roll, np.nanmedian(motion.roll))
    way = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    rest = way - _smooth(way)
    lengths = np.linalg.norm(steps, axis=1)
    net = float(np.linalg.norm(way[-1] - way[0]))
    moved, grown = _subject_change(footage, subject)
    return Path(
        seconds=seconds, known=float(known.mean()), shift=(float(way[-1, 0]), float(way[-1, 1])),
        scale=float(scale.sum()),
        roll=float(roll.sum()), straight=net / max(float(lengths.sum()), 1e-9),
        unrest=float(np.sqrt((rest**2).sum(1).mean())), turns=_turns(np.diff(rest, axis=0)),
        peak=float(lengths.max()), burst=_burst(lengths, footage.fps), still=float(motion.still.mean()),
        subject_shift=moved, subject_scale=grown,
    )  # fmt: skip


def _smooth(way: np.ndarray) -> np.ndarray:
    """A cubic through the way [T, 2]: an eased move is one."""
    time = np.linspace(-1.0, 1.0, len(way))
    terms = np.stack([time**k for k in range(min(4, len(way)))], axis=-1)
    return terms @ np.linalg.lstsq(terms, way, rcond=None)[0]


def _burst(lengths: np.ndarray, fps: float) -> float:
    count = min(len(lengths), max(1, round(fps / 4.0)))
    return float(np.convolve(lengths, np.ones(count), "valid").max() / max(float(lengths.sum()), 1e-9))


def _turns(steps: np.ndarray) -> float:
    if len(steps) < 2:
        return 0.0
    along = (steps[1:] * steps[:-1]).sum(1)
    weight = np.linalg.norm(steps[1:], axis=1) * np.linalg.norm(steps[:-1], axis=1)
    return float(weight[along < 0.0].sum() / max(weight.sum(), 1e-12))


def _subject_change(footage: Footage, subject: Subject) -> tuple[tuple[float, float], float]:
    """Shift of the subject's centre in widths, and the logarithm of its growth, from the clip's ends."""
    if not subject.trust:
        return (np.nan, np.nan), np.nan
    width, height = footage.size
    ends = max(1, footage.count // 8)
    boxes = subject.boxes * np.array([1.0, height / width, 1.0, height / width])
    boxes = boxes[np.isfinite(boxes[:, 0])]
    if len(boxes) < 2:
        return (np.nan, np.nan), np.nan
    first, last = boxes[:ends].mean(0), boxes[-ends:].mean(0)
    areas = [float(np.mean(part)) for part in (subject.areas[:ends], subject.areas[-ends:])]
    moved = (last[:2] + last[2:] - first[:2] - first[2:]) / 2.0
    grown = 0.5 * np.log(areas[1] / areas[0]) if min(areas) > 0 else np.nan
    return (float(moved[0]), float(moved[1])), float(grown)


def camera_move(footage: Footage, path: Path) -> Reading:
    """The move and its speed, from `camera_path`."""
    seconds = path.seconds
    measures = {
        "camera_shift_x_widths_per_s": round(path.shift[0] / seconds, 4),
        "camera_shift_y_widths_per_s": round(path.shift[1] / seconds, 4),
        "camera_zoom_log_per_s": round(path.scale / seconds, 4),
        "camera_roll_deg_per_s": round(float(np.degrees(path.roll)) / seconds, 3),
        "camera_unrest_widths": round(path.unrest, 5),
        "camera_known_share": round(path.known, 3),
        "camera_turns": round(path.turns, 4),
        "camera_straight": round(path.straight, 4),
        "camera_peak_widths": round(path.peak, 5),
        "camera_burst": round(path.burst, 4),
    }
    if np.isfinite(path.subject_scale):
        measures |= {
            "subject_shift_x_widths": round(path.subject_shift[0], 4),
            "subject_shift_y_widths": round(path.subject_shift[1], 4),
            "subject_zoom_log": round(path.subject_scale, 4),
        }
    if footage.count < 3:
        return Reading(looked_at=(_FIELD,), measures=measures)
    value, confidence = _decide(path)
    values = {_FIELD: {value: confidence}} if value else {}
    return Reading(looked_at=(_FIELD,), values=values, measures=measures)


def _decide(path: Path) -> tuple[str, float]:
    if path.known < 0.4:
        return ("fix", 0.6) if path.still > 0.6 else ("", 0.0)
    across, down = path.shift
    ways = {
        "across": abs(across), "down": abs(down), "scale": _LEVER * abs(path.scale), "roll": _LEVER * abs(path.roll),
    }  # fmt: skip
    most = max(ways, key=lambda name: ways[name])
    size, second = ways[most], sorted(ways.values())[-2]
    if path.unrest > max(0.004, 0.12 * size):
        quick = sure(path.turns, 0.2, 0.6)
        return ("shake", 0.5 + 0.5 * quick) if quick > 0.5 else ("handheld", 1.0 - 0.5 * quick)
    still = max(_STILL, _SLOW * path.seconds)
    if size < still:
        return "fix", 1.0 - 0.5 * size / still
    confidence = (0.5 + 0.5 * sure(size, _STILL, 3.0 * _STILL)) * (1.0 - 0.5 * second / size)
    if path.peak > _WHIP and path.burst > 0.45 and most in ("across", "down"):
        return "whip_pan", confidence
    if most == "roll":
        return "roll", confidence
    if most == "scale":
        return _growth(path), confidence
    return (_across(path) if most == "across" else _down(path)), confidence


def _growth(path: Path) -> str:
    nearer = path.subject_scale / path.scale if np.isfinite(path.subject_scale) else 1.0
    kind = ("truck_in", "truck_back") if nearer > 1.25 else ("zoom_in", "zoom_out")
    return kind[0] if path.scale > 0 else kind[1]


def _across(path: Path) -> str:
    """The content goes to the right where the camera turns or slides to the left."""
    way = "left" if path.shift[0] > 0 else "right"
    own = path.subject_shift[0] / path.shift[0] if np.isfinite(path.subject_shift[0]) else 1.0
    if own < 0.4:
        return "follow_pan"
    return f"slide_{way}" if own > 1.25 else f"pan_{way}"


def _down(path: Path) -> str:
    """The content goes down where the camera turns upwards or rises."""
    way = "up" if path.shift[1] > 0 else "down"
    own = path.subject_shift[1] / path.shift[1] if np.isfinite(path.subject_shift[1]) else 1.0
    return f"crane_{way}" if own > 1.25 else f"tilt_{way}"
