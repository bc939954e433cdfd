"""One clip of a motion: what each of its frames says about a step of the joints."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import cv2
import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices
from studio_pipeline.media.backgrounds import smooth_background
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations, Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.appearance import Appearance, Synthesis
from studio_pipeline.stages.lifted_motion.equations import Equations, Round, robust
from studio_pipeline.stages.lifted_motion.evidence import (
    Contour,
    SurfaceSamples,
    contour_matches,
    flow_between,
    sampled,
    surface_samples,
)
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin, project_with_jacobian
from studio_pipeline.stages.lifted_motion.photometric import STEP, colour_residuals, pixel_samples, softened
from studio_pipeline.stages.lifted_motion.rows import Rows
from studio_pipeline.stages.observations.binding import bind_tracks

__all__ = ["UNLIKE", "Carried", "Footage", "background_of"]

MARGIN = 5  # [px] between the mask and what is taken for background
PIXELS = 2000  # that direct alignment compares
FEW_PIXELS = 600  # the same on shrunk pictures
COLOUR_SHARE = 0.1  # of what those pixels say: neighbours err together
UNLIKE = 0.045  # difference from index 0 above which colours alone don't decide, and shading says nothing
NOISE = 0.03  # least difference of colours that is not worth believing, 0..1
INFORMED = 400.0  # samples beyond these tell nothing new: neighbours err together

Carried = tuple[SurfaceSamples, np.ndarray, np.ndarray]
"""Surface points of the last pose, where the clip's own flow takes them [N, 2], and how sure that is [N, 2, 2]."""


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

    def shrunk(self, mask: np.ndarray, size: tuple[int, int]) -> _Frame:
        """The frame at another size (width, height), given its mask; without tracks."""
        image, picture, background, small = (
            cv2.resize(value, size, interpolation=cv2.INTER_AREA)
            for value in (self.image, self.picture, self.background, mask)
        )
        depth = None if self.depth is None else cv2.resize(self.depth, size, interpolation=cv2.INTER_NEAREST)
        contour = None if self.contour is None or not (small > 127).any() else Contour(small)
        return _Frame(image, picture, background, contour, np.zeros(0, int), depth)


def background_of(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What lies behind the character, smoothly filled in: frame and result [H, W, 3] sRGB 0..255, mask [H, W] uint8."""
    hard = (mask > 127).astype(np.uint8)
    outside = cv2.dilate(hard, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1,) * 2)) == 0
    return smooth_background(frame, outside)[0]


class Footage:
    """Holds what was seen in one clip."""

    def __init__(
        self,
        character: Character,
        rig: Rig,
        camera: CameraPath,
        clip: Clip,
        observations: Observations,
        settings: LiftSettings,
    ) -> None:
        self.character, self.camera, self.settings, self.pixels = character, camera, settings, PIXELS
        self.vertices = np.asarray(character.vertices, dtype=np.float64)
        self.weights = np.asarray(rig.weights, dtype=np.float64)
        self.skeleton = Skeleton(rig)
        self.rows = Rows(character, rig, self.skeleton)
        self.appearance = Appearance(character, camera, clip.frames[0], observations.masks[0] > 127)
        self.frames = [self._seen(clip, observations, index) for index in range(clip.frame_count)]
        self._take_tracks(observations)
        self.noise = self._unlike(observations.masks[0] > 127)

    def shrunk(self, side: int) -> Footage:
        """The same footage on pictures of at most ``side`` pixels, one sample a pixel: quick, and without tracks."""
        shrink = max(1.0, max(self.camera.width, self.camera.height) / side)
        size = round(self.camera.width / shrink), round(self.camera.height / shrink)
        other = copy.copy(self)
        other.camera, other.pixels = self.camera.resized(*size), FEW_PIXELS
        other.appearance = self.appearance.at_size(*size)
        masks = self.observations.masks
        other.frames = [frame.shrunk(mask, size) for frame, mask in zip(self.frames, masks, strict=True)]
        return other

    def _unlike(self, mask: np.ndarray) -> float:
        """How much the render differs from index 0, whose pose is known: what the light's model can't explain."""
        rendered = self.appearance.render(np.asarray(self.vertices, np.float32), 0, self.frames[0].background)
        gap = np.linalg.norm(softened(rendered.image, 1.0) - self.frames[0].softened(1.0), axis=-1)[mask]
        return max(NOISE, 1.2 * float(np.sqrt(np.mean(np.square(gap))))) if len(gap) else NOISE

    def _take_tracks(self, observations: Observations) -> None:
        self.observations = observations
        self.tracks = observations.tracks.astype(np.float64)
        self.track_faces, self.track_shares = observations.track_faces, observations.track_barycentrics
        for index, frame in enumerate(self.frames):
            if frame.contour is not None:
                frame.tracks = np.flatnonzero(observations.visibility[index])

    def bind(self, vertices: np.ndarray) -> None:
        """Bind tracks that were born after index 0 to the surface that posed vertices [T, V, 3] show there."""
        if len(self.observations.late_births):
            seen = rasterize(vertices.astype(np.float32), self.character.faces, self.camera)
            self._take_tracks(bind_tracks(self.observations, seen.face_ids, seen.barycentrics))

    def _seen(self, clip: Clip, observations: Observations, index: int) -> _Frame:
        mask, frame = observations.masks[index], clip.frames[index]
        hard = mask > 127
        known = bool(hard.any()) and not bool(hard.all())
        background = background_of(frame, mask)
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

    def _measured(
        self, skin: Skin, index: int, faces: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pixels [N, 2] of surface points, d pixel / d point [N, 2, 3], depths [N] and d depth / d point [3]."""
        vertices = self._posed(skin)
        points = (vertices[self.character.faces[faces]] * shares[..., None]).sum(1)
        pixels, depth, by_point, by_depth = project_with_jacobian(self.camera, index, points)
        return pixels, by_point, depth, by_depth

    def _posed(self, skin: Skin) -> np.ndarray:
        vertices = skin.vertices
        if vertices is None:
            vertices = skin.vertices = pose_vertices(self.vertices, self.weights, skin.transforms[None])[0]
        return vertices

    def equations(self, index: int, skin: Skin, how: Round) -> Equations:
        """What frame ``index`` says about a step from a pose."""
        how = how.without(self.settings.without)
        settings, frame = self.settings, self.frames[index]
        result = Equations(6 * self.skeleton.count)
        if frame.contour is None:
            return result
        if how.track and len(frame.tracks):
            bound = self.track_faces[frame.tracks], self.track_shares[frame.tracks]
            pixels, by_point, _, _ = self._measured(skin, index, *bound)
            rows = self.rows.of(skin, *bound, by_point)
            residual = self.tracks[index, frame.tracks] - pixels
            weight = robust(np.linalg.norm(residual, axis=1), how.reach) / settings.track_px**2
            result.add(rows, residual, how.track * weight * self._density(len(residual)))
        if how.flow or how.contour or how.colour or (how.depth and frame.depth is not None):
            self._compare(result, skin, index, how)
        return result

    def _density(self, count: int) -> float:
        return INFORMED / max(count, 1)

    def _compare(self, result: Equations, skin: Skin, index: int, how: Round) -> None:
        settings, frame = self.settings, self.frames[index]
        assert frame.contour is not None
        synthesis = self.appearance.render(self._posed(skin), index, frame.background)
        scale = self.appearance.samples
        if how.flow or (how.depth and frame.depth is not None):
            self._sample(result, skin, index, how, synthesis)
        if how.colour:
            self._align(result, skin, index, how, synthesis)
        if how.contour:
            points, direction, gap = contour_matches(frame.contour, synthesis, scale, 1.5 * how.reach)
            if len(gap):
                _, by_point, _, _ = self._measured(skin, index, points.faces, points.shares)
                along = np.einsum("na,nab->nb", direction, by_point)[:, None, :]
                along = self.rows.of(skin, points.faces, points.shares, along)
                weight = robust(gap, how.reach) / settings.contour_px**2 * self._density(len(gap))
                result.add(along, gap[:, None], how.contour * weight)

    def _sample(self, result: Equations, skin: Skin, index: int, how: Round, synthesis: Synthesis) -> None:
        """Flow between render and frame, and depth, at points all over the visible surface."""
        settings, frame = self.settings, self.frames[index]
        samples = surface_samples(synthesis, settings.samples, self.appearance.samples)
        if not len(samples.faces):
            return
        bound = samples.faces, samples.shares
        _, by_point, depth, by_depth = self._measured(skin, index, *bound)
        density = self._density(len(samples.faces))
        if how.flow:
            rendered = cv2.cvtColor(synthesis.image, cv2.COLOR_RGB2GRAY)
            shift, confidence, tensor = flow_between(rendered, frame.image, samples.pixels)
            weight = robust(np.linalg.norm(shift, axis=1), how.reach) * confidence / settings.flow_px**2
            rows = self.rows.of(skin, *bound, by_point)
            result.add(rows, shift, (how.flow * density * weight)[:, None, None] * tensor)
        if how.depth and frame.depth is not None:
            gap = sampled(frame.depth, samples.pixels) - depth
            known = np.isfinite(gap)
            noise = settings.depth_fraction * self.character.diagonal
            trust = robust(gap[known], 4.0 * noise) / noise**2 * how.depth * density
            slopes = np.broadcast_to(by_depth, (int(known.sum()), 1, 3))
            rows = self.rows.of(skin, bound[0][known], bound[1][known], slopes)
            result.add(rows, gap[known, None], trust)

    def _align(self, result: Equations, skin: Skin, index: int, how: Round, synthesis: Synthesis) -> None:
        """Direct alignment of colours (see `photometric`)."""
        rendered = softened(synthesis.image, how.blur)
        frame = self.frames[index].softened(how.blur)
        mean = 0.5 * (rendered + frame)
        slopes = tuple(cv2.Sobel(mean, cv2.CV_32F, 1 - k, k, scale=0.125) for k in (0, 1))
        strength = np.sqrt(sum(np.square(slope).sum(-1) for slope in slopes))
        samples = pixel_samples(
            synthesis, strength, reach=round(2.0 * how.blur) + 1, jump=STEP * self.character.diagonal, count=self.pixels
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
        shading = seen.shading if self.noise <= UNLIKE else None
        rows = self.rows.of(skin, samples.faces, samples.shares, slopes, normals, shading)
        weight = how.colour * COLOUR_SHARE * seen.weights
        result.add(rows, seen.values, weight.astype(np.float32))

    def carried(self, index: int, last: Pose) -> Carried | None:
        """Surface points seen in the last pose, where the clip's own flow takes them, and how sure that is."""
        if self.frames[index].contour is None or self.frames[index - 1].contour is None:
            return None
        synthesis = self.appearance.render(
            self._posed(Skin(self.skeleton, last)), index - 1, self.frames[index - 1].background
        )
        samples = surface_samples(synthesis, self.settings.samples, self.appearance.samples)
        if not len(samples.faces):
            return None
        shift, confidence, tensor = flow_between(self.frames[index - 1].image, self.frames[index].image, samples.pixels)
        return samples, samples.pixels + shift, confidence[:, None, None] * tensor

    def add_carried(
        self,
        result: Equations,
        index: int,
        pose: Pose,
        carried: Carried,
        reach: float,
        share: float,
    ) -> None:
        """Add what `carried` says of the pose to ``result``, with a weight."""
        samples, target, trust = carried
        skin = Skin(self.skeleton, pose)
        pixels, by_point, _, _ = self._measured(skin, index, samples.faces, samples.shares)
        rows = self.rows.of(skin, samples.faces, samples.shares, by_point)
        residual = target - pixels
        weight = share * robust(np.linalg.norm(residual, axis=1), reach) / self.settings.flow_px**2
        result.add(rows, residual, (weight * self._density(len(residual)))[:, None, None] * trust)
