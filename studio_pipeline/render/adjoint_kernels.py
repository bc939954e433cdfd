# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Adjoints of the differentiable picture in Warp: what `render.soft_kernels` draws, backwards.

An empty array of incoming adjoints stands for zeros. Launched over (T, H, lanes), as `render.soft_kernels` says.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.inner_kernels import Inner, inner_colour, inner_flow, inner_pull
from studio_pipeline.render.kernel_math import edge_weights
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lighting import UNLIT, Light, lighting, lighting_adjoint
from studio_pipeline.render.outline_kernels import Fringe, Nearest, Posed, Surface, coverage_slope, nearest_outline
from studio_pipeline.render.soft_kernels import outline_albedo, outline_normal, outline_share, surface_level
from studio_pipeline.render.textures import look_up

__all__ = ["barycentric_adjoint", "outline_adjoint", "shading_adjoint", "surface_adjoint"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.func
def marked(inner: Inner, frame: int, y: int, x: int) -> bool:
    """Whether a pixel lies at an inner edge."""
    if inner.marks.shape[0] == 0:
        return False
    return inner.marks[frame, y, x] != wp.uint8(0)


@wp.kernel
def outline_adjoint(
    face_ids: wp.array3d(dtype=wp.int32),
    surface: Surface,
    posed: Posed,
    light: Light,
    fringe: Fringe,
    keys: wp.array3d(dtype=wp.uint64),
    inner: Inner,
    background: wp.array3d(dtype=wp.vec3),
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    g_colours: wp.array3d(dtype=wp.vec3),  # empty: zero
    g_silhouette: wp.array3d(dtype=float),  # empty: zero
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
    lanes: int,
):
    """Adjoint of `compose` and `blend_inner` through the coverage near the outline, and through inner edges."""
    frame, y, lane = wp.tid()
    for x in range(lane, face_ids.shape[2], lanes):
        key = keys[frame, y, x]
        at_inner = marked(inner, frame, y, x)
        g_colour = wp.vec3(0.0, 0.0, 0.0)
        if g_colours.shape[0] > 0 and (at_inner or key != wp.uint64(EMPTY_KEY)):
            g_colour = g_colours[frame, y, x]
        if at_inner:
            g_inner = g_colour * silhouette[frame, y, x]
            inner_pull(surface, posed.screen, inner, foreground, g_inner, frame, y, x, g_screen)
        if key != wp.uint64(EMPTY_KEY):
            inside = face_ids[frame, y, x] >= 0
            place = nearest_outline(surface, posed.screen, fringe, frame, x, y, key, inside)
            g_cover = wp.float32(0.0)
            if g_silhouette.shape[0] > 0:
                g_cover = g_silhouette[frame, y, x]
            if g_colours.shape[0] > 0:
                colour = foreground[frame, y, x]
                if at_inner:
                    colour = inner_colour(surface, posed.screen, inner, foreground, frame, y, x)
                g_cover += wp.dot(g_colour, colour - background[frame % background.shape[0], y, x])
                if not inside and light.mode != UNLIT:
                    g_lit = g_colour * silhouette[frame, y, x]
                    bleeding_adjoint(surface, posed, light, frame, place.edge, place.rest, place.t, g_lit, g_harmonics)
            pull_outline(surface, place, g_cover * coverage_slope(fringe, place.distance), frame, g_screen)


@wp.func
def pull_outline(surface: Surface, place: Nearest, g: float, frame: int, g_screen: wp.array2d(dtype=wp.vec3)):
    """From the adjoint g of the distance to the outline to the ends of the nearest edge."""
    ends = surface.edges[place.edge]
    pull = wp.vec3(place.outward[0], place.outward[1], 0.0) * g
    wp.atomic_add(g_screen, frame, ends[0], pull * place.rest)
    wp.atomic_add(g_screen, frame, ends[1], pull * place.t)


@wp.func
def bleeding_adjoint(
    surface: Surface,
    posed: Posed,
    light: Light,
    frame: int,
    edge: int,
    rest: float,
    t: float,
    g: wp.vec3,
    g_harmonics: wp.array2d(dtype=wp.vec3),
):
    """Adjoint of `bleeding` with respect to the light's coefficients; the rest is held constant."""
    ends = surface.edges[edge]
    share = outline_share(posed.screen, frame, ends, rest, t)
    g_light = wp.cw_mul(g, outline_albedo(surface, posed, frame, edge, share))
    lighting_adjoint(
        light, posed.harmonics, frame, outline_normal(posed.normals, frame, ends, share), g_light, g_harmonics
    )


@wp.kernel
def surface_adjoint(
    face_ids: wp.array3d(dtype=wp.int32),
    surface: Surface,
    posed: Posed,
    light: Light,
    inner: Inner,
    barycentrics: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    g_colours: wp.array3d(dtype=wp.vec3),  # these four: empty is zero
    g_depth: wp.array3d(dtype=float),
    g_normals: wp.array3d(dtype=wp.vec3),
    g_barycentrics: wp.array3d(dtype=wp.vec3),
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_vertex_normals: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
    lanes: int,
):
    """Adjoint of `compose`, barycentrics and depth where a face is hit."""
    frame, y, lane = wp.tid()
    for x in range(lane, face_ids.shape[2], lanes):
        face = face_ids[frame, y, x]
        if face >= 0:
            c = surface.faces[face]
            b = barycentrics[frame, y, x]
            g_b = wp.vec3(0.0, 0.0, 0.0)
            if g_barycentrics.shape[0] > 0:
                g_b = g_barycentrics[frame, y, x]
            g_unit = wp.vec3(0.0, 0.0, 0.0)
            if g_normals.shape[0] > 0:
                g_unit = g_normals[frame, y, x]
            g_d = wp.float32(0.0)
            if g_depth.shape[0] > 0:
                g_d = g_depth[frame, y, x]
            g_seen = wp.vec3(0.0, 0.0, 0.0)
            if g_colours.shape[0] > 0:
                if marked(inner, frame, y, x):
                    g_seen = inner_flow(surface, posed.screen, inner, g_colours, silhouette, frame, y, x)
                else:
                    g_seen = g_colours[frame, y, x] * silhouette[frame, y, x]
            g_b += shading_adjoint(surface, posed, light, frame, face, b, g_seen, g_unit, g_vertex_normals, g_harmonics)
            if g_d != 0.0 or g_b[0] != 0.0 or g_b[1] != 0.0 or g_b[2] != 0.0:
                barycentric_adjoint(posed.screen, frame, c, float(x) + 0.5, float(y) + 0.5, b, g_b, g_d, g_screen)


@wp.func
def shading_adjoint(
    surface: Surface,
    posed: Posed,
    light: Light,
    frame: int,
    face: int,
    b: wp.vec3,
    g_seen: wp.vec3,
    g_normal: wp.vec3,
    g_vertex_normals: wp.array2d(dtype=wp.vec3),
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> wp.vec3:
    """From the adjoints of lit colour and normal at a point of a face to vertex normals and light.

    Returns the adjoint of its barycentrics b.
    """
    c = surface.faces[face]
    n0 = posed.normals[frame, c[0]]
    n1 = posed.normals[frame, c[1]]
    n2 = posed.normals[frame, c[2]]
    mixed = n0 * b[0] + n1 * b[1] + n2 * b[2]
    length = wp.max(wp.length(mixed), 1.0e-8)
    sign = wp.where(posed.facts[frame, face][1] > 0.0, -1.0, 1.0)
    normal = mixed * (sign / length)
    g_unit = g_normal
    g_b = wp.vec3(0.0, 0.0, 0.0)
    if g_seen[0] != 0.0 or g_seen[1] != 0.0 or g_seen[2] != 0.0:
        uv = surface.uv[c[0]] * b[0] + surface.uv[c[1]] * b[1] + surface.uv[c[2]] * b[2]
        tint = surface.tints[c[0]] * b[0] + surface.tints[c[1]] * b[1] + surface.tints[c[2]] * b[2]
        texture = look_up(surface.atlas, uv, surface_level(surface, posed, frame, face, b))
        g_albedo = wp.cw_mul(g_seen, lighting(light, posed.harmonics, frame, normal))
        g_light = wp.cw_mul(g_seen, wp.cw_mul(texture.value, tint))
        g_unit += lighting_adjoint(light, posed.harmonics, frame, normal, g_light, g_harmonics)
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
    return g_b


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
    inverse = wp.vec3(1.0 / p0[2], 1.0 / p1[2], 1.0 / p2[2])
    scale = 1.0 / wp.dot(w, inverse)
    g_whole = g_depth * scale
    shared = wp.dot(g_b, b) * scale + g_whole * (p0[2] * b[0] + p1[2] * b[1] + p2[2] * b[2])
    # The adjoint of q_i, over z_i: what reaches w_i through it.
    g_q = wp.cw_mul(g_b * scale - wp.vec3(shared, shared, shared), inverse)
    g_w = g_q + wp.vec3(g_whole, g_whole, g_whole)
    g_z = -wp.cw_mul(wp.cw_mul(g_q, w), inverse)
    ax = p0[0] - x
    ay = p0[1] - y
    bx = p1[0] - x
    by = p1[1] - y
    cx = p2[0] - x
    cy = p2[1] - y
    g0 = wp.vec3(cy * -g_w[1] + by * g_w[2], cx * g_w[1] - bx * g_w[2], g_z[0])
    g1 = wp.vec3(cy * g_w[0] - ay * g_w[2], ax * g_w[2] - cx * g_w[0], g_z[1])
    g2 = wp.vec3(ay * g_w[1] - by * g_w[0], bx * g_w[0] - ax * g_w[1], g_z[2])
    wp.atomic_add(g_screen, frame, c[0], g0)
    wp.atomic_add(g_screen, frame, c[1], g1)
    wp.atomic_add(g_screen, frame, c[2], g2)
