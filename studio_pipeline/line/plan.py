"""What would run for a shot and why, without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from studio_pipeline.line.digests import one_moment
from studio_pipeline.line.graph import downstream, graph, stage_named, upstream
from studio_pipeline.line.keys import ingredients
from studio_pipeline.line.overrides import with_overrides
from studio_pipeline.line.reductions import with_reductions
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.schema.errors import one_line
from studio_pipeline.stages.base import Verdict
from studio_pipeline.store import Artifact, Store, diff_ingredients, key_of
from studio_pipeline.store.acceptances import POLICY_CHANGED, Acceptance, AcceptBook

__all__ = ["ShotPlan", "StagePlan", "changes_since", "plan_shot", "selection", "verdicts_of"]


@dataclass(frozen=True)
class StagePlan:
    """The state of one stage of one shot."""

    stage: str
    state: str  # "cached", "would run" or "waits"
    reason: str
    backend: str
    key: str | None = None  # None while an input is not there
    ingredients: Mapping[str, Any] = field(default_factory=dict)
    artifact: Artifact | None = None
    version: str = ""  # latest published version of this very content, or of anything when it would run
    failure: str = ""  # why the last attempt at this key failed
    failed_at: float = 0.0  # and when [s since the epoch]
    reduced: str = ""  # which settings were made smaller after it ran out of memory, in words
    accepted: Acceptance | None = None  # who let the artifact stand although the code has changed
    took: float | None = None  # how long the artifact took to make, where it isn't kept [s]

    @property
    def figures(self) -> Mapping[str, Any]:
        """Key figures of the artifact."""
        return self.artifact.figures if self.artifact else {}

    @property
    def seconds(self) -> float | None:
        """How long the artifact took to make."""
        return self.artifact.provenance.get("seconds") if self.artifact else self.took

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the gates said."""
        return verdicts_of(self.artifact) if self.artifact else ()


@dataclass(frozen=True)
class ShotPlan:
    """The states of a shot's stages, upstream first."""

    shot: ResolvedShot
    stages: tuple[StagePlan, ...]

    def told(self) -> ShotPlan:
        """The same without the artifacts and what they are made of: states, reasons, versions and times.

        What is told of a thousand shots fits anywhere; their thirteen thousand manifests are a gigabyte.
        """
        bare = [replace(item, ingredients={}, artifact=None, took=item.seconds) for item in self.stages]
        return ShotPlan(self.shot, tuple(bare))

    def to_launch(self) -> list[str]:
        """Stages to hand to Dagster."""
        return [item.stage for item in self.stages if item.state == "would run"]


def verdicts_of(artifact: Artifact) -> tuple[Verdict, ...]:
    """The gate verdicts stored with an artifact."""
    return tuple(Verdict(**verdict) for verdict in artifact.verdicts)


def selection(until: Sequence[str] | None, from_stage: str | None) -> set[str] | None:
    """The stages chosen by ``--stage`` (those and what they need) and ``--from-stage`` (that and what hangs on it)."""
    if not until and not from_stage:
        return None
    chosen = set(graph())
    if until:
        chosen = set().union(*({stage_named(name).name} | upstream(name) for name in until))
    if from_stage:
        chosen &= {stage_named(from_stage).name} | downstream(from_stage)
    return chosen


def plan_shot(store: Store, shot: ResolvedShot, *, only: set[str] | None = None, deep: bool = False) -> ShotPlan:
    """Work out every stage's state; the plan's shot has pinned files in the place of the stages that they override.

    Args:
        store: The artifact store, or for many shots a `Store.snapshot` of it.
        shot: The shot.
        only: Stages that may run; others are planned as inputs only and left out of the result.
        deep: Hash every artifact where sizes and times or etags can't be trusted.
    """
    store = store.snapshot([shot.id])
    shot = with_reductions(store, with_overrides(store, shot))
    found: dict[str, StagePlan] = {}
    accepted = AcceptBook(store.primitive).standing(shot.id)
    with one_moment(store.moment.files if store.moment else None):
        for name in graph():
            allowed = only is None or name in only
            item = _plan_stage(store, shot, name, found, accepted, allowed=allowed, deep=deep)
            found[name] = _with_reduction(item, shot.setups[name].reduced)
    return ShotPlan(shot=shot, stages=tuple(item for name, item in found.items() if only is None or name in only))


def _plan_stage(
    store: Store,
    shot: ResolvedShot,
    name: str,
    found: Mapping[str, StagePlan],
    accepted: Mapping[tuple[str, str], Acceptance],
    *,
    allowed: bool,
    deep: bool,
) -> StagePlan:
    inputs = [found[parent] for parent in graph()[name].inputs]
    backend = shot.setups[name].backend
    published = store.shots.published(shot.id, name)
    version = published.label if published else ""
    missing = [item for item in inputs if item.artifact is None]
    if missing:
        blocked = next((item for item in missing if item.state == "waits"), None)
        if blocked:
            return StagePlan(name, "waits", f"{blocked.stage} waits", backend, version=version)
        names = ", ".join(item.stage for item in missing)
        return StagePlan(name, "would run" if allowed else "waits", f"after {names}", backend, version=version)
    if closed := _closed_gate(inputs):
        return StagePlan(name, "waits", closed, backend, version=version)
    made_of = ingredients(shot, name, {item.stage: item.artifact.content_hash for item in inputs if item.artifact})
    key = key_of(made_of)
    word = accepted.get((name, key))
    artifact = _accepted(store, word, deep=deep) if word else None
    damage, word = "", word if artifact else None
    if artifact is None:
        artifact, damage = _find(store, key, deep=deep)
    if artifact is not None:
        same = published is not None and (published.key, published.generation) == (artifact.key, artifact.generation)
        shown, state = (version, "unchanged") if same else ("", "made before")
        reason = _in_words(word) if word else state
        return StagePlan(name, "cached", reason, backend, key, made_of, artifact, shown, accepted=word)
    failure = store.shots.last_failure(shot.id, name, key=key)
    failed, when = (failure.error, failure.time) if failure else ("", 0.0)
    reason = damage or (f"failed before: {failed}" if failed else changes_since(store, shot.id, name, made_of))
    return StagePlan(
        name, "would run" if allowed else "waits", reason, backend, key, made_of, None, version, failed, when
    )


def _with_reduction(item: StagePlan, words: str) -> StagePlan:
    if not words:
        return item
    return replace(item, reduced=words, reason=item.reason if words in item.reason else f"{item.reason}; {words}")


def _accepted(store: Store, word: Acceptance, *, deep: bool) -> Artifact | None:
    """The very artifact that was accepted, if it is still there and sound."""
    artifact = store.find(word.made_key, thorough=deep)
    return artifact if artifact is not None and artifact.content_hash == word.content_hash else None


def _in_words(word: Acceptance) -> str:
    names = [unit.removeprefix("studio_pipeline.") for unit in word.changed]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    told = "" if names[:1] == [POLICY_CHANGED] else "changed in the code: "
    code = f" ({told}{', '.join(names[:2])}{more})" if names else ""
    return f"accepted{f' by {word.by}' if word.by else ''}: {one_line(word.reason)}{code}"


def _find(store: Store, key: str, *, deep: bool) -> tuple[Artifact | None, str]:
    """The current generation of ``key``, or why the one that is there is of no use."""
    if (artifact := store.find(key, thorough=deep)) is not None:
        return artifact, ""
    # The commit that replaces a damaged generation quarantines it; planning writes nothing.
    problems = store.damage(key, thorough=deep)
    return None, f"damaged: {problems[0]}" if problems else ""


def _closed_gate(inputs: Sequence[StagePlan]) -> str:
    for item in inputs:
        for verdict in item.verdicts:
            if verdict.blocking and not verdict.passed:
                return f"{item.stage} failed {verdict.name}: {verdict.message}"
    return ""


def changes_since(store: Store, shot: str, name: str, made_of: Mapping[str, Any]) -> str:
    """Which ingredients differ from the latest published version's, in words."""
    published = store.shots.published(shot, name)
    if published is None:
        return "never made"
    before = published.note.get("ingredients", {})
    changes = diff_ingredients(before, made_of)
    if not changes:
        return f"the artifact of {published.label} is gone or damaged"
    return "; ".join(str(change) for change in changes[:3]) + (
        f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
    )
