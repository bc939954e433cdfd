"""The tables that are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from studio_pipeline.evaluation.caption.trials import WAYS
from studio_pipeline.evaluation.summary import markdown_table

__all__ = ["axis_table", "field_table", "value_table"]


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def axis_table(axes: Sequence[Mapping[str, Any]]) -> str:
    """Macro recall by axis, a column for each of `WAYS`, goals beside them."""
    names = list(dict.fromkeys(item["axis"] for item in axes))
    rows = []
    for name in names:
        by_way = {item["way"]: item for item in axes if item["axis"] == name}
        most = max(by_way.values(), key=lambda item: item["values"])
        rows.append([
            name, str(most["fields"]), str(most["values"]), str(most["least_clips"]),
            *(_number(by_way[way]["macro"]) if way in by_way else "-" for way in WAYS),
            _number(most["goal"], ".2f"),
        ])  # fmt: skip
    return markdown_table(["axis", "fields", "values", "fewest clips", *WAYS, "goal"], rows)


def field_table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Every field: macro recall by each way; coverage, precision and calibration of the last."""
    names = list(dict.fromkeys(item["field"] for item in figures))
    rows = []
    for name in names:
        by_way = {item["way"]: item for item in figures if item["field"] == name}
        last = by_way.get("both") or by_way.get("network") or by_way["measured"]
        rows.append([
            name, str(len(last["values"])), str(last["clips"]),
            *(_number(by_way[way]["macro"]) if way in by_way else "-" for way in WAYS),
            _number(last["precision"]), _number(last["coverage"], ".2f"), _number(last["right_of_told"]),
            _number(last["ece"]),
        ])  # fmt: skip
    heads = ["field", "values", "clips", *WAYS, "precision", "coverage", "right of told", "ECE"]
    return markdown_table(heads, rows)


def value_table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Every value as it is read by both together."""
    rows = [
        [item["field"], value, str(found["clips"]), _number(found["recall"], ".2f"), _number(found["precision"], ".2f")]
        for item in figures
        for value, found in item["values"].items()
    ]
    return markdown_table(["field", "value", "clips", "recall", "precision"], rows)
