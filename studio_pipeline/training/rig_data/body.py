"""What the generator gives: a body as an analytic shape, and an example sampled from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.training.rig_data.shape import Shape

__all__ = ["Body", "Example"]


@dataclass(frozen=True, kw_only=True)
class Body:
    """A procedural character: skeleton and primitives. Y up, facing +Z, its left is +X; any unit of length."""

    plan: str  # one of `PLANS`
    joints: np.ndarray  # [J, 3] float32, heads; joint 0 is the only root, parents come first
    parents: np.ndarray  # [J] int32, -1 for the root
    tails: np.ndarray  # [J, 3] float32, end of the bone that the joint moves
    names: tuple[str, ...]  # J unique names; left and right end in ".L" and ".R"
    shape: Shape
    rigid: bool = False  # every point follows one joint (robots, hinged props)
    symmetric: bool = True  # mirroring x gives the same body
    grounded: bool = False  # the root stands at the ground, outside the surface

    @property
    def joint_count(self) -> int:
        """Number of joints J."""
        return len(self.parents)


@dataclass(frozen=True, kw_only=True)
class Example:
    """Surface points of one body and its rig, in the frame where the points' longest side is [-1, 1]."""

    plan: str
    points: np.ndarray  # [N, 3] float32, centred on the bounding box
    normals: np.ndarray  # [N, 3] float32, unit, outward
    joints: np.ndarray  # [J, 3] float32
    parents: np.ndarray  # [J] int32, -1 for the root
    tails: np.ndarray  # [J, 3] float32
    names: tuple[str, ...]
    weights: np.ndarray  # [N, J] float32, rows sum to one, at most 8 non-zero
    grounded: bool = False  # the root is a joint on the ground, which the shape doesn't tell
