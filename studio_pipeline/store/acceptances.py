"""Results that stay valid although the code that made them has changed: who said so, why, and of which code.

::

    shots/<shot id>/accepted/<stage>/a0001.json

An entry is about one key: the present ingredients, code included. Anything that changes afterwards gives another key,
and the acceptance is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio_pipeline.store.logbook import append_entry, check_part, read_entries
from studio_pipeline.store.primitive import Primitive

__all__ = ["POLICY_CHANGED", "AcceptBook", "Acceptance"]

POLICY_CHANGED = "code_policy is version now"
"""What an entry names in the place of code when the show stopped following it."""


@dataclass(frozen=True)
class Acceptance:
    """From then on the artifact stands for the key; without a ``made_key`` it no longer does."""

    shot_id: str
    stage: str
    number: int
    key: str  # of the ingredients at that time
    made_key: str  # where the accepted artifact lies; empty: the acceptance before is withdrawn
    generation: int
    content_hash: str
    version: int
    changed: tuple[str, ...]  # what changed in the code since it was made
    reason: str
    by: str  # who; empty when nobody said
    time: float  # by the store's clock [s since the epoch]

    @property
    def label(self) -> str:
        """The entry as people write it: ``a0001``."""
        return f"a{self.number:04d}"


class AcceptBook:
    """Reads and writes what is accepted."""

    def __init__(self, primitive: Primitive) -> None:
        self._primitive = primitive

    def add(
        self,
        shot_id: str,
        stage: str,
        *,
        key: str,
        made_key: str = "",
        generation: int = 0,
        content_hash: str = "",
        version: int = 0,
        changed: Sequence[str] = (),
        reason: str = "",
        by: str = "",
    ) -> Acceptance:
        """Add an entry and return it."""
        record = {
            "shot_id": shot_id,
            "stage": stage,
            "key": key,
            "made_key": made_key,
            "generation": generation,
            "content_hash": content_hash,
            "version": version,
            "changed": list(changed),
            "reason": reason,
            "by": by,
        }
        prefix = f"shots/{check_part(shot_id)}/accepted/{check_part(stage)}/"
        return _acceptance(append_entry(self._primitive, prefix, "a", record))

    def history(self, shot_id: str) -> list[Acceptance]:
        """All entries of a shot that can be read, by stage and number. A damaged one accepts nothing."""
        entries = read_entries(self._primitive, f"shots/{check_part(shot_id)}/accepted/")
        return [_acceptance(entry.record) for entry in entries if entry.record is not None]

    def standing(self, shot_id: str) -> dict[tuple[str, str], Acceptance]:
        """What is accepted now, by stage and key."""
        last = {(entry.stage, entry.key): entry for entry in self.history(shot_id)}
        return {place: entry for place, entry in last.items() if entry.made_key}


def _acceptance(record: dict[str, Any]) -> Acceptance:
    return Acceptance(**{**record, "changed": tuple(record["changed"])})
