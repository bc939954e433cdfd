"""Training of the network that writes skeletons."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio_pipeline.models.rig.sampling import draw_skeletons
from studio_pipeline.models.rig.skeleton import KIND, SkeletonConfig, SkeletonNet
from studio_pipeline.training.loop import Piece, Training
from studio_pipeline.training.rig.batches import collate, held_out_views, view
from studio_pipeline.training.rig.losses import token_loss, vote_loss
from studio_pipeline.training.rig.stream import Stream
from studio_pipeline.training.rig_data import PLANS, Example, draw_example

__all__ = ["SkeletonTraining"]

_BLUR = 0.8  # [bins] of the coordinates that are taught
_VOTES = 20.0  # what the votes' loss counts against the tokens'
_ALONE = 1500  # steps in which only votes are taught: a decoder can't learn from latents that know nothing
_LOOKED_AT, _WRITTEN = 64, 32  # held-out characters whose loss is taken, and whose skeletons are written


class SkeletonTraining(Training):
    """See `Training`. Figures: ``loss`` of a token [nat], ``votes``, ``held_out_loss``, ``j2j_median``."""

    name, kind = "skeleton", KIND

    def __init__(
        self, folder: Path, piece: Piece, config: SkeletonConfig | None = None, *, start: Path | None = None
    ) -> None:
        self.config = config or SkeletonConfig(plans=PLANS)  # of a network that is new
        super().__init__(folder, piece, start=start)
        self.rng = np.random.default_rng([self.seed, 77])
        self.stream: Stream[Example] | None = None
        self.held = held_out_views(_LOOKED_AT, points=piece.points)

    def network(self, config: dict[str, Any] | None) -> SkeletonNet:
        """As the class says."""
        self.config = self.config if config is None else SkeletonConfig.from_json(config)
        return SkeletonNet(self.config)

    def configuration(self) -> dict[str, Any]:
        """As the class says."""
        return self.config.to_json()

    def loss(self) -> tuple[Tensor, dict[str, float], int]:
        """Cross-entropy of the next tokens and what the latents' votes are off."""
        piece = self.piece
        if self.stream is None:
            draw = partial(draw_example, count=piece.points * 5 // 4)
            self.stream = Stream(draw, seed=self.seed, workers=piece.workers, reuse=piece.reuse)
        views = [view(example, self.rng, count=piece.points) for example in self.stream.batch(piece.batch)]
        self.drawn = self.stream.drawn
        batch = collate(views, self.config.plans, longest=self.config.longest).to(self.device)
        if self.history["steps"] < _ALONE:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=piece.mixed):
                votes = vote_loss(self.net.encoder(batch.points, batch.normals), batch.goals)
            return _VOTES * votes, {"votes": float(votes.detach())}, len(batch.tokens)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=piece.mixed):
            logits, seen = self.net(batch.points, batch.normals, batch.tokens, batch.slots)
        taught, plain = token_loss(logits, batch.tokens, blur=_BLUR)
        votes = vote_loss(seen, batch.goals)
        return taught + _VOTES * votes, {"loss": float(plain), "votes": float(votes.detach())}, len(batch.tokens)

    def judge(self) -> dict[str, float]:
        """Loss on held-out characters, and how far the likeliest skeletons of some are off (J2J x 1e-2)."""
        if self.history["steps"] < _ALONE:
            return {}
        losses, apart = [], []
        for start in range(0, len(self.held), 16):
            batch = collate(self.held[start : start + 16], self.config.plans, longest=self.config.longest)
            batch = batch.to(self.device)
            logits, _ = self.net(batch.points, batch.normals, batch.tokens, batch.slots)
            losses.append(float(token_loss(logits, batch.tokens, blur=0.0)[1]))
        for seen in self.held[:_WRITTEN]:
            for drawn in draw_skeletons(self.net, [(seen.points, seen.normals)], temperatures=(0.0,), seed=0)[0]:
                apart.append(_chamfer(drawn.skeleton.joints, seen.joints))
        return {
            "held_out_loss": float(np.mean(losses)),
            "j2j_median": float(np.median(apart)) if apart else float("nan"),
            "j2j_mean": float(np.mean(apart)) if apart else float("nan"),
        }

    def close(self) -> None:
        """End the drawing processes."""
        if self.stream is not None:
            self.stream.close()


def _chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """J2J of joints [J, 3] and [K, 3] in the box [-1, 1], in units of 1e-2."""
    apart = np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=-1)
    return 50.0 * float(apart.min(0).mean() + apart.min(1).mean())
