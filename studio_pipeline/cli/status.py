"""`studio status`: shots x stages as they are now, with what people say of the versions."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from studio_pipeline.cli.board import board_as_json, board_picture, cell_as_json, duration, summary
from studio_pipeline.cli.tables import console, plan_as_json, print_plan
from studio_pipeline.line.board import Board, Cell
from studio_pipeline.line.keeper import BoardKeeper, Runs
from studio_pipeline.line.plan import ShotPlan
from studio_pipeline.line.reviews import REVIEWED_STAGE, standing_as_json
from studio_pipeline.line.shots import open_studio
from studio_pipeline.schema.errors import InputError, StorageError, one_line
from studio_pipeline.store import Store
from studio_pipeline.store.reviews import ReviewBook, Standing

__all__ = ["show_status"]

EVERY = 2.0  # how often a watched board is drawn [s]
FEW = 20  # shots of which every stage is listed
MANY = 200  # lines of more shots than that: those first where something happens or has failed


def show_status(only: Sequence[str] | None, *, as_json: bool, watch: bool = False, everything: bool = False) -> None:
    """Print the state of this home's shots; one that can't be read costs its own rows only, and the exit code.

    Args:
        only: Shot ids; all when None.
        as_json: Print JSON.
        watch: Draw it again and again until interrupted; on a terminal only.
        everything: Print every shot, however many there are.
    """
    store = open_studio(reading=True)
    with _dagsters_runs() as runs:
        keeper = BoardKeeper(store, only=only, runs=runs)
        board = keeper.look()
        if watch and not as_json and sys.stdout.isatty():
            _watch(store, keeper, board)
            return
    plans = list(keeper.plans.values())
    said = _all_said(store, plans)
    if as_json:
        _print_json(board, plans, said, keeper.problems)
    elif len(plans) > FEW:
        most = None if everything or len(plans) <= MANY else MANY
        console().print(board_picture(board, words=_delivered(plans, said), most=most, more="--all lists them"))
    elif plans:
        words = {shot: _in_words(standings) for shot, standings in said.items()}
        print_plan(plans, reviews=words, live={row.shot: {c.stage: _now(c) for c in row.cells} for row in board.rows})
        console().print(summary(board))
    elif not keeper.problems:
        typer.echo("no shots yet: studio run SHOTS.yaml")
    for shot, error in keeper.problems.items():
        sys.stderr.write(f"studio: {shot}: {one_line(error)}\n")
    if keeper.problems:
        raise typer.Exit(InputError.exit_code)


@contextmanager
def _dagsters_runs() -> Iterator[Runs]:
    """Dagster's unfinished runs, where it has any; a database that doesn't answer is told once and costs only them."""
    from studio_pipeline.dag.presence import has_instance

    told: list[str] = []

    def runs(known: frozenset[str]) -> list[Any]:
        try:
            if not has_instance():
                return []
            from studio_pipeline.dag.launch import open_instance
            from studio_pipeline.dag.queue import runs_now

            with open_instance() as instance:
                return runs_now(instance, known=known)
        except Exception as error:  # whatever is wrong with Dagster's databases, the store tells the rest
            line = (
                str(error)
                if isinstance(error, StorageError)
                else f"Dagster's runs can't be read ({one_line(error)[:200]})"
            )
            if line not in told:
                told.append(line)
                sys.stderr.write(f"studio: {line}\n")
            return []

    yield runs


def _watch(store: Store, keeper: BoardKeeper, board: Board) -> None:
    from rich.live import Live

    screen = console()
    said: dict[str, dict[str, Standing]] = {}
    trouble = ""
    with Live(console=screen, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            for shot, plan in keeper.plans.items():
                if shot not in said:
                    said[shot] = _standings(store, plan)
            words = _delivered(list(keeper.plans.values()), said)
            picture = board_picture(board, words=words, most=max(5, screen.height - 9), width=screen.width)
            live.update(_framed(picture, keeper, trouble), refresh=True)
            time.sleep(EVERY)
            try:
                board, trouble = keeper.look(), ""
            except StorageError as error:  # the board stays; the store may be back at the next look
                trouble = str(error)


def _framed(picture: Any, keeper: BoardKeeper, trouble: str) -> Any:
    from rich.console import Group
    from rich.text import Text

    clock = Text(time.strftime("%H:%M:%S  Ctrl-C ends this"), style="dim")
    lines = [Text(f"{shot}: {one_line(error)}", style="red") for shot, error in list(keeper.problems.items())[:3]]
    return Group(picture, *lines, *([Text(trouble, style="red")] if trouble else []), clock)


def _now(cell: Cell) -> tuple[str, str]:
    """State and reason of a stage in the table of few shots, where something happens to it."""
    if cell.state in ("done", "to do"):
        return "", ""
    parts = [cell.reason] if cell.state != "running" else []
    if cell.fraction is not None:
        parts.append(f"{cell.fraction:.0%}" + (f" {cell.message}" if cell.message else ""))
    if cell.worker:
        parts.append(cell.worker)
    if cell.attempt > 1:
        parts.append(f"attempt {cell.attempt}")
    if cell.since is not None:
        parts.append(f"for {duration(cell.since)}")
    if cell.left is not None:
        parts.append(f"about {duration(cell.left)} left")
    return cell.state, ", ".join(parts)


def _print_json(
    board: Board,
    plans: Sequence[ShotPlan],
    said: Mapping[str, Mapping[str, Standing]],
    problems: Mapping[str, Exception],
) -> None:
    found = plan_as_json(plans)
    cells = {(row.shot, cell.stage): cell for row in board.rows for cell in row.cells}
    for entry in found["shots"]:
        for row in entry["stages"]:
            row["now"] = cell_as_json(cells[entry["shot"], row["stage"]])
            if (standing := said[entry["shot"]].get(row["stage"])) is not None:
                row["review"] = standing_as_json(standing)
    found["summary"] = board_as_json(board)
    found["problems"] = {shot: str(error) for shot, error in problems.items()}
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))


def _all_said(store: Store, plans: Sequence[ShotPlan]) -> dict[str, dict[str, Standing]]:
    seen = store.snapshot([plan.shot.id for plan in plans])
    return {plan.shot.id: _standings(seen, plan) for plan in plans}


def _delivered(plans: Sequence[ShotPlan], said: Mapping[str, Mapping[str, Standing]]) -> dict[str, str]:
    """Version and status of each shot's delivery, in words."""
    found = {}
    for plan in plans:
        last = next((item for item in plan.stages if item.stage == REVIEWED_STAGE and item.version), None)
        if last is not None:
            found[plan.shot.id] = (
                f"{last.version} {_in_words(said.get(plan.shot.id, {})).get(REVIEWED_STAGE, '')}".strip()
            )
    return found


def _standings(store: Store, plan: ShotPlan) -> dict[str, Standing]:
    """What stands of the versions shown: of the delivery's always, of others when something was said."""
    said = ReviewBook(store.primitive).of_shot(plan.shot.id)
    found = {}
    for item in plan.stages:
        if not item.version:
            continue
        standing = said.get((item.stage, int(item.version[1:])))
        if standing or item.stage == REVIEWED_STAGE:
            found[item.stage] = standing or Standing()
    return found


def _in_words(standings: Mapping[str, Standing]) -> dict[str, str]:
    words: dict[str, str] = {}
    for stage, standing in standings.items():
        text = standing.status + (f" by {standing.by}" if standing.by else "")
        if standing.notes and (last := standing.notes[-1]).text:
            # What was said with the status follows it; a later note is somebody's own word.
            text += f": {one_line(last.text)}" if last.status else f"; {last.by or 'note'}: {one_line(last.text)}"
        words[stage] = text
    return words
