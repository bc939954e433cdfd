"""What the character looks like in this clip: its own colours under lights that are read off index 0."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import cv2
import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.render.paint import Painter
from studio_pipeline.render.raster import Raster, rasterize, screen_vertices
from studio_pipeline.render.surface import normal_groups, posed_normals
from studio_pipeline.schema.records import CameraPath, Character

__all__ = ["Appearance", "Synthesis", "harmonics", "harmonics_gradient"]

FACTORS = np.array([0.282095] + [0.488603] * 3 + [1.092548, 1.092548, 0.315392, 1.092548, 0.546274])
SAMPLES = 2  # samples along a pixel's side


@dataclass(frozen=True)
class Synthesis:
    """One rendered frame."""

    image: np.ndarray  # [H, W, 3] uint8, sRGB
    coverage: np.ndarray  # [H, W] float32
    raster: Raster  # one frame at ``scale`` times the size
    normals: np.ndarray  # [V, 3] of the posed vertices
    scale: int  # samples along a pixel's side


def harmonics(normals: np.ndarray) -> np.ndarray:
    """Spherical harmonics up to order 2 of unit vectors [..., 3], as `render.differentiable` numbers them. [..., 9]"""
    x, y, z = np.moveaxis(normals, -1, 0)
    basis = [np.ones_like(x), y, z, x, x * y, y * z, 3.0 * z * z - 1.0, x * z, x * x - y * y]
    return np.stack(basis, axis=-1) * FACTORS


def harmonics_gradient(normals: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Light [N, 3] on unit normals [N, 3] under harmonics [9, 3], and its slope by the normal. [N, 3, axis]"""
    x, y, z = np.moveaxis(normals, -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    by_x = [zero, zero, zero, one, y, zero, zero, z, 2.0 * x]
    by_y = [zero, one, zero, zero, x, z, zero, zero, -2.0 * y]
    by_z = [zero, zero, one, zero, zero, y, 6.0 * z, x, zero]
    slopes = np.stack([np.stack(part, axis=-1) * FACTORS for part in (by_x, by_y, by_z)], axis=-1)  # [N, 9, axis]
    return harmonics(normals) @ light, np.einsum("nka,kc->nca", slopes, light)


class Appearance:
    """Renders the character as the clip shows it. Lights stay fixed in the world."""

    def __init__(
        self, character: Character, camera: CameraPath, frame: np.ndarray, mask: np.ndarray, *, samples: int = SAMPLES
    ) -> None:
        """Fit the light to index 0: ``frame`` [H, W, 3] uint8 and ``mask`` [H, W] bool show the rest pose."""
        self.character, self.samples = character, samples
        self.camera = camera.resized(camera.width * samples, camera.height * samples)
        self.groups = normal_groups(character)
        self.painter = Painter(character)
        self.light = np.zeros((9, 3))
        self.light[0] = 1.0 / FACTORS[0]
        self._fit(frame, mask)

    def at_size(self, width: int, height: int) -> Appearance:
        """The same look at another picture size, one sample a pixel."""
        other = copy.copy(self)
        other.samples, other.camera = 1, self.camera.resized(width, height)
        return other

    def _seen(self, vertices: np.ndarray, frame: int) -> tuple[Raster, np.ndarray, np.ndarray]:
        """Raster, screen positions [1, V, 3] and normals [1, V, 3] of posed vertices [V, 3] float32."""
        camera = self.camera.at([frame])
        raster = rasterize(vertices[None], self.character.faces, camera)
        normals = posed_normals(vertices[None], self.character.faces, self.groups)
        return raster, screen_vertices(vertices, camera), normals

    def _fit(self, frame: np.ndarray, mask: np.ndarray) -> None:
        vertices = np.asarray(self.character.vertices, dtype=np.float32)
        raster, screen, normals = self._seen(vertices, 0)
        covered = raster.face_ids[0] >= 0
        corners, shares = self.character.faces[raster.face_ids[0][covered]], raster.barycentrics[0][covered][..., None]
        normal = (normals[0][corners] * shares).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        albedo = self.painter.paint(screen, normals, self.light, raster)[covered]  # the light is still one everywhere
        size = covered.shape[1], covered.shape[0]
        inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
        use = cv2.resize(inner, size, interpolation=cv2.INTER_NEAREST)[covered] > 0
        if use.sum() < 50:
            return
        seen = srgb_to_linear(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)[covered][use] / 255.0)
        basis = harmonics(normal[use])
        ridge = np.diag([1e-4] + [3e-3] * 3 + [3e-2] * 5)
        for channel in range(3):
            rows = basis * albedo[use, channel, None]
            target = seen[:, channel].astype(np.float64)
            weight = np.ones(len(target))
            for _ in range(5):
                gram = (rows * weight[:, None]).T @ rows / len(rows)
                solution = np.linalg.solve(
                    gram + ridge * (np.trace(gram) / 9.0 + 1e-9), (rows * weight[:, None]).T @ target / len(rows)
                )
                error = np.abs(target - rows @ solution)
                weight = 1.0 / (1.0 + (error / max(2.0 * float(np.median(error)), 0.01)) ** 2)
            self.light[:, channel] = solution

    def render(self, vertices: np.ndarray, frame: int, background: np.ndarray) -> Synthesis:
        """Render posed vertices [V, 3] with the camera of ``frame`` over ``background`` [H, W, 3] (sRGB 0..255)."""
        vertices = np.ascontiguousarray(vertices, np.float32)
        raster, screen, normals = self._seen(vertices, frame)
        height, width = background.shape[:2]
        lit = np.empty((*raster.face_ids.shape[1:], 4), np.float32)
        lit[..., :3] = self.painter.paint(screen, normals, self.light, raster)
        lit[..., 3] = raster.face_ids[0] >= 0
        small = cv2.resize(lit, (width, height), interpolation=cv2.INTER_AREA)
        linear = small[..., :3] + (1.0 - small[..., 3:]) * srgb_to_linear(background / 255.0)
        image = np.round(linear_to_srgb(linear) * 255.0).astype(np.uint8)
        return Synthesis(image, small[..., 3], raster, normals[0], self.samples)
