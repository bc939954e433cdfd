"""Batches of examples: truths as tensors, and every clip also seen in a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio_pipeline.caption.evidence import MEASURES, SIGNALS
from studio_pipeline.models.caption.network import Seen, field_slices
from studio_pipeline.training.caption.examples import Examples

__all__ = ["Goals", "batch_of", "fields_of", "goals_of", "mirrored_values"]

_TURNED = ("shift_x", "roll")  # curves that change their sign in a mirror
_TURNED_MEASURES = ("camera_shift_x_widths_per_s", "camera_roll_deg_per_s", "subject_shift_x_widths")
Fields = list[list[Any]]
"""[name, [values], many] of every field."""


@dataclass(frozen=True)
class Goals:
    """What the heads should say of N clips."""

    right: Tensor  # [N, V] float32, 1 where a value holds
    known: Tensor  # [N, V] bool, whether that is known


def fields_of(drawable: Mapping[str, Sequence[str]], many: Mapping[str, bool]) -> Fields:
    """The heads of a network that is taught ``drawable``; ``many``: which fields hold several values."""
    return [[name, list(values), bool(many[name])] for name, values in drawable.items()]


def goals_of(truths: Sequence[Mapping[str, Any]], fields: Fields) -> Goals:
    """Truths as tensors."""
    slices = field_slices(fields)
    width = sum(len(values) for _, values, _ in fields)
    right, known = np.zeros((len(truths), width), np.float32), np.zeros((len(truths), width), bool)
    for row, truth in enumerate(truths):
        for name, values, _ in fields:
            found = truth.get(name)
            if found is None or not set(found) <= set(values):
                continue
            known[row, slices[name]] = True
            for value in found:
                right[row, slices[name].start + values.index(value)] = 1.0
    return Goals(torch.from_numpy(right), torch.from_numpy(known))


def mirrored_values(fields: Fields) -> np.ndarray:
    """For every value the one that a mirror makes of it. [V] int"""
    names: list[tuple[str, str]] = [(name, value) for name, values, _ in fields for value in values]
    place = {pair: index for index, pair in enumerate(names)}
    swap: dict[str, str] = {"left": "right", "right": "left"}
    found = []
    for name, value in names:
        other = "_".join(swap.get(str(word), str(word)) for word in value.split("_"))
        found.append(place.get((name, other), place[(name, value)]))
    return np.array(found)


def batch_of(examples: Examples, rows: np.ndarray, mirror: np.ndarray, words: np.ndarray, swap: np.ndarray) -> Seen:
    """What the network is shown of some clips, those in ``mirror`` [B] bool seen in one.

    Args:
        examples: All clips.
        rows: Which. [B] int
        mirror: Which of these in a mirror. [B] bool
        words: The measures' words of all clips. [N, V] float32
        swap: See `mirrored_values`.
    """
    thumbs, actors, details = (array[rows] for array in (examples.thumbs, examples.actors, examples.details))
    signals, measures = examples.signals[rows], examples.measures[rows]
    for pictures in (thumbs, actors, details):
        pictures[mirror] = pictures[mirror, :, :, ::-1]
    actors[mirror, ..., 2] = (
        255 - np.maximum(actors[mirror, ..., 2], 1) + 1
    )  # what moves to the right moves to the left
    for name in _TURNED:
        signals[mirror, :, SIGNALS.index(name)] *= -1.0
    left, right, seen = (SIGNALS.index(name) for name in ("left", "right", "seen"))
    there = signals[..., seen] > 0.0
    flipped = signals.copy()
    flipped[..., left] = np.where(there, 1.0 - signals[..., right], signals[..., left])
    flipped[..., right] = np.where(there, 1.0 - signals[..., left], signals[..., right])
    signals[mirror] = flipped[mirror]
    for name in _TURNED_MEASURES:
        measures[mirror, MEASURES.index(name)] *= -1.0
    middle = MEASURES.index("subject_x_share")
    measures[mirror, middle] = 1.0 - measures[mirror, middle]
    cut = [MEASURES.index(f"subject_cut_{side}_share") for side in ("left", "right")]
    for place, other in (cut, cut[::-1]):
        measures[mirror, place] = examples.measures[rows][mirror, other]
    said = np.where(mirror[:, None], words[rows][:, swap], words[rows])
    return Seen(*(torch.from_numpy(array) for array in (thumbs, actors, details, signals, measures, said)))
