"""A stiffness field from what is seen: log Young's moduli of clusters that a loss likes best, coarse to fine.

Unknowns are one log E a cluster; first one for the whole body, then one for the tetrahedra around each bone, then
clusters are halved where the gradient wants it (`clusters.split`). Each level starts from the last. L-BFGS-B (Byrd et
al. 1995) keeps bounds; gradients come from the adjoint. What touches is pulled together, and all towards the start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from studio_pipeline.physics.clusters import borders, split
from studio_pipeline.physics.topology import Topology

__all__ = ["FitOptions", "StiffnessFit", "fit_stiffness"]

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a field is looked for."""

    bounds: tuple[float, float] = (1e2, 1e9)  # of Young's modulus [Pa]
    uniform: bool = True  # one value for all comes first
    splits: int = 1  # how often clusters are halved
    halved: int = 4  # how many of them each time
    evaluations: int = 24  # simulations of a level, at most
    smooth: float = 1e-2  # pull between clusters that touch: share of the first loss for a factor e across all borders
    near: float = 1e-3  # the same towards the start
    tolerance: float = 1e-7  # a level ends when a step gains less, a share of the loss
    worth: float = 1e-3  # relative gain of a level under which no further one is tried


@dataclass(frozen=True, kw_only=True)
class StiffnessFit:
    """What was found."""

    log_youngs_modulus: np.ndarray  # [E] float64
    labels: np.ndarray  # [E] int32, cluster of each tetrahedron; -1 where it was held
    losses: tuple[float, ...]  # without the pulls: at the start, then at the end of every level
    clusters: tuple[int, ...]  # unknowns of every level
    evaluations: int


def fit_stiffness(
    objective: Objective,
    topology: Topology,
    labels: np.ndarray,
    start: np.ndarray,
    options: FitOptions | None = None,
    *,
    held: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> StiffnessFit:
    """Look for the field.

    Args:
        objective: The loss of log E [E], and its derivatives [E].
        topology: The body.
        labels: Clusters to begin with [E], see `clusters.bone_clusters`.
        start: Log E to begin with [E].
        options: See `FitOptions`.
        held: Tetrahedra whose value is not touched [E] bool.
        progress: Told the number of evaluations so far.

    A loss that isn't finite counts as very bad, with no gradient: the line search steps back from it.
    """
    options = options or FitOptions()
    search = _Search(objective, topology, start.astype(np.float64), options, held, progress)
    value, gradient = search.evaluate(search.field)
    search.first = max(abs(value), 1e-30)
    free = ~search.held
    losses, counts = [value], []
    levels = [np.zeros_like(labels)] if options.uniform else []
    levels.append(labels)
    for number in range(len(levels) + options.splits):
        if number < len(levels):
            now = levels[number]
        else:
            finer = now.copy()
            finer[free] = split(_part(topology, free), now[free], gradient[free], most=options.halved)
            if finer[free].max() == now[free].max():
                break
            now = finer
        if not free.any():
            break
        value, gradient = search.descend(now)
        losses.append(value)
        counts.append(len(np.unique(now[free])))
        if number >= len(levels) and losses[-2] - value < options.worth * search.first:
            break
    return StiffnessFit(
        log_youngs_modulus=search.field,
        labels=np.where(free, now, -1).astype(np.int32),
        losses=tuple(losses),
        clusters=tuple(counts),
        evaluations=search.done,
    )


def _part(topology: Topology, chosen: np.ndarray) -> Topology:
    """The same vertices with some of the tetrahedra, as far as `clusters.split` looks."""
    return Topology.build(topology.rest, topology.tets[chosen])


class _Enough(Exception):
    """Raised when a level has had its evaluations."""


class _Search:
    """The field so far, and descents over the values of clusters."""

    def __init__(
        self,
        objective: Objective,
        topology: Topology,
        start: np.ndarray,
        options: FitOptions,
        held: np.ndarray | None,
        progress: Callable[[int], None],
    ) -> None:
        self.objective, self.topology, self.options, self.progress = objective, topology, options, progress
        self.start, self.field = start, start.copy()
        self.held = np.zeros(len(start), dtype=bool) if held is None else held
        self.share = topology.volumes / topology.volumes.sum()
        self.first, self.done = 1.0, 0

    def evaluate(self, field: np.ndarray) -> tuple[float, np.ndarray]:
        self.done += 1
        self.progress(self.done)
        return self.objective(field)

    def descend(self, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """Move the clusters' values from where the field is; returns the loss there and its derivatives [E]."""
        options, base, free = self.options, self.field.copy(), ~self.held
        count = int(labels.max()) + 1
        pairs, touching = borders(self.topology, labels)
        touching = touching / max(float(touching.sum()), 1e-30)
        mean = np.bincount(labels, self.share * base, count) / np.maximum(np.bincount(labels, self.share, count), 1e-30)
        low, high = np.log(options.bounds)
        bounds = [(low - base[own].min(), high - base[own].max()) if own.any() else (0.0, 0.0)
                  for own in (free & (labels == label) for label in range(count))]  # fmt: skip
        best: tuple[float, float, np.ndarray, np.ndarray] | None = None
        last = self.done + options.evaluations

        def value(step: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal best
            if self.done >= last:  # SciPy counts whole line searches only
                raise _Enough
            field = np.where(free, base + step[labels], base)
            loss, gradient = self.evaluate(field)
            if not np.isfinite(loss):
                return 1e3, np.zeros(count)
            by_cluster = np.bincount(labels[free], gradient[free], count) / self.first
            gap = (mean + step)[pairs[:, 0]] - (mean + step)[pairs[:, 1]]
            pull = np.zeros(count)
            np.add.at(pull, pairs[:, 0], options.smooth * touching * gap)
            np.add.at(pull, pairs[:, 1], -options.smooth * touching * gap)
            far = np.where(free, field - self.start, 0.0)
            pull += options.near * np.bincount(labels, self.share * far, count)
            total = loss / self.first + 0.5 * options.smooth * float(touching @ gap**2)
            total += 0.5 * options.near * float(self.share @ far**2)
            if best is None or total < best[0]:
                best = (total, loss, field, gradient)
            return total, by_cluster + pull

        with suppress(_Enough):
            minimize(
                value,
                np.zeros(count),
                jac=True,
                method="L-BFGS-B",
                bounds=[(min(a, 0.0), max(b, 0.0)) for a, b in bounds],
                options={"maxiter": options.evaluations, "ftol": options.tolerance, "gtol": 0.0},
            )
        assert best is not None
        self.field = best[2]
        return best[1], best[3]
