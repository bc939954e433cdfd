"""Shots of a home: read from lists, kept in the store, looked up again."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from studio_pipeline.line.graph import graph
from studio_pipeline.line.home import open_home
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot, from_record, resolve, to_record
from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.shotlist import LoadedShot, ShotListErrors, load_shots
from studio_pipeline.store import Store, open_store

__all__ = [
    "current_shot",
    "failed_shots",
    "history_of",
    "known_shots",
    "load_shot",
    "open_studio",
    "read_shot_lists",
    "save_shot",
]


def open_studio(home: str | None = None, *, reading: bool = False) -> Store:
    """The store of the studio's home (``STUDIO_HOME``, else ``./.studio``); ``reading`` promises to write nothing."""
    found = open_home(home)
    return _open(found.store, reading, found.cache, found.cache_bytes)


@cache
def _open(place: str, reading: bool, folder: Path, size: int) -> Store:
    return open_store(place, reading=reading, cache=folder, cache_bytes=size)


def read_shot_lists(files: Sequence[Path], *, only: Sequence[str] | None = None) -> list[ResolvedShot]:
    """Read and check shot lists whole; every problem of every shot is reported at once.

    Args:
        files: The lists.
        only: Shot ids to keep.

    Raises:
        InputError: A list or a shot is wrong, an id occurs twice, or ``only`` names a shot that isn't there.
    """
    loaded = [item for file in files for item in load_shots(file)]
    problems: list[str] = []
    places: dict[str, str] = {}
    for item in loaded:
        place = f"{item.source}:{item.line}"
        if item.shot.id in places:
            problems.append(f"{place}: shot {item.shot.id} is already given at {places[item.shot.id]}")
        places.setdefault(item.shot.id, place)
    for name in only or ():
        if name not in places:
            near = difflib.get_close_matches(name, places, 3, 0.4)
            problems.append(f"no shot {name} in these lists - {'one of: ' + ', '.join(near or sorted(places)[:5])}")
    shots: list[ResolvedShot] = []
    for item in loaded:
        if only and item.shot.id not in only:
            continue
        try:
            shots.append(_resolve_loaded(item))
        except ShotListErrors as error:
            problems += error.lines
        except InputError as error:
            problems.append(str(error))
        except StudioError as error:
            if len(loaded) == 1:
                raise
            problems.append(str(error))
    if problems:
        raise ShotListErrors(problems)
    return shots


def _resolve_loaded(item: LoadedShot) -> ResolvedShot:
    def where(field: str) -> str:
        return f"{item.source}:{item.line_of(field)}: shot {item.shot.id}, field '{field}'"

    return resolve(item.shot, item.source.resolve().parent, where=where, source=str(item.source.resolve()))


def save_shot(store: Store, shot: ResolvedShot) -> None:
    """Keep the shot's record; an unchanged one adds no version."""
    store.shots.save_shot_record(shot.id, to_record(shot))


def load_shot(store: Store, shot_id: str) -> ResolvedShot:
    """The shot as it was last run.

    Raises:
        InputError: This home doesn't know it.
    """
    record = store.shots.latest_shot_record(shot_id)
    if record is None:
        near = difflib.get_close_matches(shot_id, store.shots.shot_ids(), 3, 0.4)
        raise InputError(
            f"this home knows no shot {shot_id}", do=f"one of: {', '.join(near)}" if near else "studio run it first"
        )
    return from_record(record.shot)


def current_shot(store: Store, shot_id: str) -> ResolvedShot:
    """The shot as its shot list says now, or as it was last run when the list has gone."""
    recorded = load_shot(store, shot_id)
    source = Path(recorded.source) if recorded.source else None
    if source and source.is_file():
        for item in load_shots(source):
            if item.shot.id == shot_id:
                return _resolve_loaded(item)
    return recorded


def known_shots(store: Store, *, only: Sequence[str] | None = None) -> list[ResolvedShot]:
    """All shots of this home, or those named."""
    wanted = list(only or store.shots.shot_ids())
    seen = store.snapshot(wanted)
    return [load_shot(seen, shot_id) for shot_id in wanted]


def failed_shots(store: Store, *, only: Sequence[str] | None = None) -> list[ResolvedShot]:
    """Known shots whose plan has a stage that failed at its present key."""
    shots = known_shots(store, only=only)
    seen = store.snapshot([shot.id for shot in shots])
    return [shot for shot in shots if any(item.failure for item in plan_shot(seen, shot).stages)]


def history_of(store: Store, shot_id: str) -> list[dict[str, Any]]:
    """Published versions of a shot's stages as JSON-able rows, oldest first within a stage."""
    load_shot(store, shot_id)
    rows = []
    for stage in graph():
        for item in store.shots.history(shot_id, stage):
            rows.append(
                {
                    "stage": stage,
                    "version": item.label,
                    "published": datetime.fromtimestamp(item.time, UTC).isoformat(timespec="seconds"),
                    "key": item.key,
                    "generation": item.generation,
                    "content": item.content_hash,
                    "backend": item.note.get("backend", ""),
                    "figures": item.note.get("figures", {}),
                }
            )
    return rows
