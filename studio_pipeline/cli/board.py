"""The board of `studio status` as people see it: shots x stages on a strip, and what happens now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from studio_pipeline.line.board import STATES, Board, Cell, ShotRow

__all__ = ["board_as_json", "board_picture", "cell_as_json", "duration", "summary"]

GLYPHS = {"done": "●", "running": "◐", "failed": "✖", "queued": "◌", "waits": "‖", "to do": "·"}
STYLES = {"done": "green", "running": "cyan", "failed": "red", "queued": "yellow", "waits": "magenta", "to do": "dim"}
_QUIET = re.compile(r"after |\w+ waits\b")
LONG_BAR, SHORT_BAR = 20, 10  # characters of a progress bar


def summary(board: Board) -> Text:
    """One line: how many shots and stages are done, are made, wait and failed, and what is left."""
    shots, stages = board.shots(), board.counts()
    line = Text()
    line.append(f"{len(board.rows)} shot{'s' if len(board.rows) != 1 else ''}", style="bold")
    for state in ("done", "running", "queued", "waits", "failed", "to do"):
        if shots[state]:
            line.append("  ")
            line.append(f"{shots[state]} {'waiting' if state == 'waits' else state}", style=STYLES[state])
    line.append(f"   stages {stages['done']}/{sum(stages.values())} done", style="dim")
    if board.workers:
        line.append(f", {board.workers} worker{'s' if board.workers != 1 else ''} busy", style="dim")
    if board.machine_seconds:
        line.append(f", about {duration(board.machine_seconds)} of work left", style="dim")
    return line


def board_picture(
    board: Board,
    *,
    words: Mapping[str, str] | None = None,
    most: int | None = None,
    width: int = 140,
    more: str = "",
) -> RenderableType:
    """The board for a terminal.

    Args:
        board: What there is.
        words: Of each shot's delivery: its version, status and notes.
        most: Lines at most; shots that are done go first, then those that are not begun.
        width: Columns of the terminal.
        more: How to see the others, said where some are left out.
    """
    shown, hidden = _chosen(board.rows, most)
    table = _table(shown, words or {}, width, whole=most is None)
    parts: list[RenderableType] = [summary(board), Text(), table]
    if hidden:
        counted = ", ".join(
            f"{sum(row.state == state for row in hidden)} {state}"
            for state in STATES
            if any(row.state == state for row in hidden)
        )
        rest = f"and {len(hidden)} more shots: {counted}" + (f" ({more})" if more else "")
        parts.append(Text(rest, style="dim"))
    parts.append(_legend())
    return Group(*parts)


def _table(rows: Sequence[ShotRow], words: Mapping[str, str], width: int, *, whole: bool) -> Table:
    """The shots' lines; what happens is cut off at the terminal's edge, or folded when ``whole`` is wanted."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    columns = {
        "shot": max([len(row.shot) for row in rows], default=0),
        "stages": max([len(row.cells) for row in rows], default=0),
        "state": max(map(len, STATES)),
        "stage": max([len(cell.stage) for row in rows for cell in _telling(row)], default=0),
    }
    for title, size in columns.items():
        table.add_column(title, min_width=size, no_wrap=True)
    rest = max(12, width - sum(max(size, len(title)) + 2 for title, size in columns.items()))
    table.add_column("", width=rest, no_wrap=not whole, overflow="fold" if whole else "ellipsis")
    bar = LONG_BAR if width >= 120 else SHORT_BAR
    busy = [cell for row in rows for cell in row.cells if cell.state == "running"]
    sizes = tuple(max((len(text) for text in texts), default=0) for texts in zip(*map(_spans, busy), strict=True))
    for row in rows:
        for index, cell in enumerate(_telling(row)):
            name, strip = (row.shot, _strip(row)) if index == 0 else ("", "")
            state = Text(cell.state, style=STYLES[cell.state])
            if row.state == "done":
                smaller = [f"{one.stage} {one.reason}" for one in row.cells if one.reason.startswith("reduced after")]
                told = "; ".join(part for part in (words.get(row.shot, ""), *smaller) if part)
                table.add_row(name, strip, state, "", Text(told, style="dim"))
            else:
                detail = _working(cell, bar, sizes) if cell.state == "running" else _waiting(row.shot, cell)
                table.add_row(name, strip, state, cell.stage, detail)
    return table


def board_as_json(board: Board) -> dict[str, Any]:
    """The summary of a board, JSON-able."""
    return {
        "shots": dict(board.shots()),
        "stages": dict(board.counts()),
        "workers": board.workers,
        "machine_seconds": None if board.machine_seconds is None else round(board.machine_seconds, 1),
    }


def cell_as_json(cell: Cell) -> dict[str, Any]:
    """What happens to a stage now, JSON-able; what isn't known is left out."""
    told = {
        "state": cell.state,
        "reason": cell.reason,
        "fraction": cell.fraction,
        "message": cell.message or None,
        "worker": cell.worker or None,
        "attempt": cell.attempt or None,
        "since_s": None if cell.since is None else round(cell.since, 1),
        "left_s": None if cell.left is None else round(cell.left, 1),
    }
    return {name: value for name, value in told.items() if value is not None}


def duration(seconds: float) -> str:
    """A time span as people say it: ``45 s``, ``3:07 min``, ``2:05 h``."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    if whole < 48 * 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
    return f"{whole / 86400:.1f} d"


def _chosen(rows: Sequence[ShotRow], most: int | None) -> tuple[list[ShotRow], list[ShotRow]]:
    """The rows that fit, the most urgent ones, in their own order."""
    if most is None or sum(len(_telling(row)) for row in rows) <= most:
        return list(rows), []
    order = sorted(range(len(rows)), key=lambda index: (STATES.index(rows[index].state), index))
    room, kept = most - 1, set()
    for index in order:
        room -= len(_telling(rows[index]))
        if room < 0:
            break
        kept.add(index)
    return [row for index, row in enumerate(rows) if index in kept], [
        row for index, row in enumerate(rows) if index not in kept
    ]


def _strip(row: ShotRow) -> Text:
    strip = Text()
    for cell in row.cells:
        # What only comes after something else is quiet; what is held up by something shows.
        state = "to do" if cell.state == "waits" and _QUIET.match(cell.reason) else cell.state
        strip.append(GLYPHS[state], style=STYLES[state])
    return strip


def _telling(row: ShotRow) -> list[Cell]:
    """The stages that are made or failed; else the one that the shot waits for."""
    telling = [cell for cell in row.cells if cell.state in ("running", "failed")]
    return telling or [next(cell for cell in row.cells if cell.state == row.state)] if row.cells else []


def _working(cell: Cell, bar: int, sizes: tuple[int, ...]) -> Text:
    """How far a stage is, for how long, how long still, where, and what it says itself."""
    detail = _bar(cell.fraction or 0.0, bar)
    for text, size, dim in zip(_spans(cell), sizes, (False, True, False), strict=True):
        if size:
            detail.append("  ").append(text.ljust(size), style="dim" if dim else "")
    if cell.attempt > 1:
        detail.append(f"  attempt {cell.attempt}", style="bold yellow")
    return detail.append(f"  {cell.message}" if cell.message else "")


def _spans(cell: Cell) -> tuple[str, str, str]:
    since = duration(cell.since) if cell.since is not None else ""
    left = f"{duration(cell.left)} left" if cell.left is not None else ""
    return since, left, cell.worker


def _waiting(shot: str, cell: Cell) -> Text:
    reason = Text(cell.reason.removeprefix(f"{shot} {cell.stage}: "), style="red" if cell.state == "failed" else "")
    return reason.append(f", for {duration(cell.since)}" if cell.since is not None else "", style="dim")


def _bar(fraction: float, size: int) -> Text:
    full = round(fraction * size)
    bar = Text().append("━" * full, style="cyan")
    bar.append("━" * (size - full), style="bright_black")
    return bar.append(f" {fraction:>4.0%}", style="cyan")


def _legend() -> Text:
    legend = Text("\n", style="dim")
    for state in ("done", "running", "queued", "waits", "failed", "to do"):
        legend.append(GLYPHS[state], style=STYLES[state])
        legend.append(f" {state}   ", style="dim")
    return legend
