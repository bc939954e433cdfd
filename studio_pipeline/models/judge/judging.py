"""From a clip of any length to four scores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio_pipeline.models.files import read_weights
from studio_pipeline.models.judge.damage import DamageNet, damage_series, hurt_maps, load_damage
from studio_pipeline.models.judge.footage import Footage, prepare
from studio_pipeline.models.judge.local import local_maps, subject_cells
from studio_pipeline.models.judge.measures import context_of, series_of, summary
from studio_pipeline.models.judge.network import HEADS, JudgeNet, load_judge, scores_of
from studio_pipeline.models.judge.priors import flows_of, patches_of
from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError

__all__ = [
    "DAMAGE_FILE", "WEIGHTS", "WINDOW", "Judge", "judge_clip", "measure", "measure_names", "shipped_judge",
    "weights_digest", "windows",
]  # fmt: skip

WEIGHTS = "weights/judge"
"""Folder of the asset library."""

DAMAGE_FILE = "damage.safetensors"
"""The network for damage, beside the heads."""

WINDOW = 14
"""Frames that are judged together; clips of training have as many."""

_FEWEST = 3  # frames without which there is no motion to judge
_WORST = 3  # one in so many windows, the worst, decide


@dataclass(frozen=True)
class Judge:
    """The two networks that judge together."""

    heads: JudgeNet
    damage: DamageNet


def shipped_judge(file: Path | None = None) -> Judge:
    """The networks of the asset library, or those of ``file`` and of ``damage.safetensors`` beside it.

    Raises:
        InputError: One is missing, or the heads were trained on other measures or beside another network for damage.
    """
    path = file or assets_folder() / WEIGHTS / "judge.safetensors"
    beside = path.with_name(DAMAGE_FILE)
    damage = load_damage(beside)
    if read_weights(path)[1].get("damage") != weights_digest(damage):
        raise InputError(f"was trained beside another {DAMAGE_FILE}", where=path, do="train both: studio train judge")
    return Judge(load_judge(path, measure_names()), damage)


def weights_digest(net: DamageNet) -> str:
    """Tells networks for damage apart."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def measure_names() -> tuple[str, ...]:
    """Names of all measures, in their order."""
    still = np.zeros((WINDOW, 32, 32, 3), np.uint8)
    still[:, 8:24, 8:24] = 200
    return tuple(measure(still, DamageNet()))


def measure(frames: np.ndarray, damage: DamageNet, alpha: np.ndarray | None = None) -> dict[str, float]:
    """Measures of a clip of at most `WINDOW` frames by name (see `measures`)."""
    footage = prepare(frames, alpha)
    return summary(_series(footage, damage)) | context_of(footage)


def _series(footage: Footage, damage: DamageNet) -> dict[str, np.ndarray]:
    flows, patches = flows_of(footage.frames), patches_of(footage)
    maps = local_maps(footage, flows, patches)
    return series_of(footage, flows, patches) | damage_series(hurt_maps(maps, damage), subject_cells(maps))


def judge_clip(frames: np.ndarray, judge: Judge, *, alpha: np.ndarray | None = None) -> dict[str, float] | None:
    """Scores of a clip by head, 1 (collapsed) to 5 (sound); all 5 for fewer than three frames.

    A long clip is judged in windows; each head's logit is the mean over the worst third of them.

    Args:
        frames: [T, H, W, 3] uint8 sRGB.
        judge: The networks.
        alpha: The subject's coverage [T, H, W] uint8 where the clip has one.

    Returns:
        None where the subject can't be told from what is behind it: the judge has never seen such clips.
    """
    import torch

    if len(frames) < _FEWEST:
        return dict.fromkeys(HEADS, 5.0)
    footage = prepare(frames, alpha)
    if not footage.told:
        return None
    net = judge.heads
    with torch.no_grad():
        logits = net(torch.from_numpy(_values(footage, judge.damage)))
        count = max(1, round(len(logits) / _WORST))
        worst = logits.sort(0, descending=True).values[:count].mean(0)
        scores = scores_of(worst, float(net.bound), float(net.scale))
    return {head: float(score) for head, score in zip(HEADS, scores, strict=True)}


def _values(footage: Footage, damage: DamageNet) -> np.ndarray:
    """Measures of every window of a clip, all against the clip's first frame. [N, measures] float32"""
    series = _series(footage, damage)
    count = len(next(iter(series.values())))
    parts = [{name: values[start:end] for name, values in series.items()} for start, end in windows(count)]
    context = context_of(footage)
    return np.array([list((summary(part) | context).values()) for part in parts], np.float32)


def windows(count: int) -> Sequence[tuple[int, int]]:
    """Parts of a clip of ``count`` frames, evenly spread, none longer than `WINDOW`, together all of it."""
    parts = max(1, -(-count // WINDOW))
    length = min(count, WINDOW)
    starts = np.linspace(0, count - length, parts).round().astype(int)
    return [(int(start), int(start) + length) for start in starts]
