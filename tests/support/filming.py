"""A made clip of posed vertices, and what an observer without error sees in it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from studio_pipeline.geometry.cameras import frame_points
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations

__all__ = ["filmed", "seen_exactly"]


def filmed(
    character: Character, vertices: np.ndarray, size: int, azimuth: float = 0.2
) -> tuple[CameraPath, Clip, np.ndarray]:
    """Camera, clip (unlit, four samples a pixel, with noise) and coverage [T, H, W] 0..1."""
    import cv2

    view = frame_points(vertices.reshape(-1, 3), width=size, height=size, azimuth=azimuth, elevation=0.1, fill=0.8)
    camera = view.at(np.zeros(len(vertices), dtype=int))
    raster = rasterize(vertices, character.faces, camera.resized(4 * size, 4 * size))
    rng = np.random.default_rng(0)
    frames, coverage = [], []
    for ids, shares in zip(raster.face_ids, raster.barycentrics, strict=True):
        picture = np.full((4 * size, 4 * size, 3), (0.1, 0.15, 0.25))
        hit = ids >= 0
        picture[hit] = (character.vertex_colors[character.faces[ids[hit]]] * shares[hit][..., None]).sum(1)
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        srgb = np.where(small <= 0.0031308, 12.92 * small, 1.055 * small ** (1 / 2.4) - 0.055)
        frames.append(np.clip(255.0 * srgb + rng.normal(0.0, 1.0, small.shape), 0, 255).round().astype(np.uint8))
        coverage.append(cv2.resize(hit.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
    return camera, Clip(frames=np.stack(frames), fps=Fraction(24), first_frame=1001), np.stack(coverage)


def seen_exactly(character: Character, camera: CameraPath, vertices: np.ndarray, coverage: np.ndarray) -> Observations:
    """Observations without error: true masks, and the projections of a few surface points."""
    from studio_pipeline.geometry.cameras import project

    front = np.unique(rasterize(vertices[:1], character.faces, camera.at([0])).face_ids)
    faces = front[front >= 0][::4].astype(np.int32)
    shares = np.full((len(faces), 3), 1.0 / 3.0, np.float32)
    tracks = project(camera, vertices[:, character.faces[faces]].mean(2))[0]
    return Observations(
        masks=np.round(coverage * 255.0).astype(np.uint8),
        tracks=tracks.astype(np.float32),
        visibility=np.ones(tracks.shape[:2], bool),
        track_faces=faces,
        track_barycentrics=shares,
    )
