"""From a clip of any length to four scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from studio_pipeline.models.judge.footage import Footage, prepare
from studio_pipeline.models.judge.measures import context_of, series_of, summary
from studio_pipeline.models.judge.network import HEADS, JudgeNet, load_judge, scores_of
from studio_pipeline.schema.assets import assets_folder

__all__ = ["WEIGHTS", "WINDOW", "judge_clip", "measure", "measure_names", "shipped_judge", "windows"]

WEIGHTS = "weights/judge"
"""Folder of the asset library."""

WINDOW = 14
"""Frames that are judged together; clips of training have as many."""

_FEWEST = 3  # frames without which there is no motion to judge
_WORST = 3  # one in so many windows, the worst, decide


def shipped_judge(file: Path | None = None) -> JudgeNet:
    """The network of the asset library, or of ``file``.

    Raises:
        InputError: It is missing or was trained on other measures.
    """
    return load_judge(file or assets_folder() / WEIGHTS / "judge.safetensors", measure_names())


def measure_names() -> tuple[str, ...]:
    """Names of all measures, in their order."""
    still = np.zeros((WINDOW, 32, 32, 3), np.uint8)
    still[:, 8:24, 8:24] = 200
    return tuple(measure(still))


def measure(frames: np.ndarray, alpha: np.ndarray | None = None) -> dict[str, float]:
    """Measures of a clip of at most `WINDOW` frames by name (see `measures`)."""
    footage = prepare(frames, alpha)
    return summary(series_of(footage)) | context_of(footage)


def judge_clip(frames: np.ndarray, net: JudgeNet, *, alpha: np.ndarray | None = None) -> dict[str, float] | None:
    """Scores of a clip by head, 1 (collapsed) to 5 (sound); all 5 for fewer than three frames.

    A long clip is judged in windows; each head's logit is the mean over the worst third of them.

    Args:
        frames: [T, H, W, 3] uint8 sRGB.
        net: The network.
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
    with torch.no_grad():
        logits = net(torch.from_numpy(_values(footage)))
        count = max(1, round(len(logits) / _WORST))
        worst = logits.sort(0, descending=True).values[:count].mean(0)
        scores = scores_of(worst, float(net.bound), float(net.scale))
    return {head: float(score) for head, score in zip(HEADS, scores, strict=True)}


def _values(footage: Footage) -> np.ndarray:
    """Measures of every window of a clip, all against the clip's first frame. [N, measures] float32"""
    series = series_of(footage)
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
