"""How far two skeletons are apart: the chamfer distances of the rigging papers.

A bone is the segment from a joint to its parent, in the truth and in a prediction alike, as in the published measures
(RigNet's, which MagicArticulate, UniRig and Puppeteer use too). A leaf has no bone of its own: where it would end is
not in most files, so tails count nowhere here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.bones import bone_segments, segment_distances
from studio_pipeline.schema.errors import InputError

__all__ = ["SAMPLE_STEP", "Skeleton", "chamfer_figures", "unit_box"]

SAMPLE_STEP = 0.005  # between points on bones, of the [-1, 1] box; RigNet's
_CENTI = 100.0  # figures are in units of 1e-2


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Joints and who hangs on whom. Several roots are allowed."""

    joints: np.ndarray  # [J, 3] float64
    parents: np.ndarray  # [J], -1 for roots

    @property
    def bones(self) -> np.ndarray:
        """Segments from parents to children; a joint with neither is a bone of no length. [B, 2, 3]"""
        return bone_segments(self.joints, self.parents)

    def into(self, centre: np.ndarray, scale: float) -> Skeleton:
        """The same skeleton moved by ``-centre`` and scaled."""
        return Skeleton(joints=(self.joints.astype(np.float64) - centre) * scale, parents=self.parents)


def unit_box(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """What moves a mesh [V, 3] into [-1, 1] by its longest side: the centre of its box [3], and the scale after it.

    Raises:
        InputError: The mesh has no extent.
    """
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    longest = float((high - low).max())
    if not (np.isfinite(longest) and longest > 0.0):
        raise InputError("the character has no extent", do="give a mesh with at least one face")
    return (low + high) / 2.0, 2.0 / longest


def chamfer_figures(truth: Skeleton, guess: Skeleton, vertices: np.ndarray) -> dict[str, float]:
    """Chamfer distances in a [-1, 1] box, in units of 1e-2: the halved sum of the means of both directions.

    Args:
        truth: The skeleton that is right.
        guess: The other one, in the same frame and unit.
        vertices: The mesh that both are of; gives the box. [V, 3]

    Returns:
        ``j2j``: joints to the nearest joint. ``j2b``: joints to the nearest bone. ``b2b``: points spread evenly over
        the length of the bones to the nearest bone. ``missed`` and ``extra``: the two directions of ``j2j``, from the
        true joints and from the guess's. ``joint_ratio``: joints of the guess for one of the truth.
    """
    box = unit_box(vertices)
    one, other = truth.into(*box), guess.into(*box)
    gaps = np.linalg.norm(one.joints[:, None] - other.joints[None], axis=-1)
    missed, extra = gaps.min(1).mean(), gaps.min(0).mean()
    figures = {"j2j": missed + extra, "j2b": 0.0, "b2b": 0.0}
    for here, there in ((one, other), (other, one)):
        figures["j2b"] += segment_distances(here.joints, there.bones).min(1).mean()
        points, lengths = _on_bones(here.bones)
        figures["b2b"] += np.average(segment_distances(points, there.bones).min(1), weights=lengths)
    found = {name: float(_CENTI * value / 2.0) for name, value in figures.items()}
    found |= {"missed": float(_CENTI * missed), "extra": float(_CENTI * extra)}
    return found | {"joint_ratio": len(guess.joints) / len(truth.joints)}


def _on_bones(bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in the middle of pieces of bones [B, 2, 3], and the pieces' lengths (ones where no bone has any)."""
    points, lengths = [], []
    for start, end in bones:
        length = float(np.linalg.norm(end - start))
        count = max(int(np.ceil(length / SAMPLE_STEP)), 1)
        share = (np.arange(count) + 0.5)[:, None] / count
        points.append(start + share * (end - start))
        lengths.append(np.full(count, length / count))
    weights = np.concatenate(lengths)
    return np.concatenate(points), weights if weights.any() else np.ones_like(weights)
