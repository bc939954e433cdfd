"""Why a stage's artifact is what it is: which ingredient changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio_pipeline.line.accept import edited
from studio_pipeline.line.graph import stage_named, upstream
from studio_pipeline.line.keys import code_parts
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.timestamps import timestamp
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store import Published, Store, diff_ingredients
from studio_pipeline.store.acceptances import POLICY_CHANGED

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """The answer of `studio why`."""

    shot: str
    stage: str
    state: str
    headline: str
    changes: tuple[str, ...]

    def as_text(self) -> str:
        """For people."""
        return "\n".join([f"{self.shot} {self.stage}: {self.headline}", *(f"  {change}" for change in self.changes)])

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "shot": self.shot,
            "stage": self.stage,
            "state": self.state,
            "headline": self.headline,
            "changes": list(self.changes),
        }


def explain(store: Store, shot: ResolvedShot, name: str) -> Explanation:
    """Compare the stage's present ingredients with its last version's, or its last two versions when up to date."""
    stage_named(name)
    plan = plan_shot(store, shot, only={name} | upstream(name))
    shot, mine = plan.shot, plan.stages[-1]
    versions = store.snapshot([shot.id]).shots.history(shot.id, name)
    if mine.state != "cached":
        now = code_parts(shot, name) if mine.ingredients else {}
        edited = _edited(_parts(store, versions[-1]), now) if versions and "code:" in mine.reason else ()
        return Explanation(shot.id, name, mine.state, f"{mine.state}: {mine.reason}", edited)
    if mine.accepted is not None:
        changed = tuple(f"code of {unit}" for unit in mine.accepted.changed if unit != POLICY_CHANGED)
        when = timestamp(mine.accepted.time)
        headline = f"v{mine.accepted.version:03d} stands, {mine.reason} ({when})"
        return Explanation(shot.id, name, "cached", headline, changed)
    also = f" ({mine.reduced})" if mine.reduced else ""
    if len(versions) < 2:
        return Explanation(
            shot.id, name, "cached", f"{mine.version or 'made before'} is up to date; it is the first version{also}", ()
        )
    old, new = versions[-2], versions[-1]
    before, after = old.note.get("ingredients", {}), new.note.get("ingredients", {})
    changes = tuple(str(change) for change in diff_ingredients(before, after))
    if any(change.startswith("code:") for change in changes):
        changes += _edited(_parts(store, old), _parts(store, new))
    if not changes:
        changes = (f"nothing: {old.label} was damaged and made again, with other bytes",)
    return Explanation(shot.id, name, "cached", f"{new.label} is up to date{also}; since {old.label} changed:", changes)


def _parts(store: Store, version: Published) -> Mapping[str, str]:
    try:
        return store.get(version.key, version.generation).manifest.get("code_parts", {})
    except StudioError:
        # Collected or damaged: what changed in the code can't be told any more.
        return {}


def _edited(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"code of {unit}" for unit in edited(before, after))
