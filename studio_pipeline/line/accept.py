"""Keeping results valid after a code change: with a reason, recorded, and only until anything else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio_pipeline.line.graph import stage_named
from studio_pipeline.line.keys import BY_VERSION, code_parts
from studio_pipeline.line.plan import StagePlan, plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import Artifact, Published, Store, diff_ingredients
from studio_pipeline.store.acceptances import POLICY_CHANGED, Acceptance, AcceptBook

__all__ = ["Accepted", "accept", "edited", "withdraw"]

MAX_TEXT = 4000
MAX_CHANGED = 400  # definitions that an entry names; more than any sensible change touches


@dataclass(frozen=True)
class Accepted:
    """What `accept` did with a shot."""

    entries: tuple[Acceptance, ...]
    refused: tuple[str, ...]  # outdated stages that stay so, a line each


def accept(store: Store, shot: ResolvedShot, *, reason: str, stages: Sequence[str] = (), by: str = "") -> Accepted:
    """Let results stand whose code alone has changed since they were made.

    Args:
        store: The artifact store.
        shot: The shot as it is now.
        reason: Why they are still good.
        stages: Only these; otherwise all of which nothing but the code changed.
        by: Who says so.

    Raises:
        InputError: There is no reason, or a named stage changed otherwise, too.
    """
    reason = reason.strip()
    if not reason or len(reason) > MAX_TEXT or reason.encode("utf-8", "ignore").decode() != reason:
        raise InputError(
            "needs a reason", where=shot.id, do=f"say in at most {MAX_TEXT} characters why it is still good"
        )
    wanted = {stage_named(name).name for name in stages}
    entries: list[Acceptance] = []
    refused: dict[str, str] = {}
    while True:
        # What is accepted upstream decides what is known downstream, hence one after the other.
        plan = plan_shot(store, shot)
        refused = {}
        for item in plan.stages:
            if item.state == "cached" or (wanted and item.stage not in wanted):
                continue
            found = _fit(store, shot.id, item)
            if not isinstance(found, str) and item.stage not in {entry.stage for entry in entries}:
                entries.append(_add(store, plan.shot, item, *found, reason=reason, by=by))
                break
            refused[item.stage] = f"{shot.id} {item.stage}: {found if isinstance(found, str) else item.reason}"
        else:
            break
    if wanted and refused:
        raise InputError(next(iter(refused.values())), do="studio run makes it")
    return Accepted(tuple(entries), tuple(refused.values()))


def _fit(store: Store, shot_id: str, item: StagePlan) -> tuple[Published, Artifact] | str:
    """The version that may be accepted in the stage's place, or why none may."""
    published = store.shots.published(shot_id, item.stage)
    if published is None or item.key is None:
        return item.reason or item.state
    changes = diff_ingredients(published.note.get("ingredients", {}), item.ingredients)
    others = [str(change) for change in changes if change.ingredient != "code"]
    if others:
        return f"not the code alone has changed since {published.label}, but {'; '.join(others[:3])}"
    artifact = store.find(published.key, thorough=True)
    if artifact is None or artifact.content_hash != published.content_hash:
        return f"the artifact of {published.label} is gone or damaged"
    return (published, artifact) if changes else item.reason


def _add(
    store: Store, shot: ResolvedShot, item: StagePlan, published: Published, artifact: Artifact, *, reason: str, by: str
) -> Acceptance:
    assert item.key is not None
    if item.ingredients.get("code") == BY_VERSION:
        changed: tuple[str, ...] = (POLICY_CHANGED,)
    else:
        changed = edited(artifact.manifest.get("code_parts", {}), code_parts(shot, item.stage))
    return AcceptBook(store.primitive).add(
        shot.id,
        item.stage,
        key=item.key,
        made_key=artifact.key,
        generation=artifact.generation,
        content_hash=artifact.content_hash,
        version=published.version,
        changed=changed[:MAX_CHANGED],
        reason=reason,
        by=by,
    )


def withdraw(
    store: Store, shot: ResolvedShot, *, stages: Sequence[str] = (), reason: str = "", by: str = ""
) -> list[Acceptance]:
    """Take acceptances that stand now off again; gives the entries that say so."""
    wanted = {stage_named(name).name for name in stages}
    return [
        AcceptBook(store.primitive).add(shot.id, stage, key=key, reason=reason.strip(), by=by)
        for stage, key in AcceptBook(store.primitive).standing(shot.id)
        if not wanted or stage in wanted
    ]


def edited(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Definitions that differ, were added or are gone, by name; empty when either side isn't known."""
    if not before or not after:
        return ()
    return tuple(unit for unit in sorted({*before, *after}) if before.get(unit) != after.get(unit))
