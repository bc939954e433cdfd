"""The network that says, cell by cell and frame by frame, whether a drawing is damaged there.

It is shown regions that anything was done to (`training/judge/patchwork`), never a named kind of collapse: what it says
of those it hasn't learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio_pipeline.models.files import load_network, read_weights
from studio_pipeline.models.judge.local import CHANNELS
from studio_pipeline.schema.errors import InputError

__all__ = ["DAMAGE", "DAMAGE_KIND", "DamageNet", "damage_series", "hurt_maps", "load_damage"]

DAMAGE_KIND = "judge-damage"
"""What the weights say they hold."""

DAMAGE = "hurt_"
"""How the measures begin that this network makes."""

_TOP = 8  # cells of a frame, the worst, that are averaged
_HIDDEN = 0.1  # of the maps of a frame, in training, so that no one map is trusted alone
_FARTHEST = 6.0  # beyond which a map counts no more


class DamageNet(nn.Module):
    """Maps of a clip [B, T, C, h, w] in; a logit of damage for every cell of every frame [B, T, h, w] out.

    Convolutions in space, and over three frames in time, around a residual stream; what the whole clip is like is
    added to every cell, so that the same difference counts less in a clip that is noisy all over.

    Args:
        channels: Number of maps.
        width: Of the stream.
        blocks: How many.
    """

    def __init__(self, channels: int = len(CHANNELS), width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.embed = nn.Conv2d(channels, width, 1)
        self.context = nn.Linear(2 * width, width)
        self.space = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1 + (k % 2), dilation=1 + (k % 2)) for k in range(blocks)
        )
        self.time = nn.ModuleList(nn.Conv2d(3 * width, width, 1) for _ in range(blocks))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, maps: Tensor, valid: Tensor) -> Tensor:
        """Logits of damage. [B, T, h, w]

        Args:
            maps: [B, T, C, h, w].
            valid: 1 where there is a cell, 0 where the clip was padded. [B, T, h, w]
        """
        count, frames, channels, height, width = maps.shape
        held = valid.reshape(count * frames, 1, height, width)
        shown = maps.clamp(-_FARTHEST, _FARTHEST).reshape(count * frames, channels, height, width)
        shown = nn.functional.dropout2d(shown, _HIDDEN, self.training)
        x = nn.functional.gelu(self.embed(shown)) * held
        whole = x.reshape(count, frames, self.width, height, width)
        usual = whole.sum((1, 3, 4)) / valid.sum((1, 2, 3))[:, None].clamp_min(1.0)
        there = valid.amax((2, 3))[..., None]  # frames that aren't padding
        most = (whole - 1e3 * (1.0 - valid[:, :, None])).amax((3, 4))
        most = (most * there).sum(1) / there.sum(1).clamp_min(1.0)
        told = self.context(torch.cat([usual, most], 1)).repeat_interleave(frames, 0)
        x = (x + told[:, :, None, None]) * held
        for space, time in zip(self.space, self.time, strict=True):
            y = nn.functional.gelu(space(x)) * held
            clip = y.reshape(count, frames, self.width, height, width)
            blank = torch.zeros_like(clip[:, :1])
            around = torch.cat([torch.cat([blank, clip[:, :-1]], 1), clip, torch.cat([clip[:, 1:], blank], 1)], 2)
            x = (x + nn.functional.gelu(time(around.reshape(count * frames, 3 * self.width, height, width)))) * held
        return self.last(x).reshape(count, frames, height, width)


def hurt_maps(maps: np.ndarray, net: DamageNet) -> np.ndarray:
    """Logits of damage of one clip's maps [T, C, h, w]. [T, h, w] float32"""
    with torch.no_grad():
        given = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[None]
        return net(given, torch.ones(1, len(maps), *maps.shape[2:]))[0].numpy()


def damage_series(logits: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Damage over time. Each [T] float64.

    Args:
        logits: Of every cell. [T, h, w]
        masks: Cells that show the subject. [T, h, w] bool

    Returns:
        ``hurt_worst``: mean over the worst cells; ``hurt_share``: share of the subject that is more likely damaged than
        not; ``hurt_mean``: mean chance over the subject; ``hurt_peak``: chance in the worst cells.
    """
    rows = np.sort(logits.reshape(len(logits), -1), axis=1)[:, ::-1]
    worst = rows[:, : min(_TOP, rows.shape[1])].astype(np.float64).mean(1)
    chance = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -30.0, 30.0)))
    area = np.maximum(masks.sum((1, 2)), 1)
    return {
        "hurt_worst": np.logaddexp(0.0, worst + 4.0),
        "hurt_peak": 1.0 / (1.0 + np.exp(-np.clip(worst, -30.0, 30.0))),
        "hurt_share": (logits > 0.0).sum((1, 2)) / area,
        "hurt_mean": chance.sum((1, 2)) / area,
    }


def load_damage(path: Path) -> DamageNet:
    """The network from its weights.

    Raises:
        InputError: The file is missing, holds something else, or was trained on other maps.
    """

    def build(config: dict[str, Any]) -> DamageNet:
        return DamageNet(int(config["channels"]), int(config["width"]), int(config["blocks"]))

    net = load_network(path, DAMAGE_KIND, build)
    if tuple(read_weights(path)[1].get("names", ())) != CHANNELS:
        raise InputError("was trained on other maps", where=path, do="train it again: studio train judge")
    return net
