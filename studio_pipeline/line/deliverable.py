"""Which version of a shot may leave the house, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio_pipeline.line.chain import chain_of, check_unmixed
from studio_pipeline.line.plan import StagePlan, plan_shot, verdicts_of
from studio_pipeline.line.resolve import ResolvedShot
from studio_pipeline.line.reviews import version_of
from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.shotlist import ShotListErrors
from studio_pipeline.store import Artifact, Published, Store
from studio_pipeline.store.reviews import UNREADABLE, ReviewBook, Standing

__all__ = ["Allowed", "Deliverable", "choose"]

_STAGE, _REVIEW = "delivery", "review"


@dataclass(frozen=True)
class Allowed:
    """What is delivered although something speaks against it."""

    outdated: bool = False  # the last version made, although the shot has changed since, failed or waits
    failed: bool = False  # although a blocking gate of it failed
    changes: bool = False  # although somebody asked for changes
    pending: bool = True  # although nobody has approved it


@dataclass(frozen=True)
class Deliverable:
    """One shot's delivery, and its review where that goes too."""

    shot: ResolvedShot
    version: Published
    artifact: Artifact
    standing: Standing
    outdated: str  # why it isn't what the shot would give now; empty when it is
    review: tuple[Published, Artifact] | None = None

    @property
    def parts(self) -> tuple[tuple[Published, Artifact], ...]:
        """Everything that is delivered of the shot."""
        return ((self.version, self.artifact), *((self.review,) if self.review else ()))

    @property
    def facts(self) -> dict[str, Any]:
        """The shot's fields as they were when the delivery was made, as far as it reads them."""
        return self.artifact.ingredients.get("shot", {})


def choose(
    store: Store, shots: Sequence[ResolvedShot], *, allowed: Allowed, version: str = "", review: bool = False
) -> list[Deliverable]:
    """What is delivered of each shot; every problem of every shot is told at once.

    Args:
        store: The artifact store.
        shots: The shots, as they are now.
        allowed: What may go although something speaks against it.
        version: This version instead of the one that the shot gives now; for one shot only.
        review: The review page of that very delivery goes too.

    Raises:
        InputError: A shot has nothing that may be delivered.
    """
    if version and len(shots) != 1:
        raise InputError("a version is of one shot", where="--version", do="name one shot, or leave it out")
    chosen, problems = [], []
    for shot in shots:
        try:
            chosen.append(_choose(store, shot, allowed, version, review))
        except StudioError as error:
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else ShotListErrors(problems)
    return chosen


def _choose(store: Store, shot: ResolvedShot, allowed: Allowed, version: str, review: bool) -> Deliverable:
    mine = next((item for item in plan_shot(store, shot).stages if item.stage == _STAGE), None)
    if mine is None:
        raise InputError(f"has no stage {_STAGE}", where=shot.id)
    outdated = _outdated(mine)
    if version:
        published = version_of(store, shot.id, _STAGE, version)
        latest = store.shots.published(shot.id, _STAGE)
        if latest is not None and published.version != latest.version:
            outdated = f"{latest.label} is newer"
    else:
        published = store.shots.published(shot.id, _STAGE)
        if outdated and not (allowed.outdated and published):
            do = "studio run it" + (f", or --even-outdated delivers {published.label}" if published else "")
            raise InputError(outdated, where=f"{shot.id} {_STAGE}", do=do)
    assert published is not None
    artifact = store.get(published.key, published.generation)
    check_unmixed(chain_of(store, [artifact]).values(), where=f"{shot.id} {_STAGE} {published.label}")
    standing = ReviewBook(store.primitive).standing(shot.id, _STAGE, published.version)
    _check_word(published, artifact, standing, allowed)
    page = _review_of(store, shot.id, artifact) if review else None
    return Deliverable(shot, published, artifact, standing, outdated, page)


def _outdated(mine: StagePlan) -> str:
    """Why the shot's latest delivery isn't what it would give now."""
    if mine.state == "cached":
        return "" if mine.version else "what was made before isn't published to the shot yet"
    if mine.failure:
        return f"failed: {mine.failure}"
    return f"waits: {mine.reason}" if mine.state == "waits" else f"is outdated: {mine.reason}"


def _check_word(published: Published, artifact: Artifact, standing: Standing, allowed: Allowed) -> None:
    where = f"{published.shot_id} {published.stage} {published.label}"
    for verdict in verdicts_of(artifact):
        if verdict.blocking and not verdict.passed and not allowed.failed:
            raise InputError(f"failed {verdict.name}: {verdict.message}", where=where, do="--even-failed delivers it")
    status = standing.status
    if status in ("changes", UNREADABLE) and not allowed.changes:
        what = f"{standing.by or 'somebody'} asked for changes" if status == "changes" else "its status is unreadable"
        raise InputError(what, where=where, do="studio approve it, or --even-changes delivers it")
    if status != "approved" and not allowed.pending:
        raise InputError(f"is {status}", where=where, do="studio approve it, or leave --approved out")


def _review_of(store: Store, shot_id: str, delivery: Artifact) -> tuple[Published, Artifact]:
    """The latest review of exactly this delivery."""
    for published in reversed(store.shots.history(shot_id, _REVIEW)):
        artifact = store.get(published.key, published.generation)
        if any(ref.name == _STAGE and ref.content_hash == delivery.content_hash for ref in artifact.inputs):
            return published, artifact
    raise InputError("has no review of this delivery", where=shot_id, do="studio run it, or leave --review out")
