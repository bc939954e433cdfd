"""Training of the network that ties surfaces to bones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from studio_pipeline.geometry.geodesics import bone_geodesics
from studio_pipeline.models.rig.skin import KIND, SkinConfig, SkinNet
from studio_pipeline.training.loop import Piece, Training
from studio_pipeline.training.rig.batches import View, held_out_views, view
from studio_pipeline.training.rig.stream import Stream
from studio_pipeline.training.rig_data import draw_example

__all__ = ["SkinTraining", "SkinnedView", "skinned"]

_POSED = 4.0  # what the posed points' error counts against the weights' divergence
_BEND = 0.5  # [rad] of the random poses, standard deviation
_LOOKED_AT = 48  # held-out characters


@dataclass(frozen=True, kw_only=True)
class SkinnedView:
    """A character as it is shown once, with what its bones are to its points."""

    view: View
    geodesics: np.ndarray  # [N, J] float32
    pose: np.ndarray  # [J, 3, 4] float32, what a random pose does to the space of each joint


def skinned(seen: View, rng: np.random.Generator) -> SkinnedView:
    """Distances along the body, and a random pose, of a view."""
    count = len(seen.joints)
    turns = Rotation.from_rotvec(rng.normal(size=(count, 3)) * (_BEND / np.sqrt(3.0))).as_matrix()
    pose = np.zeros((count, 4, 4))
    for joint, parent in enumerate(seen.parents):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = seen.joints[joint] - turns[joint] @ seen.joints[joint]
        pose[joint] = local if parent < 0 else pose[parent] @ local
    return SkinnedView(
        view=seen,
        geodesics=bone_geodesics(seen.points, seen.normals, seen.joints, seen.tails),
        pose=pose[:, :3].astype(np.float32),
    )


def _draw(rng: np.random.Generator, *, points: int) -> SkinnedView:
    return skinned(view(draw_example(rng, count=points), rng, count=points), rng)


class SkinTraining(Training):
    """See `Training`. Figures: ``loss`` (divergence of weights [nat]), ``l1`` (sum of |dw| a point), ``posed``."""

    name, kind = "skin", KIND

    def __init__(
        self, folder: Path, piece: Piece, config: SkinConfig | None = None, *, start: Path | None = None
    ) -> None:
        self.config = config or SkinConfig()  # of a network that is new
        super().__init__(folder, piece, start=start)
        self.stream: Stream[SkinnedView] | None = None
        rng = np.random.default_rng(0)
        self.held = [skinned(seen, rng) for seen in held_out_views(_LOOKED_AT, points=piece.points)]

    def network(self, config: dict[str, Any] | None) -> SkinNet:
        """As the class says."""
        self.config = self.config if config is None else SkinConfig(**config)
        return SkinNet(self.config)

    def configuration(self) -> dict[str, Any]:
        """As the class says."""
        return self.config.to_json()

    def loss(self) -> tuple[Tensor, dict[str, float], int]:
        """Divergence of the weights, and the error of points posed by them."""
        piece = self.piece
        if self.stream is None:
            draw = partial(_draw, points=piece.points)
            self.stream = Stream(draw, seed=self.seed, workers=piece.workers, reuse=piece.reuse)
        views = self.stream.batch(piece.batch)
        self.drawn = self.stream.drawn
        divergence, posed, l1 = self._compare(views, mixed=piece.mixed)
        return divergence + _POSED * posed, {"loss": float(divergence.detach()), "l1": l1}, len(views)

    def judge(self) -> dict[str, float]:
        """Divergence and difference of weights on held-out characters."""
        found = [self._compare(self.held[k : k + 16], mixed=False) for k in range(0, len(self.held), 16)]
        return {
            "held_out_loss": float(np.mean([divergence.item() for divergence, _, _ in found])),
            "held_out_posed": float(np.mean([posed.item() for _, posed, _ in found])),
            "held_out_l1": float(np.mean([l1 for _, _, l1 in found])),
        }

    def _compare(self, views: Sequence[SkinnedView], *, mixed: bool) -> tuple[Tensor, Tensor, float]:
        """Divergence of weights, how far posed points are off [half the box], and the sum of |dw| a point."""
        batch = _collate(views, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            told = self.net(batch["shape"], batch["bones"], batch["asked"])
        wanted, there = batch["weights"], batch["bones"][2]
        told = told.masked_fill(~there[:, None], 0.0)
        divergence = (torch.xlogy(wanted, wanted) - wanted * told).sum(-1).mean()
        change = torch.where(there[:, None], told.exp(), 0.0) - wanted
        points = batch["asked"][0]
        placed = torch.einsum(
            "bjrc,bnc->bnjr", batch["pose"], torch.cat([points, torch.ones_like(points[..., :1])], -1)
        )
        posed = (change[..., None] * placed).sum(-2).abs().sum(-1).mean()
        return divergence, posed, float(change.detach().abs().sum(-1).mean())

    def close(self) -> None:
        """End the drawing processes."""
        if self.stream is not None:
            self.stream.close()


def _collate(views: Sequence[SkinnedView], device: torch.device) -> dict[str, Any]:
    """Arrays of a batch, bones padded to the most that one has."""
    most = max(len(item.view.joints) for item in views)

    def padded(arrays: list[np.ndarray], axis: int) -> Tensor:
        rooms = [[(0, 0)] * axis + [(0, most - a.shape[axis])] + [(0, 0)] * (a.ndim - axis - 1) for a in arrays]
        made = [np.pad(array, room) for array, room in zip(arrays, rooms, strict=True)]
        return torch.from_numpy(np.stack(made)).to(device)

    points, normals = (
        torch.from_numpy(np.stack([getattr(item.view, name) for item in views])).to(device)
        for name in ("points", "normals")
    )
    heads, tails = (padded([getattr(item.view, name) for item in views], 0) for name in ("joints", "tails"))
    there = padded([np.ones(len(item.view.joints), bool) for item in views], 0)
    return {
        "shape": (points, normals),
        "bones": (heads, tails, there),
        "asked": (points, normals, padded([item.geodesics for item in views], 1)),
        "weights": padded([item.view.weights for item in views], 1).float(),
        "pose": padded([item.pose for item in views], 0),
    }
