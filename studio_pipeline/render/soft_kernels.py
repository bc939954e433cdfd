# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""The differentiable picture in Warp: the surface blended over the background by its soft coverage.

See `render.differentiable` for the model. Screen vertices are (x [px], y [px], depth [m]); frames come first. Kernels
over pixels are launched over (T, H, lanes): one lane a column on a GPU, one that walks along the row on a CPU.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.inner_kernels import Inner, inner_colour
from studio_pipeline.render.kernel_math import mix3
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lighting import UNLIT, Light, lighting
from studio_pipeline.render.outline_kernels import (
    Fringe,
    Posed,
    Surface,
    coverage,
    facing,
    nearest_outline,
)
from studio_pipeline.render.textures import face_level, look_up, pixel_level

__all__ = [
    "blend_inner",
    "compose",
    "face_facts",
    "level_of",
    "outline_albedo",
    "outline_normal",
    "outline_share",
    "surface_level",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.func
def level_of(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, c: wp.vec3i) -> float:
    """Level of the atlas that suits the face with corners c."""
    a = screen[frame, c[0]]
    return face_level(
        surface.atlas, a, screen[frame, c[1]], screen[frame, c[2]], surface.uv[c[0]], surface.uv[c[1]], surface.uv[c[2]]
    )


@wp.kernel
def face_facts(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    near: float,
    facts: wp.array2d(dtype=wp.vec2),  # [T, F]
):
    """What all pixels of a face share: its level of the atlas, and `facing`; launched over (T, F)."""
    frame, face = wp.tid()
    c = surface.faces[face]
    level = wp.float32(-1.0)  # a face across the near plane
    if screen[frame, c[0]][2] > near and screen[frame, c[1]][2] > near and screen[frame, c[2]][2] > near:
        level = level_of(surface, screen, frame, c)
    facts[frame, face] = wp.vec2(level, facing(surface, screen, frame, face, near))


@wp.func
def clipped_level(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int, depth: float) -> float:
    """Level of the atlas where a face across the near plane is seen at ``depth``."""
    c = surface.faces[face]
    a = screen[frame, c[0]]
    b = screen[frame, c[1]]
    return pixel_level(
        surface.atlas, a, b, screen[frame, c[2]], surface.uv[c[0]], surface.uv[c[1]], surface.uv[c[2]], depth
    )


@wp.func
def surface_level(surface: Surface, posed: Posed, frame: int, face: int, b: wp.vec3) -> float:
    """Level of the atlas at barycentrics b of a face."""
    level = posed.facts[frame, face][0]
    if level < 0.0:
        c = surface.faces[face]
        screen = posed.screen
        depth = screen[frame, c[0]][2] * b[0] + screen[frame, c[1]][2] * b[1] + screen[frame, c[2]][2] * b[2]
        level = clipped_level(surface, screen, frame, face, depth)
    return level


@wp.func
def outline_share(screen: wp.array2d(dtype=wp.vec3), frame: int, ends: wp.vec3i, rest: float, t: float) -> float:
    """Share of an edge's second end, perspective-correct, where the ends' shares on the screen are rest and t."""
    first = rest / screen[frame, ends[0]][2]
    second = t / screen[frame, ends[1]][2]
    return second / (first + second)


@wp.func
def outline_albedo(surface: Surface, posed: Posed, frame: int, edge: int, t: float) -> wp.vec3:
    """The surface's own colour at an outline point: what a pixel outside blends towards."""
    ends = surface.edges[edge]
    uv = surface.uv[ends[0]] * (1.0 - t) + surface.uv[ends[1]] * t
    face = surface.edge_faces[edge][0]
    level = posed.facts[frame, face][0]
    if level < 0.0:
        depth = posed.screen[frame, ends[0]][2] * (1.0 - t) + posed.screen[frame, ends[1]][2] * t
        level = clipped_level(surface, posed.screen, frame, face, depth)
    albedo = look_up(surface.atlas, uv, level).value
    return wp.cw_mul(albedo, mix3(surface.tints[ends[0]], surface.tints[ends[1]], t))


@wp.func
def outline_normal(normals: wp.array2d(dtype=wp.vec3), frame: int, ends: wp.vec3i, t: float) -> wp.vec3:
    """Unit normal at an outline point."""
    return wp.normalize(mix3(normals[frame, ends[0]], normals[frame, ends[1]], t))


@wp.func
def surface_normal(posed: Posed, frame: int, face: int, c: wp.vec3i, b: wp.vec3) -> wp.vec3:
    """Unit normal at a point of a face, turned to the viewer."""
    mixed = posed.normals[frame, c[0]] * b[0] + posed.normals[frame, c[1]] * b[1] + posed.normals[frame, c[2]] * b[2]
    return wp.normalize(mixed) * wp.where(posed.facts[frame, face][1] > 0.0, -1.0, 1.0)


@wp.func
def surface_albedo(surface: Surface, posed: Posed, frame: int, face: int, c: wp.vec3i, b: wp.vec3) -> wp.vec3:
    """The surface's own colour at a point of a face."""
    uv = surface.uv[c[0]] * b[0] + surface.uv[c[1]] * b[1] + surface.uv[c[2]] * b[2]
    tint = surface.tints[c[0]] * b[0] + surface.tints[c[1]] * b[1] + surface.tints[c[2]] * b[2]
    return wp.cw_mul(look_up(surface.atlas, uv, surface_level(surface, posed, frame, face, b)).value, tint)


@wp.func
def bleeding(surface: Surface, posed: Posed, light: Light, frame: int, edge: int, rest: float, t: float) -> wp.vec3:
    """The lit colour at an outline point with screen shares rest and t of the edge's ends."""
    ends = surface.edges[edge]
    share = outline_share(posed.screen, frame, ends, rest, t)
    arriving = lighting(light, posed.harmonics, frame, outline_normal(posed.normals, frame, ends, share))
    return wp.cw_mul(outline_albedo(surface, posed, frame, edge, share), arriving)


@wp.kernel
def compose(
    face_ids: wp.array3d(dtype=wp.int32),  # [T, H, W]
    surface: Surface,
    posed: Posed,
    light: Light,
    fringe: Fringe,
    barycentrics: wp.array3d(dtype=wp.vec3),
    keys: wp.array3d(dtype=wp.uint64),
    background: wp.array3d(dtype=wp.vec3),  # [1 or T, H, W]
    colours: wp.array3d(dtype=wp.vec3),  # empty: not wanted
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    seen_normals: wp.array3d(dtype=wp.vec3),  # empty: not wanted
    lanes: int,
):
    """Blend the surface over the background by its soft coverage."""
    frame, y, lane = wp.tid()
    coloured = colours.shape[0] > 0
    turned = seen_normals.shape[0] > 0
    for x in range(lane, face_ids.shape[2], lanes):
        face = face_ids[frame, y, x]
        key = keys[frame, y, x]
        cover = wp.where(face >= 0, 1.0, 0.0)
        colour = wp.vec3(0.0, 0.0, 0.0)
        normal = wp.vec3(0.0, 0.0, 0.0)
        if face >= 0:
            c = surface.faces[face]
            b = barycentrics[frame, y, x]
            if turned or light.mode != UNLIT:
                normal = surface_normal(posed, frame, face, c, b)
            if coloured:
                colour = surface_albedo(surface, posed, frame, face, c, b)
                colour = wp.cw_mul(colour, lighting(light, posed.harmonics, frame, normal))
        if key != wp.uint64(EMPTY_KEY):
            place = nearest_outline(surface, posed.screen, fringe, frame, x, y, key, face >= 0)
            cover = coverage(fringe, place.distance)
            if face < 0 and coloured:
                colour = bleeding(surface, posed, light, frame, place.edge, place.rest, place.t)
        silhouette[frame, y, x] = cover
        if coloured:
            colours[frame, y, x] = mix3(background[frame % background.shape[0], y, x], colour, cover)
            foreground[frame, y, x] = colour
        if turned:
            seen_normals[frame, y, x] = normal


@wp.kernel
def blend_inner(
    face_ids: wp.array3d(dtype=wp.int32),
    surface: Surface,
    posed: Posed,
    inner: Inner,
    background: wp.array3d(dtype=wp.vec3),
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    colours: wp.array3d(dtype=wp.vec3),
    lanes: int,
):
    """Blend `compose`'s colours across edges inside the silhouette."""
    frame, y, lane = wp.tid()
    for x in range(lane, face_ids.shape[2], lanes):
        if inner.marks[frame, y, x] != wp.uint8(0):
            colour = inner_colour(surface, posed.screen, inner, foreground, frame, y, x)
            behind = background[frame % background.shape[0], y, x]
            colours[frame, y, x] = mix3(behind, colour, silhouette[frame, y, x])
