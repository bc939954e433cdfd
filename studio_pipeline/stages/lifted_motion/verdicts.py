"""What a motion is held against: the clip's masks and tracks, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from studio_pipeline.schema.records import Motion
from studio_pipeline.stages.base import Verdict

__all__ = ["LEAST_IOU", "agreement", "verdicts"]

LEAST_IOU = 0.5  # of the mean over frames: below, the motion shows something else
TRACK_BOUND = 0.03  # median track error, of the picture's larger side

Frames = Mapping[str, Sequence[float | None]]
"""What `lift.measure` gives: ``iou`` and ``track_error_px`` by frame, None where there is nothing to compare with."""


def agreement(frames: Frames) -> dict[str, float]:
    """Figures ``iou_mean``, ``iou_min`` and, where there are tracks, ``track_error_px``."""
    overlaps = [value for value in frames["iou"] if value is not None]
    track = _track(frames)
    figures = {"iou_mean": round(_mean(overlaps), 4), "iou_min": min(overlaps, default=0.0)}
    return figures if track is None else figures | {"track_error_px": round(track, 3)}


def verdicts(
    motion: Motion,
    frames: Frames,
    *,
    size: int,
    unseen: int,
    doubted: Sequence[Mapping[str, float]],
    partly: Sequence[Mapping[str, float]] = (),
    by_hand: bool = False,
) -> tuple[Verdict, ...]:
    """The stage's verdicts, always all five.

    Args:
        motion: The motion.
        frames: How it agrees with the clip.
        size: The clip's larger side [px].
        unseen: Frames that show no character.
        doubted: Frames that the motion doesn't explain, each with its index and the share that is.
        partly: Frames of which some part isn't explained.
        by_hand: The motion was made by somebody, who may mean to leave the clip: only NaN blocks.
    """
    finite = bool(np.isfinite(motion.rotations).all() and np.isfinite(motion.translations).all())
    iou, track, bound = _mean([v for v in frames["iou"] if v is not None]), _track(frames), TRACK_BOUND * size
    who = "motion" if by_hand else "lift"
    return (
        Verdict("finite", finite, "all rotations and translations are finite" if finite else "the motion has NaN"),
        Verdict(
            "silhouette",
            iou >= LEAST_IOU,
            f"mean IoU of {who} and mask {iou:.3f}, at least {LEAST_IOU}",
            blocking=not by_hand,
        ),
        Verdict(
            "track_residual",
            track is not None and track <= bound,
            "no tracks to compare with" if track is None else f"median {track:.2f} px, at most {bound:.1f}",
            blocking=False,
        ),
        Verdict(
            "frames_seen",
            unseen == 0,
            f"{unseen} of {motion.frame_count} frames show no character"
            + ("" if by_hand else " and are carried by smoothness"),
            blocking=False,
        ),
        _explained(doubted, partly, by_hand=by_hand),
    )


def _explained(
    doubted: Sequence[Mapping[str, float]], partly: Sequence[Mapping[str, float]], *, by_hand: bool
) -> Verdict:
    """Whether all frames can be explained by some pose; of a motion made by hand, by its own."""
    if by_hand:
        message = f"silhouettes differ at indices {_listed(doubted)}" if doubted else "no frame's silhouette is another"
        return Verdict("frames_explained", not doubted, message, blocking=False)
    parts = []
    if doubted:
        parts.append(f"indices that no pose explains as well as the others, and count for less: {_listed(doubted)}")
    if partly:
        parts.append(f"indices of which some part isn't explained: {_listed(partly)}")
    message = "; ".join(parts) or "every frame is explained about as well as the others"
    return Verdict("frames_explained", not doubted, message, blocking=False)


def _listed(frames: Sequence[Mapping[str, float]]) -> str:
    shown = ", ".join(f"{item['frame']} ({100 * item['explained']:.0f} %)" for item in frames[:8])
    return shown + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")


def _mean(overlaps: Sequence[float]) -> float:
    return float(np.mean(overlaps)) if overlaps else 0.0


def _track(frames: Frames) -> float | None:
    errors = [value for value in frames["track_error_px"] if value is not None]
    return float(np.median(errors)) if errors else None
