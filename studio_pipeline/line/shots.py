"""Shots of a home: read from lists, kept in the store, looked up again."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from studio_pipeline.line.digests import one_moment
from studio_pipeline.line.home import open_home
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot, from_record, resolve, to_record
from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.files import check_path
from studio_pipeline.schema.shotlist import LoadedShot, ShotListErrors, load_shots
from studio_pipeline.store import Store, open_store
from studio_pipeline.store.codehash import remember_in

__all__ = [
    "current_shot",
    "failed_shots",
    "known_shots",
    "load_shot",
    "named_shots",
    "open_studio",
    "read_shot_lists",
    "save_shot",
]


def open_studio(home: str | None = None, *, reading: bool = False) -> Store:
    """The store of the studio's home (``STUDIO_HOME``, else ``./.studio``); ``reading`` promises to write nothing."""
    found = open_home(home)
    remember_in(found.root / "cache" / "code")
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
            problems.append(
                f"no shot {name[:80]} in these lists - {'one of: ' + ', '.join(near or sorted(places)[:5])}"
            )
    problems += _policy_problems(loaded)
    shots: list[ResolvedShot] = []
    with one_moment():
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


def _policy_problems(loaded: Sequence[LoadedShot]) -> list[str]:
    """A show has one code policy: half of it on old code and half on new is nobody's wish."""
    first: dict[str, LoadedShot] = {}
    found = []
    for item in loaded:
        other = first.setdefault(item.shot.show, item)
        if other.shot.code_policy != item.shot.code_policy:
            found.append(
                f"{item.source}:{item.line_of('code_policy')}: shot {item.shot.id}, field 'code_policy': "
                f"is {item.shot.code_policy}, that of {other.shot.id} is {other.shot.code_policy} - one for a show"
            )
    return found


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
            f"this home knows no shot {shot_id[:80]}",
            do=f"one of: {', '.join(near)}" if near else "studio run it first",
        )
    return from_record(record.shot)


def current_shot(store: Store, shot_id: str) -> ResolvedShot:
    """The shot as its shot list says now, or as it was last run when the list has gone or no longer has it.

    Raises:
        InputError: This home doesn't know it, or the list is wrong now.
    """
    record = store.shots.latest_shot_record(shot_id)
    source = Path(str(record.shot.get("source") or "")) if record else Path()
    if record is not None and source.is_file():
        state = source.stat()
        if (item := _list_at(source, state.st_size, state.st_mtime_ns).get(shot_id)) is not None:
            return _resolve_loaded(item)
    return load_shot(store, shot_id)


@lru_cache(maxsize=64)
def _list_at(path: Path, _size: int, _time: int) -> dict[str, LoadedShot]:
    return {item.shot.id: item for item in reversed(load_shots(path))}  # the first of its id


def named_shots(store: Store, target: str, *, only: Sequence[str] | None = None) -> list[ResolvedShot]:
    """The shots that ``target`` names: those of a shot list, or the one shot of this home whose id it is.

    Raises:
        InputError: There is no such shot or list, or it is wrong.
    """
    path = Path(target)
    check_path(path)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        return read_shot_lists([path], only=only)
    return [current_shot(store, target)]


def known_shots(
    store: Store, *, only: Sequence[str] | None = None
) -> tuple[list[ResolvedShot], dict[str, StudioError]]:
    """All shots of this home, or those named, as their lists say now; and what is wrong with those that can't be told.

    A list that is wrong at the moment counts as not there: its shots are as they were last run; its problem is told.

    Raises:
        InputError: ``only`` names a shot that this home doesn't know.
    """
    known = store.shots.shot_ids()
    shots: list[ResolvedShot] = []
    problems: dict[str, StudioError] = {}
    seen = store.snapshot([shot_id for shot_id in only or known if only is None or shot_id in known])
    there = set(known)
    with one_moment():
        for shot_id in only or known:
            if shot_id not in there:
                load_shot(store, shot_id)  # says which ones there are
            try:
                shots.append(current_shot(seen, shot_id))
            except StudioError as error:
                problems[shot_id] = error
                with suppress(StudioError):
                    shots.append(load_shot(seen, shot_id))
    return shots, problems


def failed_shots(
    store: Store, *, only: Sequence[str] | None = None
) -> tuple[list[ResolvedShot], dict[str, StudioError]]:
    """Known shots of which a stage failed when they were last run, as their lists say now; and what can't be told.

    Raises:
        InputError: ``only`` names a shot that this home doesn't know.
    """
    shots: list[ResolvedShot] = []
    problems: dict[str, StudioError] = {}
    wanted = list(only or store.shots.shot_ids())
    seen = store.snapshot(wanted)
    for shot_id in wanted:
        try:
            # A list that was mended since has other keys: what failed stands under those of the last run.
            if any(item.failure for item in plan_shot(seen, load_shot(seen, shot_id)).stages):
                shots.append(current_shot(seen, shot_id))
        except StudioError as error:
            if only and store.shots.latest_shot_record(shot_id) is None:
                raise
            problems[shot_id] = error
    return shots, problems
