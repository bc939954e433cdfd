"""Coordinates by pointing: the next joint lies where some of the latents vote that a joint is.

A decoder that must say coordinates by a table of bins has to learn what it means to copy one at every place of the
box. Pointing (after Vinyals et al. 2015, "Pointer Networks") leaves it only the choice of what to copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studio_pipeline.models.rig.encoder import Seen
from studio_pipeline.models.rig.tokens import BINS, Slot

__all__ = ["Pointer", "Whereabouts", "gaps", "next_axis", "whereabouts"]

_KINDS = 3  # what a latent votes for: its joint, that joint's parent, its bone's end
_CHANNELS = 48  # of queries and keys
_FIRST_REACH, _FIRST_SPREAD = 0.25, 0.08  # before anything is learnt; half the box's side is 1
_FLOOR = 1e-4  # share of a bin that nothing points at


@dataclass(frozen=True)
class Whereabouts:
    """What is known, at each token, of where the skeleton goes on."""

    places: Tensor  # [B, L, 3] coordinates of the token's joint that are known there, others 0
    known: Tensor  # [B, L, 3] bool
    anchors: Tensor  # [B, L, 3] the joint that the next one hangs on, were it no branch; 0 before there is one
    anchored: Tensor  # [B, L] bool

    def last(self) -> Whereabouts:
        """Of the last token only."""
        return Whereabouts(*(value[:, -1:] for value in vars(self).values()))


def whereabouts(tokens: Tensor, slots: Tensor) -> Whereabouts:
    """Read places from tokens [B, L] and what they stand for [B, L]."""
    value = (tokens.clamp(0, BINS - 1) + 0.5) * (2.0 / BINS) - 1.0
    before = [torch.nn.functional.pad(value, (shift, 0))[:, : value.shape[1]] for shift in range(3)]
    axis = torch.where(slots <= Slot.PARENT_Z, slots % 3, -1)
    places = torch.zeros((*value.shape, 3), device=value.device, dtype=value.dtype)
    for last in range(3):
        for coordinate in range(last + 1):
            shifted = before[last - coordinate]
            places[..., coordinate] = torch.where(axis == last, shifted, places[..., coordinate])
    known = torch.arange(3, device=value.device) <= axis[..., None]
    order = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    whole = torch.where(axis == 2, order, -1).cummax(dim=1).values
    anchors = torch.gather(places, 1, whole.clamp_min(0)[..., None].expand(-1, -1, 3))
    return Whereabouts(places, known, anchors * (whole >= 0)[..., None], whole >= 0)


def gaps(seen: Seen, at: Whereabouts) -> Tensor:
    """Squared distances of tokens to what latents vote for and to their medial balls. [B, 8, L, M]

    The first four are from the token's joint, by the coordinates that are known, to a latent's joint, its parent,
    its bone's end and its ball; the others the same from the anchor: what hangs on a joint lies where latents vote for
    it as their parent.
    """
    where = torch.cat([seen.votes.detach(), seen.centres], dim=-1).unflatten(-1, (4, 3))  # [B, M, 4, 3]
    found = []
    for origin, flags in ((at.places, at.known), (at.anchors, at.anchored[..., None].expand(-1, -1, 3))):
        shares = flags.to(where.dtype)
        ahead = (origin.square() * shares).sum(-1)[:, None, :, None]
        middle = torch.einsum("blc,bmkc->bklm", origin * shares, where)
        back = torch.einsum("blc,bmkc->bklm", shares, where.square())
        found.append((ahead - 2.0 * middle + back).clamp_min(0.0))
    return torch.cat(found, dim=1)


def next_axis(slots: Tensor) -> Tensor:
    """Which coordinate a token after these tells, if it tells one. [B, L]"""
    return torch.where((slots <= Slot.PARENT_Z) & (slots % 3 < 2), slots % 3 + 1, 0)


class Pointer(nn.Module):
    """Shares of the bins by what latents vote for, weighted by how well they fit what is to be told next."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, _KINDS * _CHANNELS)
        self.key = nn.Linear(width, _KINDS * _CHANNELS)
        self.sharpness = nn.Linear(width, 8)
        self.spread = nn.Linear(width, 3 * _KINDS)
        nn.init.zeros_(self.sharpness.weight)
        nn.init.constant_(self.sharpness.bias, -2.0 * math.log(_FIRST_REACH))
        nn.init.zeros_(self.spread.weight)
        nn.init.constant_(self.spread.bias, math.log(_FIRST_SPREAD))

    def remember(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Keys [B, kinds, M, c] and, for every axis, the shares of bins that a vote gives [B, 3, kinds * M, bins]."""
        keys = self.key(seen.latents).unflatten(-1, (_KINDS, _CHANNELS)).permute(0, 2, 1, 3)
        spread = self.spread(seen.latents).float().clamp(-5.0, 0.0).exp().unflatten(-1, (_KINDS, 3))
        # While pointing is still random it would pull the votes together: they have a loss of their own.
        votes = seen.votes.detach().float().unflatten(-1, (_KINDS, 3))
        spread, votes = (value.permute(0, 3, 2, 1).flatten(2)[..., None] for value in (spread, votes))
        middle = (torch.arange(BINS, device=votes.device, dtype=torch.float32) + 0.5) * (2.0 / BINS) - 1.0
        height = (2.0 / BINS / math.sqrt(2.0 * math.pi)) / spread
        apart = ((middle - votes) * (math.sqrt(0.5) / spread)).to(keys.dtype)
        return keys, torch.exp(-apart * apart) * height.to(keys.dtype)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], apart: Tensor, axis: Tensor) -> Tensor:
        """Log-shares of the bins of the next coordinate.

        Args:
            x: [B, L, d] of the decoder.
            memory: What `remember` gave; the bells may be those of S shapes, for B / S rows of each in turn.
            apart: [B, 8, L, M], see `gaps`.
            axis: [B, L], see `next_axis`.

        Returns:
            [B, L, bins] float32.
        """
        keys, bells = memory
        query = self.query(x).unflatten(-1, (_KINDS, _CHANNELS)).permute(0, 2, 1, 3)
        sharp = self.sharpness(x).float().clamp(-6.0, 9.0).exp()
        scores = (query @ keys.mT).float() * _CHANNELS**-0.5
        scores = scores - 0.5 * torch.einsum("blk,bklm->blm", sharp, apart)[:, None]
        share = scores.permute(0, 2, 1, 3).flatten(2).softmax(-1).to(bells.dtype)  # [B, L, kinds * M]
        told = scores.new_zeros(*share.shape[:2], BINS)
        by_shape = share.reshape(len(bells), -1, share.shape[-1])
        for coordinate in range(3):
            found = (by_shape @ bells[:, coordinate]).view_as(told).float()
            told = torch.where((axis == coordinate)[..., None], found, told)
        return (told + _FLOOR).log()
