"""A ball with a random pattern that turns while it slides, so that half of it comes into view only later."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.render.raster import Raster, rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.records import CameraPath, Character, Observations

SIZE = 128


def patterned_ball() -> Character:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    vertices = np.asarray(mesh.vertices, dtype=np.float32)
    return Character(
        name="ball",
        vertices=vertices,
        normals=(vertices / 0.5).astype(np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        uv=np.zeros((len(vertices), 2), np.float32),
        atlas=np.full((2, 2, 4), 255, np.uint8),
        vertex_colors=np.random.default_rng(3).uniform(0.1, 1.0, (len(vertices), 3)).astype(np.float32),
        height_m=1.0,
        unit_scale=1.0,
    )


def turned(ball: Character, frames: int, turn: float = 1.2) -> np.ndarray:
    """Vertices [T, V, 3] of the ball turning about the vertical by ``turn`` [rad] and sliding by 0.3 m."""
    result = []
    for share in np.linspace(0.0, 1.0, frames):
        c, s = np.cos(turn * share), np.sin(turn * share)
        result.append(ball.vertices @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + [0.3 * share, 0.0, 0.0])
    return np.stack(result).astype(np.float32)


def smooth_backdrop(index: int, size: int = SIZE) -> np.ndarray:
    y, x = np.mgrid[0.0 : 1.0 : size * 1j, 0.0 : 1.0 : size * 1j]
    return np.stack([40 + 60 * x, 90 + 50 * x * y, 150 - 70 * y**2], axis=-1)


def textured_backdrop(size: int = SIZE, shift: float = 0.0, seed: int = 8) -> np.ndarray:
    """Blotches and edges; ``shift`` [px] slides the view over a larger picture."""
    rng = np.random.default_rng(seed)
    wide = cv2.resize(rng.uniform(20, 235, (20, 60, 3)), (3 * size, size), interpolation=cv2.INTER_NEAREST)
    wide = cv2.GaussianBlur(wide, (0, 0), 1.0) + rng.normal(0.0, 6.0, (size, 3 * size, 1))
    matrix = np.array([[1.0, 0.0, -shift], [0.0, 1.0, 0.0]])
    return cv2.warpAffine(wide, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def filmed(
    ball: Character, vertices: np.ndarray, backdrops: list[np.ndarray] | None = None, noise: float = 1.5
) -> tuple[CameraPath, Clip, Raster]:
    """Camera, clip and true raster; pictures are blended by four samples along a pixel's side."""
    view = frame_points(vertices.reshape(-1, 3), width=SIZE, height=SIZE, azimuth=0.0, elevation=0.0, fill=0.8)
    camera = view.at(np.zeros(len(vertices), dtype=int))
    fine = rasterize(vertices, ball.faces, camera.resized(4 * SIZE, 4 * SIZE))
    rng = np.random.default_rng(0)
    frames = []
    for index, (ids, shares) in enumerate(zip(fine.face_ids, fine.barycentrics, strict=True)):
        behind = smooth_backdrop(index) if backdrops is None else backdrops[index]
        picture = cv2.resize(behind, (4 * SIZE, 4 * SIZE), interpolation=cv2.INTER_NEAREST)
        hit = ids >= 0
        picture[hit] = 255.0 * ((ball.vertex_colors[ball.faces[ids[hit]]] * shares[hit][..., None]).sum(1) ** 0.5)
        small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        frames.append(np.clip(small + rng.normal(0.0, noise, small.shape), 0, 255).round().astype(np.uint8))
    clip = Clip(frames=np.stack(frames), fps=Fraction(24), first_frame=1001)
    return camera, clip, rasterize(vertices, ball.faces, camera)


def track_errors(ball: Character, camera: CameraPath, vertices: np.ndarray, observations: Observations) -> np.ndarray:
    """Distance [px] of every track from where its surface point really is. [T, N]"""
    corners = vertices[:, ball.faces[observations.track_faces]]
    places = (corners * observations.track_barycentrics[..., None]).sum(2)
    return np.linalg.norm(project(camera, places)[0] - observations.tracks, axis=-1)
