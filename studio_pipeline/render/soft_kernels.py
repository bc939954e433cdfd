# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""The differentiable picture in Warp: distance to the outline, compositing, and their adjoints.

See `render.differentiable` for the model. Screen vertices are (x [px], y [px], depth [m]); frames come first.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import cross2, edge_weights, mix3, pixel_bound
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.textures import Pyramid, face_level, look_up

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

UNLIT = 0
LAMBERT = 1
HARMONICS = 2


@wp.struct
class Surface:
    """What a mesh looks like, the same in all frames."""

    faces: wp.array(dtype=wp.vec3i)
    uv: wp.array(dtype=wp.vec2)
    tints: wp.array(dtype=wp.vec3)
    atlas: Pyramid
    edges: wp.array(dtype=wp.vec3i)  # two ends, and the corner of the first face that lies across
    edge_faces: wp.array(dtype=wp.vec2i)  # -1 where there is none


@wp.struct
class Light:
    """How the surface is lit: not at all, by one direction, or by spherical harmonics given per frame."""

    mode: int
    ambient: float
    direction: wp.vec3


@wp.struct
class Fringe:
    """The soft band around the outline [px]: logistic with scale sigma, cut and rescaled to reach 0 and 1."""

    sigma: float
    reach: float
    span: float  # tanh(reach / (2 sigma))


@wp.struct
class Nearest:
    """The outline point nearest to a pixel centre."""

    edge: int
    t: float  # position between the edge's ends on the screen
    distance: float  # signed, positive inside [px]
    outward: wp.vec2  # unit


@wp.func
def facing(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int, near: float) -> float:
    """Sign of a face's area on the screen; 0 when it is missing, edge-on or discarded."""
    if face < 0:
        return 0.0
    c = surface.faces[face]
    a = screen[frame, c[0]]
    b = screen[frame, c[1]]
    d = screen[frame, c[2]]
    if not (a[2] > near and b[2] > near and d[2] > near):
        return 0.0
    area = cross2(b[0] - a[0], b[1] - a[1], d[0] - a[0], d[1] - a[1])
    if area > 0.0:
        return 1.0
    if area < 0.0:
        return -1.0
    return 0.0


@wp.func
def nearest_on_edge(a: wp.vec2, b: wp.vec2, p: wp.vec2) -> float:
    """Parameter of the point of segment ab that is nearest to p."""
    along = b - a
    length = wp.dot(along, along)
    if length < 1.0e-12:
        return 0.0
    return wp.clamp(wp.dot(p - a, along) / length, 0.0, 1.0)


@wp.func
def plane2(point: wp.vec3) -> wp.vec2:
    """The screen position without its depth."""
    return wp.vec2(point[0], point[1])


@wp.kernel
def outline_distance(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    face_ids: wp.array3d(dtype=wp.int32),
    near: float,
    reach: float,
    keys: wp.array3d(dtype=wp.uint64),
):
    """For pixels within ``reach`` of the outline keep (squared distance, edge); launched over (T, E)."""
    frame, edge = wp.tid()
    ends = surface.edges[edge]
    sides = surface.edge_faces[edge]
    first = facing(surface, screen, frame, sides[0], near)
    second = facing(surface, screen, frame, sides[1], near)
    if first * second > 0.0 or (first == 0.0 and second == 0.0):
        return
    a = plane2(screen[frame, ends[0]])
    b = plane2(screen[frame, ends[1]])
    height = face_ids.shape[1]
    width = face_ids.shape[2]
    x0 = wp.max(pixel_bound(wp.ceil(wp.min(a[0], b[0]) - reach - 0.5), width), 0)
    x1 = wp.min(pixel_bound(wp.floor(wp.max(a[0], b[0]) + reach - 0.5), width), width - 1)
    y0 = wp.max(pixel_bound(wp.ceil(wp.min(a[1], b[1]) - reach - 0.5), height), 0)
    y1 = wp.min(pixel_bound(wp.floor(wp.max(a[1], b[1]) + reach - 0.5), height), height - 1)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            p = wp.vec2(float(x) + 0.5, float(y) + 0.5)
            q = mix2(a, b, nearest_on_edge(a, b, p))
            square = wp.dot(p - q, p - q)
            if square <= reach * reach:
                hidden = wp.bool(False)
                if face_ids[frame, y, x] >= 0 and square > 1.0e-8:
                    # Inside, an edge is on the outline only where one pixel further out nothing is seen.
                    out = q + (q - p) / wp.sqrt(square)
                    ox = pixel_bound(wp.floor(out[0]), width)
                    oy = pixel_bound(wp.floor(out[1]), height)
                    if ox >= 0 and oy >= 0 and ox < width and oy < height:
                        hidden = face_ids[frame, oy, ox] >= 0
                if not hidden:
                    key = (wp.uint64(wp.cast(square, wp.uint32)) << wp.uint64(32)) | wp.uint64(edge)
                    wp.atomic_min(keys, frame, y, x, key)


@wp.func
def mix2(a: wp.vec2, b: wp.vec2, t: float) -> wp.vec2:
    """Linear blend."""
    return a * (1.0 - t) + b * t


@wp.func
def nearest_outline(
    surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, x: int, y: int, key: wp.uint64, inside: bool
) -> Nearest:
    """Unpack what `outline_distance` kept for a pixel."""
    result = Nearest()
    result.edge = int(key & wp.uint64(0xFFFFFFFF))
    ends = surface.edges[result.edge]
    a = plane2(screen[frame, ends[0]])
    b = plane2(screen[frame, ends[1]])
    p = wp.vec2(float(x) + 0.5, float(y) + 0.5)
    result.t = nearest_on_edge(a, b, p)
    q = mix2(a, b, result.t)
    distance = wp.length(p - q)
    sign = wp.where(inside, 1.0, -1.0)
    result.distance = sign * distance
    if distance > 1.0e-3:
        result.outward = (q - p) * (sign / distance)
    else:
        # On the line itself: the edge's normal, turned away from the face that it bounds.
        across = plane2(screen[frame, ends[2]]) - a
        normal = wp.normalize(wp.vec2(b[1] - a[1], a[0] - b[0]))
        result.outward = wp.where(wp.dot(normal, across) > 0.0, -normal, normal)
    return result


@wp.func
def coverage(fringe: Fringe, distance: float) -> float:
    """Soft coverage of a pixel at a signed distance from the outline."""
    return 0.5 + 0.5 * wp.tanh(distance / (2.0 * fringe.sigma)) / fringe.span


@wp.func
def coverage_slope(fringe: Fringe, distance: float) -> float:
    """Derivative of `coverage`."""
    value = wp.tanh(distance / (2.0 * fringe.sigma))
    return (1.0 - value * value) / (4.0 * fringe.sigma * fringe.span)


@wp.func
def level_of(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, c: wp.vec3i) -> float:
    """Level of the atlas that suits the face with corners c."""
    a = screen[frame, c[0]]
    return face_level(
        surface.atlas, a, screen[frame, c[1]], screen[frame, c[2]], surface.uv[c[0]], surface.uv[c[1]], surface.uv[c[2]]
    )


@wp.func
def lighting(light: Light, harmonics: wp.array2d(dtype=wp.vec3), frame: int, n: wp.vec3) -> wp.vec3:
    """Light that reaches a surface of unit normal n: a factor of its colour."""
    if light.mode == LAMBERT:
        value = light.ambient + (1.0 - light.ambient) * wp.max(wp.dot(n, light.direction), 0.0)
        return wp.vec3(value, value, value)
    if light.mode == HARMONICS:
        total = harmonics[frame, 0] * 0.282095
        total += harmonics[frame, 1] * (0.488603 * n[1])
        total += harmonics[frame, 2] * (0.488603 * n[2])
        total += harmonics[frame, 3] * (0.488603 * n[0])
        total += harmonics[frame, 4] * (1.092548 * n[0] * n[1])
        total += harmonics[frame, 5] * (1.092548 * n[1] * n[2])
        total += harmonics[frame, 6] * (0.315392 * (3.0 * n[2] * n[2] - 1.0))
        total += harmonics[frame, 7] * (1.092548 * n[0] * n[2])
        total += harmonics[frame, 8] * (0.546274 * (n[0] * n[0] - n[1] * n[1]))
        return total
    return wp.vec3(1.0, 1.0, 1.0)


@wp.func
def lighting_adjoint(
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    frame: int,
    n: wp.vec3,
    g: wp.vec3,
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> wp.vec3:
    """From the adjoint g of `lighting` add to the coefficients' and return the normal's."""
    if light.mode == LAMBERT:
        if wp.dot(n, light.direction) > 0.0:
            return light.direction * ((1.0 - light.ambient) * (g[0] + g[1] + g[2]))
        return wp.vec3(0.0, 0.0, 0.0)
    if light.mode == HARMONICS:
        x = n[0]
        y = n[1]
        z = n[2]
        wp.atomic_add(g_harmonics, frame, 0, g * 0.282095)
        wp.atomic_add(g_harmonics, frame, 1, g * (0.488603 * y))
        wp.atomic_add(g_harmonics, frame, 2, g * (0.488603 * z))
        wp.atomic_add(g_harmonics, frame, 3, g * (0.488603 * x))
        wp.atomic_add(g_harmonics, frame, 4, g * (1.092548 * x * y))
        wp.atomic_add(g_harmonics, frame, 5, g * (1.092548 * y * z))
        wp.atomic_add(g_harmonics, frame, 6, g * (0.315392 * (3.0 * z * z - 1.0)))
        wp.atomic_add(g_harmonics, frame, 7, g * (1.092548 * x * z))
        wp.atomic_add(g_harmonics, frame, 8, g * (0.546274 * (x * x - y * y)))
        s1 = wp.dot(harmonics[frame, 1], g) * 0.488603
        s2 = wp.dot(harmonics[frame, 2], g) * 0.488603
        s3 = wp.dot(harmonics[frame, 3], g) * 0.488603
        s4 = wp.dot(harmonics[frame, 4], g) * 1.092548
        s5 = wp.dot(harmonics[frame, 5], g) * 1.092548
        s6 = wp.dot(harmonics[frame, 6], g) * 1.892352
        s7 = wp.dot(harmonics[frame, 7], g) * 1.092548
        s8 = wp.dot(harmonics[frame, 8], g) * 1.092548
        return wp.vec3(s3 + y * s4 + z * s7 + x * s8, s1 + x * s4 + z * s5 - y * s8, s2 + y * s5 + x * s7 + z * s6)
    return wp.vec3(0.0, 0.0, 0.0)


@wp.func
def turned(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int) -> float:
    """-1 where a face is seen from behind: its normal is turned towards the viewer."""
    return wp.where(facing(surface, screen, frame, face, 0.0) > 0.0, -1.0, 1.0)


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
def compose_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    fringe: Fringe,
    face_ids: wp.array3d(dtype=wp.int32),
    barycentrics: wp.array3d(dtype=wp.vec3),
    keys: wp.array3d(dtype=wp.uint64),
    background: wp.array3d(dtype=wp.vec3),
    foreground: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    g_colours: wp.array3d(dtype=wp.vec3),
    g_silhouette: wp.array3d(dtype=float),
    g_depth: wp.array3d(dtype=float),
    g_normals: wp.array3d(dtype=wp.vec3),
    g_barycentrics: wp.array3d(dtype=wp.vec3),
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_vertex_normals: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `compose` and of the barycentrics and depth it was given; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    face = face_ids[frame, y, x]
    key = keys[frame, y, x]
    near_outline = key != wp.uint64(EMPTY_KEY)
    g_colour = g_colours[frame, y, x]
    if near_outline:
        behind = background[frame % background.shape[0], y, x]
        g_cover = g_silhouette[frame, y, x] + wp.dot(g_colour, foreground[frame, y, x] - behind)
        if g_cover != 0.0 or wp.dot(g_colour, g_colour) > 0.0:
            place = nearest_outline(surface, screen, frame, x, y, key, face >= 0)
            ends = surface.edges[place.edge]
            pull = place.outward * (g_cover * coverage_slope(fringe, place.distance))
            wp.atomic_add(g_screen, frame, ends[0], wp.vec3(pull[0], pull[1], 0.0) * (1.0 - place.t))
            wp.atomic_add(g_screen, frame, ends[1], wp.vec3(pull[0], pull[1], 0.0) * place.t)
            if face < 0:
                t = outline_share(screen, frame, ends, place.t)
                g_light = wp.cw_mul(g_colour, outline_albedo(surface, screen, frame, ends, t)) * silhouette[frame, y, x]
                lighting_adjoint(light, harmonics, frame, outline_normal(normals, frame, ends, t), g_light, g_harmonics)
    if face < 0:
        return
    c = surface.faces[face]
    b = barycentrics[frame, y, x]
    g_b = g_barycentrics[frame, y, x]
    g_seen = g_colour * silhouette[frame, y, x]
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
