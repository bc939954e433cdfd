"""From characters to what the network sees and is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from studio_pipeline.models.rig.tokens import PAD, Skeleton, Slot, encode, slots_of
from studio_pipeline.training.rig_data import Example, draw_example

__all__ = ["Batch", "View", "collate", "held_out_views", "view"]

_STRETCH = 0.18  # log of the factors along the axes
_TURN = 0.14  # [rad] about the vertical
_NOISE = 0.004  # of half the box, the most
_HELD_OUT = 900_001  # seed of the characters that no training draws
_INSIDE_OUT = 0.02  # share of shapes whose normals point inwards


@dataclass(frozen=True, kw_only=True)
class View:
    """A character as it is shown once, in the box [-1, 1]^3."""

    points: np.ndarray  # [N, 3] float32
    normals: np.ndarray  # [N, 3] float32
    joints: np.ndarray  # [J, 3] float32
    parents: np.ndarray  # [J] int32
    tails: np.ndarray  # [J, 3] float32
    weights: np.ndarray  # [N, J] float32
    plan: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step of the skeleton network takes."""

    points: Tensor  # [B, N, 3] float32
    normals: Tensor  # [B, N, 3] float32
    tokens: Tensor  # [B, L] int64, padded at the end
    slots: Tensor  # [B, L] int64
    goals: Tensor  # [B, N, 9] joint that moves each point, its parent, the end of its bone

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def view(example: Example, rng: np.random.Generator, *, count: int, varied: bool = True) -> View:
    """Show a character with ``count`` of its points: stretched, mirrored, turned a little and roughened when varied."""
    some = rng.permutation(len(example.points))[:count]
    points, normals = example.points[some].astype(np.float64), example.normals[some].astype(np.float64)
    ends = np.concatenate([example.joints, example.tails]).astype(np.float64)
    if varied:
        turn = rng.uniform(-_TURN, _TURN)
        spin = np.array([[np.cos(turn), 0.0, np.sin(turn)], [0.0, 1.0, 0.0], [-np.sin(turn), 0.0, np.cos(turn)]])
        matrix = spin @ np.diag(np.exp(rng.uniform(-_STRETCH, _STRETCH, 3)))
        if rng.random() < 0.5:
            matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
        points, ends, normals = points @ matrix.T, ends @ matrix.T, normals @ np.linalg.inv(matrix)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        low, high = points.min(0), points.max(0)
        scale = 2.0 / float((high - low).max())
        points, ends = (points - (low + high) / 2.0) * scale, (ends - (low + high) / 2.0) * scale
        points += rng.normal(size=points.shape) * (_NOISE * rng.random() ** 2)
        normals *= -1.0 if rng.random() < _INSIDE_OUT else 1.0
    joints, tails = np.split(ends, 2)
    return View(
        points=points.astype(np.float32),
        normals=normals.astype(np.float32),
        joints=joints.astype(np.float32),
        tails=tails.astype(np.float32),
        parents=example.parents,
        weights=example.weights[some],
        plan=example.plan,
    )


def collate(views: Sequence[View], plans: Sequence[str], *, longest: int) -> Batch:
    """One batch of views; skeletons of more than ``longest`` tokens are left out."""
    told = [encode(Skeleton(joints=v.joints, parents=v.parents, plan=plans.index(v.plan))) for v in views]
    kept = [k for k, tokens in enumerate(told) if len(tokens) <= longest]
    length = max(len(told[k]) for k in kept)
    tokens = np.full((len(kept), length), PAD, dtype=np.int64)
    slots = np.full((len(kept), length), Slot.END, dtype=np.int64)
    for row, k in enumerate(kept):
        tokens[row, : len(told[k])] = told[k]
        slots[row, : len(told[k])] = slots_of(told[k])
    return Batch(
        points=torch.from_numpy(np.stack([views[k].points for k in kept])),
        normals=torch.from_numpy(np.stack([views[k].normals for k in kept])),
        tokens=torch.from_numpy(tokens),
        slots=torch.from_numpy(slots),
        goals=torch.from_numpy(np.stack([_goals(views[k]) for k in kept])),
    )


def _goals(seen: View) -> np.ndarray:
    """For each point the head of the joint that moves it most, of that joint's parent, and its tail. [N, 9]"""
    joint = seen.weights.argmax(1)
    parent = np.where(seen.parents[joint] < 0, joint, seen.parents[joint])
    return np.concatenate([seen.joints[joint], seen.joints[parent], seen.tails[joint]], axis=1)


def held_out_views(count: int, *, points: int) -> list[View]:
    """Characters that training never sees, unvaried, always the same."""
    views = []
    for k in range(count):
        rng = np.random.default_rng([_HELD_OUT, k])
        views.append(view(draw_example(rng, count=points), rng, count=points, varied=False))
    return views
