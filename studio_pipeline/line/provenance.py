"""Every file back to bytes and settings: the chain of artifacts behind a version as one JSON value."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from studio_pipeline.line.chain import Place, chain_of
from studio_pipeline.line.graph import graph
from studio_pipeline.line.scrub import scrub
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.store import Artifact, Published, Store
from studio_pipeline.store.acceptances import AcceptBook
from studio_pipeline.store.pins import PinBook

__all__ = ["artifact_id", "artifact_provenance", "provenance_of"]

FORMAT = 1


def artifact_id(key: str, generation: int) -> str:
    """How a provenance names an artifact."""
    return f"{key}/g{generation:04d}"


def provenance_of(store: Store, parts: Mapping[str, Sequence[tuple[Published, Artifact]]]) -> dict[str, Any]:
    """Where versions come from, JSON-able: nothing in it names a machine, a user's folder or a secret.

    ``shots`` gives, by shot, its versions, who pinned or accepted what and why; ``artifacts`` gives, by id, everything
    that an artifact's key is the hash of (``ingredients``), the ids of its inputs and the digests of its files. Where
    ``scrubbed`` names no ingredient, SHA-256 of the ingredients' canonical JSON is the key.

    Args:
        store: The artifact store.
        parts: By shot: versions and their artifacts.

    Raises:
        StorageError: Something that a version was made from is gone.
    """
    chains = {shot: chain_of(store, [artifact for _, artifact in given]) for shot, given in parts.items()}
    artifacts = {place: artifact for chain in chains.values() for place, artifact in chain.items()}
    hosts = _hosts(artifacts.values())
    shots = {shot: _shot(store, shot, given, chains[shot]) for shot, given in parts.items()}
    return {
        "format": FORMAT,
        "shots": scrub(shots, hosts=hosts)[0],
        "artifacts": {artifact_id(*place): _artifact(artifact, hosts) for place, artifact in artifacts.items()},
    }


def artifact_provenance(store: Store, artifact: Artifact) -> dict[str, Any]:
    """The chain behind one artifact, whatever shots it belongs to: ``artifacts`` of `provenance_of` alone."""
    chain = chain_of(store, [artifact])
    hosts = _hosts(chain.values())
    return {
        "format": FORMAT,
        "artifacts": {artifact_id(*place): _artifact(item, hosts) for place, item in chain.items()},
    }


def _hosts(artifacts: Iterable[Artifact]) -> set[str]:
    hosts = {str(artifact.provenance.get("host", "")) for artifact in artifacts} | {platform.node()}
    return hosts | {host.partition(".")[0] for host in hosts}


def _shot(
    store: Store, shot: str, given: Sequence[tuple[Published, Artifact]], chain: Mapping[Place, Artifact]
) -> dict[str, Any]:
    return {
        "delivered": {item.stage: artifact_id(item.key, item.generation) for item, _ in given},
        "versions": dict(_versions(store, shot, chain)),
        "pins": list(_pins(store, shot, chain.values())),
        "accepted": list(_accepted(store, shot, chain)),
    }


def _versions(store: Store, shot: str, chain: Mapping[Place, Artifact]) -> Iterator[tuple[str, dict[str, str]]]:
    """The version under which each artifact is known in the shot."""
    for artifact in chain.values():
        for item in store.shots.history(shot, artifact.stage, revisions=True):
            if item.content_hash == artifact.content_hash:
                yield (
                    artifact.stage,
                    {"version": item.label, "artifact": artifact_id(artifact.key, artifact.generation)},
                )
                break


def _pins(store: Store, shot: str, chain: Iterable[Artifact]) -> Iterator[dict[str, Any]]:
    """The hand-made files in the chain: who put them there and why."""
    book = PinBook(store.primitive)
    for artifact in chain:
        place = graph()[artifact.stage].override if artifact.stage in graph() else None
        if place is None or artifact.ingredients.get("backend") != place.backend:
            continue
        used = artifact.ingredients.get("settings", {}).get(place.setting)
        for pin in book.history(shot, artifact.stage):
            if pin.file and isinstance(used, dict) and used.get("content") == pin.content:
                yield {
                    "stage": pin.stage,
                    "pin": pin.label,
                    "file": PurePath(pin.file).name,
                    "content": pin.content,
                    "by": pin.by,
                    "note": pin.note,
                    "time": timestamp(pin.time),
                }


def _accepted(store: Store, shot: str, chain: Mapping[Place, Artifact]) -> Iterator[dict[str, Any]]:
    """Results in the chain that stand although the code has changed since they were made."""
    for word in AcceptBook(store.primitive).standing(shot).values():
        if (word.made_key, word.generation) in chain:
            yield {
                "stage": word.stage,
                "artifact": artifact_id(word.made_key, word.generation),
                "stands_for_key": word.key,
                "changed": list(word.changed),
                "by": word.by,
                "reason": word.reason,
                "time": timestamp(word.time),
            }


_MADE_WITH = ("package", "python", "machine", "run", "reduced")


def _artifact(artifact: Artifact, hosts: Iterable[str]) -> dict[str, Any]:
    made = artifact.provenance
    ingredients, scrubbed = scrub(artifact.ingredients, hosts=hosts)
    verdicts = [
        {name: said.get(name) for name in ("name", "passed", "message", "blocking")} for said in artifact.verdicts
    ]
    return {
        "stage": artifact.stage,
        "key": artifact.key,
        "generation": artifact.generation,
        "content_hash": artifact.content_hash,
        "committed": timestamp(artifact.manifest["committed_at"]),
        "ingredients": ingredients,
        "scrubbed": scrubbed,
        "input_files": list(_input_files(ingredients)),
        "inputs": {ref.name: artifact_id(ref.key, ref.generation) for ref in artifact.inputs},
        "files": {file.name: {"sha256": file.sha256, "size": file.size} for file in artifact.files},
        "verdicts": scrub(verdicts, hosts=hosts)[0],
        "made_with": scrub({name: made[name] for name in _MADE_WITH if made.get(name)}, hosts=hosts)[0],
    }


def _input_files(value: Any, place: str = "") -> Iterator[dict[str, str]]:
    """Every file from outside that the ingredients name by content."""
    if not isinstance(value, dict):
        return
    if isinstance(value.get("content"), str) and set(value) <= {"content", "name", "height_m", "seed"}:
        yield {"field": place, "name": str(value.get("name", "")), "content": value["content"]}
        return
    for name, item in value.items():
        yield from _input_files(item, f"{place}.{name}" if place else name)
