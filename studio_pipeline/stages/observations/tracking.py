"""Points followed through a clip: flow between frames, held to the patch of birth and to the neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.stages.observations.flow import Step
from studio_pipeline.stages.observations.neighbours import Neighbours, Warp
from studio_pipeline.stages.observations.sampling import corner_response, sampled, spread_points
from studio_pipeline.stages.observations.settings import ObservationSettings
from studio_pipeline.stages.observations.templates import NOISE, Matched, Picture, Templates

__all__ = ["Tracked", "follow"]

LONG = 4  # frames of the second, longer step, which does not add up the errors of the short ones
BETTER = 0.02  # by so much a long step has to match better than a short one
HOLD = 0.7  # least standard deviation of the place that neighbours expect [px]
CONVINCING, PLAUSIBLE, FLAT = 0.95, 0.8, 0.4  # correlation with the patch of birth: found again, followed, no texture
APART = 1.5  # a track may be so far from where its neighbours put it, or three times their own spread [px]
RENEWED = 3  # frames between two searches for new surface
SHORTEST = 4  # frames that a late track is seen in
FEWEST = 4  # new tracks that are worth a group of their own


@dataclass(frozen=True)
class Tracked:
    """Tracks of a clip; the first N were given, the others were born on the way."""

    tracks: np.ndarray  # [T, N + M, 2] float32 [px]
    visibility: np.ndarray  # [T, N + M] bool
    births: np.ndarray  # [N + M] int32


@dataclass
class _Group:
    """Tracks of one birth."""

    ids: np.ndarray  # [n]
    neighbours: Neighbours
    templates: Templates
    matrix: np.ndarray  # [n, 2, 2]


class _Follower:
    """Moves all tracks from frame to frame."""

    def __init__(self, frames: np.ndarray, masks: np.ndarray, settings: ObservationSettings) -> None:
        self.settings, self.masks = settings, masks
        self.gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        self.pictures = [Picture(gray, mask) for gray, mask in zip(self.gray, masks, strict=True)]
        self.tracks = np.zeros((len(frames), 0, 2))
        self.seen = np.zeros((len(frames), 0), bool)
        self.births = np.zeros(0, np.int32)
        self.groups: list[_Group] = []

    def add(self, index: int, pixels: np.ndarray, places: np.ndarray | None, depth: np.ndarray | None) -> None:
        """Begin tracks in a frame: pixels [n, 2], rest places [n, 3] and depth [H, W] where they are known."""
        first, count = self.tracks.shape[1], len(pixels)
        self.tracks = np.concatenate([self.tracks, np.repeat(pixels[None].astype(float), len(self.gray), 0)], axis=1)
        seen = np.zeros((len(self.gray), count), bool)
        seen[index] = True
        self.seen = np.concatenate([self.seen, seen], axis=1)
        self.births = np.concatenate([self.births, np.full(count, index, np.int32)])
        ids = np.arange(first, first + count)
        near = places if places is not None and first == 0 else self.tracks[index]
        neighbours = Neighbours(ids, near, self.tracks[index], self.seen[index])
        templates = Templates(self.pictures[index], pixels, self.settings.track_window, depth)
        self.groups.append(_Group(ids, neighbours, templates, np.tile(np.eye(2), (count, 1, 1))))

    def advance(self, index: int) -> None:
        """Carry everything into frame ``index``."""
        place, good = self._stepped(index, 1)
        far_place, far_good = (place, np.zeros_like(good)) if index < LONG else self._stepped(index, LONG)
        if not self.settings.drift_control:
            self._keep(index, place, good)
            return
        rough = np.where((good | ~far_good)[:, None], place, far_place)
        result, kept = rough.copy(), good.copy()
        for group in self.groups:
            ids = group.ids
            warp = group.neighbours.warp(rough, good | far_good, group.matrix)
            best = self._matched(group, warp, index, place[ids], good[ids], 0.0)
            other = self._matched(group, warp, index, far_place[ids], far_good[ids], BETTER)
            lost = self._matched(group, warp, index, warp.place, ~good[ids] & ~np.isnan(warp.place[:, 0]), BETTER)
            for rival in (other, lost):
                better = rival.score > best.score
                best = Matched(*(_chosen(better, a, b) for a, b in zip(_parts(rival), _parts(best), strict=True)))
            result[ids] = best.pixels
            kept[ids] = self._convincing(best, good[ids] | far_good[ids])
        for group in self.groups:
            warp = group.neighbours.warp(result, kept, group.matrix)
            group.matrix = warp.matrix
            gap = np.linalg.norm(result[group.ids] - warp.place, axis=1)
            kept[group.ids] &= ~(gap > np.maximum(APART, 3.0 * warp.spread))
            lost = ~kept[group.ids] & ~np.isnan(warp.place[:, 0])
            result[group.ids[lost]] = warp.place[lost]  # a lost track goes on with its neighbours
        self._keep(index, result, kept)

    def _stepped(self, index: int, back: int) -> tuple[np.ndarray, np.ndarray]:
        """Places [N, 2] in a frame by a step from an earlier one, and which are good; the rest stays put."""
        place = self.tracks[index - 1].copy()
        good = np.zeros(len(place), bool)
        alive = np.flatnonzero(self.seen[index - back])
        if len(alive) and self.masks[index].any():
            step = Step(self.gray[index - back], self.gray[index], self.settings)
            moved, fine = step.move(self.tracks[index - back, alive])
            place[alive[fine]], good[alive[fine]] = moved[fine], True
        return place, good

    def _matched(
        self, group: _Group, warp: Warp, index: int, start: np.ndarray, usable: np.ndarray, handicap: float
    ) -> Matched:
        """Matches of a group that starts at given places; those that aren't usable score -2."""
        count = len(group.ids)
        result = Matched(start.copy(), np.full(count, -2.0), np.zeros(count), np.full(count, 100.0), np.zeros(count))
        some = np.flatnonzero(usable)
        if not len(some):
            return result
        held = ~np.isnan(warp.place[some, 0])
        to = np.where(held[:, None], warp.place[some], start[some])
        hold = np.where(held, np.maximum(HOLD, warp.spread[some]), 2.0)
        found = group.templates.match(some, self.pictures[index], start[some], warp.matrix[some], to, hold)
        for target, value in zip(_parts(result), _parts(found), strict=True):
            target[some] = value
        result.score[some] -= handicap
        return result

    def _convincing(self, found: Matched, stepped: np.ndarray) -> np.ndarray:
        """Which matches count as seen: a step that still looks like its birth, or a lost patch found for sure."""
        textured = found.texture > 1.5 * NOISE
        again = textured & (found.score > CONVINCING) & (found.blind < 1.0) & (found.moved < 1.5)
        return again | (stepped & (found.score > np.where(textured, PLAUSIBLE, FLAT)))

    def _keep(self, index: int, place: np.ndarray, good: np.ndarray) -> None:
        covered = sampled(self.masks[index].astype(np.float32), place) > 127.0
        self.tracks[index], self.seen[index] = place, good & covered

    def renew(self, index: int, spacing: float, room: int) -> None:
        """Begin tracks on textured surface that no track covers."""
        inner = cv2.erode((self.masks[index] > 127).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        for x, y in self.tracks[index, self.seen[index]]:
            cv2.circle(free := inner.view(np.uint8), (int(x), int(y)), int(np.ceil(1.5 * spacing)), 0, -1)
            inner = free > 0
        response = corner_response(self.gray[index])
        inner &= response > np.quantile(response[self.masks[index] > 127], 0.4) if inner.any() else inner
        rows = spread_points(response, inner, spacing, room)
        if len(rows) >= FEWEST:
            self.add(index, rows[:, ::-1] + 0.5, None, None)


def _parts(found: Matched) -> tuple[np.ndarray, ...]:
    return found.pixels, found.score, found.texture, found.blind, found.moved


def _chosen(better: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(better[:, None] if a.ndim == 2 else better, a, b)


def follow(
    frames: np.ndarray,
    masks: np.ndarray,
    points: np.ndarray,
    settings: ObservationSettings,
    *,
    places: np.ndarray | None = None,
    depth: np.ndarray | None = None,
) -> Tracked:
    """Follow pixels of index 0 through the clip, and new ones on surface that comes into view.

    Args:
        frames: sRGB [T, H, W, 3] uint8.
        masks: Coverage [T, H, W] uint8.
        points: Pixels at index 0. [N, 2]
        settings: See `ObservationSettings`.
        places: Where those lie on the rest surface. [N, 3] [m]
        depth: Of the rest surface at index 0. [H, W] [m], NaN outside
    """
    follower = _Follower(frames, masks, settings)
    if len(points):
        follower.add(0, points, places, depth)
    area = float((masks[0] > 127).sum())
    spacing = max(2.0, 0.8 * float(np.sqrt(area / max(len(points), 1))))
    for index in range(1, len(frames)):
        if len(follower.births):
            follower.advance(index)
        room = settings.late_tracks - (len(follower.births) - len(points))
        if room >= FEWEST and index % RENEWED == 0 and index < len(frames) - 2 and masks[index].any():
            follower.renew(index, spacing, room)
    # A late track that was lost at once says nothing.
    kept = (follower.births == 0) | (follower.seen.sum(0) >= SHORTEST)
    return Tracked(follower.tracks[:, kept].astype(np.float32), follower.seen[:, kept], follower.births[kept])
