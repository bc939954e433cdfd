"""Why a stage's artifact is what it is: which ingredient changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio_pipeline.line.graph import stage_named, upstream
from studio_pipeline.line.plan import plan_shot
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.store import Store, diff_ingredients

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
    mine = plan_shot(store, shot, only={name} | upstream(name)).stages[-1]
    versions = store.history(shot.id, name)
    if mine.state != "cached":
        return Explanation(shot.id, name, mine.state, f"{mine.state}: {mine.reason}", ())
    if len(versions) < 2:
        return Explanation(
            shot.id, name, "cached", f"{mine.version or 'made before'} is up to date; it is the first version", ()
        )
    old, new = versions[-2], versions[-1]
    before = store.ingredients_of(old.key, old.generation)
    after = store.ingredients_of(new.key, new.generation)
    if before is None or after is None:
        gone = old.version if before is None else new.version
        return Explanation(shot.id, name, "cached", f"{new.version} is up to date; the artifact of {gone} is gone", ())
    changes = tuple(str(change) for change in diff_ingredients(before, after))
    if not changes:
        changes = (f"nothing: {old.version} was damaged and made again",)
    return Explanation(shot.id, name, "cached", f"{new.version} is up to date; since {old.version} changed:", changes)
