"""How badly poses explain a frame: hundreds a second, on small pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import warp as wp

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render import kernels, lighting, normal_kernels, score_kernels
from studio_pipeline.render.mesh import RenderMesh
from studio_pipeline.render.raster import NEAR_M
from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.schema.records import CameraPath, Character, Rig
from studio_pipeline.stages.lifted_motion.kinematics import strongest

__all__ = ["Scorer"]

MARGIN = 10  # around the mask: farther out a surface costs nothing more [px]
BATCH = 32  # poses that are rendered at once, for the memory's sake


class Scorer:
    """Renders poses as the clip would show them and sums what differs."""

    def __init__(
        self,
        character: Character,
        rig: Rig,
        camera: CameraPath,
        light: np.ndarray,
        images: np.ndarray,
        masks: np.ndarray,
        *,
        side: int = 128,
    ) -> None:
        """Prepare the clip's frames.

        Args:
            character: What is shown.
            rig: Its rig.
            camera: T cameras of the clip's size.
            light: Spherical harmonics [9, 3].
            images: The clip [T, H, W, 3] uint8 sRGB.
            masks: Coverage [T, H, W] uint8.
            side: Larger side of the pictures that are compared [px].
        """
        initialize(*(module.__name__ for module in (kernels, normal_kernels, score_kernels)))
        shrink = max(1.0, max(camera.width, camera.height) / side)
        self.size = round(camera.width / shrink), round(camera.height / shrink)
        self.camera = camera.resized(*self.size)
        self.mesh = RenderMesh.from_character(character)
        self.faces = len(character.faces)
        self.rest = wp.array(np.ascontiguousarray(character.vertices, np.float32), dtype=wp.vec3, device="cpu")
        self.joints, self.shares = (wp.array(value, device="cpu") for value in strongest(np.asarray(rig.weights)))
        self.light = lighting.Light()
        self.light.mode = lighting.HARMONICS
        self.harmonics = wp.array(np.ascontiguousarray(light[None], np.float32), dtype=wp.vec3, device="cpu")
        self.pictures = [np.sqrt(srgb_to_linear(self._small(image) / 255.0)).astype(np.float32) for image in images]
        self.masks = [(self._small(mask) / 255.0).astype(np.float32) for mask in masks]
        self.windows = [_window(mask) for mask in self.masks]
        self.areas = np.array([max(float(mask.sum()), 1.0) for mask in self.masks])

    def _small(self, picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA)

    def _view(self, frame: int) -> Any:
        matrix = self.camera.world_to_camera[frame]
        view = score_kernels.View()
        view.rotation = wp.mat33(*matrix[:3, :3].ravel().tolist())
        view.shift = wp.vec3(*matrix[:3, 3].tolist())
        view.focal = float(self.camera.focal[frame])
        top, left, _, _ = self.windows[frame]
        view.centre = wp.vec2(self.camera.width / 2.0 - left, self.camera.height / 2.0 - top)
        return view

    def costs(self, frame: int, transforms: np.ndarray) -> np.ndarray:
        """What poses leave unexplained, per pixel of the mask.

        Args:
            frame: Index of the frame.
            transforms: Skinning transforms [M, J, 4, 4].

        Returns:
            Colour, mask without surface, surface outside the mask. [M, 3]
        """
        result = np.zeros((len(transforms), 3), np.float32)
        over_frames(len(transforms), lambda part: self._batches(frame, transforms, part, result))
        return result / self.areas[frame]

    def _batches(self, frame: int, transforms: np.ndarray, part: slice, result: np.ndarray) -> None:
        for start in range(part.start, part.stop, BATCH):
            piece = slice(start, min(start + BATCH, part.stop))
            self._score(frame, transforms[piece], result[piece])

    def _score(self, frame: int, transforms: np.ndarray, result: np.ndarray) -> None:
        top, left, bottom, right = self.windows[frame]
        count, width, height = len(transforms), right - left, bottom - top
        vertices = self.rest.shape[0]
        posed = wp.array(np.ascontiguousarray(transforms, np.float32), dtype=wp.mat44, device="cpu", copy=False)
        world, screen, normals = (wp.empty((count, vertices), dtype=wp.vec3, device="cpu") for _ in range(3))
        skin = [self.rest, self.joints, self.shares, posed, self._view(frame), world, screen]
        _launch(score_kernels.pose_points, (count, vertices), skin)
        sums = wp.zeros((count, self.mesh.group_count), dtype=wp.vec3, device="cpu")
        surface, groups = self.mesh.surface, self.mesh.groups
        _launch(normal_kernels.sum_areas, (count, self.faces), [world, surface.faces, groups, sums])
        _launch(normal_kernels.normals_of_sums, (count, vertices), [sums, groups, normals])
        keys = wp.full((count, height, width), kernels.EMPTY_KEY, dtype=wp.uint64, device="cpu")
        _launch(kernels.zbuffer, (count, self.faces), [screen, surface.faces, NEAR_M, 0, keys])
        hit = (
            wp.empty((count, height, width), dtype=wp.int32, device="cpu"),
            wp.empty((count, height, width), dtype=wp.vec3, device="cpu"),
        )
        depth = wp.empty((count, height, width), dtype=float, device="cpu")
        _launch(kernels.resolve, (count, height, width), [screen, surface.faces, keys, 0.0, *hit, depth])
        seen = [
            wp.array(np.ascontiguousarray(self.pictures[frame][top:bottom, left:right]), dtype=wp.vec3, device="cpu"),
            wp.array(np.ascontiguousarray(self.masks[frame][top:bottom, left:right]), device="cpu"),
        ]
        costs = wp.array(result, dtype=wp.vec3, device="cpu", copy=False)
        lit = [surface, normals, self.light, self.harmonics]
        _launch(score_kernels.score, (count, height), [screen, *lit, *hit, *seen, costs])


def _window(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the part of a mask [H, W] that is compared: all of it and a margin."""
    rows, columns = np.flatnonzero(mask.max(1) > 0.5), np.flatnonzero(mask.max(0) > 0.5)
    if not len(rows):
        return 0, 0, mask.shape[0], mask.shape[1]
    return (
        max(int(rows[0]) - MARGIN, 0),
        max(int(columns[0]) - MARGIN, 0),
        min(int(rows[-1]) + 1 + MARGIN, mask.shape[0]),
        min(int(columns[-1]) + 1 + MARGIN, mask.shape[1]),
    )


def _launch(kernel: wp.Kernel, dim: tuple[int, ...], inputs: list[Any]) -> None:
    wp.launch(kernel, dim=dim, inputs=inputs, device="cpu")
