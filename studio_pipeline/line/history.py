"""What happened to a shot: its versions, what people said of them, what they pinned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from studio_pipeline.line.graph import graph
from studio_pipeline.line.reductions import reduction_words
from studio_pipeline.line.reviews import standing_as_json
from studio_pipeline.line.shots import load_shot
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.store import Published, Store
from studio_pipeline.store.acceptances import AcceptBook
from studio_pipeline.store.deliveries import Delivery, DeliveryBook
from studio_pipeline.store.pins import PinBook
from studio_pipeline.store.reductions import ReductionBook
from studio_pipeline.store.reviews import ReviewBook, Standing

__all__ = ["history_of"]


def history_of(store: Store, shot_id: str) -> dict[str, Any]:
    """A shot's past, JSON-able: ``versions`` (oldest first within a stage) and ``events`` (oldest first).

    Raises:
        InputError: This home doesn't know the shot.
    """
    if store.shots.latest_shot_record(shot_id) is None:
        load_shot(store, shot_id)  # says which ones there are
    said = ReviewBook(store.primitive).of_shot(shot_id)
    left = _deliveries(store, shot_id)
    versions = [
        _version(stage, item, said.get((stage, item.version), Standing()), left)
        for stage in graph()
        for item in store.shots.history(shot_id, stage)
    ]
    events = [
        *_pins(store, shot_id),
        *_accepted(store, shot_id),
        *_reduced(store, shot_id),
        *_notes(said),
        *_handed_over(left, shot_id),
        *_failures(store, shot_id),
    ]
    events.sort(key=lambda event: event["time"])
    return {"shot": shot_id, "versions": versions, "events": events}


def _deliveries(store: Store, shot_id: str) -> list[Delivery]:
    """Those that hold something of the shot."""
    book = DeliveryBook(store.primitive)
    found = [book.read(name) for name in book.names()]
    return [one for one in found if one and any(item.shot_id == shot_id for item in one.artifacts)]


def _version(stage: str, item: Published, standing: Standing, left: list[Delivery]) -> dict[str, Any]:
    mine = (item.shot_id, stage, item.version)
    return {
        "stage": stage,
        "version": item.label,
        "published": timestamp(item.time),
        "key": item.key,
        "generation": item.generation,
        "content": item.content_hash,
        "backend": item.note.get("backend", ""),
        "figures": item.note.get("figures", {}),
        "delivered": [d.name for d in left if any((a.shot_id, a.stage, a.version) == mine for a in d.artifacts)],
        **standing_as_json(standing),
    }


def _event(time: float, what: str, stage: str, which: str, by: str, text: str) -> dict[str, Any]:
    return {"time": timestamp(time), "what": what, "stage": stage, "which": which, "by": by, "text": text}


def _pins(store: Store, shot_id: str) -> Iterator[dict[str, Any]]:
    book = PinBook(store.primitive)
    for name, stage in graph().items():
        for pin in book.history(shot_id, name) if stage.override else ():
            what = "pinned" if pin.file else "unpinned"
            file = PurePath(pin.source).name if pin.file else ""
            yield _event(pin.time, what, name, pin.label, pin.by, ": ".join(p for p in (file, pin.note) if p))


def _notes(said: dict[tuple[str, int], Standing]) -> Iterator[dict[str, Any]]:
    for (stage, version), standing in said.items():
        for note in standing.notes:
            yield _event(note.time, note.status or "note", stage, f"v{version:03d}", note.by, note.text)


def _accepted(store: Store, shot_id: str) -> Iterator[dict[str, Any]]:
    for word in AcceptBook(store.primitive).history(shot_id):
        what, which = ("accepted", f"v{word.version:03d}") if word.made_key else ("withdrawn", "")
        yield _event(word.time, what, word.stage, which, word.by, word.reason)


def _reduced(store: Store, shot_id: str) -> Iterator[dict[str, Any]]:
    book = ReductionBook(store.primitive)
    for name in graph():
        for entry in book.history(shot_id, name):
            text = reduction_words(entry).removeprefix("reduced ") if entry.changes else "full size again"
            yield _event(entry.time, "reduced" if entry.changes else "full size", name, entry.label, entry.by, text)


def _handed_over(left: list[Delivery], shot_id: str) -> Iterator[dict[str, Any]]:
    for one in left:
        for item in one.artifacts:
            if item.shot_id == shot_id:
                yield _event(one.time, "delivered", item.stage, f"v{item.version:03d}", one.by, f"as {one.name}")


def _failures(store: Store, shot_id: str) -> Iterator[dict[str, Any]]:
    """Those that still stand."""
    for stage in graph():
        if (failure := store.shots.last_failure(shot_id, stage)) is not None:
            yield _event(failure.time, "failed", stage, "", "", failure.error)
