"""Attention blocks and Fourier features that the rig's networks are made of."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

__all__ = ["Attention", "Block", "Cache", "fourier"]

Cache = dict[str, Tensor]  # keys and values of the places decoded so far, one for every block


def fourier(values: Tensor, octaves: int) -> Tensor:
    """Sines and cosines of coordinates in [-1, 1]: [..., K] -> [..., K * 2 * octaves], wavelengths 4, 2, 1 ... ."""
    steps = (math.pi / 2.0) * 2.0 ** torch.arange(octaves, device=values.device, dtype=values.dtype)
    angles = values[..., None] * steps
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


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

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, *, causal: bool = False) -> Tensor:
        """What the queries find. [B, L, d]"""
        batch, length, width = x.shape
        query = self.query(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        found = _attend(query, keys, values, causal=causal)
        return self.out(found.transpose(1, 2).reshape(batch, length, width))


def _attend(query: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Attention [B, heads, L, c]; by plain products for bfloat16 on a CPU, where torch's own takes twice to four times
    as long, forward and backward (2.13)."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, keys, values, is_causal=causal)
    scores = (query * query.shape[-1] ** -0.5) @ keys.mT
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1).to(values.dtype) @ values


class Block(nn.Module):
    """A pre-norm transformer block: attention to itself, to a memory when it has one, and a two-layer perceptron."""

    def __init__(self, width: int, heads: int, *, reads: bool, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.own_norm, self.own = nn.LayerNorm(width), Attention(width, heads)
        self.read_norm, self.read = (nn.LayerNorm(width), Attention(width, heads)) if reads else (None, None)
        self.norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor] | None = None, cache: Cache | None = None) -> Tensor:
        """Values [B, L, d] -> [B, L, d]; with a cache ``x`` is the one next place, which may look at all before it."""
        normed = self.own_norm(x)
        keys, values = self.own.remember(normed)
        if cache is not None:
            if cache:
                keys, values = torch.cat([cache["keys"], keys], dim=2), torch.cat([cache["values"], values], dim=2)
            cache["keys"], cache["values"] = keys, values
        x = x + self.own(normed, keys, values, causal=self.causal and cache is None)
        if self.read is not None and self.read_norm is not None:
            assert memory is not None, "a block that reads needs a memory"
            x = x + self.read(self.read_norm(x), *memory)
        return x + self.perceptron(self.norm(x))
