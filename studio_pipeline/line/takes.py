"""A shot's takes as they were reported, which of them is followed, and choosing another."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio_pipeline.line.overrides import override, unpin
from studio_pipeline.line.plan import ShotPlan, plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.schema.arrays import load_json, save_json
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.reference_clip.choosing import Chosen, choose, read_choice, take_digest
from studio_pipeline.store import Store
from studio_pipeline.store.pins import Pin, PinBook

__all__ = ["STAGE", "TakesView", "select_best", "select_take", "view_takes"]

STAGE = "reference_clip"
"""The stage whose place a choice takes."""


@dataclass(frozen=True)
class TakesView:
    """What `studio takes` shows."""

    shot: str
    report: dict[str, Any]  # take_report's
    made: tuple[dict[str, Any], ...]  # entries of takes.json
    folder: Path  # where the takes lie
    chosen: Chosen
    followed: int | None  # the take that the made reference clip shows; None: not made yet, or outdated
    pin: Pin | None  # an artist's choice


def view_takes(store: Store, shot: ResolvedShot) -> TakesView:
    """The takes of a shot.

    Raises:
        InputError: They are not made or reported yet, or are out of date.
    """
    plan = plan_shot(store, shot, only={"takes", "take_report", STAGE})
    by_name = {item.stage: item for item in plan.stages}
    for name in ("takes", "take_report"):
        if by_name[name].artifact is None:
            raise InputError(
                f"its {name} isn't there: {by_name[name].reason}",
                where=shot.id,
                do="studio run SHOTS --stage take_report",
            )
    folder, report = _folder(store, plan, "takes"), load_json(_folder(store, plan, "take_report") / "report.json")
    made = tuple(load_json(folder / "takes.json")["takes"])
    settings: Any = plan.shot.setups[STAGE].settings
    pinned = read_choice(settings.choice) if settings.choice is not None else None
    digests = [take_digest(folder / item["folder"]) for item in made] if pinned and pinned.digest else []
    chosen = choose(report, take=settings.take, pinned=pinned, digests=digests)
    clip = by_name[STAGE].artifact
    return TakesView(
        shot=shot.id,
        report=report,
        made=made,
        folder=folder,
        chosen=chosen,
        followed=None if clip is None else int(clip.figures["take"]),
        pin=PinBook(store.primitive).current(shot.id, STAGE),
    )


def select_take(store: Store, shot: ResolvedShot, take: int, *, note: str = "", by: str = "") -> Pin:
    """Let an artist's choice stand: the reference clip and all that hangs on it go out of date, the takes don't.

    Raises:
        InputError: There are no takes, or not this one.
    """
    plan = plan_shot(store, shot, only={"takes"})
    if plan.stages[0].artifact is None:
        raise InputError(
            f"its takes aren't there: {plan.stages[0].reason}", where=shot.id, do="studio run SHOTS --stage take_report"
        )
    folder = _folder(store, plan, "takes")
    made = load_json(folder / "takes.json")["takes"]
    if not 0 <= take < len(made):
        there = "only take 0" if len(made) == 1 else f"takes 0 to {len(made) - 1}"
        raise InputError(f"has no take {take}, but {there}", where=shot.id, do="studio takes lists them")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"take_{take:03d}.json"
        save_json(file, {"take": take, "digest": take_digest(folder / made[take]["folder"])})
        return override(store, shot, STAGE, file, note=note, by=by)


def select_best(store: Store, shot: ResolvedShot, *, note: str = "", by: str = "") -> Pin | None:
    """Take an artist's choice off; gives the entry that says so, None when there was none."""
    return unpin(store, shot, STAGE, note=note, by=by)


def _folder(store: Store, plan: ShotPlan, name: str) -> Path:
    artifact = next(item.artifact for item in plan.stages if item.stage == name)
    assert artifact is not None
    return store.checkout(artifact)
