# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""SoftRas' colour in Warp: a softmax over the depths of all faces near a pixel. See `render.softras` for the model.

`nearest` finds how much each pixel is covered and its nearest face, `gather` adds up weights and weighted colours,
`blend` divides; `blend_pixels_adjoint` and `blend_adjoint` go back. Sums are in fixed point: their order is free.
Arrays named by `Lanes` are padded to whole vectors, [T, H, B]; a block's pixels are worked on together.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lanes import (
    LANES,
    Lanes,
    LongLanes,
    chance,
    decay,
    least,
    most,
    occluded,
    positive,
    product,
    ramp,
)
from studio_pipeline.render.lanes import total as sum_of
from studio_pipeline.render.lighting import UNLIT, Light
from studio_pipeline.render.outline_kernels import Surface
from studio_pipeline.render.softras_kernels import (
    EDGE_SUMS,
    FIXED,
    Feet,
    Soft,
    Triangle,
    add_edges,
    edges_adjoint,
    feet,
    reached,
    triangle,
)
from studio_pipeline.render.softras_shading import Spots, shade, shade_adjoint, skin, spots

__all__ = ["NOTHING", "KeyLanes", "Softmax", "blend", "blend_adjoint", "blend_pixels_adjoint", "gather", "nearest"]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

IndexLanes = wp.types.vector(length=LANES, dtype=wp.int32)
KeyLanes = wp.types.vector(length=LANES, dtype=wp.uint64)
WEIGHT = 1099511627776.0  # fixed point of weights and weighted colours: 2^40
TINY = 1.0e-10  # PyTorch3D's smallest background weight, and its smallest inverse depth
LOG_TINY = 23.02585  # -log of it
FAINT = 1.0e-5  # faces with a smaller share of a pixel pass no gradient on through its colour
NOTHING = -1.0e30  # depth where there is no face


@wp.struct
class Softmax:
    """How depths turn into weights: exp(-steepness z), the background at inverse depth 0."""

    steepness: float  # 1 / (gamma (zfar - znear)) [1 / m]
    gamma: float
    z_near: float
    z_far: float
    deepest: float  # faces further than this behind a pixel's nearest one are left out [m]


@wp.func
def front(face: Triangle) -> float:
    """The least depth that any pixel can see of a face, a little less for round-off."""
    return wp.min(face.z) * 0.99999


@wp.kernel
def nearest(
    screen: wp.array2d(dtype=wp.vec3),  # [T, V]
    faces: wp.array(dtype=wp.vec3i),  # [F]
    soft: Soft,
    sums: wp.array3d(dtype=LongLanes),  # zeros
    keys: wp.array3d(dtype=KeyLanes),  # EMPTY_KEY
):
    """Cover pixels as `softras_kernels.occlusion` does and keep the nearest face's key; launched over (T, F)."""
    frame, index = wp.tid()
    face = triangle(screen, frame, faces[index], soft)
    if face.side == 0.0:
        return
    box = reached(face, soft, sums.shape[1])
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            place = feet(face, soft, ramp(float(block * LANES) + 0.5 - face.x), py)
            wp.atomic_add(sums, frame, y, block, occluded(place.v, soft.limit, FIXED))
            depth = spots(face, place).depth
            key = KeyLanes()
            for i in range(LANES):
                packed = (wp.uint64(wp.cast(depth[i], wp.uint32)) << wp.uint64(32)) | wp.uint64(index)
                key[i] = wp.where(place.v[i] < soft.limit, packed, wp.uint64(EMPTY_KEY))
            wp.atomic_min(keys, frame, y, block, key)


@wp.kernel
def split_keys(keys: wp.array3d(dtype=KeyLanes), firsts: wp.array3d(dtype=Lanes), owners: wp.array3d(dtype=IndexLanes)):
    """Depth and index of each pixel's nearest face; launched over (T, H, B)."""
    frame, y, block = wp.tid()
    key = keys[frame, y, block]
    first = Lanes()
    owner = IndexLanes()
    for i in range(LANES):
        seen = key[i] != wp.uint64(EMPTY_KEY)
        first[i] = wp.where(seen, wp.cast(wp.uint32(key[i] >> wp.uint64(32)), float), NOTHING)
        owner[i] = wp.where(seen, wp.int32(key[i] & wp.uint64(0xFFFFFFFF)), -1)
    firsts[frame, y, block] = first
    owners[frame, y, block] = owner


@wp.func
def weigh(p: Lanes, place: Feet, depth: Lanes, first: Lanes, soft: Soft, softmax: Softmax) -> Lanes:
    """Weights relative to the nearest face's depth: p exp(-steepness (z - first))."""
    behind = positive(depth - first)
    result = product(p, decay(behind * softmax.steepness))
    for i in range(LANES):
        near = wp.where(behind[i] < softmax.deepest, result[i], 0.0)
        result[i] = wp.where(place.v[i] < soft.limit, near, 0.0)
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
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    soft: Soft,
    softmax: Softmax,
    firsts: wp.array3d(dtype=Lanes),
    sums: wp.array4d(dtype=LongLanes),  # [T, H, 4, B], zeros: red, green, blue, weight
):
    """Add up weighted colours and weights; launched over (T, F)."""
    frame, index = wp.tid()
    face = triangle(screen, frame, surface.faces[index], soft)
    if face.side == 0.0:
        return
    box = reached(face, soft, firsts.shape[1])
    own = skin(surface, screen, normals, frame, index)
    ones = Lanes(1.0)
    count = int(LANES)  # a variable, so that the loop over the shading stays a loop
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            first = firsts[frame, y, block]
            if front(face) - softmax.deepest < most(first):
                place = feet(face, soft, ramp(float(block * LANES) + 0.5 - face.x), py)
                seen = spots(face, place)
                weight = weigh(chance(place.v), place, seen.depth, first, soft, softmax)
                if most(weight) > 0.0:
                    red = Lanes()
                    green = Lanes()
                    blue = Lanes()
                    for i in range(count):
                        if weight[i] > 0.0:
                            b = wp.vec3(seen.b0[i], seen.b1[i], seen.b2[i])
                            colour = shade(surface, light, harmonics, frame, own, b).colour
                            red[i] = colour[0]
                            green[i] = colour[1]
                            blue[i] = colour[2]
                    wp.atomic_add(sums, frame, y, 0, block, fixed(red, weight))
                    wp.atomic_add(sums, frame, y, 1, block, fixed(green, weight))
                    wp.atomic_add(sums, frame, y, 2, block, fixed(blue, weight))
                    wp.atomic_add(sums, frame, y, 3, block, fixed(ones, weight))


@wp.func
def background_weight(softmax: Softmax, first: float) -> float:
    """Weight of the background where the nearest face is at depth ``first``, relative to that depth."""
    inverse = (softmax.z_far - first) / (softmax.z_far - softmax.z_near)
    return wp.max(wp.exp((TINY - wp.max(inverse, TINY)) / softmax.gamma), TINY)


@wp.kernel
def blend(
    sums: wp.array4d(dtype=wp.int64),  # [T, H, 4, B LANES]
    firsts: wp.array3d(dtype=float),
    softmax: Softmax,
    background: wp.array3d(dtype=wp.vec3),  # [1 or T, H, W]
    weights: wp.array3d(dtype=float),
    colours: wp.array3d(dtype=wp.vec3),
):
    """Divide by the weights, the background's among them; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    first = firsts[frame, y, x]
    behind = background[frame % background.shape[0], y, x]
    if first < 0.0:
        weights[frame, y, x] = 1.0
        colours[frame, y, x] = behind
        return
    delta = background_weight(softmax, first)
    colour = wp.vec3(float(sums[frame, y, 0, x]), float(sums[frame, y, 1, x]), float(sums[frame, y, 2, x]))
    weight = float(sums[frame, y, 3, x]) * (1.0 / WEIGHT) + delta
    weights[frame, y, x] = weight
    colours[frame, y, x] = (colour * (1.0 / WEIGHT) + behind * delta) * (1.0 / weight)


@wp.kernel
def blend_pixels_adjoint(
    colours: wp.array3d(dtype=wp.vec3),
    weights: wp.array3d(dtype=float),
    firsts: wp.array3d(dtype=float),
    softmax: Softmax,
    background: wp.array3d(dtype=wp.vec3),
    g_colours: wp.array3d(dtype=wp.vec3),
    levels: wp.array3d(dtype=float),  # [T, H, B LANES], zeros
    shares: wp.array3d(dtype=float),  # zeros
    g_firsts: wp.array3d(dtype=float),  # zeros
):
    """What `blend_adjoint` needs of each pixel; launched over (T, H, W).

    With C the pixel's colour and D its weight, dC / dw = (c - C) / D for a face of colour c and weight w. All weights
    refer to the nearest face's depth; that cancels out unless the background's weight is at its floor.
    """
    frame, y, x = wp.tid()
    g = g_colours[frame, y, x]
    first = firsts[frame, y, x]
    if first > 0.0 and (g[0] != 0.0 or g[1] != 0.0 or g[2] != 0.0):
        colour = colours[frame, y, x]
        share = 1.0 / weights[frame, y, x]
        levels[frame, y, x] = wp.dot(g, colour)
        shares[frame, y, x] = share
        if softmax.steepness * (softmax.z_far - first) > LOG_TINY:
            behind = background[frame % background.shape[0], y, x]
            g_firsts[frame, y, x] = -softmax.steepness * wp.dot(g, behind - colour) * TINY * share


@wp.func
def spots_adjoint(
    sums: wp.array(dtype=Lanes),
    face: Triangle,
    place: Feet,
    seen: Spots,
    px: Lanes,
    py: float,
    g_b0: Lanes,
    g_b1: Lanes,
    g_b2: Lanes,
    g_depth: Lanes,
):
    """Add the adjoints of the parts' areas, as they are and times the pixel's position, and of the corners' depths."""
    shared = product(g_b0, seen.b0) + product(g_b1, seen.b1) + product(g_b2, seen.b2) + product(g_depth, seen.depth)
    part_adjoint(sums, 0, place.across0, seen.b0, shared - g_b0, g_depth, seen.inverse, 1.0 / face.z[0], px, py)
    part_adjoint(sums, 4, place.across1, seen.b1, shared - g_b1, g_depth, seen.inverse, 1.0 / face.z[1], px, py)
    part_adjoint(sums, 8, place.across2, seen.b2, shared - g_b2, g_depth, seen.inverse, 1.0 / face.z[2], px, py)


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


@wp.kernel
def blend_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    normals: wp.array2d(dtype=wp.vec3),
    light: Light,
    harmonics: wp.array2d(dtype=wp.vec3),
    soft: Soft,
    softmax: Softmax,
    firsts: wp.array3d(dtype=Lanes),
    owners: wp.array3d(dtype=IndexLanes),
    levels: wp.array3d(dtype=Lanes),
    shares: wp.array3d(dtype=Lanes),
    g_firsts: wp.array3d(dtype=Lanes),
    flows: wp.array3d(dtype=Lanes),  # adjoint of the silhouette times what is let through
    g_colours: wp.array3d(dtype=wp.vec3),  # [T, H, W]
    g_screen: wp.array2d(dtype=wp.vec3),  # out
    g_normals: wp.array2d(dtype=wp.vec3),  # out
    g_harmonics: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `nearest` and `gather`; launched over (T, F)."""
    frame, index = wp.tid()
    corners = surface.faces[index]
    face = triangle(screen, frame, corners, soft)
    if face.side == 0.0:
        return
    box = reached(face, soft, firsts.shape[1])
    own = skin(surface, screen, normals, frame, index)
    edges = wp.zeros(shape=(EDGE_SUMS,), dtype=Lanes)
    parts = wp.zeros(shape=(EDGE_SUMS,), dtype=Lanes)
    n0 = wp.vec3(0.0, 0.0, 0.0)
    n1 = wp.vec3(0.0, 0.0, 0.0)
    n2 = wp.vec3(0.0, 0.0, 0.0)
    count = int(LANES)
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            px = ramp(float(block * LANES) + 0.5 - face.x)
            place = feet(face, soft, px, py)
            if least(place.v) < soft.limit:
                p = chance(place.v)
                g_v = product(p, flows[frame, y, block]) * -1.0
                first = firsts[frame, y, block]
                if front(face) - softmax.deepest < most(first):
                    seen = spots(face, place)
                    share = product(weigh(p, place, seen.depth, first, soft, softmax), shares[frame, y, block])
                    level = levels[frame, y, block]
                    pull = Lanes()
                    b0 = Lanes()
                    b1 = Lanes()
                    b2 = Lanes()
                    for i in range(count):
                        if share[i] > FAINT:
                            b = wp.vec3(seen.b0[i], seen.b1[i], seen.b2[i])
                            made = shade(surface, light, harmonics, frame, own, b)
                            g = g_colours[frame, y, block * LANES + i]
                            pull[i] = (wp.dot(g, made.colour) - level[i]) * share[i]
                            back = shade_adjoint(made, light, harmonics, frame, own, g * share[i], g_harmonics)
                            b0[i] = back.b[0]
                            b1[i] = back.b[1]
                            b2[i] = back.b[2]
                            n0 += back.mixed * b[0]
                            n1 += back.mixed * b[1]
                            n2 += back.mixed * b[2]
                    g_depth = pull * -softmax.steepness
                    owner = owners[frame, y, block]
                    g_first = g_firsts[frame, y, block]
                    for i in range(LANES):
                        g_v[i] = g_v[i] - (1.0 - p[i]) * pull[i]
                        g_depth[i] = g_depth[i] + wp.where(owner[i] == index, g_first[i], 0.0)
                    spots_adjoint(parts, face, place, seen, px, py, b0, b1, b2, g_depth)
                edges_adjoint(edges, face, soft, place, g_v)
    add_edges(edges, face, frame, corners, g_screen)
    add_parts(parts, face, frame, corners, g_screen)
    if light.mode != UNLIT:
        wp.atomic_add(g_normals, frame, corners[0], n0)
        wp.atomic_add(g_normals, frame, corners[1], n1)
        wp.atomic_add(g_normals, frame, corners[2], n2)
