"""What people say of a shot's versions: who says it, which version is meant, what stands."""

from __future__ import annotations

import os
import re
from typing import Any

from studio_pipeline.line.graph import stage_named
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Published, Store
from studio_pipeline.store.reviews import Note, ReviewBook, Standing

__all__ = ["REVIEWED_STAGE", "author", "note_as_json", "say", "standing_as_json", "version_of"]

REVIEWED_STAGE = "delivery"
"""The stage whose versions people look at when they name none."""

_NAMES = ("STUDIO_USER", "USER", "LOGNAME")


def author(given: str | None) -> str:
    """Who acts: what was given, else ``STUDIO_USER``, else the login name; ``--by ""`` is nobody."""
    if given is not None:
        return given.strip()
    return next((os.environ[name].strip() for name in _NAMES if os.environ.get(name, "").strip()), "")


def version_of(store: Store, shot_id: str, stage: str, text: str) -> Published:
    """The published version that ``text`` names: ``v002``, ``v2`` or ``2``.

    Raises:
        InputError: It is no version, or the shot's stage has not this one; those that it has are named.
    """
    versions = {item.version: item for item in store.shots.history(shot_id, stage_named(stage).name)}
    match = re.fullmatch(r"[vV]?(\d{1,6})", text.strip())
    if match and int(match[1]) in versions:
        return versions[int(match[1])]
    where = f"{shot_id} {stage}"
    if not versions:
        known = [name for name in store.shots.stages(shot_id) if name != stage] if shot_id else []
        do = f"--stage, one of: {', '.join(known)}" if known else "studio run makes one"
        raise InputError("has no version yet", where=where, do=do)
    labels = [item.label for item in versions.values()]
    shown = ", ".join(labels if len(labels) <= 6 else [labels[0], "...", *labels[-3:]])
    raise InputError(f"has no version {text!r}", where=where, do=f"one of: {shown}")


def say(
    store: Store, shot_id: str, version: str, *, stage: str = REVIEWED_STAGE, status: str = "", text: str = "",
    by: str = "",
) -> Note:  # fmt: skip
    """Give a version a status, a note, or both.

    Raises:
        InputError: There is no such version, or nothing is said.
    """
    text = text.strip()
    meant = version_of(store, shot_id, stage, version)
    if not status and not text:
        raise InputError("says nothing", where="the note", do="give a text")
    if status == "changes" and not text:
        raise InputError("changes need a note", where=shot_id, do='say what must change: --note "..."')
    return ReviewBook(store.primitive).add(shot_id, stage, meant.version, status=status, text=text, by=by)


def note_as_json(note: Note) -> dict[str, Any]:
    """A note for programs."""
    return {"status": note.status, "text": note.text, "by": note.by, "time": timestamp(note.time)}


def standing_as_json(standing: Standing) -> dict[str, Any]:
    """What stands of a version, for programs."""
    return {"status": standing.status, "by": standing.by, "notes": [note_as_json(note) for note in standing.notes]}
