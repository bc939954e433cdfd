# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""SoftRas' silhouette in Warp: every face near a pixel counts. See `render.softras` for the model.

Screen vertices are (x [px], y [px], depth [m]); frames come first. Each face walks over the pixels within its reach,
some of a row at once (`render.lanes`); pictures are padded to whole vectors, [T, H, B] of `LANES` pixels. What faces
let through is a product, kept as a sum of logarithms in fixed point: whole numbers add up to the same in any order,
so a GPU repeats every bit of the picture.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import cross2, pixel_bound
from studio_pipeline.render.lanes import (
    LANES,
    Lanes,
    LongLanes,
    affine,
    chance,
    decay,
    least,
    lesser,
    occluded,
    positive,
    product,
    ramp,
    total,
)

__all__ = [
    "EDGE_SUMS",
    "FIXED",
    "Feet",
    "Soft",
    "Triangle",
    "add_edges",
    "edges_adjoint",
    "feet",
    "occlusion",
    "occlusion_adjoint",
    "reached",
    "transmit",
    "triangle",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

FIXED = 4294967296.0  # fixed point of the sums: 2^32
EDGE_SUMS = 12  # of an edge: two ends, along it and across it


@wp.struct
class Soft:
    """How far and how softly faces reach, in pixels."""

    width: int  # of the picture, without padding
    rate: float  # 1 / sigma [1 / px^2]
    reach: float  # [px]
    limit: float  # reach^2 / sigma
    least_area: float  # faces of less than half this are left out [px^2]
    near: float  # [m]


@wp.struct
class Triangle:
    """A face on the screen, prepared so that a pixel costs little.

    Edges 0, 1, 2 lie across from corners 0, 1, 2. Positions are relative to corner 0, for precision.
    """

    side: float  # sign of the face's area; 0: left out
    x: float  # corner 0 [px]
    y: float
    corner_x: wp.vec3  # the corners, relative to corner 0 [px]
    corner_y: wp.vec3
    z: wp.vec3  # their depths [m]
    along_x: wp.vec3  # unit vectors along the edges, from corner k + 1 to k + 2
    along_y: wp.vec3
    middle: wp.vec3  # where the edges' middles are, along themselves [px]
    half: wp.vec3  # half their lengths [px]
    inverse: wp.vec3  # 1 / their lengths [1 / px]
    normal_x: wp.vec3  # unit normals of the edges, inwards
    normal_y: wp.vec3
    offset: wp.vec3  # where the edges are along their normals [px]


@wp.struct
class Feet:
    """Where some pixels of a row lie with respect to a face's edges."""

    place0: Lanes  # positions along the edges, from their middles [px]
    place1: Lanes
    place2: Lanes
    across0: Lanes  # distances from the edges' lines, positive inside [px]
    across1: Lanes
    across2: Lanes
    square0: Lanes  # squared distances from the edges [px^2]
    square1: Lanes
    square2: Lanes
    v: Lanes  # signed squared distance to the nearest edge over sigma, negative inside


@wp.func
def triangle(screen: wp.array2d(dtype=wp.vec3), frame: int, corners: wp.vec3i, soft: Soft) -> Triangle:
    """Prepare a face; those that reach behind the near plane or have no area get side 0."""
    result = Triangle()
    p = screen[frame, corners[0]]
    q = screen[frame, corners[1]]
    r = screen[frame, corners[2]]
    x = wp.vec3(0.0, q[0] - p[0], r[0] - p[0])
    y = wp.vec3(0.0, q[1] - p[1], r[1] - p[1])
    z = wp.vec3(p[2], q[2], r[2])
    edge_x = wp.vec3(x[2] - x[1], -x[2], x[1])
    edge_y = wp.vec3(y[2] - y[1], -y[2], y[1])
    length = wp.vec3(0.0, 0.0, 0.0)
    for k in range(3):
        length[k] = wp.sqrt(edge_x[k] * edge_x[k] + edge_y[k] * edge_y[k])
    area = cross2(x[1], y[1], x[2], y[2])
    result.side = 0.0
    # NaN fails the comparisons too.
    if not (wp.min(z) > soft.near and wp.abs(area) > soft.least_area and wp.min(length) > 0.0 and wp.isfinite(area)):
        return result
    result.side = wp.sign(area)
    result.x = p[0]
    result.y = p[1]
    result.corner_x = x
    result.corner_y = y
    result.z = z
    result.half = length * 0.5
    for k in range(3):
        result.inverse[k] = 1.0 / length[k]
    result.along_x = wp.cw_mul(edge_x, result.inverse)
    result.along_y = wp.cw_mul(edge_y, result.inverse)
    result.normal_x = result.along_y * -result.side
    result.normal_y = result.along_x * result.side
    start_x = wp.vec3(x[1], x[2], 0.0)
    start_y = wp.vec3(y[1], y[2], 0.0)
    result.middle = wp.cw_mul(result.along_x, start_x) + wp.cw_mul(result.along_y, start_y) + result.half
    result.offset = wp.cw_mul(result.normal_x, start_x) + wp.cw_mul(result.normal_y, start_y)
    return result


@wp.func
def reached(face: Triangle, soft: Soft, height: int) -> wp.vec4i:
    """First and last vector of a row, first and last row of the pixels whose centres a face may reach."""
    x = soft.reach + 0.5
    left = wp.max(pixel_bound(wp.ceil(face.x + wp.min(face.corner_x) - x), soft.width), 0)
    right = wp.min(pixel_bound(wp.floor(face.x + wp.max(face.corner_x) + x - 1.0), soft.width), soft.width - 1)
    top = wp.max(pixel_bound(wp.ceil(face.y + wp.min(face.corner_y) - x), height), 0)
    bottom = wp.min(pixel_bound(wp.floor(face.y + wp.max(face.corner_y) + x - 1.0), height), height - 1)
    # Division rounds towards 0: a face to the left of the picture must not come out as column 0.
    return wp.vec4i(left / LANES, wp.where(right < left, -1, right / LANES), top, bottom)


@wp.func
def edge_square(across: Lanes, place: Lanes, half: float) -> Lanes:
    """Squared distance from a segment: beyond its ends the way back to them counts too."""
    over = positive(affine(wp.abs(place), 1.0, -half))
    return product(across, across) + product(over, over)


@wp.func
def feet(face: Triangle, soft: Soft, px: Lanes, py: float) -> Feet:
    """Distances of pixel centres, relative to corner 0, from a face's edges."""
    result = Feet()
    result.place0 = affine(px, face.along_x[0], face.along_y[0] * py - face.middle[0])
    result.place1 = affine(px, face.along_x[1], face.along_y[1] * py - face.middle[1])
    result.place2 = affine(px, face.along_x[2], face.along_y[2] * py - face.middle[2])
    result.across0 = affine(px, face.normal_x[0], face.normal_y[0] * py - face.offset[0])
    result.across1 = affine(px, face.normal_x[1], face.normal_y[1] * py - face.offset[1])
    result.across2 = affine(px, face.normal_x[2], face.normal_y[2] * py - face.offset[2])
    result.square0 = edge_square(result.across0, result.place0, face.half[0])
    result.square1 = edge_square(result.across1, result.place1, face.half[1])
    result.square2 = edge_square(result.across2, result.place2, face.half[2])
    least = lesser(lesser(result.square0, result.square1), result.square2) * soft.rate
    inmost = lesser(lesser(result.across0, result.across1), result.across2)
    for i in range(LANES):
        result.v[i] = wp.where(inmost[i] > 0.0, -least[i], least[i])
    return result


@wp.kernel
def occlusion(
    screen: wp.array2d(dtype=wp.vec3),  # [T, V]
    faces: wp.array(dtype=wp.vec3i),  # [F]
    soft: Soft,
    sums: wp.array3d(dtype=LongLanes),  # [T, H, B], zeros
):
    """Sum -log(1 - p) over all faces near a pixel; launched over (T, F)."""
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


@wp.kernel
def transmit(sums: wp.array3d(dtype=LongLanes), clear: wp.array3d(dtype=Lanes)):
    """What the faces let through of each pixel; launched over (T, H, B)."""
    frame, y, block = wp.tid()
    amount = Lanes()
    for i in range(LANES):
        amount[i] = float(sums[frame, y, block][i]) * (1.0 / FIXED)
    clear[frame, y, block] = decay(amount)


@wp.func
def edge_adjoint(
    sums: wp.array(dtype=Lanes), at: int, g: Lanes, place: Lanes, across: Lanes, half: float, inverse: float
):
    """Add what an edge's squared distance does to its ends, along the edge and across it; g is twice its adjoint.

    The nearest point q moves with the ends, so d(q - p)^2 = 2 (q - p) . dq. q - p is the step across back to
    the edge's line and, beyond an end, the step along it.
    """
    along_first = Lanes()
    along_second = Lanes()
    across_first = Lanes()
    across_second = Lanes()
    for i in range(LANES):
        stop = wp.where(place[i] < half, place[i], half)
        stop = wp.where(stop > -half, stop, -half)
        share = 0.5 + stop * inverse
        back = g[i] * (stop - place[i])
        step = -g[i] * across[i]
        along_second[i] = back * share
        along_first[i] = back - along_second[i]
        across_second[i] = step * share
        across_first[i] = step - across_second[i]
    sums[at] = sums[at] + along_first
    sums[at + 1] = sums[at + 1] + along_second
    sums[at + 2] = sums[at + 2] + across_first
    sums[at + 3] = sums[at + 3] + across_second


@wp.func
def least_of(g: Lanes, own: Lanes, other: Lanes, third: Lanes) -> Lanes:
    """g where ``own`` is the least of three squares, else 0."""
    result = Lanes()
    for i in range(LANES):
        result[i] = wp.where(own[i] < other[i], wp.where(own[i] <= third[i], g[i], 0.0), 0.0)
    return result


@wp.func
def edges_adjoint(sums: wp.array(dtype=Lanes), face: Triangle, soft: Soft, place: Feet, g_v: Lanes):
    """Add the adjoint of `feet`'s v to the sums of the edge that is nearest to each pixel."""
    g = Lanes()
    for i in range(LANES):
        slope = wp.where(place.v[i] < 0.0, -2.0 * soft.rate, 2.0 * soft.rate) * g_v[i]
        g[i] = wp.where(place.v[i] < soft.limit, slope, 0.0)
    g0 = least_of(g, place.square0, place.square1, place.square2)
    g1 = least_of(g, place.square1, place.square2, place.square0)
    g2 = least_of(g, place.square2, place.square0, place.square1)
    edge_adjoint(sums, 0, g0, place.place0, place.across0, face.half[0], face.inverse[0])
    edge_adjoint(sums, 4, g1, place.place1, place.across1, face.half[1], face.inverse[1])
    edge_adjoint(sums, 8, g2, place.place2, place.across2, face.half[2], face.inverse[2])


@wp.func
def add_edges(
    sums: wp.array(dtype=Lanes), face: Triangle, frame: int, corners: wp.vec3i, g_screen: wp.array2d(dtype=wp.vec3)
):
    """Turn the edges' adjoints into their corners' and add them up."""
    for k in range(3):
        u = wp.vec3(face.along_x[k], face.along_y[k], 0.0)
        n = wp.vec3(face.normal_x[k], face.normal_y[k], 0.0)
        first = u * total(sums[4 * k]) + n * total(sums[4 * k + 2])
        second = u * total(sums[4 * k + 1]) + n * total(sums[4 * k + 3])
        wp.atomic_add(g_screen, frame, corners[(k + 1) % 3], first)
        wp.atomic_add(g_screen, frame, corners[(k + 2) % 3], second)


@wp.kernel
def occlusion_adjoint(
    screen: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    soft: Soft,
    flows: wp.array3d(dtype=Lanes),  # adjoint of the silhouette times what is let through; 0 in the padding
    g_screen: wp.array2d(dtype=wp.vec3),  # out
):
    """Adjoint of `occlusion` and `transmit`: d(silhouette) / dv = -p (1 - silhouette); launched over (T, F)."""
    frame, index = wp.tid()
    face = triangle(screen, frame, faces[index], soft)
    if face.side == 0.0:
        return
    box = reached(face, soft, flows.shape[1])
    sums = wp.zeros(shape=(EDGE_SUMS,), dtype=Lanes)
    for y in range(box[2], box[3] + 1):
        py = float(y) + 0.5 - face.y
        for block in range(box[0], box[1] + 1):
            place = feet(face, soft, ramp(float(block * LANES) + 0.5 - face.x), py)
            if least(place.v) < soft.limit:
                edges_adjoint(sums, face, soft, place, product(chance(place.v), flows[frame, y, block]) * -1.0)
    add_edges(sums, face, frame, faces[index], g_screen)
