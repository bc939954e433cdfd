"""A small video encoder with a head for every field of the taxonomy that it was taught.

Every frame goes through convolutions twice, whole and cut out about the subject, and is mixed over time between them;
details of the subject are seen sharper. Curves (how the picture moves, how the drawing changes, light), the clip's
measures and the measures' own words join them. Camera, movement, looks and effects are told from trunks of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["KIND", "CaptionNet", "Seen", "field_slices"]

KIND = "caption"
_AXES = (("camera.",), ("motion.", "subject."), ("style.", "texture.", "lighting.", "environment."), ("vfx.",))
"""Beginnings of the names of fields that share a trunk."""
_DROPPED = 0.3
_PLACES = 3  # that a picture is divided into across and down, to tell where something is


class Seen(NamedTuple):
    """What the network is shown of B clips; see `studio_pipeline.caption.evidence.Evidence`."""

    thumbs: Tensor  # [B, F, S, S, 3] uint8
    actors: Tensor  # [B, F, S, S, 4] uint8
    details: Tensor  # [B, D, Z, Z, 3] uint8
    signals: Tensor  # [B, F, C] float32
    measures: Tensor  # [B, M] float32, NaN where missing
    words: Tensor  # [B, V] float32, confidences of the measures in every value


def field_slices(fields: list[list[Any]]) -> dict[str, slice]:
    """Where each field's values lie among the logits; ``fields`` holds [name, [values], many]."""
    found, start = {}, 0
    for name, values, _ in fields:
        found[name] = slice(start, start + len(values))
        start += len(values)
    return found


class CaptionNet(nn.Module):
    """Logits of all values of all fields.

    Args:
        config: ``fields`` [[name, [values], many]], ``signals`` and ``measures`` (numbers of curves and measures),
            ``frames`` (of a window), ``width``, and ``centre`` and ``spread`` [M] by which measures are made about one.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        width = int(config["width"])
        self.whole, self.actor = _Film(3, width), _Film(4, width)
        self.detail = nn.Sequential(
            _block(3, width // 2), _block(width // 2, width), _block(width, 2 * width)
        )  # fmt: skip
        self.curves = nn.Sequential(
            nn.Conv1d(int(config["signals"]), width, 5, padding=2), nn.GELU(),
            nn.Conv1d(width, width, 5, padding=2), nn.GELU(), nn.Conv1d(width, width, 3, padding=1), nn.GELU(),
        )  # fmt: skip
        values = sum(len(values) for _, values, _ in config["fields"])
        numbers = 2 * int(config["measures"]) + values + int(config["signals"]) * int(config["frames"])
        self.numbers = nn.Sequential(nn.Linear(numbers, 4 * width), nn.GELU())
        joined = 2 * 6 * width + 4 * width + 2 * width + 4 * width
        self.trunks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(joined), nn.Dropout(_DROPPED), nn.Linear(joined, 4 * width), nn.GELU(),
                nn.Dropout(_DROPPED), nn.Linear(4 * width, sum(len(row[1]) for row in rows)),
            )
            for rows in self._by_trunk()
        )  # fmt: skip
        self.order = self._order()

    def _by_trunk(self) -> list[list[list[Any]]]:
        fields = self.config["fields"]
        return [rows for axis in _AXES if (rows := [row for row in fields if row[0].startswith(axis)])]

    def _order(self) -> list[int]:
        """Where, among what the trunks say one after the other, the logits in the order of the fields are."""
        slices, found = field_slices(self.config["fields"]), []
        for rows in self._by_trunk():
            for name, _, _ in rows:
                found += range(slices[name].start, slices[name].stop)
        return [found.index(value) for value in range(len(found))]

    def forward(self, seen: Seen) -> Tensor:
        """Logits. [B, V]"""
        near = self.detail(_as_channels(seen.details).flatten(0, 1)).unflatten(0, seen.details.shape[:2]).mean(1)
        curves = self.curves(seen.signals.transpose(1, 2))
        numbers = self.numbers(torch.cat([self._scaled(seen.measures), seen.words, seen.signals.flatten(1)], dim=1))
        joined = torch.cat(
            [
                self.whole(_as_channels(seen.thumbs)), self.actor(_as_channels(seen.actors)),
                near.mean((2, 3)), near.amax((2, 3)), curves.mean(2), curves.amax(2), numbers,
            ],
            dim=1,
        )  # fmt: skip
        return torch.cat([trunk(joined) for trunk in self.trunks], dim=1)[:, self.order]

    def _scaled(self, measures: Tensor) -> Tensor:
        """About one, and whether each is there. [B, 2 M]"""
        centre, spread = (measures.new_tensor(self.config[name]) for name in ("centre", "spread"))
        there = torch.isfinite(measures)
        scaled = torch.where(there, (measures - centre) / spread, torch.zeros_like(measures)).clamp(-4.0, 4.0)
        return torch.cat([scaled, there.to(measures.dtype)], dim=1)


class _Film(nn.Module):
    """Frames [B, F, C, S, S] to what is in them [B, 6 ``width``]: space and time by turns, then what there is in the
    mean, at most, and where.
    """

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        widths = ((2 * inside, width // 4), (width // 4, width // 2), (width // 2, width), (width, 2 * width))
        self.space = nn.ModuleList(_block(a, b) for a, b in widths)
        self.time = nn.ModuleList(_over_time(b, stride) for (_, b), stride in zip(widths, (2, 1, 2, 1), strict=True))
        self.where = nn.Sequential(nn.Linear(2 * width * _PLACES**2, 2 * width), nn.GELU())

    def forward(self, frames: Tensor) -> Tensor:
        change = torch.diff(frames, dim=1, append=frames[:, -1:])  # what moves is what tells most
        x = torch.cat([frames, 2.0 * change], dim=2)
        for space, time in zip(self.space, self.time, strict=True):
            batch, count = x.shape[:2]
            x = space(x.flatten(0, 1)).unflatten(0, (batch, count))
            height, length = x.shape[3:]
            along = x.permute(0, 3, 4, 2, 1).flatten(0, 2)  # [B h w, C, F]
            mixed = time(along)
            kept = along if mixed.shape[2] == count else nn.functional.avg_pool1d(along, 2, ceil_mode=True)
            x = (kept + mixed).unflatten(0, (batch, height, length)).permute(0, 4, 3, 1, 2)
        places = nn.functional.adaptive_avg_pool2d(x.mean(1), _PLACES).flatten(1)
        return torch.cat([x.mean((1, 3, 4)), x.amax((1, 3, 4)), self.where(places)], dim=1)


def _block(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.GroupNorm(4, outside), nn.ReLU()
    )  # fmt: skip


def _over_time(channels: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv1d(channels, channels, 3, stride=stride, padding=1), nn.ReLU())


def _as_channels(pictures: Tensor) -> Tensor:
    """[B, F, S, S, C] uint8 to [B, F, C, S, S] float32 about zero."""
    return pictures.permute(0, 1, 4, 2, 3).to(torch.float32) / 127.5 - 1.0
