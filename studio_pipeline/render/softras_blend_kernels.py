# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""SoftRas' colour in Warp: a softmax over the depths of all faces near a pixel. See `render.softras` for the model.

`softras_nearest_kernels` find how much each pixel is covered and its nearest face; `gather` adds up weights and
weighted colours, `blend` divides; `blend_pixels_adjoint` and `blend_adjoint` go back. Sums are in fixed point: their
order is free.
Arrays named by `Lanes` are padded to whole vectors, [T, H, B]; a block's pixels are worked on together.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.lanes import (
    LANES,
    Lanes,
    LongLanes,
    chance,
    decay,
    least,
    most,
    positive,
    product,
    ramp,
)
from studio_pipeline.render.lanes import total as sum_of
from studio_pipeline.render.lighting import UNLIT
from studio_pipeline.render.softras_kernels import (
    EDGE_SUMS,
    Feet,
    Triangle,
    add_edges,
    edges_adjoint,
    feet,
    reached,
    triangle,
)
from studio_pipeline.render.softras_nearest_kernels import IndexLanes, front
from studio_pipeline.render.softras_shading import (
    NORMAL_SUMS,
    Rgb,
    Scene,
    Skin,
    Softmax,
    Spots,
    inner,
    scaled,
    shade,
    shade_adjoint,
    skin,
    spots,
)

__all__ = ["blend", "blend_adjoint", "blend_pixels_adjoint", "gather"]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

WEIGHT = 1099511627776.0  # fixed point of weights and weighted colours: 2^40
TINY = 1.0e-10  # PyTorch3D's smallest background weight, and its smallest inverse depth
LOG_TINY = 23.02585  # -log of it


@wp.func
def weigh(scene: Scene, p: Lanes, place: Feet, depth: Lanes, first: Lanes) -> Lanes:
    """Weights relative to the nearest face's depth: p exp(-steepness (z - first))."""
    behind = positive(depth - first)
    result = product(p, decay(behind * scene.softmax.steepness))
    for i in range(LANES):
        near = wp.where(behind[i] < scene.softmax.deepest, result[i], 0.0)
        result[i] = wp.where(place.v[i] < scene.soft.limit, near, 0.0)
    return result


@wp.func
def fixed(a: Lanes, b: Lanes) -> LongLanes:
    """a b in fixed point."""
    result = LongLanes()
    for i in range(LANES):
        result[i] = wp.int64(a[i] * b[i] * WEIGHT)
    return result


@wp.kernel
def gather(
    firsts: wp.array3d(dtype=Lanes),
    scene: Scene,
    sums: wp.array4d(dtype=LongLanes),  # [T, H, 4, B], zeros: red, green, blue, weight
):
    """Add up weighted colours and weights; launched over (T, F)."""
    frame, index = wp.tid()
    face = triangle(scene.screen, frame, scene.surface.faces[index], scene.soft)
    if face.side == 0.0:
        return
    box = reached(face, scene.soft, firsts.shape[1])
    own = skin(scene, frame, index)
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            first = firsts[frame, y, block]
            if front(face) - scene.softmax.deepest < most(first):
                place = feet(face, scene.soft, ramp(float(block * LANES) + 0.5 - face.x), py)
                if least(place.v) < scene.soft.limit:
                    seen = spots(face, place)
                    weight = weigh(scene, chance(place.v), place, seen.depth, first)
                    if most(weight) > 0.0:
                        colour = shade(scene, frame, own, seen, weight, False).colour
                        wp.atomic_add(sums, frame, y, 0, block, fixed(colour.r, weight))
                        wp.atomic_add(sums, frame, y, 1, block, fixed(colour.g, weight))
                        wp.atomic_add(sums, frame, y, 2, block, fixed(colour.b, weight))
                        wp.atomic_add(sums, frame, y, 3, block, fixed(Lanes(1.0), weight))


@wp.func
def background_weight(softmax: Softmax, first: float) -> float:
    """Weight of the background where the nearest face is at depth ``first``, relative to that depth."""
    inverse = (softmax.z_far - first) / (softmax.z_far - softmax.z_near)
    if inverse > LOG_TINY * softmax.gamma:
        return TINY
    return wp.max(wp.exp((TINY - wp.max(inverse, TINY)) / softmax.gamma), TINY)


@wp.kernel
def blend(
    sums: wp.array4d(dtype=LongLanes),
    firsts: wp.array3d(dtype=Lanes),
    softmax: Softmax,
    background: wp.array3d(dtype=wp.vec3),  # [1 or T, H, W]
    weights: wp.array3d(dtype=Lanes),
    colours: wp.array3d(dtype=wp.vec3),  # [T, H, W]
):
    """Divide by the weights, the background's among them; launched over (T, H, B)."""
    frame, y, block = wp.tid()
    first = firsts[frame, y, block]
    red = sums[frame, y, 0, block]
    green = sums[frame, y, 1, block]
    blue = sums[frame, y, 2, block]
    weight = sums[frame, y, 3, block]
    whole = Lanes()
    for i in range(LANES):
        x = block * LANES + i
        if x < colours.shape[2]:
            behind = background[frame % background.shape[0], y, x]
            whole[i] = 1.0
            if first[i] > 0.0:
                delta = background_weight(softmax, first[i])
                whole[i] = float(weight[i]) * (1.0 / WEIGHT) + delta
                colour = wp.vec3(float(red[i]), float(green[i]), float(blue[i])) * (1.0 / WEIGHT)
                behind = (colour + behind * delta) / whole[i]
            colours[frame, y, x] = behind
    weights[frame, y, block] = whole


@wp.kernel
def blend_pixels_adjoint(
    colours: wp.array3d(dtype=wp.vec3),
    weights: wp.array3d(dtype=Lanes),
    firsts: wp.array3d(dtype=Lanes),
    softmax: Softmax,
    background: wp.array3d(dtype=wp.vec3),
    g_colours: wp.array3d(dtype=wp.vec3),
    pulls: wp.array4d(dtype=Lanes),  # [T, H, 5, B]: g / D, g . C / D, adjoint of the nearest depth
):
    """What `blend_adjoint` needs of each pixel; launched over (T, H, B).

    With C the pixel's colour and D its weight, dC / dw = (c - C) / D for a face of colour c and weight w. All weights
    refer to the nearest face's depth; that cancels out unless the background's weight is at its floor.
    """
    frame, y, block = wp.tid()
    first = firsts[frame, y, block]
    whole = weights[frame, y, block]
    for k in range(5):
        pulls[frame, y, k, block] = Lanes()
    if most(first) > 0.0:
        pull = Rgb()
        level = Lanes()
        g_first = Lanes()
        for i in range(LANES):
            x = block * LANES + i
            if first[i] > 0.0 and x < colours.shape[2]:
                colour = colours[frame, y, x]
                g = g_colours[frame, y, x] / whole[i]
                pull.r[i] = g[0]
                pull.g[i] = g[1]
                pull.b[i] = g[2]
                level[i] = wp.dot(g, colour)
                if softmax.steepness * (softmax.z_far - first[i]) > LOG_TINY:
                    behind = background[frame % background.shape[0], y, x]
                    g_first[i] = -softmax.steepness * wp.dot(g, behind - colour) * TINY
        pulls[frame, y, 0, block] = pull.r
        pulls[frame, y, 1, block] = pull.g
        pulls[frame, y, 2, block] = pull.b
        pulls[frame, y, 3, block] = level
        pulls[frame, y, 4, block] = g_first


@wp.func
def spots_adjoint(
    sums: wp.array(dtype=Lanes),
    face: Triangle,
    place: Feet,
    seen: Spots,
    px: Lanes,
    py: float,
    g_b: Rgb,
    g_depth: Lanes,
):
    """Add the adjoints of the parts' areas, as they are and times the pixel's position, and of the corners' depths."""
    shared = product(g_b.r, seen.b0) + product(g_b.g, seen.b1) + product(g_b.b, seen.b2) + product(g_depth, seen.depth)
    part_adjoint(sums, 0, place.across0, seen.b0, shared - g_b.r, g_depth, seen.inverse, 1.0 / face.z[0], px, py)
    part_adjoint(sums, 4, place.across1, seen.b1, shared - g_b.g, g_depth, seen.inverse, 1.0 / face.z[1], px, py)
    part_adjoint(sums, 8, place.across2, seen.b2, shared - g_b.b, g_depth, seen.inverse, 1.0 / face.z[2], px, py)


@wp.func
def part_adjoint(
    sums: wp.array(dtype=Lanes),
    at: int,
    across: Lanes,
    b: Lanes,
    pull: Lanes,
    g_depth: Lanes,
    inverse: Lanes,
    inverse_z: float,
    px: Lanes,
    py: float,
):
    """One corner's share of `spots_adjoint`: dw = (g_b - shared) / (Q z) + g_depth / Q, dz = (shared - g_b) b / z."""
    g = Lanes()
    for i in range(LANES):
        g[i] = wp.where(across[i] > 0.0, (g_depth[i] - pull[i] * inverse_z) * inverse[i], 0.0)
    sums[at] = sums[at] + g
    sums[at + 1] = sums[at + 1] + product(g, px)
    sums[at + 2] = sums[at + 2] + g * py
    sums[at + 3] = sums[at + 3] + product(pull, b) * inverse_z


@wp.func
def add_parts(
    sums: wp.array(dtype=Lanes), face: Triangle, frame: int, corners: wp.vec3i, g_screen: wp.array2d(dtype=wp.vec3)
):
    """Turn the sums of `spots_adjoint` into the corners' adjoints.

    Part k is side times the cross product of (c_i - p) and (c_j - p), i and j being the corners after k.
    """
    for k in range(3):
        i = (k + 1) % 3
        j = (k + 2) % 3
        g = sum_of(sums[4 * k]) * face.side
        gx = sum_of(sums[4 * k + 1]) * face.side
        gy = sum_of(sums[4 * k + 2]) * face.side
        first = wp.vec3(face.corner_y[j] * g - gy, gx - face.corner_x[j] * g, 0.0)
        second = wp.vec3(gy - face.corner_y[i] * g, face.corner_x[i] * g - gx, 0.0)
        wp.atomic_add(g_screen, frame, corners[i], first)
        wp.atomic_add(g_screen, frame, corners[j], second)
        wp.atomic_add(g_screen, frame, corners[k], wp.vec3(0.0, 0.0, sum_of(sums[4 * k + 3])))


@wp.struct
class Grip:
    """Adjoints of some pixels' weights and of what they see of a face."""

    chance: Lanes
    depth: Lanes
    b: Rgb  # barycentrics


@wp.func
def colour_adjoint(
    scene: Scene,
    pulls: wp.array4d(dtype=Lanes),
    frame: int,
    y: int,
    block: int,
    own: Skin,
    seen: Spots,
    weight: Lanes,
    bent: wp.array(dtype=Lanes),
    g_harmonics: wp.array2d(dtype=wp.vec3),
) -> Grip:
    """Adjoint of a face's part in some pixels' colours; ``chance`` is times p here."""
    result = Grip()
    made = shade(scene, frame, own, seen, weight, True)
    g = Rgb(pulls[frame, y, 0, block], pulls[frame, y, 1, block], pulls[frame, y, 2, block])
    result.chance = product(inner(g, made.colour) - pulls[frame, y, 3, block], weight)
    result.depth = result.chance * -scene.softmax.steepness
    result.b = shade_adjoint(made, scene, frame, own, seen, scaled(g, weight), bent, g_harmonics)
    return result


@wp.kernel
def blend_adjoint(
    firsts: wp.array3d(dtype=Lanes),
    owners: wp.array3d(dtype=IndexLanes),
    scene: Scene,
    pulls: wp.array4d(dtype=Lanes),  # of `blend_pixels_adjoint`
    flows: wp.array3d(dtype=Lanes),  # adjoint of the silhouette times what is let through
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_normals: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `nearest` and `gather`; launched over (T, F)."""
    frame, index = wp.tid()
    corners = scene.surface.faces[index]
    face = triangle(scene.screen, frame, corners, scene.soft)
    if face.side == 0.0:
        return
    box = reached(face, scene.soft, firsts.shape[1])
    own = skin(scene, frame, index)
    edges = wp.zeros(shape=(EDGE_SUMS,), dtype=Lanes)
    parts = wp.zeros(shape=(EDGE_SUMS,), dtype=Lanes)
    bent = wp.zeros(shape=(NORMAL_SUMS,), dtype=Lanes)
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            px = ramp(float(block * LANES) + 0.5 - face.x)
            place = feet(face, scene.soft, px, py)
            if least(place.v) < scene.soft.limit:
                p = chance(place.v)
                g_v = product(p, flows[frame, y, block]) * -1.0
                first = firsts[frame, y, block]
                if front(face) - scene.softmax.deepest < most(first):
                    seen = spots(face, place)
                    weight = weigh(scene, p, place, seen.depth, first)
                    g = colour_adjoint(scene, pulls, frame, y, block, own, seen, weight, bent, g_harmonics)
                    g_v = g_v - g.chance + product(p, g.chance)
                    g.depth = g.depth + owned(owners[frame, y, block], index, pulls[frame, y, 4, block])
                    spots_adjoint(parts, face, place, seen, px, py, g.b, g.depth)
                edges_adjoint(edges, face, scene.soft, place, g_v)
    add_edges(edges, face, frame, corners, g_screen)
    add_parts(parts, face, frame, corners, g_screen)
    if scene.light.mode != UNLIT:
        add_normals(bent, frame, corners, g_normals)


@wp.func
def owned(owner: IndexLanes, index: int, value: Lanes) -> Lanes:
    """``value`` where the face is a pixel's nearest, else 0."""
    result = Lanes()
    for i in range(LANES):
        result[i] = wp.where(owner[i] == index, value[i], 0.0)
    return result


@wp.func
def add_normals(sums: wp.array(dtype=Lanes), frame: int, corners: wp.vec3i, g_normals: wp.array2d(dtype=wp.vec3)):
    """Add up the adjoints of the corners' normals."""
    for k in range(3):
        g = wp.vec3(sum_of(sums[3 * k]), sum_of(sums[3 * k + 1]), sum_of(sums[3 * k + 2]))
        wp.atomic_add(g_normals, frame, corners[k], g)
