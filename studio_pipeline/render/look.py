"""Pictures to look at: cel shading with lines, plain Lambert, or flat colours, anti-aliased and sRGB-correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import warp as wp

from studio_pipeline.media.srgb import srgb_to_linear
from studio_pipeline.render import kernels, look_kernels
from studio_pipeline.render.ground import contact_shadow
from studio_pipeline.render.raster import NEAR_M, camera_for, rasterize_screen, screen_vertices
from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.render.surface import SRGB_8BIT, linear_atlas, normal_groups, posed_normals
from studio_pipeline.render.textures import atlas_pyramid
from studio_pipeline.schema.records import CameraPath, Character

__all__ = ["Background", "Look", "RenderedFrames", "render_frames"]

Background = np.ndarray | Sequence[float] | None
"""None (black, alpha 0), one sRGB colour 0..255, or pictures [H, W, 3] or [T, H, W, 3] uint8 sRGB."""

MAX_SAMPLES = 16_000_000
"""Samples of one picture that are held at once (about 70 bytes each)."""

_MODES = {
    "flat": look_kernels.FLAT, "lambert": look_kernels.LAMBERT, "toon": look_kernels.TOON,
    "rendered": look_kernels.RENDERED,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a picture is lit and drawn. Light directions point to the light in the camera's frame (x right, y up)."""

    shading: Literal["toon", "lambert", "flat", "rendered"] = "toon"
    light_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # linear factor of everything: the colour of the hour
    key_direction: tuple[float, float, float] = (-0.45, 0.62, 0.64)
    rim_direction: tuple[float, float, float] = (0.75, 0.45, -0.35)
    ambient: float = 0.38  # Lambert: share of light that comes from everywhere
    steps: tuple[float, float] = (-0.28, 0.16)  # toon: cosines to the key light where half tone and full light begin
    levels: tuple[float, float] = (0.12, 0.42)  # toon: deep shadow and half tone between the shadow tint and full light
    softness: float = 0.045  # toon: half width of a step in cosine
    shadow_tint: tuple[float, float, float] = (0.36, 0.33, 0.47)  # toon: linear factor of the deepest shadow
    rim_strength: float = 0.22
    rim_edge: tuple[float, float] = (0.62, 0.74)  # toon: 1 - cosine to the viewer where the rim begins and is full
    highlight: float = 0.10
    outline_px: float | None = None  # width of lines in output pixels; None fits the picture's height, 0 draws none
    outline_color: tuple[int, int, int] = (38, 26, 44)  # sRGB
    outline_tint: float = 0.55  # how much of the surface's own (darkened) colour the ink takes
    outline_shade: float = 0.16  # what that colour is darkened by
    outline_opacity: float = 0.92
    outline_varied: float = 0.0  # 1: lines swell on the side away from the key light and taper towards it
    crease_deg: float = 62.0  # lines where neighbouring normals differ by more
    contact_shadow: float = 0.0  # share of the background's light lost under the feet; never part of alpha


@dataclass(frozen=True, kw_only=True)
class RenderedFrames:
    """Pictures and what was seen in them; ids and depth are those of `raster.rasterize` at the output size."""

    rgb: np.ndarray  # [T, H, W, 3] uint8, sRGB, composited on the background
    alpha: np.ndarray  # [T, H, W] uint8, coverage
    depth: np.ndarray  # [T, H, W] float32, -z in the camera [m], NaN on the background
    face_ids: np.ndarray  # [T, H, W] int32, -1 on the background


def render_frames(
    vertices: np.ndarray,
    character: Character,
    camera: CameraPath,
    *,
    look: Look | None = None,
    supersample: int = 2,
    background: Background = None,
) -> RenderedFrames:
    """Render posed vertices of a character.

    Args:
        vertices: World positions [m]. [T, V, 3]; [V, 3] is one frame, or all frames of a longer camera.
        character: Gives faces, colours and which vertices share a normal.
        camera: T frames, or one for all.
        look: `Look()` when None.
        supersample: Samples along a pixel's side, averaged in linear light; fewer where a picture would need
            more than `MAX_SAMPLES`.
        background: See `Background`.
    """
    initialize(kernels.__name__, look_kernels.__name__)
    look = look or Look()
    points = np.ascontiguousarray(vertices[None] if vertices.ndim == 2 else vertices, np.float32)
    count = max(len(points), camera.frame_count)
    camera = camera_for(camera, count)
    width, height = camera.width, camera.height
    result = _unpainted(count, height, width)
    scene = _Scene(character, look, background, count, width, height)
    samples = max(1, min(supersample, int(np.sqrt(MAX_SAMPLES / (width * height)))))
    large = camera.resized(width * samples, height * samples)

    def work(part: slice) -> None:
        brush = _Brush(scene, large, samples)
        for frame in range(part.start, part.stop):
            pose = points[min(frame, len(points) - 1)]
            behind = scene.behind(frame, pose, camera.at([frame]))
            brush.paint(pose, large.at([frame]), behind, result.rgb[frame], result.alpha[frame])
            screen = screen_vertices(pose, camera.at([frame]))
            hard = rasterize_screen(screen, character.faces, width, height)
            result.depth[frame], result.face_ids[frame] = hard.depth[0], hard.face_ids[0]

    over_frames(count, work)
    return result


def _unpainted(count: int, height: int, width: int) -> RenderedFrames:
    return RenderedFrames(
        rgb=np.empty((count, height, width, 3), np.uint8),
        alpha=np.empty((count, height, width), np.uint8),
        depth=np.empty((count, height, width), np.float32),
        face_ids=np.empty((count, height, width), np.int32),
    )


def default_outline_px(height: int) -> float:
    """Width of lines [px] that looks the same on pictures of different height."""
    return 0.8 + 0.0014 * height


class _Scene:
    """What all threads share: the character's colours and faces as Warp arrays, the look, the background."""

    def __init__(
        self, character: Character, look: Look, background: Background, count: int, width: int, height: int
    ) -> None:
        self.character, self.look = character, look
        self.groups = normal_groups(character)
        self.faces = _share(character.faces.astype(np.int32), wp.vec3i)
        self.uv = _share(character.uv, wp.vec2)
        self.tints = _share(character.vertex_colors, wp.vec3)
        self.atlas = atlas_pyramid(linear_atlas(character))
        self.ground = float(character.vertices[:, 1].min())
        self.pictures = _pictures(background, count, width, height)

    def behind(self, frame: int, pose: np.ndarray, camera: CameraPath) -> np.ndarray:
        """The background of a frame in linear light, with the shadow of pose [V, 3] if wanted. [H, W, 3]"""
        picture = SRGB_8BIT[self.pictures[min(frame, len(self.pictures) - 1)]]
        if self.look.contact_shadow > 0.0:
            options = {"ground": self.ground, "strength": self.look.contact_shadow}
            picture = picture * contact_shadow(pose[None], self.character.faces, camera, **options)[0][..., None]
        return picture


class _Brush:
    """One thread's buffers at the supersampled size."""

    def __init__(self, scene: _Scene, camera: CameraPath, samples: int) -> None:
        self.scene, self.samples = scene, samples
        size = (camera.height, camera.width)
        self.keys = np.empty((1, *size), np.uint64)
        self.face_ids = wp.empty((1, *size), dtype=wp.int32, device="cpu")
        self.barycentrics = wp.empty((1, *size), dtype=wp.vec3, device="cpu")
        self.depth = wp.empty((1, *size), dtype=float, device="cpu")
        self.colours, self.albedos, self.normals = (wp.empty(size, dtype=wp.vec3, device="cpu") for _ in range(3))
        self.lines = wp.empty(size, dtype=float, device="cpu")

    def paint(
        self, points: np.ndarray, camera: CameraPath, behind: np.ndarray, rgb: np.ndarray, alpha: np.ndarray
    ) -> None:
        """Render one frame: points [V, 3], behind [H, W, 3] linear, into rgb [H, W, 3] and alpha [H, W]."""
        scene, size = self.scene, (camera.height, camera.width)
        screen = _share(screen_vertices(points, camera), wp.vec3)
        self.keys.fill(kernels.EMPTY_KEY)
        keys = wp.array(self.keys, device="cpu", copy=False)
        _launch(kernels.zbuffer, (1, len(scene.faces)), screen, scene.faces, NEAR_M, 0, keys)
        seen = (self.face_ids, self.barycentrics, self.depth)
        _launch(kernels.resolve, (1, *size), screen, scene.faces, keys, float("nan"), *seen)
        normals = posed_normals(points[None], scene.character.faces, scene.groups)[0]
        posed = (screen[0], _share(points, wp.vec3), _share(normals, wp.vec3))
        shape = (*posed, scene.faces, scene.uv, scene.tints, scene.atlas)
        pixels = (self.face_ids[0], self.barycentrics[0], self.colours, self.albedos, self.normals)
        _launch(look_kernels.shade, size, _lights(scene.look, camera), *shape, *pixels)
        self._ink(size, camera)
        samples = (self.face_ids[0], self.colours, _share(behind, wp.vec3), self.samples)
        picture = (wp.array(rgb, device="cpu", copy=False), wp.array(alpha, device="cpu", copy=False))
        _launch(look_kernels.resolve_picture, alpha.shape, *samples, *picture)

    def _ink(self, size: tuple[int, int], camera: CameraPath) -> None:
        look, face_ids, depth = self.scene.look, self.face_ids[0], self.depth[0]
        wide = default_outline_px(size[0] // self.samples) if look.outline_px is None else look.outline_px
        if wide <= 0.0:
            return
        jump = 0.018 * self.scene.character.diagonal
        crease = float(np.cos(np.radians(look.crease_deg)))
        key = _lights(look, camera).key
        varied = (key, look.outline_varied)
        _launch(look_kernels.find_lines, size, face_ids, depth, self.normals, jump, crease, *varied, self.lines)
        ink = wp.vec3(*srgb_to_linear(np.array(look.outline_color) / 255.0).tolist())
        seen = (face_ids, depth, self.lines, self.albedos)
        pen = (wide * self.samples, jump, ink, look.outline_tint, look.outline_shade, look.outline_opacity)
        _launch(look_kernels.draw_lines, size, *seen, *pen, self.colours)


def _lights(look: Look, camera: CameraPath) -> Any:
    rotation, shift = camera.world_to_camera[0, :3, :3], camera.world_to_camera[0, :3, 3]
    lights = look_kernels.Lights()
    lights.mode = _MODES[look.shading]
    lights.eye = wp.vec3(*(-rotation.T @ shift))
    for name, direction in (("key", look.key_direction), ("rim", look.rim_direction)):
        world = rotation.T @ np.asarray(direction, np.float64)
        setattr(lights, name, wp.vec3(*(world / np.linalg.norm(world))))
    lights.ambient, lights.softness = look.ambient, max(look.softness, 1e-4)
    lights.steps, lights.levels = wp.vec2(*look.steps), wp.vec2(*look.levels)
    lights.shadow = wp.vec3(*look.shadow_tint)
    lights.rim_strength, lights.highlight = look.rim_strength, look.highlight
    lights.rim_edge, lights.tint = wp.vec2(*look.rim_edge), wp.vec3(*look.light_tint)
    return lights


def _pictures(background: Background, count: int, width: int, height: int) -> np.ndarray:
    """The background as [1 or T, H, W, 3] uint8 sRGB."""
    value = np.zeros(3, np.uint8) if background is None else np.asarray(background)
    if value.ndim == 1:
        colour = np.clip(np.round(value), 0, 255).astype(np.uint8)
        return np.broadcast_to(colour, (1, height, width, 3))
    value = value[None] if value.ndim == 3 else value
    if value.dtype != np.uint8 or value.shape[1:] != (height, width, 3) or len(value) not in (1, count):
        raise ValueError(f"a background of {value.dtype} {value.shape} for {count} frames of {width} x {height}")
    return value


def _share(value: np.ndarray, dtype: Any) -> wp.array:
    """A Warp array over ``value``'s memory; copied only where it is not contiguous float32 or int32."""
    kind = np.int32 if dtype is wp.vec3i else np.float32
    return wp.array(np.ascontiguousarray(value, kind), dtype=dtype, device="cpu", copy=False)


def _launch(kernel: wp.Kernel, dim: tuple[int, ...], *arguments: Any) -> None:
    wp.launch(kernel, dim=dim, inputs=list(arguments), device="cpu")
