"""What an artifact was made from, generation by generation, back to the first stage."""

from __future__ import annotations

from collections.abc import Iterable

from studio_pipeline.line.graph import graph
from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store import Artifact, Store

__all__ = ["Place", "chain_of", "check_unmixed"]

Place = tuple[str, int]
"""Key and generation."""


def chain_of(store: Store, artifacts: Iterable[Artifact]) -> dict[Place, Artifact]:
    """These artifacts and all that they were made from, by key and generation, upstream before downstream.

    Raises:
        StorageError: One is no longer in the store.
        Corrupt: A manifest is damaged.
    """
    found: dict[Place, Artifact] = {}
    pending = list(artifacts)
    while pending:
        artifact = pending.pop()
        place = (artifact.key, artifact.generation)
        if place in found:
            continue
        found[place] = artifact
        pending += [
            store.get(ref.key, ref.generation) for ref in artifact.inputs if (ref.key, ref.generation) not in found
        ]
    order = {name: index for index, name in enumerate(graph())}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[1].stage, len(order)), item[0])))


def check_unmixed(chain: Iterable[Artifact], *, where: str) -> None:
    """Make sure that one shot's chain holds one content of every stage.

    Raises:
        StorageError: Two of them come from different makings of a stage.
    """
    seen: dict[str, str] = {}
    for artifact in chain:
        if seen.setdefault(artifact.stage, artifact.content_hash) != artifact.content_hash:
            raise StorageError(
                f"mixes two different results of {artifact.stage}", where=where, do="studio run it again"
            )
