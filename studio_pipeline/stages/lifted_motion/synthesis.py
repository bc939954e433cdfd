"""Gauss-Newton by analysis and synthesis: render, compare, step; each frame in turn, then all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from studio_pipeline.geometry.meshes import face_areas
from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.appearance import Appearance
from studio_pipeline.stages.lifted_motion.bridging import bridged
from studio_pipeline.stages.lifted_motion.equations import Equations, Round
from studio_pipeline.stages.lifted_motion.footage import UNLIKE, Carried, Footage
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin
from studio_pipeline.stages.lifted_motion.priors import Priors, solve_frames
from studio_pipeline.stages.lifted_motion.recovery import Recovery
from studio_pipeline.stages.lifted_motion.scoring import Scorer
from studio_pipeline.stages.lifted_motion.seams import find_seams
from studio_pipeline.stages.lifted_motion.search import Search, limbs_of

__all__ = ["Fitter"]

COASTING = 0.7  # share of the last step that is expected again
FIRST_PASS = 0.7  # of the time that frame by frame takes
LONGEST_TURN = 0.6  # of one step [rad]
ALIGNED = (2.0, 1.5, 1.0)  # blurs of the rounds of direct alignment [px]
FREE = 10.0  # standard deviation that says nothing
LOOSE = 0.5  # how far a loose joint may go from rest, of the diagonal
SEAM = 0.015  # how well skins hold together, of the diagonal
SMALL = 128  # larger side of the pictures that poses are searched with [px]


def _vertex_areas(character: Character) -> np.ndarray:
    """Share of the rest surface around each vertex. [V]"""
    areas = face_areas(character.vertices.astype(np.float64), character.faces)
    result = np.bincount(character.faces.ravel(), np.repeat(areas, 3), len(character.vertices))
    return result / max(float(result.sum()), 1e-12)


class Fitter:
    """Holds what was seen and moves poses towards it."""

    def __init__(
        self,
        character: Character,
        rig: Rig,
        camera: CameraPath,
        clip: Clip,
        observations: Observations,
        settings: LiftSettings,
    ) -> None:
        self.character, self.rig, self.camera, self.settings = character, rig, camera, settings
        self.vertices = np.asarray(character.vertices, dtype=np.float64)
        self.weights = np.asarray(rig.weights, dtype=np.float64)
        self.skeleton = Skeleton(rig)
        self.footage = Footage(character, rig, camera, clip, observations, settings)
        self.everything = [self.footage]
        self.small = [self.footage.shrunk(SMALL)]
        self.seams = find_seams(character, rig)
        self.priors = self._priors()
        scorer = Scorer(character, rig, camera, self.appearance.light, clip.frames, observations.masks)
        limbs = limbs_of(self.skeleton, self.weights, _vertex_areas(character))
        self.search = Search(scorer, self.skeleton, limbs, self.seams.partners, settings)
        self.floor = self._floor()
        self.recovery = Recovery(self)

    def _floor(self) -> float:
        """What the rest pose leaves unexplained of index 0, which shows it: no pose explains a frame better."""
        return max(float(self.search.data(0, [Pose.rest(self.skeleton.count)])[0]), 1e-6)

    def _priors(self) -> Priors:
        settings, joints = self.settings, self.skeleton.count
        size, shift = self.character.diagonal, np.ones((2, joints, 3))
        rest, speed, bend = shift * settings.rest_rad, shift * settings.speed, shift * settings.acceleration
        if "smooth" in settings.without:
            speed, bend = shift * FREE, shift * FREE
        rest[1] = settings.rest_shift * size
        free = self.seams.loose.copy()
        free[0] = True
        rest[1, free] = LOOSE * size
        rest[1, 0] = 10.0 * size  # the root may go anywhere
        for value in (speed, bend):
            value[1] *= settings.shift_smoothness * size
            value[1, ~free] *= 0.3
        return Priors(rest.ravel(), speed.ravel(), bend.ravel())

    @property
    def frames(self) -> list[Any]:
        """What was seen in the frames of the first clip."""
        return self.footage.frames

    @property
    def appearance(self) -> Appearance:
        """How the first clip shows the character."""
        return self.footage.appearance

    def vertices_of(self, pose: Pose) -> np.ndarray:
        """Posed vertices [V, 3]."""
        return pose_vertices(self.vertices, self.weights, self.skeleton.transforms(pose)[None])[0]

    def join(self, other: Fitter) -> None:
        """Fit another view of the same motion too: ``other`` has the same character, rig and number of frames."""
        if len(other.frames) != len(self.frames):
            raise ValueError(f"a view of {len(other.frames)} frames for {len(self.frames)}")
        self.everything.append(other.footage)
        self.small.append(other.small[0])
        self.search.join(other.search)
        self.floor = self._floor()

    def equations(self, index: int, pose: Pose, how: Round, *, small: bool = False) -> Equations:
        """What frame ``index`` says about a step from ``pose``, in all views, and what holds loose parts."""
        skin = Skin(self.skeleton, pose)
        result = Equations(6 * self.skeleton.count)
        self._hold(result, skin)
        for footage in self.small if small else self.everything:
            result.join(footage.equations(index, skin, how))
        return result

    def _hold(self, result: Equations, skin: Skin) -> None:
        """Loose parts stay where their skins meet others' (see `seams`)."""
        first, second = self.seams.first, self.seams.second
        if len(first):
            gap = skin.points(second) - skin.points(first)
            noise = SEAM * self.character.diagonal
            weight = 1.0 / (1.0 + np.linalg.norm(gap, axis=1) / (3.0 * noise)) / noise**2
            result.add(skin.jacobian(first) - skin.jacobian(second), gap, weight)

    def _limited(self, pose: Pose, step: np.ndarray) -> Pose:
        turn = np.linalg.norm(step.reshape(2, -1, 3)[0], axis=1).max()
        return pose.moved(step * min(1.0, LONGEST_TURN / max(float(turn), 1e-9)))

    def follow(self, progress: Callable[[float], None]) -> list[Pose]:
        """Fit frame after frame, each from the two before it; index 0 is at rest."""
        poses = [Pose.rest(self.skeleton.count)]
        level = 1.0
        for index in range(1, len(self.frames)):
            pose, level = self.following(index, poses[-1], poses[max(len(poses) - 2, 0)], level)
            poses.append(pose)
            progress(FIRST_PASS * index / len(self.frames))
        return bridged(self, poses, lambda done: progress(FIRST_PASS + (1.0 - FIRST_PASS) * done))

    def following(self, index: int, last: Pose, before: Pose, level: float) -> tuple[Pose, float]:
        """The pose of frame ``index``, given the two before it, and the next frame's level (see `Recovery.found`)."""
        rounds = self.settings.rounds_first
        carried = self.footage.carried(index, last)
        expected = pose = self.coasting(before, last)
        for turn in range(rounds):
            late = turn / max(rounds - 1, 1)
            alone = float(turn > 1)  # first what moved between the frames, then what the render says
            how = Round(reach=12.0 * (1.0 - late) + 4.0 * late, flow=alone, contour=alone)
            pose = self.stepped(index, pose, last, before, how, carried if late < 1.0 else None, 1.0 - 0.95 * late)
        pose = self._aligned(index, pose, last, before, 0.1)
        return self.recovery.found(index, pose, expected, last, level)

    def _aligned(self, index: int, pose: Pose, last: Pose, before: Pose, track: float) -> Pose:
        """Rounds of direct alignment, coarse to fine."""
        for blur in ALIGNED:
            how = self._aligning(blur, track)
            pose = self.stepped(index, pose, last, before, how)
        return pose

    def _aligning(self, blur: float, track: float) -> Round:
        """A round of direct alignment; contours and tracks help where lines and flat shades leave the render unlike."""
        unlike = self.footage.noise > UNLIKE
        share = 0.5 if unlike else 0.0
        track = max(track, 0.3) if unlike else track
        return Round(reach=4.0, flow=share, contour=share, track=track, colour=1.0, blur=blur)

    def stepped(
        self,
        index: int,
        pose: Pose,
        last: Pose,
        before: Pose,
        how: Round,
        carried: Carried | None = None,
        share: float = 0.0,
        *,
        small: bool = False,
    ) -> Pose:
        """One round on one frame, given the two frames before it."""
        seen = self.equations(index, pose, how, small=small).damped()
        if carried is not None:
            self.footage.add_carried(seen, index, pose, carried, how.reach, share)
        diagonal, value = self.priors.one(pose, last, before)
        return self._limited(pose, np.linalg.solve(seen.matrix + np.diag(diagonal), seen.value + value))

    def coasting(self, before: Pose, last: Pose) -> Pose:
        """What is expected after two poses."""
        return last.moved(COASTING * Priors.between(before, last))

    def polished(self, index: int, pose: Pose) -> Pose:
        """A few rounds from a new start, which itself is what is expected."""
        start = pose
        for reach in (8.0, 6.0):
            pose = self.stepped(index, pose, start, start, Round(reach=reach, track=0.3))
        return self._aligned(index, pose, start, start, 0.0)

    def descended(
        self, index: int, pose: Pose, rounds: Sequence[Round], expected: Pose, *, small: bool
    ) -> tuple[float, Pose]:
        """Rounds from a start, which itself is what is expected: the cheapest pose on the way and its cost.

        ``small`` looks at pictures of at most `SMALL` pixels.
        """
        start, way = pose, [pose]
        for how in rounds:
            if self.footage.noise > UNLIKE:
                how = replace(how, contour=max(how.contour, 0.5))
            pose = self.stepped(index, pose, start, start, how, small=small)
            way.append(pose)
        costs = self.search.costs(index, way, expected)
        best = int(np.argmin(costs))
        return float(costs[best]), way[best]

    def explained(self, index: int, pose: Pose) -> float:
        """What a pose leaves unexplained of a frame, as a multiple of what the rest pose leaves of index 0."""
        return float(self.search.data(index, [pose])[0]) / self.floor

    def together(self, poses: list[Pose], progress: Callable[[float], None]) -> list[Pose]:
        """Fit all frames at once with smoothness in both directions of time."""
        rounds = self.settings.rounds_all
        for footage in self.everything:
            footage.bind(np.stack([self.vertices_of(pose) for pose in poses]))
        for turn in range(rounds):
            late = turn / max(rounds - 1, 1)
            how = self._aligning(2.0 if late < 0.5 else 1.0, 0.1)
            seen = [self.equations(index, pose, how).damped() for index, pose in enumerate(poses) if index]
            bands, value = self.priors.all(poses)
            step = solve_frames(np.stack([e.matrix for e in seen]), bands, value + np.stack([e.value for e in seen]))
            poses = [poses[0]] + [self._limited(pose, one) for pose, one in zip(poses[1:], step, strict=True)]
            progress((turn + 1) / rounds)
        return poses
