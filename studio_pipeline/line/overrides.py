"""A hand-made file in a stage's place: checked, copied into the store, and seen by every plan from then on."""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from studio_pipeline.line.digests import digest_input
from studio_pipeline.line.graph import graph, stage_named
from studio_pipeline.line.resolve import ResolvedShot, StageSetup
from studio_pipeline.schema.errors import InputError, StorageError, StorageRefused
from studio_pipeline.schema.files import check_path
from studio_pipeline.stages.base import Override
from studio_pipeline.stages.character.formats import KINDS, input_files
from studio_pipeline.store import Store
from studio_pipeline.store.pins import Pin, PinBook

__all__ = ["override", "unpin", "with_overrides"]


def override(store: Store, shot: ResolvedShot, name: str, file: Path, *, note: str = "", by: str = "") -> Pin:
    """Let ``file`` take the place of stage ``name`` in a shot.

    Its bytes are copied: what happens to the file afterwards changes nothing. The same file again adds no entry.

    Args:
        store: The artifact store.
        shot: The shot.
        name: The stage.
        file: The hand-made file.
        note: Why, for whoever looks later.
        by: Who did it.

    Raises:
        InputError: The stage takes no file, or the file isn't fit for it.
    """
    place = _place(name)
    check_path(file)
    if not file.is_file():
        raise InputError("no such file", where=file, do="name the hand-made file")
    file = file.resolve()
    content = digest_input(file)
    if place.check:
        module, _, function = place.check.partition(":")
        getattr(importlib.import_module(module), function)(file, shot.shot.character)
    book = PinBook(store.primitive)
    with suppress(StorageError):  # a damaged last entry is what this one replaces
        now = book.current(shot.id, name)
        if now is not None and now.content == content:
            return now
    members = input_files(file) if file.suffix.lower() in KINDS else [file]
    names = {path.relative_to(file.parent).as_posix(): path for path in members}
    kept = book.keep(content, names, file.name)
    return book.pin(shot.id, name, file=kept, content=content, source=str(file), note=note, by=by)


def unpin(store: Store, shot: ResolvedShot, name: str, *, note: str = "", by: str = "") -> Pin | None:
    """Take the hand-made file off; gives the entry that says so, None when there was none."""
    _place(name)
    book = PinBook(store.primitive)
    with suppress(StorageError):  # a damaged last entry is taken off too
        if book.current(shot.id, name) is None:
            return None
    return book.pin(shot.id, name, file="", content="", source="", note=note, by=by)


def with_overrides(store: Store, shot: ResolvedShot) -> ResolvedShot:
    """The shot with its pinned files in their stages' settings.

    Raises:
        StorageRefused: A pinned file has changed in the store, or is gone.
    """
    setups = dict(shot.setups)
    for name, stage in graph().items():
        place = stage.override
        pin = PinBook(store.primitive).current(shot.id, name) if place is not None else None
        if place is None or pin is None:
            continue
        path = store.pinned_file(pin.file, lambda path, pin=pin: _is_sound(path, pin))
        if path is None:
            raise StorageRefused(
                f"the file pinned as {shot.id} {name} ({pin.label}) is damaged",
                where=str(store.primitive.folder(pin.file) or f"{store.url}/{pin.file}"),
                do="override it again",
            )
        settings = stage.backends[place.backend].settings.model_validate({place.setting: path})
        setups[name] = StageSetup(backend=place.backend, settings=settings, file_fields=(place.setting,))
    return replace(shot, setups=setups)


def _is_sound(path: Path, pin: Pin) -> bool:
    try:
        return digest_input(path) == pin.content
    except InputError:
        return False


def _place(name: str) -> Override:
    place = stage_named(name).override
    if place is None:
        able = ", ".join(stage.name for stage in graph().values() if stage.override is not None)
        raise InputError(f"stage {name} takes no hand-made file", do=f"those that do: {able}")
    return place
