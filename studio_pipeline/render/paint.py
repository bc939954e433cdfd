"""Lit colours of a rasterized surface, without gradients."""

from __future__ import annotations

import numpy as np
import warp as wp

from studio_pipeline.render import lighting, score_kernels
from studio_pipeline.render.mesh import RenderMesh
from studio_pipeline.render.raster import Raster
from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.schema.records import Character

__all__ = ["Painter"]


class Painter:
    """Holds a character's colours; paints what a `Raster` of one frame sees."""

    def __init__(self, character: Character) -> None:
        initialize(score_kernels.__name__)
        self.mesh = RenderMesh.from_character(character)
        self.light = lighting.Light()
        self.light.mode = lighting.HARMONICS

    def paint(self, screen: np.ndarray, normals: np.ndarray, light: np.ndarray, raster: Raster) -> np.ndarray:
        """Colours in linear light, zero where nothing is hit. [H, W, 3] float32

        Args:
            screen: (x [px], y [px], depth [m]) of the posed vertices [1, V, 3] float32.
            normals: Unit normals of the posed vertices [1, V, 3] float32, world.
            light: Spherical harmonics [9, 3] (see `render.differentiable.render`).
            raster: One frame of the same size.
        """
        result = np.empty((*raster.face_ids.shape, 3), np.float32)
        harmonics = wp.array(np.ascontiguousarray(light[None], np.float32), dtype=wp.vec3, device="cpu")
        points = wp.array(np.ascontiguousarray(screen), dtype=wp.vec3, device="cpu", copy=False)
        turned = wp.array(np.ascontiguousarray(normals), dtype=wp.vec3, device="cpu", copy=False)

        def work(rows: slice) -> None:
            faces = wp.array(raster.face_ids[:, rows], device="cpu", copy=False)
            shares = wp.array(raster.barycentrics[:, rows], dtype=wp.vec3, device="cpu", copy=False)
            colours = wp.array(result[:, rows], dtype=wp.vec3, device="cpu", copy=False)
            lit = [self.mesh.surface, turned, self.light, harmonics]
            wp.launch(score_kernels.paint, dim=faces.shape, inputs=[points, *lit, faces, shares, colours], device="cpu")

        over_frames(raster.face_ids.shape[1], work)
        return result[0]
