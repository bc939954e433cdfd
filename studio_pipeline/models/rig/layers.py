"""Attention in space, and Fourier features: what the rig's networks are made of."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

__all__ = ["Attention", "Block", "Cache", "Nearness", "SpatialAttention", "fourier"]

_FADE = 0.7  # each octave is this much weaker than the one below: what is near is alike
_REACH = (0.08, 0.16, 0.32, 0.64)  # how far heads look at first, in turn; half the box's side is 1


def fourier(values: Tensor, octaves: int) -> Tensor:
    """Sines and cosines of coordinates in [-1, 1]: [..., K] -> [..., K * 2 * octaves], wavelengths 4, 2, 1 ... ."""
    order = torch.arange(octaves, device=values.device, dtype=values.dtype)
    angles = values[..., None] * ((math.pi / 2.0) * 2.0**order)
    return (torch.cat([angles.sin(), angles.cos()], dim=-1) * (_FADE**order).repeat(2)).flatten(-2)


class Cache:
    """Keys and values of the places that one block has decoded so far, in room that is made once.

    Args:
        longest: Places, at most.
    """

    def __init__(self, longest: int) -> None:
        self.longest, self.length = longest, 0
        self.room: tuple[Tensor, Tensor] | None = None

    def join(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those of one more place, each [B, heads, 1, c]; returns those of all. [B, heads, L, c]"""
        if self.room is None:
            batch, heads, _, channels = keys.shape
            self.room = (
                keys.new_empty(batch, heads, self.longest, channels),
                keys.new_empty(batch, heads, self.longest, channels),
            )
        self.length += 1
        for room, value in zip(self.room, (keys, values), strict=True):
            room[:, :, self.length - 1] = value[:, :, 0]
        return self.room[0][:, :, : self.length], self.room[1][:, :, : self.length]


class Attention(nn.Module):
    """Multi-head attention of queries [B, L, d] on a memory [B, M, d]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory, each [B, heads, M, d / heads]."""
        batch, length, width = memory.shape
        pair = self.key_value(memory).view(batch, length, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return pair[0], pair[1]

    def ask(self, x: Tensor) -> Tensor:
        """Queries of x [B, L, d]. [B, heads, L, d / heads]"""
        batch, length, width = x.shape
        return self.query(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, *, causal: bool = False) -> Tensor:
        """What the queries find. [B, L, d]"""
        found = _attend(self.ask(x), keys, values, causal=causal)
        return self.out(found.transpose(1, 2).flatten(2))


class Nearness:
    """Where queries and keys are: what `SpatialAttention` adds to likeness.

    Args:
        apart: Squared distances of queries and keys [B, heads or 1, L, M].
        places: What is looked up where one attends, coordinates of the keys [B, M, P].
        origin: From where those are told, by query [B, L, P].
    """

    def __init__(self, apart: Tensor, places: Tensor, origin: Tensor) -> None:
        self.apart, self.places, self.origin = apart, places, origin


class SpatialAttention(Attention):
    """Attention that likes what is near, and also finds where what it finds lies, seen from the query.

    Scores lose ``|q - k|^2 / (2 r^2)``, with a reach r learnt by head; beside values the mean of the keys' coordinates
    is read. Both make what is learnt at one place hold at others.
    """

    def __init__(self, width: int, heads: int, places: int) -> None:
        super().__init__(width, heads)
        reach = torch.tensor([_REACH[head % len(_REACH)] for head in range(heads)])
        self.sharpness = nn.Parameter(-2.0 * reach.log())
        self.where = nn.Linear(heads * places, width)

    def look(self, x: Tensor, keys: Tensor, values: Tensor, near: Nearness) -> Tensor:
        """What the queries find, and where. [B, L, d]"""
        query = self.ask(x)
        scores = (query * query.shape[-1] ** -0.5) @ keys.mT
        scores = scores - (0.5 * self.sharpness.exp())[:, None, None].to(scores.dtype) * near.apart.to(scores.dtype)
        share = scores.softmax(-1)
        found = share.to(values.dtype) @ values
        places = share.float() @ near.places[:, None].float() - near.origin[:, None]
        return self.out(found.transpose(1, 2).flatten(2)) + self.where(places.transpose(1, 2).flatten(2))


def _attend(query: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Attention [B, heads, L, c]; by plain products for bfloat16 on a CPU, where torch's own is slower
    (`benchmarks/rig.py`)."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, keys, values, is_causal=causal)
    scores = (query * query.shape[-1] ** -0.5) @ keys.mT
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1).to(values.dtype) @ values


class Block(nn.Module):
    """A pre-norm transformer block: attention to its own kind, in space or in order, a memory if any, a perceptron.

    Args:
        width: Of the values.
        heads: Of each attention.
        own: Coordinates that attention to its own kind reads; 0 for attention in order, causal.
        reads: Coordinates that attention to a memory reads; 0 for no memory.
    """

    def __init__(self, width: int, heads: int, *, own: int = 0, reads: int = 0) -> None:
        super().__init__()
        self.own_norm = nn.LayerNorm(width)
        self.own = SpatialAttention(width, heads, own) if own else Attention(width, heads)
        self.read_norm = nn.LayerNorm(width) if reads else None
        self.read = SpatialAttention(width, heads, reads) if reads else None
        self.norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self,
        x: Tensor,
        *,
        own: Nearness | None = None,
        memory: tuple[Tensor, Tensor] | None = None,
        read: Nearness | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Values [B, L, d] -> [B, L, d]; with a cache ``x`` is the one next place, which may look at all before it."""
        normed = self.own_norm(x)
        keys, values = self.own.remember(normed)
        if cache is not None:
            keys, values = cache.join(keys, values)
        if isinstance(self.own, SpatialAttention):
            assert own is not None, "attention in space needs places"
            x = x + self.own.look(normed, keys, values, own)
        else:
            x = x + self.own(normed, keys, values, causal=cache is None)
        if self.read is not None and self.read_norm is not None:
            assert memory is not None and read is not None, "a block that reads needs a memory"
            x = x + self.read.look(self.read_norm(x), *memory, read)
        return x + self.perceptron(self.norm(x))
