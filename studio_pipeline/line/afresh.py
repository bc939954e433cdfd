"""What `studio retry` forgets before it tries again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.reductions import full_size
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.shots import known_shots
from studio_pipeline.store import Store

__all__ = ["at_full_size", "start_afresh"]


def start_afresh(store: Store, shots: Iterable[ResolvedShot]) -> int:
    """Forget the lost attempts at what failed in these shots; gives how many artifacts get another try."""
    plans = (plan_shot(store, shot) for shot in shots)
    return sum(store.leases.forgive(item.key) for plan in plans for item in plan.stages if item.key and item.failure)


def at_full_size(
    store: Store, others: Set[str], *, only: Sequence[str] | None = None, by: str = ""
) -> list[ResolvedShot]:
    """Take off what was made smaller after memory ran out, in the known shots or those named.

    Args:
        store: The artifact store.
        others: Shots that are left out of the answer.
        only: Shot ids to look at.
        by: Who does it.

    Returns:
        The shots in which something was smaller, as their lists say now.
    """
    shots, _ = known_shots(store, only=only)
    changed = {entry.shot_id for entry in full_size(store, shots, by=by)}
    return [shot for shot in shots if shot.id in changed and shot.id not in others]
