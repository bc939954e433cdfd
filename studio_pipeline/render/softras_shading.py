# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""What a face near a pixel shows it, in Warp: the spot of the face, its depth and its colour, and their adjoints."""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.lanes import LANES, Lanes, affine, positive, product
from studio_pipeline.render.lighting import LAMBERT, UNLIT, Light, lighting, lighting_adjoint
from studio_pipeline.render.outline_kernels import Surface
from studio_pipeline.render.softras_kernels import Feet, Soft, Triangle
from studio_pipeline.render.textures import face_level, look_up

__all__ = [
    "NORMAL_SUMS",
    "Rgb",
    "Scene",
    "Shade",
    "Skin",
    "Softmax",
    "Spots",
    "inner",
    "scaled",
    "shade",
    "shade_adjoint",
    "skin",
    "spots",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

NORMAL_SUMS = 9  # x, y, z of three corners


@wp.struct
class Softmax:
    """How depths turn into weights: exp(-steepness z), the background at inverse depth 0."""

    steepness: float  # 1 / (gamma (zfar - znear)) [1 / m]
    gamma: float
    z_near: float
    z_far: float
    deepest: float  # faces further than this behind a pixel's nearest one are left out [m]


@wp.struct
class Scene:
    """What is rendered, and how."""

    screen: wp.array2d(dtype=wp.vec3)  # [T, V]
    normals: wp.array2d(dtype=wp.vec3)  # [T, V]
    harmonics: wp.array2d(dtype=wp.vec3)  # [T, 9]
    surface: Surface
    light: Light
    soft: Soft
    softmax: Softmax


@wp.struct
class Spots:
    """What some pixels of a row see of a face."""

    b0: Lanes  # perspective-correct barycentrics, clipped to the face
    b1: Lanes
    b2: Lanes
    depth: Lanes  # [m]
    inverse: Lanes  # depth / twice the area of the clipped parts


@wp.struct
class Skin:
    """What a face's corners bring to its colour."""

    uv0: wp.vec2
    uv1: wp.vec2
    uv2: wp.vec2
    tint0: wp.vec3
    tint1: wp.vec3
    tint2: wp.vec3
    n0: wp.vec3
    n1: wp.vec3
    n2: wp.vec3
    turn: float  # -1 where the face is seen from behind
    level: float
    flat: bool  # all corners point at one spot of the atlas ...
    texture: wp.vec3  # ... of this colour


@wp.struct
class Rgb:
    """Three numbers a pixel."""

    r: Lanes
    g: Lanes
    b: Lanes


@wp.struct
class Shade:
    """A face's colour at some spots of it."""

    colour: Rgb
    texture: Rgb
    du: Rgb  # slopes of the texture
    dv: Rgb
    tint: Rgb
    light: Rgb
    normal: Rgb  # x, y, z
    scale: Lanes  # sign over the length of the mixed normals


@wp.func
def spots(face: Triangle, place: Feet) -> Spots:
    """Perspective-correct barycentrics, negative ones set to 0 and the rest rescaled; and the depth there.

    b_i = q_i / Q and depth = W / Q with w_i twice the areas of the parts, none below 0, q_i = w_i / z_i, and W and Q
    the sums of w_i and q_i.
    """
    result = Spots()
    h0 = positive(place.across0)
    h1 = positive(place.across1)
    h2 = positive(place.across2)
    length = face.half * 2.0
    q0 = h0 * (length[0] / face.z[0])
    q1 = h1 * (length[1] / face.z[1])
    q2 = h2 * (length[2] / face.z[2])
    whole = q0 + q1 + q2
    for i in range(LANES):
        result.inverse[i] = 1.0 / whole[i]
    result.b0 = product(q0, result.inverse)
    result.b1 = product(q1, result.inverse)
    result.b2 = product(q2, result.inverse)
    result.depth = product(h0 * length[0] + h1 * length[1] + h2 * length[2], result.inverse)
    return result


@wp.func
def skin(scene: Scene, frame: int, face: int) -> Skin:
    """Read a face's corners once."""
    result = Skin()
    c = scene.surface.faces[face]
    result.uv0 = scene.surface.uv[c[0]]
    result.uv1 = scene.surface.uv[c[1]]
    result.uv2 = scene.surface.uv[c[2]]
    result.tint0 = scene.surface.tints[c[0]]
    result.tint1 = scene.surface.tints[c[1]]
    result.tint2 = scene.surface.tints[c[2]]
    result.n0 = scene.normals[frame, c[0]]
    result.n1 = scene.normals[frame, c[1]]
    result.n2 = scene.normals[frame, c[2]]
    p = scene.screen[frame, c[0]]
    q = scene.screen[frame, c[1]]
    r = scene.screen[frame, c[2]]
    area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
    result.turn = wp.where(area > 0.0, -1.0, 1.0)
    result.level = face_level(scene.surface.atlas, p, q, r, result.uv0, result.uv1, result.uv2)
    result.flat = result.uv0 == result.uv1 and result.uv1 == result.uv2
    if result.flat:
        result.texture = look_up(scene.surface.atlas, result.uv0, 0.0).value
    return result


@wp.func
def splat(value: wp.vec3) -> Rgb:
    """The same for all pixels."""
    return Rgb(Lanes(value[0]), Lanes(value[1]), Lanes(value[2]))


@wp.func
def times(a: Rgb, b: Rgb) -> Rgb:
    """a b, number by number."""
    return Rgb(product(a.r, b.r), product(a.g, b.g), product(a.b, b.b))


@wp.func
def scaled(a: Rgb, b: Lanes) -> Rgb:
    """All three times b."""
    return Rgb(product(a.r, b), product(a.g, b), product(a.b, b))


@wp.func
def inner(a: Rgb, b: Rgb) -> Lanes:
    """Dot product."""
    return product(a.r, b.r) + product(a.g, b.g) + product(a.b, b.b)


@wp.func
def along(a: Rgb, b: wp.vec3) -> Lanes:
    """Dot product with a vector that is the same for all pixels."""
    return a.r * b[0] + a.g * b[1] + a.b * b[2]


@wp.func
def between(seen: Spots, v0: wp.vec3, v1: wp.vec3, v2: wp.vec3) -> Rgb:
    """The corners' values at the spots."""
    return Rgb(
        seen.b0 * v0[0] + seen.b1 * v1[0] + seen.b2 * v2[0],
        seen.b0 * v0[1] + seen.b1 * v1[1] + seen.b2 * v2[1],
        seen.b0 * v0[2] + seen.b1 * v1[2] + seen.b2 * v2[2],
    )


@wp.func
def read_texture(scene: Scene, own: Skin, seen: Spots, weight: Lanes, slopes: bool) -> Shade:
    """Look the texture up where a face weighs anything; its slopes only if they are needed."""
    result = Shade()
    if own.flat:
        result.texture = splat(own.texture)
        return result
    count = int(LANES)  # a variable, so that the loop stays a loop
    for i in range(count):
        if weight[i] > 0.0:
            uv = own.uv0 * seen.b0[i] + own.uv1 * seen.b1[i] + own.uv2 * seen.b2[i]
            place = look_up(scene.surface.atlas, uv, own.level)
            result.texture.r[i] = place.value[0]
            result.texture.g[i] = place.value[1]
            result.texture.b[i] = place.value[2]
            if slopes:
                result.du.r[i] = place.du[0]
                result.du.g[i] = place.du[1]
                result.du.b[i] = place.du[2]
                result.dv.r[i] = place.dv[0]
                result.dv.g[i] = place.dv[1]
                result.dv.b[i] = place.dv[2]
    return result


@wp.func
def light_at(scene: Scene, frame: int, normal: Rgb) -> Rgb:
    """`lighting` at unit normals."""
    result = Rgb()
    if scene.light.mode == LAMBERT:
        grey = affine(positive(along(normal, scene.light.direction)), 1.0 - scene.light.ambient, scene.light.ambient)
        return Rgb(grey, grey, grey)
    for i in range(LANES):
        value = lighting(scene.light, scene.harmonics, frame, wp.vec3(normal.r[i], normal.g[i], normal.b[i]))
        result.r[i] = value[0]
        result.g[i] = value[1]
        result.b[i] = value[2]
    return result


@wp.func
def shade(scene: Scene, frame: int, own: Skin, seen: Spots, weight: Lanes, slopes: bool) -> Shade:
    """Texture times vertex colour times light, where a face weighs anything."""
    result = read_texture(scene, own, seen, weight, slopes)
    result.tint = between(seen, own.tint0, own.tint1, own.tint2)
    result.colour = times(result.texture, result.tint)
    if scene.light.mode != UNLIT:
        mixed = between(seen, own.n0, own.n1, own.n2)
        square = inner(mixed, mixed)
        for i in range(LANES):
            result.scale[i] = own.turn / wp.sqrt(wp.where(square[i] > 1.0e-16, square[i], 1.0e-16))
        result.normal = scaled(mixed, result.scale)
        result.light = light_at(scene, frame, result.normal)
        result.colour = times(result.colour, result.light)
    return result


@wp.func
def light_adjoint(scene: Scene, frame: int, normal: Rgb, g: Rgb, g_harmonics: wp.array2d(dtype=wp.vec3)) -> Rgb:
    """Adjoint of `light_at`: adds to the coefficients' and returns the normals'."""
    result = Rgb()
    if scene.light.mode == LAMBERT:
        facing = along(normal, scene.light.direction)
        for i in range(LANES):
            facing[i] = wp.where(facing[i] > 0.0, (g.r[i] + g.g[i] + g.b[i]) * (1.0 - scene.light.ambient), 0.0)
        return scaled(splat(scene.light.direction), facing)
    count = int(LANES)
    for i in range(count):
        if g.r[i] != 0.0 or g.g[i] != 0.0 or g.b[i] != 0.0:
            n = wp.vec3(normal.r[i], normal.g[i], normal.b[i])
            g_n = lighting_adjoint(scene.light, scene.harmonics, frame, n, wp.vec3(g.r[i], g.g[i], g.b[i]), g_harmonics)
            result.r[i] = g_n[0]
            result.g[i] = g_n[1]
            result.b[i] = g_n[2]
    return result


@wp.func
def add_to(sums: wp.array(dtype=Lanes), at: int, g: Rgb, b: Lanes):
    """Add g b to three sums."""
    sums[at] = sums[at] + product(g.r, b)
    sums[at + 1] = sums[at + 1] + product(g.g, b)
    sums[at + 2] = sums[at + 2] + product(g.b, b)


@wp.func
def shade_adjoint(
    made: Shade,
    scene: Scene,
    frame: int,
    own: Skin,
    seen: Spots,
    g_colour: Rgb,
    sums: wp.array(dtype=Lanes),  # adjoints of the corners' normals
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> Rgb:
    """Adjoint of `shade`: adds to the normals' and the harmonics' and returns the barycentrics'."""
    g_albedo = g_colour
    result = Rgb()
    if scene.light.mode != UNLIT:
        g_light = times(g_colour, times(made.texture, made.tint))
        g_normal = light_adjoint(scene, frame, made.normal, g_light, g_harmonics)
        outward = inner(made.normal, g_normal)
        level = scaled(made.normal, outward)
        g_mixed = scaled(Rgb(g_normal.r - level.r, g_normal.g - level.g, g_normal.b - level.b), made.scale)
        result = Rgb(along(g_mixed, own.n0), along(g_mixed, own.n1), along(g_mixed, own.n2))
        add_to(sums, 0, g_mixed, seen.b0)
        add_to(sums, 3, g_mixed, seen.b1)
        add_to(sums, 6, g_mixed, seen.b2)
        g_albedo = times(g_colour, made.light)
    g_tint = times(g_albedo, made.texture)
    result.r = result.r + along(g_tint, own.tint0)
    result.g = result.g + along(g_tint, own.tint1)
    result.b = result.b + along(g_tint, own.tint2)
    if not own.flat:
        g_texture = times(g_albedo, made.tint)
        g_u = inner(g_texture, made.du)
        g_v = inner(g_texture, made.dv)
        result.r = result.r + g_u * own.uv0[0] + g_v * own.uv0[1]
        result.g = result.g + g_u * own.uv1[0] + g_v * own.uv1[1]
        result.b = result.b + g_u * own.uv2[0] + g_v * own.uv2[1]
    return result
