"""Tables on the terminal, and the same as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from studio_pipeline.line.plan import ShotPlan
from studio_pipeline.line.resolve import ResolvedShot

__all__ = ["console", "figures_text", "plan_as_json", "print_history", "print_plan", "print_results", "print_warnings"]

_STYLES = {
    "cached": "green",
    "running": "cyan",
    "queued": "yellow",
    "made": "cyan",
    "would run": "yellow",
    "may run": "yellow",
    "waits": "magenta",
    "failed": "red",
}


def console() -> Console:
    """Standard output, as wide as the terminal or 140 columns when there is none."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=140)


def plan_as_json(plans: Sequence[ShotPlan]) -> dict[str, Any]:
    """The plan as JSON: ``{"shots": [{"shot": ..., "stages": [{"stage", "state", "reason", "version"}]}]}``."""
    return {
        "shots": [
            {
                "shot": plan.shot.id,
                "stages": [
                    {"stage": item.stage, "state": item.state, "reason": item.reason, "version": item.version}
                    for item in plan.stages
                ],
            }
            for plan in plans
        ],
        "would_run": sum(item.state in ("would run", "may run") for plan in plans for item in plan.stages),
    }


def print_warnings(shots: Sequence[ResolvedShot]) -> None:
    """What still works but should be written otherwise: a line each on standard error."""
    for line in dict.fromkeys(line for shot in shots for line in shot.warnings):
        sys.stderr.write(f"studio: warning: {line}\n")


def print_plan(
    plans: Sequence[ShotPlan],
    *,
    reviews: Mapping[str, Mapping[str, str]] | None = None,
    live: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
) -> None:
    """One row a shot and stage: its state and why.

    Args:
        plans: What is planned.
        reviews: By shot and stage: what people say of it.
        live: By shot and stage: state and words of what happens to it now; empty where nothing does.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("shot", "stage", "version", "state", "why", *(("review",) if reviews is not None else ())):
        table.add_column(title, overflow="fold")
    for plan in plans:
        for index, item in enumerate(plan.stages):
            word, reason = (live or {}).get(plan.shot.id, {}).get(item.stage, ("", ""))
            state = Text(word or item.state, style=_STYLES.get(word or item.state, ""))
            said = [] if reviews is None else [Text(reviews.get(plan.shot.id, {}).get(item.stage, ""))]
            shot = plan.shot.id if index == 0 else ""
            table.add_row(shot, item.stage, item.version or "-", state, Text(reason or item.reason), *said)
    console().print(table)
    total = [item.state for plan in plans for item in plan.stages]
    console().print(
        f"{total.count('cached')} cached, {total.count('would run')} would run, {total.count('may run')} may run, "
        f"{total.count('waits')} wait"
    )


# What a TD looks at first; the others follow in alphabetical order, as the store keeps them.
_FIRST = (
    *(
        "faces",
        "height_m",
        "joints",
        "tets",
        "performance",
        "motion_energy",
        "track_count",
        "mask_rest_iou",
        "iou_mean",
    ),
    *("iou_min", "track_error_px", "fallback_frames", "max_displacement_m", "glb_mb", "usd_mb", "failed_gates"),
)


def figures_text(figures: Mapping[str, Any], limit: int = 4) -> str:
    """A few key figures on one line."""
    parts = []
    order = sorted(figures, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    for name in order[:limit]:
        value = figures[name]
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name} {shown if len(shown) <= 40 else shown[:37] + '...'}")
    return ", ".join(parts)


def print_results(rows: Sequence[Mapping[str, Any]]) -> None:
    """The table after a run: shot, stage, version, seconds, cached or made, key figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("shot", "stage", "version"):
        table.add_column(title, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True, min_width=7)
    table.add_column("", no_wrap=True, min_width=9)
    table.add_column("key figures", overflow="ellipsis", no_wrap=True)
    last = None
    for row in rows:
        state = Text(row["state"], style=_STYLES.get(row["state"], ""))
        seconds = f"{row['seconds']:.1f}" if row["seconds"] is not None else ""
        note = {"failed": "see below", "waits": row["reason"]}.get(row["state"]) or figures_text(row["figures"])
        shot = row["shot"] if row["shot"] != last else ""
        table.add_row(shot, row["stage"], row["version"] or "-", seconds, state, Text(note))
        last = row["shot"]
    console().print(table)


def print_history(found: Mapping[str, Any]) -> None:
    """One row a published version, then one a thing that people did."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("stage", "version", "published", "status", "backend", "content", "key figures"):
        table.add_column(title, overflow="fold")
    for row in found["versions"]:
        table.add_row(
            row["stage"],
            row["version"],
            row["published"],
            row["status"] if row["notes"] or row["stage"] == "delivery" else "",
            row["backend"],
            row["content"][:12],
            figures_text(row["figures"], 3),
        )
    console().print(table)
    if not found["events"]:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("when", "what", "stage", "which", "by", "text"):
        table.add_column(title, overflow="fold")
    for event in found["events"]:
        table.add_row(*(Text(event[name]) for name in ("time", "what", "stage", "which", "by", "text")))
    console().print()
    console().print(table)
