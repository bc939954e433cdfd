"""Rows of the physics' ablation to tables and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from studio_pipeline.evaluation.refine.measures import CLIP_VIEW
from studio_pipeline.evaluation.scores import VIEWS
from studio_pipeline.evaluation.summary import markdown_table

__all__ = ["IOU_DROP", "case_table", "fit_verdicts", "iou_drop", "medians_table"]

IOU_DROP = 0.005  # at most, at the clip's view

Row = dict[str, Any]
Side = dict[str, Any]


def _turned(side: Side, key: str) -> float:
    """Mean over the views at +45 and -45 degrees."""
    return sum(side["views"][view][key] for view in VIEWS) / len(VIEWS)


_FIGURES: tuple[tuple[str, Callable[[Side], float], str], ...] = (
    ("jerk %", lambda side: side["jerk_percent"], ".3f"),
    ("volume % worst", lambda side: side["volume_worst_percent"], ".2f"),
    ("volume % mean", lambda side: side["volume_mean_percent"], ".2f"),
    ("flesh %", lambda side: side["flesh_percent"], ".2f"),
    ("min det F", lambda side: side["min_det_f"], ".3f"),
    ("inverted", lambda side: side["inverted"], ".0f"),
    ("new pairs", lambda side: side["worst_pairs"], ".0f"),
    ("IoU", lambda side: side["views"][CLIP_VIEW]["iou"], ".4f"),
    ("SSIM", lambda side: side["views"][CLIP_VIEW]["ssim"], ".3f"),
    ("IoU ±45", lambda side: _turned(side, "iou"), ".4f"),
    ("SSIM ±45", lambda side: _turned(side, "ssim"), ".3f"),
)


def iou_drop(row: Row) -> float:
    """How much the silhouette's IoU at the clip's view falls by the physics; negative where it rises."""
    return row["without"]["views"][CLIP_VIEW]["iou"] - row["with"]["views"][CLIP_VIEW]["iou"]


def case_table(rows: Iterable[Row]) -> str:
    """Every clip twice: skinned, and refined with what that took."""
    lines = []
    for row in rows:
        if "skipped" in row:
            continue
        clip = [row["character"], row["clip"], row["motion"]]
        if "error" in row:
            lines.append([*clip, f"FAILED: {row['error']}", *[""] * (len(_FIGURES) + 5)])
            continue
        for physics in ("without", "with"):
            figures = [format(figure(row[physics]), form) for _, figure, form in _FIGURES]
            ends = ["", "", "", "", ""]
            if physics == "with":
                led = str(row["led"]["lead_rounds"]) if row.get("led") else "-"
                ends = [f"{row['moved_percent']:.2f}", led, str(row["fallback_frames"]), str(row["tets"])]
                ends.append(f"{row['seconds']['processor']:.1f}")
            lines.append([*clip, physics, *figures, *ends])
    heads = ["character", "clip", "joints", "physics", *(head for head, _, _ in _FIGURES)]
    return markdown_table([*heads, "moved %", "led", "fallback", "tets", "CPU s"], lines)


def medians_table(rows: Sequence[Row]) -> str:
    """Medians over the clips, by whose joint motion it is."""
    lines = []
    done = [row for row in rows if "with" in row]
    for motion in dict.fromkeys(row["motion"] for row in done):
        here = [row for row in done if row["motion"] == motion]
        for physics in ("without", "with"):
            medians = [float(np.median([figure(row[physics]) for row in here])) for _, figure, _ in _FIGURES]
            cells = [format(value, form) for value, (_, _, form) in zip(medians, _FIGURES, strict=True)]
            lines.append([motion, str(len(here)), physics, *cells])
    return markdown_table(["joints", "clips", "physics", *(head for head, _, _ in _FIGURES)], lines)


def fit_verdicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Whether the physics keeps the image fit, by whose joint motion it is.

    Returns:
        For each ``motion``: ``passed``, ``worst_drop``, ``where`` (character and clip), ``median_drop``, ``line``.
    """
    found = []
    done = [row for row in rows if "with" in row]
    for motion in dict.fromkeys(row["motion"] for row in done):
        here = [row for row in done if row["motion"] == motion]
        worst = max(here, key=iou_drop)
        passed = iou_drop(worst) <= IOU_DROP
        median = float(np.median([iou_drop(row) for row in here]))
        line = (
            f"image fit, {motion} joints: {'KEPT' if passed else 'LOST'}, IoU drops by {iou_drop(worst):.4f} at worst "
            f"({worst['character']} {worst['clip']}), {median:.4f} in the median, bound {IOU_DROP}"
        )
        where = f"{worst['character']} {worst['clip']}"
        found.append(
            {
                "motion": motion,
                "passed": passed,
                "worst_drop": iou_drop(worst),
                "where": where,
                "median_drop": median,
                "line": line,
            }
        )
    return found
