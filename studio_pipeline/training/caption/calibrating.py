"""How each field is read best - by measure, network or both - how sure that is, and when to be silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from studio_pipeline.models.caption.fusion import FieldReading, calibrated, joined
from studio_pipeline.models.caption.network import field_slices

__all__ = ["balanced_recall", "calibrate", "platt"]

_WEIGHTS = (0.3, 1.0)
_BETTER = 0.01  # recall by which another source must be better than the network alone
_RIGHT = 0.3  # what is said must be right this often among the least sure that is still said
_LEAST = 12  # clips that a choice needs
_NEVER = 2.0  # a score that no value has
_SILENT = FieldReading(threshold=_NEVER)  # of a field that too little is known of


def calibrate(
    fields: Sequence[Sequence[Any]],
    logits: np.ndarray,
    truths: Sequence[Mapping[str, tuple[str, ...] | None]],
    said: Sequence[Mapping[str, Mapping[str, float]]],
) -> dict[str, FieldReading]:
    """Choose for every field, on clips that the network wasn't trained on.

    Args:
        fields: [name, [values], many] as the network has them.
        logits: The network's [N, V].
        truths: Values by field, None where nobody knows. N
        said: Confidences of the measures by value, by field. N
    """
    slices = field_slices([list(field) for field in fields])
    found = {}
    for name, values, many in fields:
        rows = [i for i, truth in enumerate(truths) if truth.get(name) is not None]
        part = logits[rows][:, slices[name]]
        chances = _sigmoid(part) if many else _softmax(part)
        measured = [said[i].get(name, {}) for i in rows]
        right = np.array([[value in (truths[i][name] or ()) for value in values] for i in rows], bool)
        right = right.reshape(len(rows), len(values))
        choose = _many if many else _single
        found[name] = choose(list(values), chances, measured, right) if len(rows) >= _LEAST else _SILENT
    return found


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    part = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return part / part.sum(1, keepdims=True)


def _options(measured: Sequence[Mapping[str, float]]) -> list[FieldReading]:
    options = [FieldReading()]
    if any(measured):
        options += [FieldReading(source="both", weight=weight) for weight in _WEIGHTS]
        options.append(FieldReading(source="measured"))
    return options


def balanced_recall(right: np.ndarray, said: np.ndarray) -> float:
    """Mean over the values that occur of the share of their clips where they are said; [N, V] bool each."""
    there = right.any(0)
    return float(((right & said).sum(0)[there] / right.sum(0)[there]).mean()) if there.any() else 0.0


def _single(
    values: list[str], chances: np.ndarray, measured: Sequence[Mapping[str, float]], right: np.ndarray
) -> FieldReading:
    best, most = FieldReading(), -1.0
    for option in _options(measured):
        scores = _scores(option, values, chances, measured, many=False)
        chosen = (scores == scores.max(1, keepdims=True)) & (scores > 0.0)
        recall = balanced_recall(right, chosen)
        if recall > most + (_BETTER if most >= 0.0 else 0.0):
            best, most = option, recall
    scores = _scores(best, values, chances, measured, many=False)
    top = scores.max(1)
    hit = right[np.arange(len(scores)), scores.argmax(1)]
    slope, shift = platt(top, hit)
    best = replace(best, slope=slope, shift=shift)
    sure = np.array([calibrated(best, score) for score in top])
    return replace(best, threshold=_silence(sure, hit))


def _many(
    values: list[str], chances: np.ndarray, measured: Sequence[Mapping[str, float]], right: np.ndarray
) -> FieldReading:
    best, most = FieldReading(), -1.0
    for option in _options(measured):
        scores = _scores(option, values, chances, measured, many=True)
        limits, qualities = zip(*(_limit(scores[:, k], right[:, k]) for k in range(len(values))), strict=True)
        quality = float(np.mean(qualities))
        if quality > most + (_BETTER if most >= 0.0 else 0.0):
            most, best = quality, replace(option, thresholds=dict(zip(values, limits, strict=True)))
    scores = _scores(best, values, chances, measured, many=True)
    said = scores >= np.array([best.thresholds[value] for value in values])
    slope, shift = platt(scores[said], right[said]) if said.sum() >= _LEAST else (1.0, 0.0)
    return replace(best, slope=slope, shift=shift)


def _scores(
    option: FieldReading, values: list[str], chances: np.ndarray, measured: Sequence[Mapping[str, float]], *, many: bool
) -> np.ndarray:
    return np.stack([joined(option, values, row, say, many=many) for row, say in zip(chances, measured, strict=True)])


def _limit(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """The score from which on a value is said, and its F2 (recall counts more) there; never, where it errs."""
    best, most = _NEVER, 0.0
    for limit in np.unique(scores[right & (scores > 0.0)]):  # between these only false alarms are added
        said = scores >= limit
        hits = (said & right).sum()
        if hits < _RIGHT * said.sum():
            continue  # it would be wrong too often
        quality = 5.0 * hits / (4.0 * right.sum() + said.sum())
        if quality > most + 1e-9:
            best, most = float(limit) * (1.0 - 1e-4), float(quality)
    return round(best, 6), most


def platt(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope (positive) and shift of the logit with which scores are shares of right answers: logistic regression."""
    from scipy.optimize import minimize

    score = np.clip(scores, 1e-4, 1.0 - 1e-4)
    logit = np.log(score / (1.0 - score))

    def cost(given: np.ndarray) -> float:
        x = np.exp(given[0]) * logit + given[1]
        return float(np.logaddexp(0.0, np.where(right, -x, x)).mean() + 0.01 * (given[0] ** 2 + 0.2 * given[1] ** 2))

    found = minimize(cost, np.zeros(2), method="Nelder-Mead").x
    return round(float(np.exp(found[0])), 4), round(float(found[1]), 4)


def _silence(sure: np.ndarray, right: np.ndarray) -> float:
    """The confidence below which answers are right less often than `_RIGHT`; 0 where even the least sure are."""
    order = np.argsort(sure)
    hits = np.cumsum(right[order]) / (np.arange(len(order)) + 1)
    low = np.flatnonzero((hits < _RIGHT) & (np.arange(len(order)) >= 4))
    return round(float(sure[order][low[-1]]) + 1e-4, 4) if len(low) else 0.0
