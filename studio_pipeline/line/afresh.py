"""What `studio retry` forgets before it tries again."""

from __future__ import annotations

from collections.abc import Iterable

from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.store import Store

__all__ = ["start_afresh"]


def start_afresh(store: Store, shots: Iterable[ResolvedShot]) -> int:
    """Forget the lost attempts at what failed in these shots; gives how many artifacts get another try."""
    return sum(
        store.leases.forgive(item.key)
        for shot in shots
        for item in plan_shot(store, shot).stages
        if item.key and item.failure
    )
