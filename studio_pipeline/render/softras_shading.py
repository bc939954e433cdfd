# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""What a face near a pixel shows it, in Warp: the spot of the face, its depth and its colour, and their adjoints."""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.lanes import LANES, Lanes, positive, product
from studio_pipeline.render.lighting import UNLIT, Light, lighting, lighting_adjoint
from studio_pipeline.render.outline_kernels import Surface
from studio_pipeline.render.softras_kernels import Feet, Triangle
from studio_pipeline.render.textures import Lookup, face_level, look_up

__all__ = ["Shade", "ShadeAdjoint", "Skin", "Spots", "shade", "shade_adjoint", "skin", "spots"]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})


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
class Shade:
    """A face's colour at one spot."""

    colour: wp.vec3
    texture: Lookup
    tint: wp.vec3
    light: wp.vec3
    normal: wp.vec3
    length: float  # of the mixed normals


@wp.struct
class ShadeAdjoint:
    """Adjoints of the barycentrics and of the mixed vertex normals."""

    b: wp.vec3
    mixed: wp.vec3


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
def skin(
    surface: Surface, screen: wp.array2d(dtype=wp.vec3), normals: wp.array2d(dtype=wp.vec3), frame: int, face: int
) -> Skin:
    """Read a face's corners once."""
    result = Skin()
    c = surface.faces[face]
    result.uv0 = surface.uv[c[0]]
    result.uv1 = surface.uv[c[1]]
    result.uv2 = surface.uv[c[2]]
    result.tint0 = surface.tints[c[0]]
    result.tint1 = surface.tints[c[1]]
    result.tint2 = surface.tints[c[2]]
    result.n0 = normals[frame, c[0]]
    result.n1 = normals[frame, c[1]]
    result.n2 = normals[frame, c[2]]
    p = screen[frame, c[0]]
    q = screen[frame, c[1]]
    r = screen[frame, c[2]]
    area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
    result.turn = wp.where(area > 0.0, -1.0, 1.0)
    result.level = face_level(surface.atlas, p, q, r, result.uv0, result.uv1, result.uv2)
    result.flat = result.uv0 == result.uv1 and result.uv1 == result.uv2
    if result.flat:
        result.texture = look_up(surface.atlas, result.uv0, 0.0).value
    return result


@wp.func
def shade(
    surface: Surface, light: Light, harmonics: wp.array2d(dtype=wp.vec3), frame: int, own: Skin, b: wp.vec3
) -> Shade:
    """Texture times vertex colour times light."""
    result = Shade()
    if own.flat:
        result.texture.value = own.texture
    else:
        result.texture = look_up(surface.atlas, own.uv0 * b[0] + own.uv1 * b[1] + own.uv2 * b[2], own.level)
    result.tint = own.tint0 * b[0] + own.tint1 * b[1] + own.tint2 * b[2]
    result.colour = wp.cw_mul(result.texture.value, result.tint)
    if light.mode != UNLIT:
        mixed = own.n0 * b[0] + own.n1 * b[1] + own.n2 * b[2]
        result.length = wp.max(wp.length(mixed), 1.0e-8)
        result.normal = mixed * (own.turn / result.length)
        result.light = lighting(light, harmonics, frame, result.normal)
        result.colour = wp.cw_mul(result.colour, result.light)
    return result


@wp.func
def shade_adjoint(
    made: Shade,
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    frame: int,
    own: Skin,
    g_colour: wp.vec3,
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> ShadeAdjoint:
    """Adjoint of `shade`; the harmonics' is added up on the spot."""
    result = ShadeAdjoint()
    g_albedo = g_colour
    if light.mode != UNLIT:
        g_light = wp.cw_mul(g_colour, wp.cw_mul(made.texture.value, made.tint))
        g_normal = lighting_adjoint(light, harmonics, frame, made.normal, g_light, g_harmonics)
        result.mixed = (g_normal - made.normal * wp.dot(made.normal, g_normal)) * (own.turn / made.length)
        result.b = wp.vec3(wp.dot(result.mixed, own.n0), wp.dot(result.mixed, own.n1), wp.dot(result.mixed, own.n2))
        g_albedo = wp.cw_mul(g_colour, made.light)
    g_tint = wp.cw_mul(g_albedo, made.texture.value)
    result.b += wp.vec3(wp.dot(g_tint, own.tint0), wp.dot(g_tint, own.tint1), wp.dot(g_tint, own.tint2))
    if not own.flat:
        g_texture = wp.cw_mul(g_albedo, made.tint)
        g_uv = wp.vec2(wp.dot(g_texture, made.texture.du), wp.dot(g_texture, made.texture.dv))
        result.b += wp.vec3(wp.dot(g_uv, own.uv0), wp.dot(g_uv, own.uv1), wp.dot(g_uv, own.uv2))
    return result
