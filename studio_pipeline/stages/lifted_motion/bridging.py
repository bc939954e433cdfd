"""Several poses a frame, and the choice among them over time.

The pass through the clip leaves frames badly explained where something moved faster than alignment reaches, and what
comes after inherits the error. Further passes come from the other end: from a frame that is explained well into its
neighbour that is not, backwards, forwards and backwards again. None of them replaces a pose: each adds one, and the
cheapest way through all frames (Viterbi) is what the next pass starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.stages.lifted_motion.kinematics import Pose, turn_between

if TYPE_CHECKING:
    from studio_pipeline.stages.lifted_motion.synthesis import Fitter

__all__ = ["Bridge", "bridged"]

POOR = 1.12  # times what index 0 leaves unexplained: a frame above it is tried from its neighbours
BETTER = 0.97  # a neighbour explained by that factor better has something to tell
SAME = 0.1  # poses closer than that are one [rad]
MOST = 6  # poses of one frame
PASSES = (True, False, True)  # backwards or not
SEARCHES = 0.25  # of one pass, per frame of the clip


class Bridge:
    """Holds the poses of every frame."""

    def __init__(self, fitter: Fitter, poses: list[Pose]) -> None:
        self.fitter, self.search = fitter, fitter.search
        self.poses: list[list[Pose]] = [[pose] for pose in poses]
        self.costs: list[list[float]] = [[0.0] for _ in poses]
        for index in range(1, len(poses)):
            self.costs[index] = [self._alone(index, poses[index])]
            for pose in fitter.recovery.others.get(index, ()):
                self.add(index, pose)

    def _alone(self, index: int, pose: Pose) -> float:
        """What a pose costs without its neighbours; nothing is known of frames in which nothing is seen."""
        return float(self.search.costs(index, [pose], pose)[0]) if self._seen(index) else 0.0

    def _seen(self, index: int) -> bool:
        return self.fitter.frames[index].contour is not None

    def add(self, index: int, pose: Pose) -> None:
        """Another pose of a frame, unless a cheaper one is much the same; the dearest is dropped."""
        cost = self._alone(index, pose)
        poses, costs = self.poses[index], self.costs[index]
        for known in range(len(poses)):
            if turn_between(poses[known], pose) < SAME:
                if cost < costs[known]:
                    poses[known], costs[known] = pose, cost
                return
        poses.append(pose)
        costs.append(cost)
        if len(poses) > MOST:
            worst = int(np.argmax(costs))
            del poses[worst], costs[worst]

    def best(self) -> list[Pose]:
        """The cheapest way through all frames: what each pose costs, and how far joints turn from one to the next."""
        reached, came = np.array(self.costs[0]), []
        for index in range(1, len(self.poses)):
            last, here = (np.stack([pose.rotations for pose in self.poses[k]]) for k in (index - 1, index))
            ways = reached[None] + self.search.apart(last[None], here[:, None])
            came.append(ways.argmin(1))
            reached = ways.min(1) + self.costs[index]
        choice = [int(reached.argmin())]
        for back in reversed(came):
            choice.append(int(back[choice[-1]]))
        return [poses[k] for poses, k in zip(self.poses, reversed(choice), strict=True)]

    def sweep(self, *, backwards: bool) -> None:
        """Try every poorly explained frame from its neighbour, which itself may have been found just before."""
        fitter, path, step = self.fitter, self.best(), 1 if backwards else -1
        last = len(path) - 1
        fresh: set[int] = set()
        for index in range(last - 1, 0, -1) if backwards else range(2, last + 1):
            beside, beyond = index + step, min(max(index + 2 * step, 0), last)
            if not self._seen(index) or not self._told(index, beside, path, fresh):
                continue
            after = path[beside]
            expected = fitter.coasting(path[beyond], after)
            other = fitter.polished(index, expected)
            other, _ = fitter.recovery.found(index, other, expected, after, fitter.explained(beside, after))
            for pose in (other, *fitter.recovery.others.get(index, ())):
                self.add(index, pose)
            costs = self.search.costs(index, [path[index], other], after)
            if costs[1] < costs[0]:
                path[index] = other
                fresh.add(index)

    def _told(self, index: int, beside: int, path: list[Pose], fresh: set[int]) -> bool:
        """Whether a frame's neighbour may tell something of it."""
        now = self.fitter.explained(index, path[index])
        if now < POOR or not self._seen(beside):
            return False
        return beside in fresh or self.fitter.explained(beside, path[beside]) < BETTER * now


def bridged(fitter: Fitter, poses: list[Pose], progress: Callable[[float], None] = lambda done: None) -> list[Pose]:
    """Poses of all frames after passes from both ends, given those of the first pass."""
    bridge = Bridge(fitter, poses)
    for number, backwards in enumerate(PASSES, 1):
        fitter.recovery.budget = fitter.recovery.searches + SEARCHES * len(poses)
        bridge.sweep(backwards=backwards)
        progress(number / len(PASSES))
    return bridge.best()
