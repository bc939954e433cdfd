# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Shading, lines and resolving to 8-bit in Warp; see `render.look` for what the numbers mean."""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import mix3
from studio_pipeline.render.textures import Pyramid, look_up, pixel_level

__all__ = [
    "FLAT",
    "LAMBERT",
    "RENDERED",
    "TOON",
    "draw_lines",
    "edge_weight",
    "encode",
    "find_lines",
    "resolve_picture",
    "shade",
    "smooth",
    "toon",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

FLAT = 0
LAMBERT = 1
TOON = 2
RENDERED = 3


@wp.struct
class Lights:
    """How a frame is lit; directions in the world, towards the light."""

    mode: int
    eye: wp.vec3
    key: wp.vec3
    rim: wp.vec3
    ambient: float
    steps: wp.vec2  # thresholds of the cosine between deep shadow, half tone and full light
    levels: wp.vec2  # how light deep shadow and half tone are, 0 shadow tint .. 1 full
    softness: float
    shadow: wp.vec3  # factor of the deepest shadow
    rim_strength: float
    rim_edge: wp.vec2
    tint: wp.vec3
    highlight: float


@wp.func
def smooth(low: float, high: float, value: float) -> float:
    """Hermite step from 0 below ``low`` to 1 above ``high``."""
    t = wp.clamp((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def toon(albedo: wp.vec3, normal: wp.vec3, view: wp.vec3, lights: Lights) -> wp.vec3:
    """Cel shading: three tones with soft steps, tinted shadows, a rim and a small highlight."""
    lit = wp.dot(normal, lights.key)
    half = smooth(lights.steps[0] - lights.softness, lights.steps[0] + lights.softness, lit)
    full = smooth(lights.steps[1] - lights.softness, lights.steps[1] + lights.softness, lit)
    level = wp.lerp(wp.lerp(lights.levels[0], lights.levels[1], half), 1.0, full)
    # A slow gradient under the steps keeps large plain areas from looking cut out of paper.
    slow = 0.9 + 0.1 * (0.5 + 0.5 * normal[1])
    colour = wp.cw_mul(albedo, mix3(lights.shadow, wp.vec3(1.0, 1.0, 1.0), level)) * slow
    graze = 1.0 - wp.max(wp.dot(normal, view), 0.0)
    rim = (
        smooth(lights.rim_edge[0], lights.rim_edge[1], graze)
        * smooth(0.05, 0.3, wp.dot(normal, lights.rim))
        * lights.rim_strength
    )
    colour += mix3(albedo, wp.vec3(1.0, 1.0, 1.0), 0.35) * rim
    gloss = wp.dot(normal, wp.normalize(lights.key + view))
    colour += wp.vec3(1.0, 1.0, 1.0) * (smooth(0.972, 0.982, gloss) * full * lights.highlight)
    return colour


@wp.func
def rendered(albedo: wp.vec3, normal: wp.vec3, view: wp.vec3, lights: Lights) -> wp.vec3:
    """Smooth volume: wrapped light, sky and floor, a gloss and a bright grazing edge."""
    lit = wp.clamp((wp.dot(normal, lights.key) + 0.3) / 1.3, 0.0, 1.0)
    sky = mix3(wp.vec3(0.2, 0.17, 0.16), wp.vec3(0.42, 0.46, 0.55), 0.5 + 0.5 * normal[1])
    colour = wp.cw_mul(albedo, sky + wp.vec3(0.78, 0.74, 0.68) * (lit * lit))
    gloss = wp.pow(wp.max(wp.dot(normal, wp.normalize(lights.key + view)), 0.0), 42.0)
    graze = 1.0 - wp.max(wp.dot(normal, view), 0.0)
    edge = graze * graze * graze * (0.4 + 0.6 * wp.max(wp.dot(normal, lights.rim), 0.0))
    return colour + wp.vec3(1.0, 1.0, 1.0) * (0.42 * gloss) + wp.vec3(0.7, 0.85, 1.0) * (0.3 * edge)


@wp.kernel
def shade(
    lights: Lights,
    screen: wp.array(dtype=wp.vec3),  # [V]
    vertices: wp.array(dtype=wp.vec3),  # [V] world
    normals: wp.array(dtype=wp.vec3),  # [V]
    faces: wp.array(dtype=wp.vec3i),
    uv: wp.array(dtype=wp.vec2),
    tints: wp.array(dtype=wp.vec3),
    atlas: Pyramid,
    face_ids: wp.array2d(dtype=wp.int32),  # [H, W]
    barycentrics: wp.array2d(dtype=wp.vec3),
    colours: wp.array2d(dtype=wp.vec3),  # out, linear
    albedos: wp.array2d(dtype=wp.vec3),  # out, linear
    seen_normals: wp.array2d(dtype=wp.vec3),  # out, turned towards the viewer
):
    """Light every covered pixel."""
    y, x = wp.tid()
    face = face_ids[y, x]
    if face < 0:
        colours[y, x] = wp.vec3(0.0, 0.0, 0.0)
        return
    c = faces[face]
    b = barycentrics[y, x]
    depth = screen[c[0]][2] * b[0] + screen[c[1]][2] * b[1] + screen[c[2]][2] * b[2]
    level = pixel_level(atlas, screen[c[0]], screen[c[1]], screen[c[2]], uv[c[0]], uv[c[1]], uv[c[2]], depth)
    albedo = look_up(atlas, uv[c[0]] * b[0] + uv[c[1]] * b[1] + uv[c[2]] * b[2], level).value
    albedo = wp.cw_mul(albedo, tints[c[0]] * b[0] + tints[c[1]] * b[1] + tints[c[2]] * b[2])
    point = vertices[c[0]] * b[0] + vertices[c[1]] * b[1] + vertices[c[2]] * b[2]
    view = wp.normalize(lights.eye - point)
    normal = wp.normalize(normals[c[0]] * b[0] + normals[c[1]] * b[1] + normals[c[2]] * b[2])
    plane = wp.cross(vertices[c[1]] - vertices[c[0]], vertices[c[2]] - vertices[c[0]])
    if wp.dot(plane, view) < 0.0:
        normal = -normal
    colour = albedo
    if lights.mode == LAMBERT:
        light = lights.ambient * (0.8 + 0.2 * normal[1]) + (1.0 - lights.ambient) * wp.max(
            wp.dot(normal, lights.key), 0.0
        )
        colour = albedo * light
    elif lights.mode == TOON:
        colour = toon(albedo, normal, view, lights)
    elif lights.mode == RENDERED:
        colour = rendered(albedo, normal, view, lights)
    colours[y, x] = wp.cw_mul(colour, lights.tint)
    albedos[y, x] = albedo
    seen_normals[y, x] = normal


@wp.func
def edge_weight(
    face_ids: wp.array2d(dtype=wp.int32),
    depth: wp.array2d(dtype=float),
    normals: wp.array2d(dtype=wp.vec3),
    x: int,
    y: int,
    dx: int,
    dy: int,
    jump: float,
    crease: float,
) -> float:
    """How much of a line the step from pixel (x, y) to its neighbour deserves, drawn on the nearer side."""
    nx = x + dx
    ny = y + dy
    if nx < 0 or ny < 0 or nx >= face_ids.shape[1] or ny >= face_ids.shape[0]:
        return 0.0
    if face_ids[ny, nx] < 0:
        return 1.0
    if face_ids[ny, nx] == face_ids[y, x]:
        return 0.0
    # The slope seen on the other side tells a jump from a surface that runs away at a grazing angle.
    slope = wp.float32(0.0)
    ox = x - dx
    oy = y - dy
    if ox >= 0 and oy >= 0 and ox < face_ids.shape[1] and oy < face_ids.shape[0] and face_ids[oy, ox] >= 0:
        slope = wp.min(wp.abs(depth[y, x] - depth[oy, ox]), jump)
    step = depth[ny, nx] - depth[y, x]
    if step > jump + 2.0 * slope:
        return 0.85
    if wp.abs(step) < jump and wp.dot(normals[y, x], normals[ny, nx]) < crease:
        return 0.55
    return 0.0


@wp.kernel
def find_lines(
    face_ids: wp.array2d(dtype=wp.int32),
    depth: wp.array2d(dtype=float),
    normals: wp.array2d(dtype=wp.vec3),
    jump: float,
    crease: float,
    key: wp.vec3,  # towards the key light
    varied: float,
    lines: wp.array2d(dtype=float),
):
    """Mark pixels beside the background, a jump in depth or a crease."""
    y, x = wp.tid()
    weight = wp.float32(0.0)
    if face_ids[y, x] >= 0:
        weight = edge_weight(face_ids, depth, normals, x, y, 1, 0, jump, crease)
        weight = wp.max(weight, edge_weight(face_ids, depth, normals, x, y, -1, 0, jump, crease))
        weight = wp.max(weight, edge_weight(face_ids, depth, normals, x, y, 0, 1, jump, crease))
        weight = wp.max(weight, edge_weight(face_ids, depth, normals, x, y, 0, -1, jump, crease))
    if weight > 0.0 and varied > 0.0:
        swell = wp.clamp(0.85 - 0.85 * wp.dot(normals[y, x], key), 0.12, 1.7)
        weight *= 1.0 - varied + varied * swell
    lines[y, x] = weight


@wp.kernel
def draw_lines(
    face_ids: wp.array2d(dtype=wp.int32),
    depth: wp.array2d(dtype=float),
    lines: wp.array2d(dtype=float),
    albedos: wp.array2d(dtype=wp.vec3),
    radius: float,
    jump: float,
    ink: wp.vec3,
    tint: float,
    shade: float,
    opacity: float,
    colours: wp.array2d(dtype=wp.vec3),
):
    """Ink over what lies within ``radius`` [px] of a marked pixel on the same side of the jump."""
    y, x = wp.tid()
    if face_ids[y, x] < 0:
        return
    reach = int(wp.ceil(radius))
    cover = wp.float32(0.0)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            px = x + dx
            py = y + dy
            if px >= 0 and py >= 0 and px < face_ids.shape[1] and py < face_ids.shape[0]:
                weight = lines[py, px]
                if weight > 0.0 and depth[y, x] < depth[py, px] + jump:
                    distance = wp.sqrt(float(dx * dx + dy * dy))
                    cover = wp.max(cover, wp.clamp(radius * weight - distance, 0.0, 1.0))
    if cover > 0.0:
        colours[y, x] = mix3(colours[y, x], mix3(ink, albedos[y, x] * shade, tint), cover * opacity)


@wp.func
def encode(value: float) -> float:
    """Linear light to sRGB."""
    v = wp.clamp(value, 0.0, 1.0)
    if v <= 0.0031308:
        return v * 12.92
    return 1.055 * wp.pow(v, 1.0 / 2.4) - 0.055


@wp.kernel
def resolve_picture(
    face_ids: wp.array2d(dtype=wp.int32),  # [H * S, W * S]
    colours: wp.array2d(dtype=wp.vec3),
    background: wp.array2d(dtype=wp.vec3),  # [H, W] linear
    samples: int,
    rgb: wp.array3d(dtype=wp.uint8),  # [H, W, 3]
    alpha: wp.array2d(dtype=wp.uint8),
):
    """Average samples in linear light, composite on the background, encode."""
    y, x = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    count = wp.int32(0)
    for sy in range(samples):
        for sx in range(samples):
            py = y * samples + sy
            px = x * samples + sx
            if face_ids[py, px] >= 0:
                c = colours[py, px]
                total += wp.vec3(wp.min(c[0], 1.0), wp.min(c[1], 1.0), wp.min(c[2], 1.0))
                count += 1
    share = 1.0 / float(samples * samples)
    cover = float(count) * share
    colour = total * share + background[y, x] * (1.0 - cover)
    for channel in range(3):
        rgb[y, x, channel] = wp.uint8(encode(colour[channel]) * 255.0 + 0.5)
    alpha[y, x] = wp.uint8(cover * 255.0 + 0.5)
