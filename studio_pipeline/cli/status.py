"""`studio status`: shots x stages, with what people say of the versions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import typer

from studio_pipeline.cli.tables import plan_as_json, print_plan
from studio_pipeline.line.plan import ShotPlan, plan_shot
from studio_pipeline.line.reviews import REVIEWED_STAGE, standing_as_json
from studio_pipeline.line.shots import known_shots, open_studio
from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.store import Store
from studio_pipeline.store.reviews import ReviewBook, Standing

__all__ = ["show_status"]


def show_status(only: Sequence[str] | None, *, as_json: bool) -> None:
    """Print the state of this home's shots; one that can't be read costs its own rows only, and the exit code."""
    store = open_studio(reading=True)
    shots, problems = known_shots(store, only=only)
    seen = store.snapshot([shot.id for shot in shots])
    plans = [plan_shot(seen, shot) for shot in shots]
    said = {plan.shot.id: _standings(seen, plan) for plan in plans}
    if as_json:
        found = plan_as_json(plans)
        for entry in found["shots"]:
            for row in entry["stages"]:
                if (standing := said[entry["shot"]].get(row["stage"])) is not None:
                    row["review"] = standing_as_json(standing)
        found["problems"] = {shot: str(error) for shot, error in problems.items()}
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True))
    elif plans:
        print_plan(plans, reviews={shot: _in_words(standings) for shot, standings in said.items()})
    elif not problems:
        typer.echo("no shots yet: studio run SHOTS.yaml")
    for shot, error in problems.items():
        sys.stderr.write(f"studio: {shot}: {one_line(error)}\n")
    if problems:
        raise typer.Exit(InputError.exit_code)


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
