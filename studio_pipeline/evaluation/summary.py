"""Rows of trials to tables: every clip, medians with the goals beside them, the ablation."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "LEAST_STILL_PERCENT",
    "ablation_table",
    "case_table",
    "counted",
    "markdown_table",
    "median_of",
    "medians",
    "medians_table",
]

Row = dict[str, Any]

LEAST_STILL_PERCENT = 3.0  # clips whose still pose errs by less are listed apart, outside the medians

# Key, heading, format, +1 when more is better.
_FIGURES: tuple[tuple[str, str, str, int], ...] = (
    ("iou_mean", "IoU", ".3f", 1),
    ("iou_min", "worst IoU", ".3f", 1),
    ("in_plane_percent", "in-plane %", ".2f", -1),
    ("spatial_percent", "3D %", ".2f", -1),
    ("ssim", "SSIM ±45", ".3f", 1),
    ("psnr", "PSNR", ".1f", 1),
    ("flip", "FLIP", ".3f", -1),
    ("lpips", "LPIPS", ".3f", -1),
    ("ssim_full", "full SSIM", ".3f", 1),
    ("track_px", "track px", ".2f", -1),
)


def _goals(rig: str, depth: bool) -> dict[str, float]:
    """What the medians are to reach, by figure."""
    if rig == "geometric":
        return {"in_plane_percent": 1.5, "iou_mean": 0.92}
    if rig != "provided":
        return {"in_plane_percent": 1.2, "iou_mean": 0.93}
    return {
        "iou_mean": 0.95,
        "in_plane_percent": 0.5,
        "spatial_percent": 1.0 if depth else 2.0,
        "ssim": 0.85 if depth else 0.75,
    }


def counted(row: Row) -> bool:
    """Whether a clip moves enough to count in the medians."""
    return row["still"]["in_plane_percent"] >= LEAST_STILL_PERCENT


def _figures(rows: Iterable[Row]) -> list[tuple[str, str, str, int]]:
    """The columns that any row has."""
    known = {name for row in rows for name in (*row.get("lift", ()), *row["still"])}
    return [figure for figure in _FIGURES if figure[0] in known]


def markdown_table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    grid = [list(heads), *(list(line) for line in lines)]
    widths = [max(len(line[k]) for line in grid) for k in range(len(heads))]
    text = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in grid]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _slide(figures: Row) -> str:
    slide = figures["foot_slide"]
    return "-" if not slide["planted"] else f"{slide['lift']:.2f} ({slide['truth']:.2f})"


def case_table(rows: Sequence[Row]) -> str:
    """Every clip with what a still pose scores in brackets; the foot slide has the truth's in brackets instead."""
    done = [row for row in rows if "still" in row]
    figures = _figures(done)
    heads = ["character", "clip", "kind", "rig", "depth", *(head for _, head, _, _ in figures)]
    lines = []
    for row in done:
        named = [row["character"], row["clip"] + (f" [{row['hard']}]" if row.get("hard") else ""), row["kind"]]
        named += [row["rig"], "yes" if row["depth"] else "no"]
        if "lift" not in row:
            lines.append([*named, *["-"] * len(figures), "-", "-", f"failed: {row['error']}"])
            continue
        cells = []
        for key, _, form, _ in figures:
            still = f" ({_number(row['still'][key], form)})" if key in row["still"] else ""
            cells.append(_number(row["lift"].get(key), form) + still)
        seconds = row["seconds"]["observations"] + row["seconds"]["lift"]
        state = "DIVERGED" if row["lift"]["diverged"] else ""
        lines.append([*named, *cells, _slide(row["lift"]), f"{seconds:.0f}", state])
    return markdown_table([*heads, "slide %/frame", "s", ""], lines)


def medians(rows: Sequence[Row]) -> list[Row]:
    """Medians over the counted clips of every rig, with and without depth, and over characters.

    Returns:
        Per group ``rig``, ``depth``, ``clips``, ``characters``, ``diverged``, ``failed``, ``seconds``, ``goals`` and
        ``over_clips``, ``over_characters`` (each character's median first), ``still``: figure -> median.
    """
    found = []
    for rig, depth in dict.fromkeys((row["rig"], row["depth"]) for row in rows):
        group = [row for row in rows if (row["rig"], row["depth"]) == (rig, depth) and "still" in row and counted(row)]
        done = [row for row in group if "lift" in row]
        if not done:
            continue
        people = list(dict.fromkeys(row["character"] for row in done))
        keys = [key for key, *_ in _figures(done)]
        by_character = [
            {key: median_of(row["lift"].get(key) for row in done if row["character"] == one) for key in keys}
            for one in people
        ]
        found.append(
            {
                "rig": rig,
                "depth": depth,
                "clips": len(done),
                "characters": len(people),
                "diverged": sum(row["lift"]["diverged"] for row in done),
                "failed": len(group) - len(done),
                "seconds": median_of(row["seconds"]["observations"] + row["seconds"]["lift"] for row in done),
                "goals": _goals(rig, depth),
                "over_clips": {key: median_of(row["lift"].get(key) for row in done) for key in keys},
                "over_characters": {key: median_of(one[key] for one in by_character) for key in keys},
                "still": {key: median_of(row["still"].get(key) for row in done) for key in keys},
            }
        )
    return found


def median_of(values: Iterable[float | None]) -> float | None:
    """Median of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def medians_table(groups: Sequence[Row]) -> str:
    """Medians over characters and clips, what a still pose scores, and the goals: met or missed."""
    columns = [figure for figure in _FIGURES if any(figure[0] in group["over_clips"] for group in groups)]
    heads = ["rig", "depth", "median over", *(head for _, head, _, _ in columns), "diverged", "s"]
    lines = []
    for group in groups:
        where = [group["rig"], "yes" if group["depth"] else "no"]
        diverged = f"{group['diverged']} of {group['clips']}" + (
            f", {group['failed']} failed" if group["failed"] else ""
        )
        for name, label in (("over_characters", "characters"), ("over_clips", "clips"), ("still", "still pose")):
            cells = [_number(group[name].get(key), form) for key, _, form, _ in columns]
            ends = ["", ""] if name == "still" else [diverged, _number(group["seconds"], ".0f")]
            count = "" if name == "still" else f"{group[name[5:]]} "
            lines.append([*where, count + label, *cells, *ends])
        lines.append([*where, "goal", *(_goal(group, *column) for column in columns), "0", "60"])
    return markdown_table(heads, lines)


def _goal(group: Row, key: str, _: str, form: str, sign: int) -> str:
    goal, value = group["goals"].get(key), group["over_characters"].get(key)
    if goal is None or value is None:
        return ""
    text = form.replace("3", "2") if goal < 1 and form == ".3f" else ".1f" if goal >= 1 else form
    return f"{'≥' if sign > 0 else '≤'} {goal:{text}} {'met' if sign * (value - goal) >= 0 else 'MISSED'}"


def ablation_table(rows: Sequence[Row]) -> str:
    """Medians over the clips that all variants lifted, one line a term left out."""
    variants: dict[str, list[Row]] = {}
    for row in rows:
        if "still" in row and counted(row):
            variants.setdefault(", ".join(row["without"]) or "nothing", []).append(row)
    identify = operator.itemgetter("character", "clip", "rig", "depth")
    shared = [{identify(row) for row in group if "lift" in row} for group in variants.values()]
    common = set.intersection(*shared) if shared else set()
    columns = _figures(row for group in variants.values() for row in group)
    lines = []
    for name, group in variants.items():
        done = [row for row in group if identify(row) in common]
        cells = [_number(median_of(row["lift"].get(key) for row in done), form) for key, _, form, _ in columns]
        failed = sum("lift" not in row for row in group)
        lines.append([name, *cells, f"{sum(row['lift']['diverged'] for row in done)} of {len(done)}", str(failed)])
    full = [row for row in variants.get("nothing", []) if identify(row) in common]
    if full:
        cells = [_number(median_of(row["still"].get(key) for row in full), form) for key, _, form, _ in columns]
        lines.append(["(a still pose)", *cells, "", ""])
    return markdown_table(["left out", *(head for _, head, _, _ in columns), "diverged", "failed"], lines)
