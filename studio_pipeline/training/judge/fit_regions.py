"""Fitting the network for damage to clips whose damaged cells are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from studio_pipeline.models.files import read_weights, write_weights
from studio_pipeline.models.judge.damage import DAMAGE_KIND, DamageNet
from studio_pipeline.models.judge.local import CHANNELS
from studio_pipeline.store.codehash import code_digest
from studio_pipeline.training.judge.regions import Mapped

__all__ = ["RegionFit", "Stacked", "copy_damage", "export_damage", "fit_damage", "kept_damage", "stacked"]

_SOME, _MUCH = (
    0.02,
    0.25,
)  # of a cell: what is changed less is sound, what is changed more is damaged, between is neither
_DAMAGED_COUNTS = 4.0  # how much more a damaged cell counts than a sound one
_CELLS, _CLIP = 8.0, 0.5  # weights of the two losses
_TOP = 16  # cells of a clip, the worst, that say whether it is damaged


@dataclass(frozen=True, kw_only=True)
class RegionFit:
    """How the network for damage is fitted."""

    width: int = 32
    blocks: int = 3
    steps: int = 500
    batch: int = 8
    rate: float = 2e-3
    decay: float = 0.02
    seed: int = 1


@dataclass(frozen=True)
class Stacked:
    """Clips padded to one size. N clips."""

    maps: np.ndarray  # [N, T, C, h, w] float16
    hurt: np.ndarray  # [N, T, h, w] float16
    valid: np.ndarray  # 1 where there is a cell. [N, T, h, w] float16

    @property
    def bad(self) -> np.ndarray:
        """Which clips are damaged. [N] bool"""
        return np.asarray((self.hurt > 0.0).any((1, 2, 3)))


def stacked(clips: Iterable[Mapped], tell: Callable[[str], None] | None = None) -> Stacked:
    """All clips in arrays, those with fewer frames or cells padded."""
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for clip in clips:
        rows.append((clip.maps, clip.hurt))
        if tell and len(rows) % 100 == 0:
            tell(f"{len(rows)} clips mapped")
    frames, height, width = (max(hurt.shape[axis] for _, hurt in rows) for axis in range(3))
    maps = np.zeros((len(rows), frames, rows[0][0].shape[1], height, width), np.float16)
    hurt, valid = (np.zeros((len(rows), frames, height, width), np.float16) for _ in range(2))
    for index, (own, where) in enumerate(rows):
        count, down, right = where.shape
        maps[index, :count, :, :down, :right] = own
        hurt[index, :count, :down, :right], valid[index, :count, :down, :right] = where, 1.0
    return Stacked(maps, hurt, valid)


def fit_damage(clips: Stacked, how: RegionFit | None = None, tell: Callable[[str], None] | None = None) -> DamageNet:
    """Fit a network to damaged and sound clips, as many of each in every step; there must be both."""
    how = how or RegionFit()
    torch.manual_seed(how.seed)
    rng = np.random.default_rng([how.seed, 31])
    net = DamageNet(clips.maps.shape[2], how.width, how.blocks)
    optimiser = torch.optim.AdamW(net.parameters(), lr=how.rate, weight_decay=how.decay)
    groups, losses = [np.flatnonzero(clips.bad == which) for which in (False, True)], []
    for step in range(how.steps):
        rate = how.rate * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + np.cos(np.pi * step / how.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = np.concatenate([rng.choice(group, how.batch // 2) for group in groups])
        loss = _loss(net, *_batch(clips, rows, mirrored=bool(rng.random() < 0.5)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if tell and step % 100 == 99:
            tell(f"step {step + 1}: {np.mean(losses[-100:]):.3f}")
    return net.eval()


def _batch(clips: Stacked, rows: np.ndarray, *, mirrored: bool) -> tuple[Tensor, Tensor, Tensor]:
    shown = clips.valid[rows]
    frames, down, right = (int(np.flatnonzero(shown.any(axes)).max()) + 1 for axes in ((0, 2, 3), (0, 1, 3), (0, 1, 2)))
    cut = (slice(frames), ..., slice(down), slice(right))  # what is padding in all of them is left away
    maps, hurt, valid = (torch.from_numpy(np.stack([part[row][cut] for row in rows]).astype(np.float32))
                         for part in (clips.maps, clips.hurt, clips.valid))  # fmt: skip
    if mirrored:
        maps, hurt, valid = maps.flip(-1), hurt.flip(-1), valid.flip(-1)
        for name in ("flow_x_before", "flow_x_after"):
            if maps.shape[2] == len(CHANNELS):
                maps[:, :, CHANNELS.index(name)] *= -1.0
    return maps, hurt, valid


def _loss(net: DamageNet, maps: Tensor, hurt: Tensor, valid: Tensor) -> Tensor:
    """Every cell is told apart, and so is every clip by its worst cells."""
    logits, damaged = net(maps, valid), (hurt > _MUCH).float()
    sure = valid * ((hurt <= _SOME) | (hurt > _MUCH))
    weight = sure * (1.0 + _DAMAGED_COUNTS * damaged)
    summed = binary_cross_entropy_with_logits(logits, damaged, weight=weight, reduction="sum")
    cells = summed / sure.sum().clamp_min(1.0)
    worst = (logits - 100.0 * (1.0 - valid)).flatten(1).topk(min(_TOP, logits[0].numel()), dim=1).values.mean(1)
    clip = binary_cross_entropy_with_logits(worst, hurt.flatten(1).any(1).float())
    return _CELLS * cells + _CLIP * clip


def export_damage(path: Path, net: DamageNet, how: RegionFit, *, bases: int, clips: int) -> None:
    """Write the weights with all that describes them."""
    described = {
        "kind": DAMAGE_KIND,
        "config": {"channels": net.channels, "width": net.width, "blocks": len(net.space)},
        "names": list(CHANNELS),
        "training": {**asdict(how), "bases": bases, "clips": clips},
    }
    write_weights(path, dict(net.named_parameters()), described)


def copy_damage(path: Path, to: Path) -> None:
    """Put weights that `export_damage` wrote beside the heads that were trained with them."""
    if path.resolve() != to.resolve():
        write_weights(to, *read_weights(path))


def kept_damage(bases: int, how: RegionFit) -> str:
    """Name of the file that keeps the network; it changes with the code that makes its clips and with the fit."""
    made = code_digest("studio_pipeline.training.judge.regions:region_clips")[:10]
    return f"damage_{bases}_{how.steps}_{how.seed}_{made}.safetensors"
