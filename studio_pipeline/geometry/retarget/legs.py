"""Two-bone inverse kinematics on legs: ankles where they are wanted, knees bending the way they do."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.retarget.figure import Figure
from studio_pipeline.geometry.retarget.transfer import Pose

__all__ = ["REACH", "Leg", "legs_of", "reach_ankle"]

REACH = 0.999  # of thigh and shin: a leg is never quite straight, so that its knee knows the way
_HINGE = 0.05  # of thigh times shin: how much the hip's own left counts for the axis of an almost straight knee


class Leg:
    """One leg's joints and lengths on a figure."""

    def __init__(self, figure: Figure, side: str) -> None:
        self.side = side
        self.thigh, self.foot = figure.parts["thigh" + side], figure.parts["foot" + side]
        self.shin = figure.parts["shin" + side]
        self.toe = figure.parts.get("toe" + side)
        self.upper = float(np.linalg.norm(figure.heads[self.shin] - figure.heads[self.thigh]))
        self.lower = float(np.linalg.norm(figure.heads[self.foot] - figure.heads[self.shin]))
        self.left = figure.frame()[:, 0]  # [3] at rest

    @property
    def length(self) -> float:
        """Thigh and shin."""
        return self.upper + self.lower


def legs_of(figure: Figure) -> dict[str, Leg]:
    """The legs that have a thigh, a shin and a foot, by side."""
    whole = [side for side in (".L", ".R") if all(part + side in figure.parts for part in ("thigh", "shin", "foot"))]
    return {side: Leg(figure, side) for side in whole}


def reach_ankle(pose: Pose, leg: Leg, goal: np.ndarray, places: np.ndarray) -> None:
    """Turn thigh and shin so that the ankle comes to ``goal`` [T, 3], or as near as the leg reaches.

    The plane of the knee keeps its angle about the leg; the foot keeps its turn.

    Args:
        pose: Changed in place.
        leg: Which leg.
        goal: Where the ankle shall be [T, 3].
        places: The pose's joints [T, J, 3].
    """
    hip, knee, ankle = (places[:, joint] for joint in (leg.thigh, leg.shin, leg.foot))
    upper, lower = knee - hip, ankle - knee
    left = pose.turns[:, leg.thigh] @ leg.left
    axis = np.cross(upper, lower)
    # A knee that bends the wrong way, or not at all, takes the hip's left for its axis.
    wrong = (axis * left).sum(1, keepdims=True) < 0.0
    axis = np.where(wrong, 0.0, axis) + _HINGE * leg.upper * leg.lower * left
    way = goal - hip
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    way = way / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(leg.upper - leg.lower) * 1.01 + 1e-9, REACH * leg.length)
    axis = _unit(axis - (axis * way).sum(1, keepdims=True) * way)
    along = (distance**2 + leg.upper**2 - leg.lower**2) / (2.0 * distance)
    aside = np.sqrt(np.maximum(leg.upper**2 - along**2, 0.0))
    bent = hip + along * way + aside * np.cross(way, axis)
    end = hip + distance * way
    for joint, before, after in ((leg.thigh, upper, bent - hip), (leg.shin, lower, end - bent)):
        pose.turns[:, joint] = _turned(before, after, axis) @ pose.turns[:, joint]


def _turned(before: np.ndarray, after: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] that turn bones ``before`` to ``after`` [T, 3] and keep ``axis`` across them as it was."""

    def frame(bone: np.ndarray, across: np.ndarray) -> np.ndarray:
        along = _unit(bone)
        across = _unit(across - (across * along).sum(1, keepdims=True) * along)
        return np.stack([along, across, np.cross(along, across)], axis=-1)

    return np.einsum("tab,tcb->tac", frame(after, axis), frame(before, axis))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
