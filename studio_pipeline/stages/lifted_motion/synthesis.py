"""Gauss-Newton by analysis and synthesis: render, compare, step; each frame in turn, then all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.media.backgrounds import smooth_background
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.appearance import Appearance, Synthesis
from studio_pipeline.stages.lifted_motion.evidence import (
    Contour,
    SurfaceSamples,
    contour_matches,
    flow_between,
    sampled,
    surface_samples,
)
from studio_pipeline.stages.lifted_motion.kinematics import (
    Pose,
    Skeleton,
    Skin,
    project_with_jacobian,
)
from studio_pipeline.stages.lifted_motion.photometric import STEP, colour_residuals, pixel_samples, softened
from studio_pipeline.stages.lifted_motion.priors import Priors, solve_frames
from studio_pipeline.stages.lifted_motion.rows import Rows
from studio_pipeline.stages.lifted_motion.scoring import Scorer
from studio_pipeline.stages.lifted_motion.seams import find_seams
from studio_pipeline.stages.lifted_motion.search import Search, limbs_of
from studio_pipeline.stages.observations.binding import bind_tracks

__all__ = ["Fitter", "Round"]

MARGIN = 5  # [px] between the mask and what is taken for background
COASTING = 0.7  # share of the last step that is expected again
WORSE = 1.2  # times what index 0 leaves unexplained: a frame below it needs no search
LOST = 1.5  # the same: above it, a search every time; between them, where it got worse than in the last frame
MOST_SEARCHES = 1.25  # of all, per frame of the clip
TRIES = 2  # searches of one frame
POLISHED = 6  # poses of a search that are aligned
LONGEST_TURN = 0.6  # of one step [rad]
ALIGNED = (2.0, 1.5, 1.0)  # blurs of the rounds of direct alignment [px]
DAMPING = 1e-3
FREE = 10.0  # standard deviation that says nothing
LOOSE = 0.5  # how far a loose joint may go from rest, of the diagonal
SEAM = 0.015  # how well skins hold together, of the diagonal
SEARCHED = (3.0, 1.5)  # the same after a search
PIXELS = 2000  # that direct alignment compares
COLOUR_SHARE = 0.1  # of what those pixels say: neighbours err together


@dataclass(frozen=True)
class Round:
    """How a round of Gauss-Newton weighs what it sees."""

    reach: float  # contours and flow farther away than this count as outliers [px]
    flow: float = 1.0
    contour: float = 1.0
    track: float = 1.0
    depth: float = 1.0
    colour: float = 0.0  # direct alignment of colours
    blur: float = 1.0  # of the pictures that are aligned [px]


@dataclass
class _Frame:
    """What was seen in one frame."""

    image: np.ndarray  # [H, W] uint8, luma
    picture: np.ndarray  # [H, W, 3] uint8
    background: np.ndarray  # [H, W, 3] float32, sRGB 0..255
    contour: Contour | None
    tracks: np.ndarray  # indices of visible tracks
    depth: np.ndarray | None  # [H, W] float32 [m], NaN unknown
    levels: dict[float, np.ndarray] = field(default_factory=dict)  # `softened` pictures

    def softened(self, blur: float) -> np.ndarray:
        """The picture as direct alignment compares it (see `photometric.softened`)."""
        if blur not in self.levels:
            self.levels[blur] = softened(self.picture, blur)
        return self.levels[blur]


class _Equations:
    """Normal equations of one frame's step."""

    def __init__(self, size: int) -> None:
        self.matrix, self.value = np.zeros((size, size)), np.zeros(size)

    def add(self, rows: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """rows [N, D, P], residual [N, D] (target less value), weight [N, D, D] or [N]"""
        rows, residual, weight = (value.astype(np.float32) for value in (rows, residual, weight))
        if weight.ndim == 1:
            weighted = rows * weight[:, None, None]
        else:
            weighted = np.stack([(weight[:, k, :, None] * rows).sum(1) for k in range(rows.shape[1])], axis=1)
        size = rows.shape[-1]
        gram = (weighted.reshape(-1, size).T @ rows.reshape(-1, size)).astype(np.float64)
        self.matrix += 0.5 * (gram + gram.T)
        self.value += weighted.reshape(-1, size).T @ residual.reshape(-1)

    def damped(self) -> _Equations:
        """The same after Marquardt's damping: single precision leaves small negative eigenvalues."""
        self.matrix[np.diag_indices_from(self.matrix)] *= 1.0 + DAMPING
        return self


def _robust(distance: np.ndarray, scale: float) -> np.ndarray:
    """Weights of Geman and McClure."""
    return 1.0 / np.square(1.0 + np.square(distance / scale))


Carried = tuple[SurfaceSamples, np.ndarray, np.ndarray]
"""Surface points of the last pose, where the clip's own flow takes them [N, 2], and how sure that is [N, 2, 2]."""


def _vertex_areas(character: Character) -> np.ndarray:
    """Share of the rest surface around each vertex. [V]"""
    corners = character.vertices[character.faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
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
        self.rows = Rows(character, rig, self.skeleton)
        self.appearance = Appearance(character, camera, clip.frames[0], observations.masks[0] > 127)
        self.frames = [self._seen(clip, observations, index) for index in range(clip.frame_count)]
        self._take_tracks(observations)
        self.views: list[Fitter] = []
        self.searches = 0
        self.seams = find_seams(character, rig)
        self.priors = self._priors()
        self.noise = 0.03
        scorer = Scorer(character, rig, camera, self.appearance.light, clip.frames, observations.masks)
        limbs = limbs_of(self.skeleton, self.vertices, self.weights, _vertex_areas(character))
        self.search = Search(scorer, self.skeleton, limbs, self.seams.partners, settings.rest_rad, settings.speed)
        self.floor = float(self.search.data(0, [Pose.rest(self.skeleton.count)])[0])

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

    def _take_tracks(self, observations: Observations) -> None:
        self.observations = observations
        self.tracks = observations.tracks.astype(np.float64)
        self.track_faces, self.track_shares = observations.track_faces, observations.track_barycentrics
        for index, frame in enumerate(self.frames):
            if frame.contour is not None:
                frame.tracks = np.flatnonzero(observations.visibility[index])

    def bind(self, poses: list[Pose]) -> None:
        """Bind tracks that were born after index 0 to the surface that ``poses`` show there."""
        for fitter in (self, *self.views):
            if len(fitter.observations.late_births):
                vertices = np.stack([self.vertices_of(pose) for pose in poses]).astype(np.float32)
                seen = rasterize(vertices, self.character.faces, fitter.camera)
                fitter._take_tracks(bind_tracks(fitter.observations, seen.face_ids, seen.barycentrics))

    def _seen(self, clip: Clip, observations: Observations, index: int) -> _Frame:
        mask, frame = observations.masks[index], clip.frames[index]
        hard = (mask > 127).astype(np.uint8)
        known = bool(hard.any()) and not bool(hard.all())
        outside = cv2.dilate(hard, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1,) * 2)) == 0
        background, _ = smooth_background(frame, outside)
        return _Frame(
            image=cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
            picture=frame,
            background=background,
            contour=Contour(mask) if known else None,
            tracks=np.zeros(0, int),
            depth=None if observations.depth is None or not known else self._metric(observations, index),
        )

    def _metric(self, observations: Observations, index: int) -> np.ndarray | None:
        assert observations.depth is not None
        return observations.depth[index] if observations.depth_is_metric else None

    def vertices_of(self, pose: Pose) -> np.ndarray:
        """Posed vertices [V, 3]."""
        return pose_vertices(self.vertices, self.weights, self.skeleton.transforms(pose)[None])[0]

    def _measured(
        self, skin: Skin, index: int, faces: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pixels [N, 2] of surface points, d pixel / d point [N, 2, 3], depths [N] and d depth / d point [3]."""
        vertices = self._posed(skin)
        points = (vertices[self.character.faces[faces]] * shares[..., None]).sum(1)
        pixels, depth, by_point, by_depth = project_with_jacobian(self.camera, index, points)
        return pixels, by_point, depth, by_depth

    def _posed(self, skin: Skin) -> np.ndarray:
        if skin.vertices is None:
            skin.vertices = pose_vertices(self.vertices, self.weights, skin.transforms[None])[0]
        return skin.vertices

    def join(self, other: Fitter) -> None:
        """Fit another view of the same motion too: ``other`` has the same character, rig and number of frames."""
        if len(other.frames) != len(self.frames):
            raise ValueError(f"a view of {len(other.frames)} frames for {len(self.frames)}")
        self.views.append(other)
        self.search.join(other.search)

    def equations(self, index: int, pose: Pose, how: Round) -> _Equations:
        """What frame ``index`` says about a step from ``pose``, in all views."""
        result = self._equations(index, pose, how)
        for view in self.views:
            more = view._equations(index, pose, how)
            result.matrix += more.matrix
            result.value += more.value
        return result

    def _allowed(self, how: Round) -> Round:
        """The round without the terms that the settings leave out."""
        without = self.settings.without
        named = {"rgb": ("flow", "colour"), "mask": ("contour",), "track": ("track",), "depth": ("depth",)}
        return replace(how, **{field: 0.0 for term in named if term in without for field in named[term]})

    def _equations(self, index: int, pose: Pose, how: Round) -> _Equations:
        how = self._allowed(how)
        settings, frame = self.settings, self.frames[index]
        result = _Equations(6 * self.skeleton.count)
        skin = Skin(self.skeleton, pose)
        self._hold(result, skin)
        if frame.contour is None:
            return result
        if how.track and len(frame.tracks):
            bound = self.track_faces[frame.tracks], self.track_shares[frame.tracks]
            pixels, by_point, _, _ = self._measured(skin, index, *bound)
            rows = self.rows.of(skin, *bound, by_point)
            residual = self.tracks[index, frame.tracks] - pixels
            weight = _robust(np.linalg.norm(residual, axis=1), how.reach) / settings.track_px**2
            result.add(rows, residual, how.track * weight * self._density(len(residual)))
        if how.flow or how.contour or how.colour:
            self._compare(result, skin, index, pose, how)
        return result

    def _hold(self, result: _Equations, skin: Skin) -> None:
        """Loose parts stay where their skins meet others' (see `seams`)."""
        first, second = self.seams.first, self.seams.second
        if len(first):
            gap = skin.points(second) - skin.points(first)
            noise = SEAM * self.character.diagonal
            weight = 1.0 / (1.0 + np.linalg.norm(gap, axis=1) / (3.0 * noise)) / noise**2
            result.add(skin.jacobian(first) - skin.jacobian(second), gap, weight)

    def _density(self, count: int) -> float:
        # Neighbouring samples err together: what a frame can tell does not grow with the number of samples.
        return 400.0 / max(count, 1)

    def _compare(self, result: _Equations, skin: Skin, index: int, pose: Pose, how: Round) -> None:
        settings, frame = self.settings, self.frames[index]
        assert frame.contour is not None
        synthesis = self.appearance.render(self.vertices_of(pose), index, frame.background)
        scale = self.appearance.samples
        samples = surface_samples(synthesis, settings.samples, scale)
        measured = bool(how.depth) and frame.depth is not None
        if len(samples.faces) and (how.flow or measured):
            bound = samples.faces, samples.shares
            _, by_point, depth, by_depth = self._measured(skin, index, *bound)
            density = self._density(len(samples.faces))
            if how.flow:
                rendered = cv2.cvtColor(synthesis.image, cv2.COLOR_RGB2GRAY)
                shift, confidence, tensor = flow_between(rendered, frame.image, samples.pixels)
                weight = _robust(np.linalg.norm(shift, axis=1), how.reach) * confidence / settings.flow_px**2
                rows = self.rows.of(skin, *bound, by_point)
                result.add(rows, shift, (how.flow * density * weight)[:, None, None] * tensor)
            if measured:
                gap = sampled(frame.depth, samples.pixels) - depth
                known = np.isfinite(gap)
                noise = settings.depth_fraction * self.character.diagonal
                trust = _robust(gap[known], 4.0 * noise) / noise**2 * how.depth * density
                slopes = np.broadcast_to(by_depth, (int(known.sum()), 1, 3))
                rows = self.rows.of(skin, bound[0][known], bound[1][known], slopes)
                result.add(rows, gap[known, None], trust)
        if how.colour:
            self._align(result, skin, index, how, synthesis)
        if how.contour:
            points, direction, gap = contour_matches(frame.contour, synthesis, scale, 1.5 * how.reach)
            if len(gap):
                _, by_point, _, _ = self._measured(skin, index, points.faces, points.shares)
                along = np.einsum("na,nab->nb", direction, by_point)[:, None, :]
                along = self.rows.of(skin, points.faces, points.shares, along)
                weight = _robust(gap, how.reach) / settings.contour_px**2 * self._density(len(gap))
                result.add(along, gap[:, None], how.contour * weight)

    def _align(self, result: _Equations, skin: Skin, index: int, how: Round, synthesis: Synthesis) -> None:
        """Direct alignment of colours (see `photometric`)."""
        rendered = softened(synthesis.image, how.blur)
        frame = self.frames[index].softened(how.blur)
        mean = 0.5 * (rendered + frame)
        slopes = tuple(cv2.Sobel(mean, cv2.CV_32F, 1 - k, k, scale=0.125) for k in (0, 1))
        strength = np.sqrt(sum(np.square(slope).sum(-1) for slope in slopes))
        samples = pixel_samples(
            synthesis, strength, reach=round(2.0 * how.blur) + 1, jump=STEP * self.character.diagonal, count=PIXELS
        )
        if not len(samples.faces):
            return
        normals = (synthesis.normals[self.character.faces[samples.faces]] * samples.shares[..., None]).sum(1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        seen = colour_residuals(
            samples, synthesis.image, rendered, frame, slopes, normals, self.appearance.light, self.noise
        )
        _, by_point, _, _ = self._measured(skin, index, samples.faces, samples.shares)
        slopes = np.matmul(seen.slopes, by_point)
        rows = self.rows.of(skin, samples.faces, samples.shares, slopes, normals, seen.shading)
        weight = how.colour * COLOUR_SHARE * seen.weights
        result.add(rows, seen.values, weight.astype(np.float32))

    def _carried(self, index: int, last: Pose) -> Carried | None:
        """Surface points seen in the last pose, where the clip's own flow takes them, and how sure that is."""
        if self.frames[index].contour is None or self.frames[index - 1].contour is None:
            return None
        synthesis = self.appearance.render(self.vertices_of(last), index - 1, self.frames[index - 1].background)
        samples = surface_samples(synthesis, self.settings.samples, self.appearance.samples)
        if not len(samples.faces):
            return None
        shift, confidence, tensor = flow_between(self.frames[index - 1].image, self.frames[index].image, samples.pixels)
        return samples, samples.pixels + shift, confidence[:, None, None] * tensor

    def _add_carried(
        self,
        result: _Equations,
        index: int,
        pose: Pose,
        carried: Carried,
        reach: float,
        share: float,
    ) -> None:
        samples, target, trust = carried
        skin = Skin(self.skeleton, pose)
        pixels, by_point, _, _ = self._measured(skin, index, samples.faces, samples.shares)
        rows = self.rows.of(skin, samples.faces, samples.shares, by_point)
        residual = target - pixels
        weight = share * _robust(np.linalg.norm(residual, axis=1), reach) / self.settings.flow_px**2
        result.add(rows, residual, (weight * self._density(len(residual)))[:, None, None] * trust)

    def _stepped(self, pose: Pose, step: np.ndarray) -> Pose:
        turn = np.linalg.norm(step.reshape(2, -1, 3)[0], axis=1).max()
        return pose.moved(step * min(1.0, LONGEST_TURN / max(float(turn), 1e-9)))

    def follow(self, progress: Callable[[float], None]) -> list[Pose]:
        """Fit frame after frame, each from the two before it; index 0 is at rest."""
        poses = [Pose.rest(self.skeleton.count)]
        explained = 1.0
        for index in range(1, len(self.frames)):
            pose, explained = self._next(index, poses[-1], poses[max(len(poses) - 2, 0)], explained)
            poses.append(pose)
            progress(index / len(self.frames))
        return self._looked_back(poses)

    def _next(self, index: int, last: Pose, before: Pose, explained: float) -> tuple[Pose, float]:
        """The pose of frame ``index``, given the two before it, and how well it explains the frame."""
        rounds = self.settings.rounds_first
        carried = self._carried(index, last)
        expected = pose = last.moved(COASTING * Priors.between(before, last))
        for turn in range(rounds):
            late = turn / max(rounds - 1, 1)
            alone = float(turn > 1)  # first what moved between the frames, then what the render says
            how = Round(reach=12.0 * (1.0 - late) + 4.0 * late, flow=alone, contour=alone)
            pose = self._one(index, pose, last, before, how, carried if late < 1.0 else None, 1.0 - 0.95 * late)
        pose = self._aligned(index, pose, last, before, 0.1)
        return self._found_again(index, pose, expected, explained)

    def _aligned(
        self,
        index: int,
        pose: Pose,
        last: Pose,
        before: Pose,
        track: float,
        blurs: tuple[float, ...] = ALIGNED,
    ) -> Pose:
        """Rounds of direct alignment, coarse to fine."""
        for blur in blurs:
            how = Round(reach=4.0, flow=0.0, contour=0.0, track=track, colour=1.0, blur=blur)
            pose = self._one(index, pose, last, before, how)
        return pose

    def _one(
        self,
        index: int,
        pose: Pose,
        last: Pose,
        before: Pose,
        how: Round,
        carried: Carried | None = None,
        share: float = 0.0,
    ) -> Pose:
        """One round on one frame, given the two frames before it."""
        seen = self.equations(index, pose, how).damped()
        if carried is not None:
            self._add_carried(seen, index, pose, carried, how.reach, share)
        diagonal, value = self.priors.one(pose, last, before)
        return self._stepped(pose, np.linalg.solve(seen.matrix + np.diag(diagonal), seen.value + value))

    def _polished(self, index: int, pose: Pose) -> Pose:
        """A few rounds from a new start, which itself is what is expected."""
        start = pose
        for reach in (8.0, 6.0):
            pose = self._one(index, pose, start, start, Round(reach=reach, track=0.3))
        return self._aligned(index, pose, start, start, 0.0)

    def _explained(self, index: int, pose: Pose) -> float:
        """What a pose leaves unexplained of a frame, as a multiple of what the rest pose leaves of index 0."""
        return float(self.search.data(index, [pose])[0]) / self.floor

    def _found_again(self, index: int, pose: Pose, expected: Pose, last: float) -> tuple[Pose, float]:
        """Where a frame is explained worse than it could be, try turns of limbs.

        Returns:
            The pose that explains the frame best, and how well (see `_explained`).
        """
        if self.frames[index].contour is None or "rgb" in self.settings.without:
            return pose, last
        now = self._explained(index, pose)
        if now < WORSE or (now < LOST and now < 1.08 * last):
            return pose, now
        for turn in range(TRIES):
            if self.searches >= MOST_SEARCHES * len(self.frames):
                break
            before, self.searches = now, self.searches + 1
            found = self.search.improve(index, [pose, expected], expected, turn)
            found = [self._aligned(index, start, start, start, 0.0, SEARCHED) for start in found[:POLISHED]]
            found = [found[k] for k in np.argsort(self.search.costs(index, found, expected))[:2]] if found else []
            options = [pose, *(self._aligned(index, start, start, start, 0.0) for start in found)]
            pose = options[int(np.argmin(self.search.costs(index, options, expected)))]
            now = self._explained(index, pose)
            if now < WORSE or now > 0.97 * before:
                break
        return pose, now

    def _looked_back(self, poses: list[Pose]) -> list[Pose]:
        """A limb found again late was somewhere before: start bad frames from the frames after them."""
        for index in range(len(poses) - 2, 0, -1):
            if self.frames[index].contour is None:
                continue
            now, after = self._explained(index, poses[index]), poses[index + 1]
            if now < WORSE:
                continue
            turn = np.linalg.norm(Priors.between(after, poses[index]).reshape(2, -1, 3)[0], axis=1).max()
            if self._explained(index + 1, after) > 0.97 * now and turn < 0.5:
                continue
            further = poses[min(index + 2, len(poses) - 1)]
            expected = after.moved(COASTING * Priors.between(further, after))
            other = self._polished(index, expected)
            if self._explained(index, other) > LOST:
                other, _ = self._found_again(index, other, expected, 1.0)
            costs = self.search.costs(index, [poses[index], other], after)
            if costs[1] < costs[0]:
                poses[index] = other
        return poses

    def together(self, poses: list[Pose], progress: Callable[[float], None]) -> list[Pose]:
        """Fit all frames at once with smoothness in both directions of time."""
        rounds = self.settings.rounds_all
        self.bind(poses)
        for turn in range(rounds):
            late = turn / max(rounds - 1, 1)
            how = Round(4.0, flow=0.0, contour=0.0, track=0.1, colour=1.0, blur=2.0 if late < 0.5 else 1.0)
            seen = [self.equations(index, pose, how).damped() for index, pose in enumerate(poses) if index]
            bands, value = self.priors.all(poses)
            step = solve_frames(np.stack([e.matrix for e in seen]), bands, value + np.stack([e.value for e in seen]))
            poses = [poses[0]] + [self._stepped(pose, one) for pose, one in zip(poses[1:], step, strict=True)]
            progress((turn + 1) / rounds)
        return poses
