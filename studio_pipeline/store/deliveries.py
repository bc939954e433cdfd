"""Named deliveries: what left the house under which name. Create-only; `gc` never takes what they hold.

::

    deliveries/<name>/kept/<sha256>    the small files written for it (manifest, provenance, timeline), by content
    deliveries/<name>/record.json      created last: from then on the name is taken
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from studio_pipeline.schema.errors import StorageError
from studio_pipeline.store.logbook import check_part
from studio_pipeline.store.manifest import Corrupt, decode_record, encode_record
from studio_pipeline.store.primitive import Exists, Missing, Primitive

__all__ = ["Delivered", "Delivery", "DeliveryBook"]

_RECORD = "record.json"


@dataclass(frozen=True)
class Delivered:
    """One artifact in a delivery."""

    shot_id: str
    stage: str
    version: int
    key: str
    generation: int
    content_hash: str
    status: str  # of the version when it was delivered


@dataclass(frozen=True)
class Delivery:
    """What a name stands for, for good."""

    name: str
    content: str  # hash of all file names and digests but the manifest's and the provenance's
    artifacts: tuple[Delivered, ...]
    kept: Mapping[str, str]  # SHA-256 of each small file by its name in the folder
    by: str  # who delivered; empty when nobody said
    time: float  # by the store's clock [s since the epoch]


class DeliveryBook:
    """Reads and writes the deliveries of a store."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def names(self) -> list[str]:
        """Names of all deliveries, sorted."""
        names = (entry.name.split("/") for entry in self._primitive.list("deliveries/"))
        return sorted({parts[1] for parts in names if parts[2:] == [_RECORD]})

    def read(self, name: str) -> Delivery | None:
        """The delivery of a name, None when the name is free.

        Raises:
            Corrupt: Its record's bytes have changed since it was written.
        """
        place = f"deliveries/{check_part(name)}/{_RECORD}"
        try:
            record = decode_record(self._primitive.read(place).data, place)
        except Missing:
            return None
        if record.get("name") != name:
            raise Corrupt("the record belongs to another delivery", where=place)
        artifacts = tuple(Delivered(**item) for item in record.pop("artifacts"))
        return Delivery(**record, artifacts=artifacts)

    def add(
        self,
        name: str,
        *,
        content: str,
        artifacts: Sequence[Delivered],
        kept: Mapping[str, bytes],
        by: str,
        time: float,
    ) -> Delivery:
        """Take a name, and keep the small files; whoever comes second gets the first one's delivery."""
        digests: dict[str, str] = {}
        for file, data in kept.items():
            digests[file] = hashlib.sha256(data).hexdigest()
            with suppress(Exists):
                self._primitive.create(self._place(name, digests[file]), data)
        record: dict[str, Any] = {
            "name": name,
            "content": content,
            "artifacts": [vars(item) for item in artifacts],
            "kept": digests,
            "by": by,
            "time": time,
        }
        with suppress(Exists):
            self._primitive.create(f"deliveries/{check_part(name)}/{_RECORD}", encode_record(record))
        found = self.read(name)
        assert found is not None
        return found

    def kept(self, delivery: Delivery, file: str) -> bytes:
        """The bytes of a small file.

        Raises:
            Corrupt: They have changed, or are gone.
        """
        place = self._place(delivery.name, delivery.kept[file])
        try:
            data = self._primitive.read(place).data
        except Missing:
            raise Corrupt("is missing", where=place) from None
        if hashlib.sha256(data).hexdigest() != delivery.kept[file]:
            raise Corrupt("its bytes have changed since the delivery", where=place)
        return data

    def problems(self) -> list[tuple[str, str]]:
        """Name and trouble of every damaged record and small file."""
        found: list[tuple[str, str]] = []
        there = {parts[1] for entry in self._primitive.list("deliveries/") if len(parts := entry.name.split("/")) > 2}
        for name in sorted(there - set(self.names())):
            found.append((f"deliveries/{name}/{_RECORD}", "is missing: deleted, or the delivery was cut off"))
        for name in self.names():
            try:
                delivery = self.read(name)
                if delivery is not None:
                    for file in delivery.kept:
                        self.kept(delivery, file)
            except (Corrupt, StorageError) as error:
                found.append((error.where, error.what))
        return found

    @staticmethod
    def _place(name: str, digest: str) -> str:
        return f"deliveries/{check_part(name)}/kept/{digest}"
