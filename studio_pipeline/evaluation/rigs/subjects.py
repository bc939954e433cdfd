"""What rigs are measured against: a character with its own skeleton, weights and clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.evaluation.rigs.skeletons import Skeleton
from studio_pipeline.evaluation.rigs.skins import INFLUENCE
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Character, Rig

__all__ = ["Movement", "Subject", "Truth", "truth_of"]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The skeleton and the weights that are right. J joints, parents first; several roots are allowed."""

    names: tuple[str, ...]  # [J]
    parents: np.ndarray  # [J] int32, -1 for roots
    joints: np.ndarray  # [J, 3] float64 [m]
    tails: np.ndarray  # [J, 3] float64 [m], ends of bones; where a file has none made without its weights
    weights: np.ndarray  # [V, J] float32, rows sum to one

    @property
    def skeleton(self) -> Skeleton:
        """Joints and bones alone."""
        return Skeleton(joints=self.joints, parents=self.parents)


@dataclass(frozen=True)
class Movement:
    """One clip on the true skeleton."""

    name: str
    transforms: np.ndarray  # [T, J, 4, 4] float64, what moves the rest surface with each joint of the truth


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A character, opened."""

    character: Character
    truth: Truth
    movements: tuple[Movement, ...] = ()


def truth_of(rig: Rig, *, made_up_root: bool = False) -> tuple[Truth, np.ndarray]:
    """The part of a rig that counts: joints that own skin weight above `INFLUENCE`, and those above them in the tree.

    Args:
        rig: All of it.
        made_up_root: Joint 0 isn't in the file: it was added to join several roots, and counts only if it owns skin.

    Returns:
        The truth, in which weights of joints that own nothing are shared out, and which joints of the rig are in it.

    Raises:
        InputError: No joint owns skin.
    """
    owns = rig.weights.max(0, initial=0.0) > INFLUENCE
    if not owns.any():
        raise InputError("has a rig that moves no vertex")
    keep = owns.copy()
    for joint in range(rig.joint_count - 1, 0, -1):
        keep[rig.parents[joint]] |= keep[joint]
    if made_up_root:
        keep[0] = owns[0]
    kept = np.flatnonzero(keep)
    number = np.full(rig.joint_count + 1, -1)  # the last is for -1, the parent of roots
    number[kept] = np.arange(len(kept))
    weights = np.where(owns, rig.weights, 0.0)[:, kept].astype(np.float64)
    truth = Truth(
        names=tuple(rig.names[joint] for joint in kept),
        parents=number[rig.parents[kept]].astype(np.int32),
        joints=rig.heads[kept].astype(np.float64),
        tails=rig.tails[kept].astype(np.float64),
        weights=(weights / weights.sum(1, keepdims=True)).astype(np.float32),
    )
    return truth, kept
