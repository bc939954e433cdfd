# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""The differentiable picture in Warp: the surface blended over the background by its soft coverage, and the adjoints.

See `render.differentiable` for the model. Screen vertices are (x [px], y [px], depth [m]); frames come first.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import edge_weights, mix3
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lighting import Light, lighting, lighting_adjoint
from studio_pipeline.render.outline_kernels import (
    Fringe,
    Surface,
    coverage,
    coverage_slope,
    nearest_outline,
    turned,
)
from studio_pipeline.render.textures import face_level, look_up

__all__ = [
    "barycentric_adjoint",
    "compose",
    "level_of",
    "outline_adjoint",
    "outline_albedo",
    "outline_normal",
    "outline_share",
    "surface_adjoint",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.func
def level_of(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, c: wp.vec3i) -> float:
    """Level of the atlas that suits the face with corners c."""
    a = screen[frame, c[0]]
    return face_level(
        surface.atlas, a, screen[frame, c[1]], screen[frame, c[2]], surface.uv[c[0]], surface.uv[c[1]], surface.uv[c[2]]
    )


@wp.func
def outline_share(screen: wp.array2d(dtype=wp.vec3), frame: int, ends: wp.vec3i, t: float) -> float:
    """Share of an edge's second end at screen parameter t, perspective-correct."""
    first = (1.0 - t) / screen[frame, ends[0]][2]
    second = t / screen[frame, ends[1]][2]
    return second / (first + second)


@wp.func
def outline_albedo(
    surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, ends: wp.vec3i, t: float
) -> wp.vec3:
    """The surface's own colour at an outline point: what a pixel outside blends towards."""
    uv = surface.uv[ends[0]] * (1.0 - t) + surface.uv[ends[1]] * t
    albedo = look_up(surface.atlas, uv, level_of(surface, screen, frame, ends)).value
    return wp.cw_mul(albedo, mix3(surface.tints[ends[0]], surface.tints[ends[1]], t))


@wp.func
def outline_normal(normals: wp.array2d(dtype=wp.vec3), frame: int, ends: wp.vec3i, t: float) -> wp.vec3:
    """Unit normal at an outline point."""
    return wp.normalize(mix3(normals[frame, ends[0]], normals[frame, ends[1]], t))


@wp.kernel
def compose(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    fringe: Fringe,
    face_ids: wp.array3d(dtype=wp.int32),
    barycentrics: wp.array3d(dtype=wp.vec3),
    keys: wp.array3d(dtype=wp.uint64),
    background: wp.array3d(dtype=wp.vec3),  # [1 or T, H, W]
    colours: wp.array3d(dtype=wp.vec3),
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    seen_normals: wp.array3d(dtype=wp.vec3),
):
    """Blend the surface over the background by its soft coverage; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    face = face_ids[frame, y, x]
    key = keys[frame, y, x]
    near_outline = key != wp.uint64(EMPTY_KEY)
    behind = background[frame % background.shape[0], y, x]
    cover = wp.where(face >= 0, 1.0, 0.0)
    colour = wp.vec3(0.0, 0.0, 0.0)
    normal = wp.vec3(0.0, 0.0, 0.0)
    if face >= 0:
        c = surface.faces[face]
        b = barycentrics[frame, y, x]
        uv = surface.uv[c[0]] * b[0] + surface.uv[c[1]] * b[1] + surface.uv[c[2]] * b[2]
        tint = surface.tints[c[0]] * b[0] + surface.tints[c[1]] * b[1] + surface.tints[c[2]] * b[2]
        mixed = normals[frame, c[0]] * b[0] + normals[frame, c[1]] * b[1] + normals[frame, c[2]] * b[2]
        normal = wp.normalize(mixed) * turned(surface, screen, frame, face)
        albedo = wp.cw_mul(look_up(surface.atlas, uv, level_of(surface, screen, frame, c)).value, tint)
        colour = wp.cw_mul(albedo, lighting(light, harmonics, frame, normal))
    if near_outline:
        place = nearest_outline(surface, screen, frame, x, y, key, face >= 0)
        cover = coverage(fringe, place.distance)
        if face < 0:
            ends = surface.edges[place.edge]
            t = outline_share(screen, frame, ends, place.t)
            light_there = lighting(light, harmonics, frame, outline_normal(normals, frame, ends, t))
            colour = wp.cw_mul(outline_albedo(surface, screen, frame, ends, t), light_there)
    silhouette[frame, y, x] = cover
    colours[frame, y, x] = mix3(behind, colour, cover)
    foreground[frame, y, x] = colour
    seen_normals[frame, y, x] = normal


@wp.kernel
def outline_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    fringe: Fringe,
    face_ids: wp.array3d(dtype=wp.int32),
    keys: wp.array3d(dtype=wp.uint64),
    background: wp.array3d(dtype=wp.vec3),
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    g_colours: wp.array3d(dtype=wp.vec3),
    g_silhouette: wp.array3d(dtype=float),
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `compose` through the coverage near the outline; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    key = keys[frame, y, x]
    if key == wp.uint64(EMPTY_KEY):
        return
    inside = face_ids[frame, y, x] >= 0
    behind = background[frame % background.shape[0], y, x]
    g_colour = g_colours[frame, y, x]
    g_cover = g_silhouette[frame, y, x] + wp.dot(g_colour, foreground[frame, y, x] - behind)
    place = nearest_outline(surface, screen, frame, x, y, key, inside)
    ends = surface.edges[place.edge]
    pull = place.outward * (g_cover * coverage_slope(fringe, place.distance))
    wp.atomic_add(g_screen, frame, ends[0], wp.vec3(pull[0], pull[1], 0.0) * (1.0 - place.t))
    wp.atomic_add(g_screen, frame, ends[1], wp.vec3(pull[0], pull[1], 0.0) * place.t)
    if not inside:
        t = outline_share(screen, frame, ends, place.t)
        g_light = wp.cw_mul(g_colour, outline_albedo(surface, screen, frame, ends, t)) * silhouette[frame, y, x]
        lighting_adjoint(light, harmonics, frame, outline_normal(normals, frame, ends, t), g_light, g_harmonics)


@wp.kernel
def surface_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    face_ids: wp.array3d(dtype=wp.int32),
    barycentrics: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    g_colours: wp.array3d(dtype=wp.vec3),
    g_depth: wp.array3d(dtype=float),
    g_normals: wp.array3d(dtype=wp.vec3),
    g_barycentrics: wp.array3d(dtype=wp.vec3),
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_vertex_normals: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `compose`, barycentrics and depth where a face is hit; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    face = face_ids[frame, y, x]
    if face < 0:
        return
    c = surface.faces[face]
    b = barycentrics[frame, y, x]
    g_b = g_barycentrics[frame, y, x]
    g_seen = g_colours[frame, y, x] * silhouette[frame, y, x]
    g_unit = g_normals[frame, y, x]
    n0 = normals[frame, c[0]]
    n1 = normals[frame, c[1]]
    n2 = normals[frame, c[2]]
    mixed = n0 * b[0] + n1 * b[1] + n2 * b[2]
    length = wp.max(wp.length(mixed), 1.0e-8)
    sign = turned(surface, screen, frame, face)
    normal = mixed * (sign / length)
    if g_seen[0] != 0.0 or g_seen[1] != 0.0 or g_seen[2] != 0.0:
        uv = surface.uv[c[0]] * b[0] + surface.uv[c[1]] * b[1] + surface.uv[c[2]] * b[2]
        tint = surface.tints[c[0]] * b[0] + surface.tints[c[1]] * b[1] + surface.tints[c[2]] * b[2]
        texture = look_up(surface.atlas, uv, level_of(surface, screen, frame, c))
        g_albedo = wp.cw_mul(g_seen, lighting(light, harmonics, frame, normal))
        g_light = wp.cw_mul(g_seen, wp.cw_mul(texture.value, tint))
        g_unit += lighting_adjoint(light, harmonics, frame, normal, g_light, g_harmonics)
        g_tint = wp.cw_mul(g_albedo, texture.value)
        g_texture = wp.cw_mul(g_albedo, tint)
        g_uv = wp.vec2(wp.dot(g_texture, texture.du), wp.dot(g_texture, texture.dv))
        g_b += wp.vec3(
            wp.dot(g_tint, surface.tints[c[0]]) + wp.dot(g_uv, surface.uv[c[0]]),
            wp.dot(g_tint, surface.tints[c[1]]) + wp.dot(g_uv, surface.uv[c[1]]),
            wp.dot(g_tint, surface.tints[c[2]]) + wp.dot(g_uv, surface.uv[c[2]]),
        )
    if g_unit[0] != 0.0 or g_unit[1] != 0.0 or g_unit[2] != 0.0:
        g_mixed = (g_unit - normal * wp.dot(normal, g_unit)) * (sign / length)
        g_b += wp.vec3(wp.dot(g_mixed, n0), wp.dot(g_mixed, n1), wp.dot(g_mixed, n2))
        wp.atomic_add(g_vertex_normals, frame, c[0], g_mixed * b[0])
        wp.atomic_add(g_vertex_normals, frame, c[1], g_mixed * b[1])
        wp.atomic_add(g_vertex_normals, frame, c[2], g_mixed * b[2])
    g_d = g_depth[frame, y, x]
    if g_d == 0.0 and g_b[0] == 0.0 and g_b[1] == 0.0 and g_b[2] == 0.0:
        return
    barycentric_adjoint(screen, frame, c, float(x) + 0.5, float(y) + 0.5, b, g_b, g_d, g_screen)


@wp.func
def barycentric_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    frame: int,
    c: wp.vec3i,
    x: float,
    y: float,
    b: wp.vec3,
    g_b: wp.vec3,
    g_depth: float,
    g_screen: wp.array2d(dtype=wp.vec3),
):
    """Adjoint of b_i = q_i / Q and depth = W / Q with q_i = w_i / z_i, Q and W their sums, w_i twice the part areas."""
    p0 = screen[frame, c[0]]
    p1 = screen[frame, c[1]]
    p2 = screen[frame, c[2]]
    w = edge_weights(p0, p1, p2, x, y)
    q = w[0] / p0[2] + w[1] / p1[2] + w[2] / p2[2]
    whole = w[0] + w[1] + w[2]
    shared = (wp.dot(g_b, b) + g_depth * whole / q) / q
    g_whole = g_depth / q
    g_q = g_b / q - wp.vec3(shared, shared, shared)
    g_w = wp.vec3(g_q[0] / p0[2] + g_whole, g_q[1] / p1[2] + g_whole, g_q[2] / p2[2] + g_whole)
    ax = p0[0] - x
    ay = p0[1] - y
    bx = p1[0] - x
    by = p1[1] - y
    cx = p2[0] - x
    cy = p2[1] - y
    g0 = wp.vec3(cy * -g_w[1] + by * g_w[2], cx * g_w[1] - bx * g_w[2], -g_q[0] * w[0] / (p0[2] * p0[2]))
    g1 = wp.vec3(cy * g_w[0] - ay * g_w[2], ax * g_w[2] - cx * g_w[0], -g_q[1] * w[1] / (p1[2] * p1[2]))
    g2 = wp.vec3(ay * g_w[1] - by * g_w[0], bx * g_w[0] - ax * g_w[1], -g_q[2] * w[2] / (p2[2] * p2[2]))
    wp.atomic_add(g_screen, frame, c[0], g0)
    wp.atomic_add(g_screen, frame, c[1], g1)
    wp.atomic_add(g_screen, frame, c[2], g2)
