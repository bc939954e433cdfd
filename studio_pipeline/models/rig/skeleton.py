"""The network that writes skeletons: a latent set of the shape, and a transformer that tells joint after joint.

In the style of UniRig (Zhang et al. 2025). Its own: the token of a coordinate carries all coordinates of its joint that
are known by then, and positions of points, medial axis and joints share one embedding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from studio_pipeline.models.files import load_network
from studio_pipeline.models.rig.encoder import Place, Seen, ShapeEncoder
from studio_pipeline.models.rig.layers import Block, Cache, Nearness, fourier
from studio_pipeline.models.rig.tokens import BINS, FIRST_CLASS, Slot

__all__ = ["KIND", "SkeletonConfig", "SkeletonNet", "known_places", "load_skeleton_net", "nearness"]

KIND = "rig.skeleton"


@dataclass(frozen=True, kw_only=True)
class SkeletonConfig:
    """Size of the network and the classes that it knows."""

    plans: tuple[str, ...]  # body plans, in the order of their class tokens
    width: int = 192
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 5
    latents: int = 128
    octaves: int = 7
    longest: int = 512  # tokens

    def to_json(self) -> dict:
        """Plain values, for a file's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> SkeletonConfig:
        """What `to_json` gave."""
        return cls(**{**values, "plans": tuple(values["plans"])})


class SkeletonNet(nn.Module):
    """Next-token logits of a skeleton's sequence, given points on the shape."""

    def __init__(self, config: SkeletonConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.place = Place(width, config.octaves)
        self.encoder = ShapeEncoder(
            width, config.heads, layers=config.encoder_layers, latents=config.latents, place=self.place
        )
        self.slot = nn.Embedding(Slot.COUNT, width)
        self.plan = nn.Embedding(len(config.plans), width)
        self.order = nn.Embedding(config.longest, width)
        self.blocks = nn.ModuleList(Block(width, config.heads, reads=12) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, width)
        self.bins = nn.Linear(2 * config.octaves, width)  # bins that lie together mean nearly the same
        self.answers = nn.Embedding(FIRST_CLASS + len(config.plans), width)
        for table in (self.slot, self.plan, self.order, self.answers):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, points: Tensor, normals: Tensor, tokens: Tensor, slots: Tensor) -> tuple[Tensor, Seen]:
        """Logits of the token after each.

        Args:
            points: [B, N, 3] on the surface, in [-1, 1].
            normals: [B, N, 3] outward.
            tokens: [B, L] int64.
            slots: [B, L] int64, see `tokens.Slot`.

        Returns:
            [B, L, vocabulary], and the shape as it was seen.
        """
        seen = self.encoder(points, normals)
        places, known = known_places(tokens, slots)
        x = self.embed(tokens, slots, places, known, start=0)
        near = nearness(seen, places, known, self.config.heads)
        for block, memory in zip(self.blocks, self.memories(seen), strict=True):
            x = block(x, memory=memory, read=near)
        return self.logits(x), seen

    def memories(self, seen: Seen) -> list[tuple[Tensor, Tensor]]:
        """What each block of the decoder reads of the shape."""
        return [block.read.remember(seen.latents) for block in self.blocks]  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]

    def embed(self, tokens: Tensor, slots: Tensor, places: Tensor, known: Tensor, *, start: int) -> Tensor:
        """Input of the decoder for tokens at places ``start`` and on. [B, L, d]"""
        plan = (tokens - FIRST_CLASS).clamp(0, len(self.config.plans) - 1)
        order = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.slot(slots) + self.order(order) + torch.where((slots == Slot.CLASS)[..., None], self.plan(plan), 0.0)
        return x + torch.where(known.any(-1, keepdim=True), self.place(places, known), 0.0)

    def step(self, x: Tensor, memory: list[tuple[Tensor, Tensor]], near: Nearness, caches: list[Cache]) -> Tensor:
        """Logits [B, vocabulary] after one more token, embedded as x [B, 1, d]."""
        for block, read, cache in zip(self.blocks, memory, caches, strict=True):
            x = block(x, memory=read, read=near, cache=cache)
        return self.logits(x)[:, -1]

    def logits(self, x: Tensor) -> Tensor:
        """Decoder output [B, L, d] -> [B, L, vocabulary]."""
        middle = (torch.arange(BINS, device=x.device, dtype=torch.float32) + 0.5) * (2.0 / BINS) - 1.0
        table = self.answers.weight
        table = torch.cat([table[:BINS] + self.bins(fourier(middle[:, None], self.config.octaves)), table[BINS:]])
        return self.head(self.norm(x)) @ table.to(x.dtype).T


def nearness(seen: Seen, places: Tensor, known: Tensor, heads: int) -> Nearness:
    """Where tokens are from a shape's latents, by the coordinates of their joints that are known.

    Heads in turn measure from the joint that a latent votes for, from that joint's parent, from its bone's end and
    from the latent's medial ball: what hangs on a joint lies where latents vote for it as their parent.

    Args:
        seen: The shape.
        places: [B, L, 3].
        known: [B, L, 3] bool.
        heads: Number of heads.
    """
    where = torch.cat([seen.votes.detach(), seen.centres], dim=-1)  # [B, M, 12]
    flags = known.to(where.dtype)
    kinds = []
    for kind in range(min(heads, 4)):
        at = where[..., 3 * kind : 3 * kind + 3]
        gap = (places[:, :, None] - at[:, None]) * flags[:, :, None]
        kinds.append(gap.square().sum(-1))
    apart = torch.stack([kinds[head % len(kinds)] for head in range(heads)], dim=1)
    return Nearness(apart, where, (places * flags).repeat(1, 1, 4))


def known_places(tokens: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """For each token the coordinates of its joint that are known there, and which those are. [B, L, 3] each"""
    value = (tokens.clamp(0, BINS - 1) + 0.5) * (2.0 / BINS) - 1.0
    before = [torch.nn.functional.pad(value, (shift, 0))[:, : value.shape[1]] for shift in range(3)]
    axis = torch.where(slots <= Slot.PARENT_Z, slots % 3, -1)
    places = torch.zeros((*value.shape, 3), device=value.device, dtype=value.dtype)
    for last in range(3):
        for coordinate in range(last + 1):
            shifted = before[last - coordinate]
            places[..., coordinate] = torch.where(axis == last, shifted, places[..., coordinate])
    known = torch.arange(3, device=value.device) <= axis[..., None]
    return places, known


def load_skeleton_net(path: Path) -> SkeletonNet:
    """A network from weights or from a training's checkpoint, ready for use on the CPU.

    Raises:
        InputError: The file is missing or holds something else.
    """
    return load_network(path, KIND, lambda config: SkeletonNet(SkeletonConfig.from_json(config)))
