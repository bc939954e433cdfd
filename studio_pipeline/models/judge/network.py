"""The network of the judge: measures of a short clip in, a logit of collapse for each of four heads out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from studio_pipeline.models.files import load_network, read_weights
from studio_pipeline.schema.errors import InputError

__all__ = ["HEADS", "KIND", "JudgeNet", "load_judge", "scores_of"]

HEADS = ("topology", "limbs", "lines", "motion")
"""Face or key-feature topology, limb structure, line continuity, motion coherence."""

KIND = "judge"
"""What the weights say they hold."""

_FAIL = 3.0  # odds of collapse at which a head scores 2.0
_FARTHEST = 5.0  # standard deviations beyond which a measure counts no more


class JudgeNet(nn.Module):
    """A few small perceptrons whose logits are averaged; some may see fewer measures than others.

    Args:
        inputs: Number of measures.
        hidden: Width of each member.
        members: How many.
    """

    def __init__(self, inputs: int, hidden: int = 48, members: int = 4) -> None:
        super().__init__()
        self.inputs, self.hidden, self.members = inputs, hidden, members
        self.mean = nn.Parameter(torch.zeros(inputs), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(inputs), requires_grad=False)
        self.seen = nn.Parameter(torch.ones(members, inputs), requires_grad=False)  # 0: hidden from this member
        self.bound = nn.Parameter(torch.zeros(1), requires_grad=False)  # logit at which a head scores 2.0
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)  # logits that make one step of the score's
        self.first = nn.Parameter(torch.randn(members, inputs, hidden) / inputs**0.5)
        self.first_bias = nn.Parameter(torch.zeros(members, hidden))
        self.last = nn.Parameter(torch.randn(members, hidden, len(HEADS)) / hidden**0.5)
        self.last_bias = nn.Parameter(torch.full((members, len(HEADS)), -1.5))

    def normal(self, values: Tensor) -> Tensor:
        """Measures [B, inputs] in standard deviations from the training's mean."""
        return ((values - self.mean) / self.spread).clamp(-_FARTHEST, _FARTHEST)

    def members_of(self, normal: Tensor, *, drop: float = 0.0) -> Tensor:
        """Logits of every member for normalised measures [B, inputs]. [members, B, heads]"""
        shown = nn.functional.dropout(normal, drop, self.training)
        inner = torch.einsum("bi,mih->mbh", shown, self.first * self.seen[..., None])
        inner = nn.functional.gelu(inner + self.first_bias[:, None])
        inner = nn.functional.dropout(inner, 0.5 * drop, self.training)
        return torch.einsum("mbh,mho->mbo", inner, self.last) + self.last_bias[:, None]

    def forward(self, values: Tensor) -> Tensor:
        """Logits of collapse. [B, heads]"""
        return self.members_of(self.normal(values)).mean(0)


def scores_of(logits: Tensor, bound: float, scale: float = 1.0) -> Tensor:
    """Scores from 1 (collapsed) to 5 (sound); 2.0 at the logit ``bound``, the same shape as ``logits``."""
    return 1.0 + 4.0 * torch.sigmoid(-(logits - bound) / scale - torch.log(torch.tensor(_FAIL)))


def load_judge(path: Path, names: Sequence[str]) -> JudgeNet:
    """The network from its weights, for measures called ``names`` in this order.

    Raises:
        InputError: The file is missing, holds something else, or was trained on other measures.
    """

    def build(config: dict[str, Any]) -> JudgeNet:
        return JudgeNet(int(config["inputs"]), int(config["hidden"]), int(config["members"]))

    net = load_network(path, KIND, build)
    if tuple(read_weights(path)[1].get("names", ())) != tuple(names):
        raise InputError("was trained on other measures", where=path, do="train it again: studio train judge")
    return net
