"""A small video encoder with a head for every field of the taxonomy that it was taught.

Whole pictures and details of the subject go through convolutions frame by frame, are mixed over time, and join curves
(how the picture moves, how the drawing changes, light) and the clip's measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["KIND", "CaptionNet", "field_slices"]

KIND = "caption"


def field_slices(fields: list[list[Any]]) -> dict[str, slice]:
    """Where each field's values lie among the logits; ``fields`` holds [name, [values], many]."""
    found, start = {}, 0
    for name, values, _ in fields:
        found[name] = slice(start, start + len(values))
        start += len(values)
    return found


def _block(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.GroupNorm(2, outside), nn.ReLU()
    )  # fmt: skip


def _pictures(widths: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*(_block(a, b) for a, b in zip((3, *widths), widths, strict=False)))


class CaptionNet(nn.Module):
    """Logits of all values of all fields.

    Args:
        config: ``fields`` [[name, [values], many]], ``signals`` and ``measures`` (numbers of curves and measures),
            ``width``, and ``centre`` and ``spread`` [M] by which measures are made about one.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        width = int(config["width"])
        self.whole = nn.Sequential(nn.AvgPool2d(2), *_pictures((width // 4, width // 2, width)))
        self.detail = _pictures((width // 4, width // 2, width))
        self.over_time = nn.Sequential(
            nn.Conv1d(2 * width, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, width, 3, padding=1), nn.GELU()
        )
        self.curves = nn.Sequential(
            nn.Conv1d(int(config["signals"]), width, 5, padding=2), nn.GELU(),
            nn.Conv1d(width, width, 5, padding=2), nn.GELU(), nn.Conv1d(width, width, 3, padding=1), nn.GELU(),
        )  # fmt: skip
        self.numbers = nn.Sequential(nn.Linear(2 * int(config["measures"]), 2 * width), nn.GELU())
        joined = 2 * width + 2 * width + 2 * width + 2 * width + 2 * width
        self.trunk = nn.Sequential(
            nn.LayerNorm(joined), nn.Dropout(0.4), nn.Linear(joined, 3 * width), nn.GELU(), nn.Dropout(0.4)
        )
        self.heads = nn.Linear(3 * width, sum(len(values) for _, values, _ in config["fields"]))

    def forward(self, thumbs: Tensor, details: Tensor, signals: Tensor, measures: Tensor) -> Tensor:
        """Logits [B, V].

        Args:
            thumbs: [B, K, S, S, 3] uint8
            details: [B, D, S, S, 3] uint8
            signals: [B, F, C]
            measures: [B, M], NaN where missing
        """
        whole = _over_frames(self.whole, thumbs)  # [B, K, 2 width]
        mixed = self.over_time(whole.transpose(1, 2))
        near = _over_frames(self.detail, details).mean(1)
        curves = self.curves(signals.transpose(1, 2))
        joined = [whole.mean(1), mixed.mean(2), mixed.amax(2), near, curves.mean(2), curves.amax(2)]
        return self.heads(self.trunk(torch.cat([*joined, self.numbers(self._scaled(measures))], dim=1)))

    def _scaled(self, measures: Tensor) -> Tensor:
        """About one, and whether each is there. [B, 2 M]"""
        centre, spread = (measures.new_tensor(self.config[name]) for name in ("centre", "spread"))
        there = torch.isfinite(measures)
        scaled = torch.where(there, (measures - centre) / spread, torch.zeros_like(measures)).clamp(-4.0, 4.0)
        return torch.cat([scaled, there.to(measures.dtype)], dim=1)


def _over_frames(net: nn.Module, pictures: Tensor) -> Tensor:
    """Mean and largest of every channel, frame by frame. [B, K, 2 C]"""
    count, frames = pictures.shape[:2]
    flat = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
    seen = net(flat)
    return torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1).view(count, frames, -1)
