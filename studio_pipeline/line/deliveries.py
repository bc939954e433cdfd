"""Leaving named deliveries in folders: immutable, with a manifest and a provenance, and known to the store for good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio_pipeline import __version__
from studio_pipeline.line.deliverable import Deliverable
from studio_pipeline.line.delivery_folder import MANIFEST, FolderReport, check_folder, read_manifest, write_folder
from studio_pipeline.line.provenance import artifact_id, provenance_of
from studio_pipeline.line.reviews import REVIEWED_STAGE
from studio_pipeline.line.scrub import scrub
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.store import Artifact, Corrupt, Store, content_hash
from studio_pipeline.store.deliveries import Delivered, Delivery, DeliveryBook

__all__ = ["PROVENANCE", "Left", "delivered", "leave", "verify_delivery"]

PROVENANCE = "provenance.json"
FORMAT = 1
_OWN = ("stage.json",)  # the line's own notes in a payload, nothing that a client asked for

Payload = Mapping[str, tuple[Artifact, str]]
Extras = Callable[[Sequence[Deliverable]], Mapping[str, bytes]]


class _Taken(Exception):
    """Another process has taken the name meanwhile."""


@dataclass(frozen=True)
class Left:
    """A delivery in its folder."""

    folder: Path
    manifest: Mapping[str, Any]
    before: bool  # the folder was there already and holds exactly this


def leave(
    store: Store, chosen: Sequence[Deliverable], name: str, to: Path, *, by: str = "", extras: Extras | None = None
) -> Left:
    """Leave a named delivery in ``to / name``.

    The same content under the same name again is no error: a folder that is there is checked, one that isn't is
    written anew, byte for byte as it was.

    Args:
        store: The artifact store.
        chosen: What is delivered.
        name: The delivery's name, for good.
        to: The folder that holds deliveries.
        by: Who delivers.
        extras: Gives further small files, by name.

    Raises:
        InputError: The name stands for other content, or is no name.
        Corrupt: Bytes in the store, or in the folder that is there, aren't what they were.
        StorageError: The folder can't be written.
    """
    book = DeliveryBook(store.primitive)
    payload, more = _payload(chosen), dict(extras(chosen)) if extras else {}
    content, target = _content(payload, more), to / name
    if (known := _read(book, name)) is not None:
        if known.content != content:
            raise InputError(_what_differs(known, chosen), where=f"delivery {name}", do="choose another name")
        return _leave_again(store, known, payload, target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError("is there already, and this home didn't deliver it", where=target, do="choose another name")
    kept = _small_files(store, chosen, name, payload, more, by)

    def take_the_name() -> None:
        # From here on the name is taken and gc leaves all of it alone; a kill before the folder has its name costs
        # nothing: the same command then writes the same folder.
        artifacts, now = _delivered(chosen), store.primitive.now()
        said = book.add(name, content=content, artifacts=artifacts, kept=kept, by=by, time=now)
        if said.kept != {file: hashlib.sha256(data).hexdigest() for file, data in kept.items()}:
            raise _Taken

    try:
        write_folder(store, target, payload, kept, complete=take_the_name)
    except _Taken:  # somebody was faster, with the same content or with other
        return leave(store, chosen, name, to, by=by, extras=extras)
    return Left(target, json.loads(kept[MANIFEST]), False)


def _leave_again(store: Store, known: Delivery, payload: Payload, target: Path) -> Left:
    """What was delivered before: check the folder that is there, or write it as it was."""
    book = DeliveryBook(store.primitive)
    kept = {file: book.kept(known, file) for file in known.kept}
    before = target.exists()
    if before:
        _check(target, kept[MANIFEST])
    else:
        write_folder(store, target, payload, kept, complete=lambda: None)
    return Left(target, json.loads(kept[MANIFEST]), before)


def verify_delivery(store: Store, folder: Path) -> FolderReport:
    """Hash a delivered folder; where this home delivered it, the manifest itself is checked too.

    Raises:
        InputError: The folder is no delivery.
    """
    report = check_folder(folder)
    known = _read(DeliveryBook(store.primitive), str(read_manifest(folder).get("name", "")))
    if known is None:
        return report
    path = folder / MANIFEST
    if hashlib.sha256(path.read_bytes()).hexdigest() == known.kept[MANIFEST]:
        return report
    problem = f"{path}: its bytes have changed since the delivery"
    return FolderReport(report.files, report.size, (problem, *report.problems))


def _read(book: DeliveryBook, name: str) -> Delivery | None:
    try:
        return book.read(name)
    except StorageError:
        do = "use letters, digits, '_' and '-', at most 200, a letter or digit first"
        raise InputError(f"{name!r} cannot name a delivery", do=do) from None


def _payload(chosen: Sequence[Deliverable]) -> dict[str, tuple[Artifact, str]]:
    return {
        f"{item.shot.id}/{file.name}": (artifact, file.name)
        for item in chosen
        for _, artifact in item.parts
        for file in artifact.files
        if file.name not in _OWN
    }


def _content(payload: Payload, more: Mapping[str, bytes]) -> str:
    digests = {name: _sha256(artifact, inner) for name, (artifact, inner) in payload.items()}
    return content_hash({**digests, **{name: hashlib.sha256(data).hexdigest() for name, data in more.items()}})


def _sha256(artifact: Artifact, inner: str) -> str:
    return next(file.sha256 for file in artifact.files if file.name == inner)


def _delivered(chosen: Sequence[Deliverable]) -> list[Delivered]:
    return [
        Delivered(item.shot.id, v.stage, v.version, v.key, v.generation, v.content_hash, item.standing.status)
        for item in chosen
        for v, _ in item.parts
    ]


def _small_files(
    store: Store, chosen: Sequence[Deliverable], name: str, payload: Payload, more: Mapping[str, bytes], by: str
) -> dict[str, bytes]:
    """Everything that is written for the delivery: the extras, the provenance, the manifest."""
    provenance = provenance_of(store, {item.shot.id: item.parts for item in chosen})
    provenance["delivery"] = name
    provenance["files"] = {
        file: {"artifact": artifact_id(artifact.key, artifact.generation), "file": inner}
        for file, (artifact, inner) in payload.items()
    }
    small = {**more, PROVENANCE: _json(provenance)}
    manifest = {
        "format": FORMAT,
        "name": name,
        "by": by,
        "time": timestamp(store.primitive.now()),
        "studio_pipeline": __version__,
        "shots": {item.shot.id: _shot(item) for item in chosen},
        "files": {**_files(chosen), **{file: _small(data) for file, data in small.items()}},
    }
    return {**small, MANIFEST: _json(manifest)}


def _shot(item: Deliverable) -> dict[str, Any]:
    shot = item.shot.shot
    return {
        "show": shot.show,
        "sequence": shot.sequence,
        "shot": shot.shot,
        "status": item.standing.status,
        "status_by": item.standing.by,
        "outdated": scrub(item.outdated)[0],
        "facts": {name: item.facts[name] for name in ("frames", "handles", "fps", "resolution") if name in item.facts},
        "stages": {
            v.stage: {
                "version": v.label,
                "key": v.key,
                "generation": v.generation,
                "content_hash": v.content_hash,
                "published": timestamp(v.time),
            }
            for v, _ in item.parts
        },
    }


def _files(chosen: Sequence[Deliverable]) -> dict[str, Any]:
    return {
        f"{item.shot.id}/{file.name}": {
            "sha256": file.sha256,
            "size": file.size,
            "show": item.shot.shot.show,
            "shot": item.shot.id,
            "stage": v.stage,
            "version": v.label,
            "generation": v.generation,
            "status": item.standing.status,
        }
        for item in chosen
        for v, artifact in item.parts
        for file in artifact.files
        if file.name not in _OWN
    }


def _small(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _check(target: Path, manifest: bytes) -> None:
    """A folder that is there already must be exactly the delivery."""
    try:
        mine = (target / MANIFEST).read_bytes()
    except OSError:
        mine = b""
    do = "move the folder away and deliver again"
    if mine != manifest:
        raise Corrupt("isn't the manifest that was delivered", where=target / MANIFEST, do=do)
    problems = list(check_folder(target).problems)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise Corrupt(f"{problems[0]}{more}", do=do)


def _what_differs(known: Delivery, chosen: Sequence[Deliverable]) -> str:
    """Which shots differ from what the name stands for."""
    then = {(item.shot_id, item.stage): (f"v{item.version:03d}", item.content_hash) for item in known.artifacts}
    now = {(item.shot_id, item.stage): (item.label, item.content_hash) for one in chosen for item, _ in one.parts}
    found = []
    for place in sorted({*then, *now}):
        before, after = then.get(place), now.get(place)
        if before is None or after is None:
            found.append(f"{' '.join(place)} is {'only in the new one' if before is None else 'in the old one only'}")
        elif before[1] != after[1]:
            found.append(f"{' '.join(place)} was {before[0]}, is {after[0]}")
    found = found or ["the timeline or its options"]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"has other content since {timestamp(known.time)}: {'; '.join(found[:3])}{more}"


def delivered(store: Store, *, shot: str = "") -> tuple[list[dict[str, Any]], list[str]]:
    """Every named delivery, oldest first, and a line for each record that can't be read.

    Args:
        store: The artifact store.
        shot: Only those that hold this shot.
    """
    book = DeliveryBook(store.primitive)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for name in book.names():
        try:
            record = book.read(name)
        except (Corrupt, StorageError) as error:
            problems.append(str(error))
            continue
        if record is None or (shot and shot not in {item.shot_id for item in record.artifacts}):
            continue
        # The delivery's own version stands for the shot, as in its folder; other stages only go with it.
        versions = {item.shot_id: f"v{item.version:03d}" for item in record.artifacts if item.stage == REVIEWED_STAGE}
        found.append({"name": name, "time": record.time, "by": record.by, "versions": versions})
    found.sort(key=lambda item: item["time"])
    return [{**item, "time": timestamp(item["time"])} for item in found], problems
