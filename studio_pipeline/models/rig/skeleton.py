"""The network that writes skeletons: a latent set of the shape, and a transformer that tells joint after joint.

In the style of UniRig (Zhang et al. 2025). Its own: the token of a coordinate carries all coordinates of its joint that
are known by then, positions of points, medial axis and joints share one embedding, and coordinates are pointed at.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from studio_pipeline.models.files import load_network
from studio_pipeline.models.rig.encoder import Place, Seen, ShapeEncoder
from studio_pipeline.models.rig.layers import Block, Cache, Nearness, fourier
from studio_pipeline.models.rig.pointer import Pointer, Whereabouts, gaps, next_axis, whereabouts
from studio_pipeline.models.rig.tokens import BINS, FIRST_CLASS, Slot

__all__ = ["KIND", "Memory", "SkeletonConfig", "SkeletonNet", "load_skeleton_net"]

KIND = "rig.skeleton"


@dataclass(frozen=True, kw_only=True)
class SkeletonConfig:
    """Size of the network and the classes that it knows."""

    plans: tuple[str, ...]  # body plans, in the order of their class tokens
    width: int = 192
    heads: int = 8
    encoder_layers: int = 4
    decoder_layers: int = 4
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
        self.pointer = Pointer(width)
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
        memory = self.look(points, normals)
        at = whereabouts(tokens, slots)
        return self.decode(self.embed(tokens, slots, at, start=0), memory, at, next_axis(slots)), memory.seen

    def look(self, points: Tensor, normals: Tensor) -> Memory:
        """What the decoder reads of a shape: points and normals [B, N, 3]."""
        seen = self.encoder(points, normals)
        read = [block.read.remember(seen.latents) for block in self.blocks]  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
        return Memory(seen, read, self.pointer.remember(seen))

    def embed(self, tokens: Tensor, slots: Tensor, at: Whereabouts, *, start: int) -> Tensor:
        """Input of the decoder for tokens at places ``start`` and on. [B, L, d]"""
        plan = (tokens - FIRST_CLASS).clamp(0, len(self.config.plans) - 1)
        order = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.slot(slots) + self.order(order) + torch.where((slots == Slot.CLASS)[..., None], self.plan(plan), 0.0)
        return x + torch.where(at.known.any(-1, keepdim=True), self.place(at.places, at.known), 0.0)

    def decode(
        self, x: Tensor, memory: Memory, at: Whereabouts, axis: Tensor, caches: list[Cache] | None = None
    ) -> Tensor:
        """Logits [B, L, vocabulary] after tokens embedded as x [B, L, d]; with caches, after the one next token."""
        apart = gaps(memory.seen, at)
        near = _nearness(memory.seen, at, apart, self.config.heads)
        for k, (block, read) in enumerate(zip(self.blocks, memory.read, strict=True)):
            x = block(x, memory=read, read=near, cache=None if caches is None else caches[k])
        x = self.norm(x)
        middle = (torch.arange(BINS, device=x.device, dtype=torch.float32) + 0.5) * (2.0 / BINS) - 1.0
        table = self.answers.weight
        table = torch.cat([table[:BINS] + self.bins(fourier(middle[:, None], self.config.octaves)), table[BINS:]])
        logits = (self.head(x) @ table.to(x.dtype).T).float()
        pointed = self.pointer(x, memory.pointed, apart, axis)
        return torch.cat([logits[..., :BINS] + pointed, logits[..., BINS:]], dim=-1)


@dataclass(frozen=True)
class Memory:
    """What a decoder reads of a shape."""

    seen: Seen
    read: list[tuple[Tensor, Tensor]]  # keys and values, for each block
    pointed: tuple[Tensor, Tensor]  # see `Pointer.remember`

    def repeat(self, count: int) -> Memory:
        """Every shape ``count`` times, one after the other; what is pointed at is shared."""
        many = [(k.repeat_interleave(count, dim=0), v.repeat_interleave(count, dim=0)) for k, v in self.read]
        keys, bells = self.pointed
        return Memory(self.seen.repeat(count), many, (keys.repeat_interleave(count, dim=0), bells))


def _nearness(seen: Seen, at: Whereabouts, apart: Tensor, heads: int) -> Nearness:
    """Where tokens are from a shape's latents; heads in turn take one of the eight distances of `gaps`."""
    where = torch.cat([seen.votes.detach(), seen.centres], dim=-1)  # [B, M, 12]
    order = [head % apart.shape[1] for head in range(heads)]
    return Nearness(apart[:, order], where, (at.places * at.known).repeat(1, 1, 4))


def load_skeleton_net(path: Path) -> SkeletonNet:
    """A network from weights or from a training's checkpoint, ready for use on the CPU.

    Raises:
        InputError: The file is missing or holds something else.
    """
    return load_network(path, KIND, lambda config: SkeletonNet(SkeletonConfig.from_json(config)))
