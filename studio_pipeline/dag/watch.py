"""The watched folder's new and changed shots as runs: only what they lack."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG, PRIORITY_TAG

from studio_pipeline.dag.launch import register_shots, report_known
from studio_pipeline.line.hooks import FailureTold, Hooks
from studio_pipeline.line.make import adopt, outcome_of
from studio_pipeline.line.plan import ShotPlan, plan_shot
from studio_pipeline.line.resolve import ResolvedShot, to_record
from studio_pipeline.line.shots import save_shot
from studio_pipeline.line.watching import look
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store import canonical_json, plain

if TYPE_CHECKING:
    from dagster import DagsterInstance

__all__ = ["Watched", "watch_folder"]


@dataclass(frozen=True)
class Watched:
    """What a look at the folder leads to."""

    requests: list[dg.RunRequest]
    told: list[str]
    cursor: str


def watch_folder(instance: DagsterInstance, store: Any, folder: Path, cursor: str) -> Watched:
    """Look at the folder; gives a run for every shot of a new or changed list that lacks something.

    Args:
        instance: Dagster's instance: it learns of new shots and of what is cached.
        store: The artifact store: it keeps the shots as they are now.
        folder: The watched folder.
        cursor: What the look before remembered.
    """
    found = look(folder, cursor, store)
    requests: list[dg.RunRequest] = []
    told = list(found.told)
    for path, shots in found.lists:
        try:
            requests += _launched(instance, store, path, shots)
        except StudioError as error:
            told.append(f"{path}: {error}; it is looked at again")
            found.memory[path.name].digest = ""
    with Hooks() as hooks:
        hooks.tell(FailureTold(shot="", stage="", cause=line, run="") for line in found.told)
    return Watched(requests, told, found.cursor)


def _launched(instance: DagsterInstance, store: Any, path: Path, shots: Sequence[ResolvedShot]) -> list[dg.RunRequest]:
    seen = store.snapshot([shot.id for shot in shots])
    old = {shot.id: seen.shots.latest_shot_record(shot.id) for shot in shots}
    same = {shot.id for shot in shots if (record := old[shot.id]) and _same(record.shot, shot)}
    register_shots(instance, [shot.id for shot in shots])
    requests = []
    for shot in shots:
        save_shot(store, shot)
        plan = adopt(store, plan_shot(seen, shot))
        report_known(
            instance,
            [
                (shot.id, item.stage, outcome_of(store, item.artifact, version=item.version, made=False))
                for item in plan.stages
                if item.artifact
            ],
        )
        if shot.id in same and (_hopeless(plan) or _in_progress(instance, shot.id)):
            continue
        if stages := plan.to_launch():
            requests.append(_request(path, shot, stages))
    return requests


def _same(record: Any, shot: ResolvedShot) -> bool:
    return canonical_json(record) == canonical_json(plain(to_record(shot)))


def _hopeless(plan: ShotPlan) -> bool:
    """Whether all that could begin has failed before, just as it is now: `studio retry` is for that."""
    first = [item for item in plan.stages if item.state == "would run" and item.key]
    return bool(first) and all(item.failure for item in first)


def _in_progress(instance: DagsterInstance, shot: str) -> bool:
    wanted = dg.RunsFilter(tags={PARTITION_NAME_TAG: shot}, statuses=NOT_FINISHED_STATUSES)
    return instance.get_runs_count(wanted) > 0


def _request(path: Path, shot: ResolvedShot, stages: Sequence[str]) -> dg.RunRequest:
    tags = {"studio/shot": shot.id, "studio/show": shot.shot.show, "studio/batch": f"watch:{path.name}"[:63]}
    if shot.shot.priority:
        tags[PRIORITY_TAG] = str(shot.shot.priority)
    return dg.RunRequest(
        run_key=f"watch:{shot.id}:{time.time_ns()}",  # the look's memory launches nothing twice
        partition_key=shot.id,
        asset_selection=[dg.AssetKey(stage) for stage in stages],
        tags=tags,
    )
