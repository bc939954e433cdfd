"""Fitting the judge's network to measured clips."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from studio_pipeline.models.files import write_weights
from studio_pipeline.models.judge.damage import DAMAGE, DamageNet
from studio_pipeline.models.judge.judging import weights_digest
from studio_pipeline.models.judge.measures import CONTEXT
from studio_pipeline.models.judge.network import HEADS, KIND, JudgeNet
from studio_pipeline.training.judge.collapse import HEAD_OF
from studio_pipeline.training.judge.dataset import Example

__all__ = ["Fit", "export_judge", "fit_judge", "seen_by", "set_scale", "table_of", "targets_of"]

_USUAL = 3.2
_FOLDS = 3  # in which the sound clips' logits are learnt for calibration


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How the network is fitted."""

    hidden: int = 32
    members: int = 4
    steps: int = 600
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.05  # of weights
    drop: float = 0.3  # share of measures that are hidden from a step
    noise: float = 0.15  # standard deviations
    false_alarms: float = 0.05  # of the sound training clips that may score under 2.0; 0: no calibration
    seed: int = 1


def table_of(examples: Sequence[Example]) -> np.ndarray:
    """Measures of all examples. [N, measures] float32"""
    names = list(examples[0].values)
    return np.array([[example.values[name] for name in names] for example in examples], np.float32)


def targets_of(examples: Sequence[Example]) -> np.ndarray:
    """What each head shall say: 1 collapsed, 0 sound, -1 nothing. [N, heads] float32

    A sound clip is sound for every head; a collapse belongs to its head, and says nothing of the others.
    """
    targets = np.full((len(examples), len(HEADS)), -1.0, np.float32)
    for row, example in zip(targets, examples, strict=True):
        if not example.bad:
            row[:] = 0.0
        elif example.kind in HEAD_OF:
            row[HEADS.index(HEAD_OF[example.kind])] = 1.0
    return targets


def seen_by(names: Sequence[str], members: int) -> np.ndarray:
    """Which member sees which measures: every second one only what the network for damage says, and what kind of
    drawing it is. There are many other measures, and they know the kinds of collapse that they were shown best.
    [members, measures] float32, 0 or 1
    """
    few = np.array([name.startswith(DAMAGE) or name.endswith(CONTEXT) for name in names])
    every = np.ones(len(names), bool)
    return np.stack([few if member % 2 and few.any() else every for member in range(members)]).astype(np.float32)


def fit_judge(examples: Sequence[Example], how: Fit | None = None, *, without: Collection[str] = ()) -> JudgeNet:
    """Fit a network, and set the logit that scores 2.0 by clips that it wasn't fitted to.

    Args:
        examples: Of training; at least one sound and one collapsed.
        how: Defaults when None.
        without: Kinds of collapse that are left out.
    """
    how = how or Fit()
    chosen = [example for example in examples if example.kind not in without]
    net = _fitted(chosen, how)
    if not how.false_alarms:
        return net
    worst: list[float] = []
    for fold in range(_FOLDS):
        rest = [example for example in chosen if example.base % _FOLDS != fold]
        held = [example for example in chosen if example.base % _FOLDS == fold and not example.bad]
        if held and {example.bad for example in rest} == {True, False}:
            other = _fitted(rest, how)
            with torch.no_grad():
                worst += other(torch.from_numpy(table_of(held))).max(1).values.tolist()
    with torch.no_grad():
        net.bound.fill_(float(np.quantile(worst, 1.0 - how.false_alarms)) if worst else 0.0)
    set_scale(net, chosen)
    return net


def set_scale(net: JudgeNet, examples: Sequence[Example]) -> None:
    """Stretch the scores so that half of the sound examples are above `_USUAL` steps over the bound (4.6 of 5)."""
    sound = [example for example in examples if not example.bad]
    with torch.no_grad():
        usual = float(net(torch.from_numpy(table_of(sound))).max(1).values.median())
        net.scale.fill_(max((float(net.bound) - usual) / _USUAL, 1e-3))


def _fitted(chosen: Sequence[Example], how: Fit) -> JudgeNet:
    """A network fitted to examples, not calibrated."""
    table, bad = table_of(chosen), np.array([example.bad for example in chosen])
    torch.manual_seed(how.seed)
    net = JudgeNet(table.shape[1], how.hidden, how.members)
    with torch.no_grad():
        net.seen.copy_(torch.from_numpy(seen_by(tuple(chosen[0].values), how.members)))
        net.mean.copy_(torch.from_numpy(table.mean(0)))
        net.spread.copy_(torch.from_numpy(table.std(0) + 0.05))
    normal = net.normal(torch.from_numpy(table)).detach()
    targets, collapsed = torch.from_numpy(targets_of(chosen)), torch.from_numpy(bad.astype(np.float32))
    groups = [torch.from_numpy(np.flatnonzero(bad == which)) for which in (False, True)]
    trained = [value for value in net.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=how.rate, weight_decay=how.decay)
    net.train()
    for step in range(how.steps):
        rate = how.rate * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + np.cos(np.pi * step / how.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = torch.cat([group[torch.randint(len(group), (how.batch // 2,))] for group in groups])
        shown = normal[rows] + how.noise * torch.randn(len(rows), normal.shape[1])
        loss = _loss(net.members_of(shown, drop=how.drop), targets[rows], collapsed[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return net.eval()


def _loss(logits: Tensor, targets: Tensor, collapsed: Tensor) -> Tensor:
    """Any head speaks up for a collapse and none for a sound clip; each head learns its own kinds."""
    whole = binary_cross_entropy_with_logits(torch.logsumexp(logits, -1), collapsed.expand(len(logits), -1))
    known = (targets >= 0.0).expand(logits.shape)
    own = binary_cross_entropy_with_logits(logits[known], targets.expand(logits.shape)[known])
    return whole + 0.5 * own


def export_judge(
    path: Path, net: JudgeNet, examples: Sequence[Example], how: Fit, *, bases: int, damage: DamageNet
) -> None:
    """Write the weights with all that describes them."""
    described = {
        "kind": KIND,
        "config": {"inputs": net.inputs, "hidden": net.hidden, "members": net.members},
        "names": list(examples[0].values),
        "damage": weights_digest(damage),
        "training": {**asdict(how), "bases": bases, "clips": len(examples), "bad": sum(e.bad for e in examples)},
    }
    write_weights(path, dict(net.named_parameters()), described)
