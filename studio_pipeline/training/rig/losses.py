"""What the rig's networks are taught by."""

from __future__ import annotations

import torch
from torch import Tensor

from studio_pipeline.models.rig.encoder import Seen
from studio_pipeline.models.rig.tokens import BINS, PAD

__all__ = ["token_loss", "vote_loss"]

_REACH = 4  # bins on either side


def token_loss(logits: Tensor, tokens: Tensor, *, blur: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of next tokens; of a coordinate, with a Gaussian over neighbouring bins as the target.

    Args:
        logits: [B, L, vocabulary], of the token after each.
        tokens: [B, L] int64, padded with ``PAD``.
        blur: Standard deviation of the Gaussian [bins]; 0 for none.

    Returns:
        Mean over the tokens that count, and the same without blur (what a likelihood is read from), detached.
    """
    target = tokens[:, 1:]
    shares = torch.log_softmax(logits[:, :-1].float(), dim=-1)
    counts = target != PAD
    plain = -torch.gather(shares, -1, target[..., None])[..., 0]
    taught = plain
    if blur > 0.0:
        offsets = torch.arange(-_REACH, _REACH + 1, device=target.device)
        near = target[..., None] + offsets
        weight = torch.exp(-0.5 * (offsets / blur).square()).expand(near.shape)
        weight = weight * ((near >= 0) & (near < BINS))
        weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)
        soft = -(weight * torch.gather(shares, -1, near.clamp(0, BINS - 1))).sum(-1)
        taught = torch.where(target < BINS, soft, plain)
    total = counts.sum().clamp_min(1)
    return (taught * counts).sum() / total, (plain.detach() * counts).sum() / total


def vote_loss(seen: Seen, goals: Tensor) -> Tensor:
    """How far the latents' votes lie from where they should (goals [B, N, 9], by point), mean of a Huber loss."""
    wanted = torch.gather(goals, 1, seen.chosen[..., None].expand(-1, -1, goals.shape[-1]))
    return torch.nn.functional.smooth_l1_loss(seen.votes.float(), wanted, beta=0.05)
