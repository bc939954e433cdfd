"""Smaller settings after a stage ran out of memory: kept for the shot, seen by every plan, taken off by people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from studio_pipeline.line.graph import graph
from studio_pipeline.line.keys import settings_of, shot_fields_of
from studio_pipeline.line.resolve import ResolvedShot, StageSetup
from studio_pipeline.stages.base import Settings
from studio_pipeline.store import Store, canonical_json
from studio_pipeline.store.reductions import Reduction, ReductionBook

__all__ = ["full_size", "memory_settings", "reduce_further", "reduction_words", "with_reductions"]

MOST_STEPS = 40  # from one setting to the next smaller; a backend whose steps never end would be tried for ever


def with_reductions(store: Store, shot: ResolvedShot) -> ResolvedShot:
    """The shot with what was made smaller in its stages' settings.

    An entry counts for as long as the shot itself asks for the same: another setting, backend, resolution or length
    of the shot makes it void.
    """
    if next(iter(store.primitive.list(f"shots/{shot.id}/reduced/")), None) is None:
        return shot
    book, setups = ReductionBook(store.primitive), dict(shot.setups)
    for name, setup in shot.setups.items():
        if name not in graph() or not graph()[name].backends[setup.backend].smaller:
            continue
        entry = book.current(shot.id, name)
        if entry is None or entry.backend != setup.backend or entry.base != _base(shot, name):
            continue
        new = {field: value for field, (_, value) in entry.changes.items()}
        if (settings := _changed(setup.settings, new)) is not None:
            setups[name] = replace(setup, settings=settings, reduced=reduction_words(entry), full=setup.settings)
    return replace(shot, setups=setups)


def reduce_further(store: Store, shot: ResolvedShot, name: str, *, host: str, reason: str) -> Reduction | None:
    """Give a stage of a shot the next smaller settings; None when nothing gets smaller.

    Args:
        store: The artifact store.
        shot: The shot as it was planned, with earlier reductions in its settings.
        name: The stage.
        host: Where memory ran out.
        reason: What was said there.
    """
    setup = shot.setups[name]
    smaller = shot.backend(name).reduced(setup.settings)
    own = setup.full or setup.settings
    if smaller is None or smaller == setup.settings:
        return None
    changes = _difference(own, smaller)
    book, base = ReductionBook(store.primitive), _base(shot, name)
    if not changes or sum(entry.base == base for entry in book.history(shot.id, name)) >= MOST_STEPS:
        return None
    return book.add(shot.id, name, base=base, backend=setup.backend, changes=changes, host=host, reason=reason)


def full_size(store: Store, shots: Iterable[ResolvedShot], *, by: str = "") -> list[Reduction]:
    """Take off what was made smaller in these shots; gives the entries that say so."""
    book, found = ReductionBook(store.primitive), []
    for shot in shots:
        for name in graph():
            if (entry := book.current(shot.id, name)) is not None:
                found.append(book.add(shot.id, name, base=entry.base, backend=entry.backend, changes={}, by=by))
    return found


def memory_settings(shot: ResolvedShot, name: str) -> list[str]:
    """The settings of a stage that govern how much memory it needs."""
    backend, setup = shot.backend(name), shot.setups[name]
    start: Settings | None = setup.full or setup.settings
    found: dict[str, None] = {}
    for _ in range(MOST_STEPS):
        following = backend.reduced(start) if start is not None else None
        if following is None or start is None:
            break
        found |= dict.fromkeys(_difference(start, following))
        start = following
    return list(found)


def reduction_words(entry: Reduction) -> str:
    """An entry in words: ``reduced after out of memory on HOST: size 512 -> 384``."""
    changes = ", ".join(f"{name} {_short(old)} -> {_short(new)}" for name, (old, new) in entry.changes.items())
    return f"reduced after out of memory on {entry.host}: {changes}"


def _base(shot: ResolvedShot, name: str) -> str:
    """Digest of how the shot itself wants the stage to be done."""
    setup = shot.setups[name]
    own = setup if setup.full is None else StageSetup(setup.backend, setup.full, setup.file_fields)
    asked = {"backend": setup.backend, "settings": settings_of(own), "shot": shot_fields_of(shot, name)}
    return hashlib.sha256(canonical_json(asked)).hexdigest()


def _changed(settings: Settings, values: Mapping[str, Any]) -> Settings | None:
    try:
        return settings.changed(**values)
    except ValidationError:  # another version of this package has other bounds: its own settings then
        return None


def _difference(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: (old[name], new[name]) for name in new if old.get(name) != new[name]}


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "x".join(_short(item) for item in value)
    return "auto" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
