# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""How badly many poses explain one picture, in Warp: skin, project, and compare pixel by pixel without anti-aliasing.

Made for searches that try hundreds of poses a frame on small pictures; M poses come first. Screen points are
(x [px], y [px], depth [m]); colours are square roots of linear light, near enough to what the eye and sRGB weigh.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.lighting import Light, lighting
from studio_pipeline.render.outline_kernels import Surface, turned
from studio_pipeline.render.soft_kernels import level_of
from studio_pipeline.render.textures import look_up

__all__ = ["MISMATCH", "View", "paint", "pose_points", "score"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

MISMATCH = wp.constant(0.08)  # colour difference that costs half as much as a pixel that is not explained at all


@wp.struct
class View:
    """A pinhole camera (see `schema.records.CameraPath`)."""

    rotation: wp.mat33
    shift: wp.vec3
    focal: float  # [px]
    centre: wp.vec2  # [px]


@wp.kernel
def pose_points(
    rest: wp.array(dtype=wp.vec3),  # [V]
    joints: wp.array2d(dtype=wp.int32),  # [V, K]
    shares: wp.array2d(dtype=float),  # [V, K], rows sum to one
    transforms: wp.array2d(dtype=wp.mat44),  # [M, J]
    view: View,
    world: wp.array2d(dtype=wp.vec3),  # [M, V]
    screen: wp.array2d(dtype=wp.vec3),  # [M, V]
):
    """Linear blend skinning and projection; launched over (M, V)."""
    pose, vertex = wp.tid()
    point = rest[vertex]
    total = wp.vec3(0.0, 0.0, 0.0)
    for slot in range(joints.shape[1]):
        share = shares[vertex, slot]
        if share > 0.0:
            total += share * wp.transform_point(transforms[pose, joints[vertex, slot]], point)
    world[pose, vertex] = total
    seen = view.rotation * total + view.shift
    depth = -seen[2]
    scale = view.focal / wp.where(wp.abs(depth) > 1.0e-9, depth, 1.0e-9)
    screen[pose, vertex] = wp.vec3(view.centre[0] + scale * seen[0], view.centre[1] - scale * seen[1], depth)


@wp.func
def surface_colour(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    pose: int,
    face: int,
    b: wp.vec3,
) -> wp.vec3:
    """Lit linear colour of a surface point."""
    c = surface.faces[face]
    uv = surface.uv[c[0]] * b[0] + surface.uv[c[1]] * b[1] + surface.uv[c[2]] * b[2]
    tint = surface.tints[c[0]] * b[0] + surface.tints[c[1]] * b[1] + surface.tints[c[2]] * b[2]
    mixed = normals[pose, c[0]] * b[0] + normals[pose, c[1]] * b[1] + normals[pose, c[2]] * b[2]
    normal = wp.normalize(mixed) * turned(surface, screen, pose, face)
    albedo = wp.cw_mul(look_up(surface.atlas, uv, level_of(surface, screen, pose, c)).value, tint)
    lit = wp.cw_mul(albedo, lighting(light, harmonics, 0, normal))
    return wp.vec3(wp.max(lit[0], 0.0), wp.max(lit[1], 0.0), wp.max(lit[2], 0.0))


@wp.func
def root3(value: wp.vec3) -> wp.vec3:
    """Square roots of the components."""
    return wp.vec3(wp.sqrt(value[0]), wp.sqrt(value[1]), wp.sqrt(value[2]))


@wp.func
def unexplained(seen: wp.vec3, picture: wp.vec3, cover: float, face: int) -> wp.vec3:
    """What one pixel leaves unexplained, 0..1: colour, mask without surface, surface outside the mask."""
    if face < 0:
        return wp.vec3(0.0, cover, 0.0)
    gap = root3(seen) - picture
    size = (wp.abs(gap[0]) + wp.abs(gap[1]) + wp.abs(gap[2])) / 3.0
    return wp.vec3(cover * size / (size + MISMATCH), 0.0, 1.0 - cover)


@wp.kernel
def score(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    face_ids: wp.array3d(dtype=wp.int32),  # [M, H, W]
    barycentrics: wp.array3d(dtype=wp.vec3),
    picture: wp.array2d(dtype=wp.vec3),  # [H, W] square roots of linear light
    mask: wp.array2d(dtype=float),  # [H, W] coverage
    costs: wp.array(dtype=wp.vec3),  # [M] out, zeros: sums of `unexplained` [px]
):
    """Sum what a pose leaves unexplained; launched over (M, H)."""
    pose, y = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    for x in range(picture.shape[1]):
        face = face_ids[pose, y, x]
        cover = mask[y, x]
        seen = wp.vec3(0.0, 0.0, 0.0)
        if face >= 0 and cover > 0.0:
            seen = surface_colour(screen, surface, normals, light, harmonics, pose, face, barycentrics[pose, y, x])
        total += unexplained(seen, picture[y, x], cover, face)
    wp.atomic_add(costs, pose, total)


@wp.kernel
def paint(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    face_ids: wp.array3d(dtype=wp.int32),
    barycentrics: wp.array3d(dtype=wp.vec3),
    colours: wp.array3d(dtype=wp.vec3),  # out, linear light, zero where nothing is hit
):
    """Lit colours of what each pixel sees; launched over (M, H, W)."""
    pose, y, x = wp.tid()
    face = face_ids[pose, y, x]
    colour = wp.vec3(0.0, 0.0, 0.0)
    if face >= 0:
        colour = surface_colour(screen, surface, normals, light, harmonics, pose, face, barycentrics[pose, y, x])
    colours[pose, y, x] = colour
