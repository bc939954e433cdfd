"""A batch of shots before it is queued: what each lacks, whether it is the same work, how long that took before."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from studio_pipeline.line.graph import graph
from studio_pipeline.line.keys import ingredients
from studio_pipeline.line.plan import ShotPlan
from studio_pipeline.line.queues import CPU, GPU, needs_gpu
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.store import Store, key_of

__all__ = ["Estimate", "content_of", "estimate", "identities"]

SAMPLE = 60  # shots whose timings are looked at


@dataclass(frozen=True)
class Estimate:
    """Machine-hours that a batch will take, from how long the same stages took before."""

    hours: Mapping[str, float]  # by queue
    steps: Mapping[str, int]  # by queue
    untimed: Mapping[str, int]  # steps whose backend was never timed here, by stage; not in the hours

    def as_json(self) -> dict[str, object]:
        """The estimate as JSON."""
        return {
            "hours": {queue: round(hours, 4) for queue, hours in self.hours.items()},
            "steps": dict(self.steps),
            "steps_without_timing": dict(self.untimed),
        }


def identities(plan: ShotPlan) -> dict[str, str]:
    """A name for what each stage of the shot would make or has made.

    It is the key with, in the place of what isn't there yet, the name of what will be: equal names, equal work.
    """
    names: dict[str, str] = {item.stage: item.artifact.content_hash for item in plan.stages if item.artifact}
    for name in graph():
        if name not in names:
            inputs = {parent: names[parent] for parent in graph()[name].inputs}
            names[name] = key_of(ingredients(plan.shot, name, inputs))
    return names


def content_of(plan: ShotPlan) -> str:
    """A digest of all that would be made for the shot: the same for a shot list that says the same."""
    names = identities(plan)
    return key_of({stage: names[stage] for stage in plan.to_launch()})


def estimate(store: Store, plans: Sequence[ShotPlan]) -> Estimate:
    """How long the missing stages of these shots took when they were made before, here, with the same backends.

    A stage that several shots share is counted once. A shot's own last time counts for it, else the median of others.
    """
    times = _Timings(store, [plan.shot.id for plan in plans])
    hours, steps = {CPU: 0.0, GPU: 0.0}, {CPU: 0, GPU: 0}
    untimed: dict[str, int] = {}
    counted: set[str] = set()
    for plan in plans:
        names = identities(plan)
        for stage in plan.to_launch():
            if names[stage] in counted:
                continue
            counted.add(names[stage])
            backend = plan.shot.setups[stage].backend
            queue = GPU if needs_gpu(plan.shot, stage) else CPU
            steps[queue] += 1
            seconds = times.of(plan.shot.id, stage, backend)
            if seconds is None:
                untimed[stage] = untimed.get(stage, 0) + 1
            else:
                hours[queue] += seconds / 3600
    return Estimate(hours, steps, untimed)


class _Timings:
    """Seconds that published artifacts took, by stage and backend."""

    def __init__(self, store: Store, wanted: Iterable[str]) -> None:
        known = store.shots.shot_ids()
        asked = [shot for shot in wanted if shot in set(known)]
        sample = list(dict.fromkeys([*asked, *reversed(known)]))[: max(SAMPLE, len(asked))]
        self._store = store.snapshot(sample)
        self._own: dict[tuple[str, str, str], float] = {}
        self._all: dict[tuple[str, str], list[float]] = {}
        for shot in sample:
            for stage in graph():
                self._read(shot, stage)

    def of(self, shot: str, stage: str, backend: str) -> float | None:
        """Seconds to expect; None when the backend was never timed."""
        if (own := self._own.get((shot, stage, backend))) is not None:
            return own
        others = self._all.get((stage, backend))
        return statistics.median(others) if others else None

    def _read(self, shot: str, stage: str) -> None:
        try:
            version = self._store.shots.published(shot, stage)
            artifact = self._store.get(version.key, version.generation) if version else None
        except StudioError:
            return  # a damaged record times nothing
        if artifact is None or not isinstance(seconds := artifact.provenance.get("seconds"), int | float):
            return
        backend = str(artifact.manifest.get("backend", ""))
        self._own[shot, stage, backend] = seconds
        self._all.setdefault((stage, backend), []).append(seconds)
