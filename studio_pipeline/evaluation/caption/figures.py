"""Rows to figures: recall, precision and coverage of every value, calibration of every field, axes with their goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from studio_pipeline.evaluation.processes import Row
from studio_pipeline.schema.tags import Taxonomy

__all__ = ["BINS", "GOALS", "axis_figures", "confusion", "expected_calibration_error", "field_figures", "reliability"]

GOALS: Mapping[str, float] = {"Camera": 0.85, "Motion": 0.85, "Style": 0.80, "VFX": 0.80}
"""Least macro recall of issue 6 for measures and network together."""
BINS = 10


def field_figures(rows: Sequence[Row], field: str, way: str, *, many: bool) -> dict[str, Any] | None:
    """Figures of one field read one way; None where the truth is nowhere known or nobody reads the field.

    A value that isn't said where it holds counts as wrong, an abstention too. ``coverage`` is the share of clips where
    anything is said of a field that has one value. ``macro`` is the mean recall over the values that occur.
    """
    known = [row for row in rows if row["truth"].get(field) is not None]
    if not known or not any(field in row["said"].get(way, {}) for row in known):
        return None
    truth = [set(row["truth"][field]) for row in known]
    said = [row["said"].get(way, {}).get(field, {}) for row in known]
    picked = [set(found) if many else set(_first(found)) for found in said]
    values = sorted(set().union(*truth))
    each = {}
    for value in values:
        there = [value in t for t in truth]
        told = [value in p for p in picked]
        hits = sum(a and b for a, b in zip(there, told, strict=True))
        each[value] = {
            "clips": sum(there), "recall": hits / max(sum(there), 1),
            "precision": hits / sum(told) if sum(told) else None,
        }  # fmt: skip
    pairs = [(c, v in t) for t, found, p in zip(truth, said, picked, strict=True) for v, c in found.items() if v in p]
    told = sum(bool(p) for p in picked)
    precisions = [item["precision"] for item in each.values() if item["precision"] is not None]
    return {
        "field": field, "way": way, "many": many, "clips": len(known), "values": each,
        "macro": float(np.mean([item["recall"] for item in each.values()])) if each else None,
        "precision": float(np.mean(precisions)) if precisions else None,
        "coverage": None if many else told / len(known),
        "right_of_told": float(np.mean([hit for _, hit in pairs])) if pairs else None,
        "ece": expected_calibration_error(pairs), "least_clips": min((i["clips"] for i in each.values()), default=0),
    }  # fmt: skip


def _first(found: Mapping[str, float]) -> list[str]:
    return [max(found, key=lambda value: found[value])] if found else []


def reliability(pairs: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right answers and number of answers, in tenths of confidence."""
    found = []
    for low in np.arange(BINS) / BINS:
        inside = [(c, hit) for c, hit in pairs if low <= c < low + 1.0 / BINS or (c >= 1.0 and low + 1.0 / BINS >= 1.0)]
        if inside:
            confidence, hits = np.array(inside, float).T
            found.append((float(confidence.mean()), float(hits.mean()), len(inside)))
    return found


def expected_calibration_error(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """Mean distance between confidence and share of right answers, weighed by answers, over tenths of confidence."""
    bins = reliability(pairs)
    total = sum(count for _, _, count in bins)
    return sum(count * abs(confidence - right) for confidence, right, count in bins) / total if total else None


def axis_figures(figures: Sequence[Mapping[str, Any]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Mean of the fields' macro recall by axis and way, with the goal where there is one."""
    axes: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for item in figures:
        field = taxonomy.field(item["field"])
        if field is not None and item["macro"] is not None:
            axes.setdefault((field.axis, item["way"]), []).append(item)
    return [
        {
            "axis": axis, "way": way, "fields": len(items), "values": sum(len(item["values"]) for item in items),
            "macro": float(np.mean([item["macro"] for item in items])),
            "least_clips": min(item["least_clips"] for item in items), "goal": GOALS.get(axis),
        }
        for (axis, way), items in axes.items()
    ]  # fmt: skip


def confusion(rows: Sequence[Row], field: str, way: str, values: Sequence[str]) -> np.ndarray:
    """Clips by true value and by what was said of it, the last column for silence. [V, V + 1] int"""
    table = np.zeros((len(values), len(values) + 1), int)
    for row in rows:
        truth = row["truth"].get(field)
        if truth is None or len(truth) != 1 or truth[0] not in values:
            continue
        said = _first(row["said"].get(way, {}).get(field, {}))
        column = values.index(said[0]) if said and said[0] in values else len(values)
        table[values.index(truth[0]), column] += 1
    return table
