"""Frames that were lost: other starts and coarse-to-fine alignment, then turns of limbs.

Where a frame is explained worse than it could be (index 0 tells how well), several poses are aligned on small, blurred
pictures, each as far as it gets; the cheapest that differ are kept. Only if none explains the frame, limbs are turned
(`search`): a turn that leads to a better pose need not be better before it is aligned, so many are aligned, on small
pictures, and then judged. Before, limbs reach for what nothing explains (`reaching`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.geometry.cameras import project
from studio_pipeline.render.raster import rasterize
from studio_pipeline.render.runtime import side_by_side
from studio_pipeline.stages.lifted_motion.equations import Round
from studio_pipeline.stages.lifted_motion.kinematics import Pose, turn_between
from studio_pipeline.stages.lifted_motion.reaching import bare_points, reaches_of, reaching

if TYPE_CHECKING:
    from studio_pipeline.stages.lifted_motion.synthesis import Fitter

__all__ = ["LOST", "WORSE", "Recovery"]

WORSE = 1.2  # times what index 0 leaves unexplained: a frame below it is explained
LOST = 1.5  # the same: above it, it is tried every time; between them, where it got worse than in the last frame
JUMP = 0.05  # got worse by that since it was last well or searched: tried once, because a hand may be all that is lost
CREEP = 0.02  # what may get worse from one frame to the next, without adding up
GOOD = 1.3  # a pose below it is worth trying again in later frames
SEARCHES = 1.25  # of all in one pass over the clip, per frame
TRIES = 3  # searches of one frame
REACHES = 3  # times that limbs reach for what is bare, before
GAIN = 0.97  # what a search must bring for another
KEPT = 3  # poses of one frame
FINISHED = 4  # poses of a search that are aligned on large pictures
SAME = 0.15  # poses closer than that are one [rad]
KNOWN = 12  # poses of earlier frames that are tried again
AGAIN = 2  # of those, aligned in one frame
FAR = 0.4  # least difference between known poses [rad]

Found = tuple[float, Pose]
"""A pose and what it costs (`Search.costs`)."""


def _rounds(blurs: Iterable[float], contour: float) -> list[Round]:
    return [Round(reach=max(4.0, 2.0 * b), flow=0.0, contour=contour, track=0.0, colour=1.0, blur=b) for b in blurs]


# Blurs in pixels of the small pictures (see `Fitter`) for the first three, of the clip's for the others.
COLOURS, BOTH = _rounds((6.0, 4.0, 2.5, 1.5), 0.0), _rounds((6.0, 4.0, 2.5, 1.5), 0.5)
TURNED = _rounds((4.0, 2.5, 1.5), 0.5)
SHARP, SHARPER = _rounds((3.0, 1.5), 0.0), _rounds((2.0, 1.5, 1.0), 0.0)


def _distinct(found: Sequence[Found], most: int) -> list[Found]:
    """The cheapest poses that differ."""
    kept: list[Found] = []
    for item in sorted(found, key=lambda item: item[0]):
        if len(kept) < most and all(turn_between(item[1], pose) > SAME for _, pose in kept):
            kept.append(item)
    return kept


class Recovery:
    """Finds poses again; remembers poses that explained earlier frames."""

    def __init__(self, fitter: Fitter) -> None:
        self.fitter, self.search = fitter, fitter.search
        self.searches, self.budget = 0, SEARCHES * len(fitter.frames)
        self.others: dict[int, list[Pose]] = {}  # of each frame that was tried again: the poses that it was left with
        self.reaches = reaches_of(fitter.skeleton, fitter.vertices, fitter.weights, self.search.limbs)
        self.known = [Pose.rest(fitter.skeleton.count)]

    def found(self, index: int, pose: Pose, expected: Pose, last: Pose, before: float) -> tuple[Pose, float]:
        """A pose that explains frame ``index`` better, if it needs one.

        Args:
            index: The frame.
            pose: What alignment gave.
            expected: What was expected; poses far from it cost more.
            last: The pose of the neighbouring frame.
            before: How well that frame is explained (see `Fitter.explained`), or what this returned for it.

        Returns:
            The pose that explains the frame best, and what the next frame is to be compared with: how well this one
            is explained, or a little worse than before if it got worse slowly.
        """
        if self.fitter.frames[index].contour is None:
            return pose, before
        level = before + CREEP
        now = self.fitter.explained(index, pose)
        if now >= LOST or (now >= WORSE and now >= 1.08 * before):
            pose, now = self._again(index, pose, expected, last, WORSE, TRIES)
            level = now
        elif now >= before + JUMP:
            pose, now = self._again(index, pose, expected, last, before + JUMP, 1)
            level = now
        if now < GOOD and all(turn_between(pose, other) > FAR for other in self.known):
            self.known = [self.known[0], *self.known[1:][1 - KNOWN :], pose]
        return pose, min(now, level)

    def _again(
        self, index: int, pose: Pose, expected: Pose, last: Pose, enough: float, tries: int
    ) -> tuple[Pose, float]:
        """Other starts, then at most ``tries`` searches, until the frame is explained to ``enough``."""
        starts = [pose, expected, last, *self._reminded(index, expected)]
        given = (float(self.search.costs(index, [pose], expected)[0]), pose)
        tried = self._small(index, [(start, how) for start in starts for how in (COLOURS, BOTH)], expected)
        pool = _distinct([given, *tried], KEPT)
        pool = _distinct(pool + self._large(index, pool[:2], expected), KEPT)
        now = self.fitter.explained(index, pool[0][1])
        for turn in range(REACHES):
            if now < enough:
                break
            pool, earlier = self._stretched(index, pool, expected, turn), now
            now = self.fitter.explained(index, pool[0][1])
            if now > GAIN * earlier:
                break
        for turn in range(tries):
            if now < enough or self.searches >= self.budget:
                break
            self.searches += 1
            pool, earlier = self._searched(index, pool, expected, turn), now
            now = self.fitter.explained(index, pool[0][1])
            if now > GAIN * earlier:
                break
        self.others[index] = [item[1] for item in pool]
        return pool[0][1], now

    def _searched(self, index: int, pool: list[Found], expected: Pose, seed: int) -> list[Found]:
        """The pool after one search for turned limbs."""
        candidates = self.search.candidates(index, pool[0][1], expected, seed)
        turned = self._small(index, [(pose, TURNED) for pose in candidates], expected)
        pool = _distinct(pool + self._large(index, _distinct(turned, FINISHED), expected), KEPT)
        pool = _distinct(pool + self._small(index, [(pool[0][1], COLOURS)], expected), KEPT)
        return _distinct([*pool, self.fitter.descended(index, pool[0][1], SHARPER, expected, small=False)], KEPT)

    def _stretched(self, index: int, pool: list[Found], expected: Pose, seed: int) -> list[Found]:
        """The pool after limbs reached for what the cheapest pose leaves bare."""
        reached = self._reaching(index, pool[0][1], expected, seed)
        aligned = self._small(index, [(pose, BOTH) for pose in reached], expected)
        return _distinct(pool + self._large(index, _distinct(aligned, AGAIN), expected), KEPT)

    def _reaching(self, index: int, pose: Pose, expected: Pose, seed: int) -> list[Pose]:
        """Poses with a limb where the mask shows something that ``pose`` leaves bare."""
        if "mask" in self.fitter.settings.without:
            return []
        scorer = self.search.scorer
        vertices = self.fitter.vertices_of(pose)[None].astype(np.float32)
        covered = rasterize(vertices, self.fitter.character.faces, scorer.camera.at([index])).face_ids[0] >= 0
        bare = bare_points(scorer.masks[index] > 0.5, covered)
        return reaching(self.search, self.reaches, index, pose, bare, expected, seed)

    def _small(self, index: int, starts: list[tuple[Pose, list[Round]]], expected: Pose) -> list[Found]:
        def one(start: tuple[Pose, list[Round]]) -> Found:
            return self.fitter.descended(index, *start, expected, small=True)

        return side_by_side(one, starts)

    def _large(self, index: int, found: list[Found], expected: Pose) -> list[Found]:
        def one(item: Found) -> Found:
            return self.fitter.descended(index, item[1], SHARP, expected, small=False)

        return side_by_side(one, found)

    def _reminded(self, index: int, expected: Pose) -> list[Pose]:
        """Known poses moved to where the mask is, the cheapest first."""
        inside = np.argwhere(self.fitter.footage.observations.masks[index] > 127)
        if not len(inside) or "mask" in self.fitter.settings.without:
            return []
        centre = (np.percentile(inside, (1, 99), axis=0).mean(0) + 0.5)[::-1]
        moved = [self._moved(index, pose, centre) for pose in self.known]
        return [moved[k] for k in np.argsort(self.search.costs(index, moved, expected), kind="stable")[:AGAIN]]

    def _moved(self, index: int, pose: Pose, centre: np.ndarray) -> Pose:
        """The pose with its root moved across the line of sight, so that the figure's middle is at ``centre`` [px]."""
        camera, skeleton = self.fitter.camera, self.fitter.skeleton
        shifts = pose.translations.copy()
        for _ in range(2):  # perspective: the second brings what the first misses
            vertices = self.fitter.vertices_of(Pose(pose.rotations, shifts))
            pixels, depth = project(camera.at([index]), vertices[None])
            gap = centre - np.percentile(pixels[0], (1, 99), axis=0).mean(0)
            x, y = gap * float(np.median(depth)) / float(camera.focal[index])
            world = camera.world_to_camera[index, :3, :3].T @ np.array([x, -y, 0.0])
            shifts[0] += skeleton.local[0][:3, :3].T @ world
        return Pose(pose.rotations, shifts)
