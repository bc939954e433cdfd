# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Where the outline of a mesh runs on the screen, and how far each pixel is from it.

Screen vertices are (x [px], y [px], depth [m]); frames come first. Edges that cross the near plane count as far as
they are in front of it: on their screen line, that is the part beyond the end in front, away from the end behind.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import orientation, pixel_bound, seen_span
from studio_pipeline.render.textures import Pyramid

__all__ = [
    "coverage",
    "coverage_slope",
    "facing",
    "mix2",
    "mix_shares",
    "nearest_on_edge",
    "nearest_on_visible",
    "nearest_outline",
    "outline_distance",
    "outward_normal",
    "plane2",
    "turned",
]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


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
class Fringe:
    """The soft band around the outline [px]: logistic with scale sigma, cut and rescaled to reach 0 and 1."""

    sigma: float
    reach: float
    span: float  # tanh(reach / (2 sigma))
    near: float  # near plane [m]


@wp.struct
class Posed:
    """The mesh in its poses."""

    screen: wp.array2d(dtype=wp.vec3)  # [T, V]
    normals: wp.array2d(dtype=wp.vec3)  # [T, V]
    harmonics: wp.array2d(dtype=wp.vec3)  # [T, 9]
    facts: wp.array2d(dtype=wp.vec2)  # [T, F] level of the atlas (-1: depends on the pixel), `facing`


@wp.struct
class Nearest:
    """The outline point nearest to a pixel centre."""

    edge: int
    rest: float  # screen shares of the edge's ends, sum 1; one is negative where the other end is behind the camera
    t: float
    distance: float  # signed, positive inside [px]
    outward: wp.vec2  # unit


@wp.func
def facing(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int, near: float) -> float:
    """Sign of a face's area on the screen; 0 when it is missing, edge-on or behind the near plane."""
    if face < 0:
        return 0.0
    c = surface.faces[face]
    area = orientation(screen[frame, c[0]], screen[frame, c[1]], screen[frame, c[2]], near)
    if area > 0.0:
        return 1.0
    if area < 0.0:
        return -1.0
    return 0.0


@wp.func
def outlines(surface: Surface, facts: wp.array2d(dtype=wp.vec2), frame: int, edge: int) -> bool:
    """Whether an edge is where the surface turns away, or ends."""
    sides = surface.edge_faces[edge]
    first = facts[frame, sides[0]][1]
    second = wp.float32(0.0)
    if sides[1] >= 0:
        second = facts[frame, sides[1]][1]
    return first * second < 0.0 or ((first == 0.0) != (second == 0.0))


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


@wp.func
def nearest_beyond(front: wp.vec2, back: wp.vec3, depth: float, p: wp.vec2, near: float) -> float:
    """Share of the end that is not in front, at the point nearest to p of what is seen of an edge."""
    along = plane2(back) - front
    length = wp.dot(along, along)
    if length < 1.0e-12:
        return 0.0
    # Where the near plane cuts the edge: its share in space, made perspective.
    cut = (depth - near) / (depth - back[2]) * back[2] / near
    return wp.clamp(wp.dot(p - front, along) / length, wp.min(cut, 0.0), wp.max(cut, 0.0))


@wp.func
def nearest_on_visible(a: wp.vec3, b: wp.vec3, p: wp.vec2, near: float) -> wp.vec2:
    """Shares of both ends at the point nearest to p of what is seen of an edge, at least one end of it in front."""
    if a[2] > near and b[2] > near:
        t = nearest_on_edge(plane2(a), plane2(b), p)
        return wp.vec2(1.0 - t, t)
    if a[2] > near:
        t = nearest_beyond(plane2(a), b, a[2], p, near)
        return wp.vec2(1.0 - t, t)
    rest = nearest_beyond(plane2(b), a, b[2], p, near)
    return wp.vec2(rest, 1.0 - rest)


@wp.func
def mix_shares(a: wp.vec3, b: wp.vec3, shares: wp.vec2) -> wp.vec2:
    """The screen point with these shares of two ends."""
    return plane2(a) * shares[0] + plane2(b) * shares[1]


@wp.func
def outward_normal(a: wp.vec3, b: wp.vec3, across: wp.vec3) -> wp.vec2:
    """Unit normal of an edge on the screen, away from the face with the corner ``across``."""
    normal = wp.normalize(wp.vec2(b[1] - a[1], a[0] - b[0]))
    # A corner behind the camera is projected to the other side.
    side = wp.dot(normal, plane2(across) - plane2(a)) * across[2]
    return wp.where(side > 0.0, -normal, normal)


@wp.kernel
def outline_distance(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    facts: wp.array2d(dtype=wp.vec2),
    face_ids: wp.array3d(dtype=wp.int32),
    fringe: Fringe,
    keys: wp.array3d(dtype=wp.uint64),
):
    """For pixels within reach of the outline keep (squared distance, edge); launched over (T, E)."""
    frame, edge = wp.tid()
    if not outlines(surface, facts, frame, edge):
        return
    near = fringe.near
    reach = fringe.reach
    ends = surface.edges[edge]
    a = screen[frame, ends[0]]
    b = screen[frame, ends[1]]
    height = face_ids.shape[1]
    width = face_ids.shape[2]
    columns = seen_span(a[0], b[0], a[2], b[2], near)
    rows = seen_span(a[1], b[1], a[2], b[2], near)
    x0 = wp.max(pixel_bound(wp.ceil(columns[0] - reach - 0.5), width), 0)
    x1 = wp.min(pixel_bound(wp.floor(columns[1] + reach - 0.5), width), width - 1)
    y0 = wp.max(pixel_bound(wp.ceil(rows[0] - reach - 0.5), height), 0)
    y1 = wp.min(pixel_bound(wp.floor(rows[1] + reach - 0.5), height), height - 1)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            p = wp.vec2(float(x) + 0.5, float(y) + 0.5)
            q = mix_shares(a, b, nearest_on_visible(a, b, p, near))
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
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    fringe: Fringe,
    frame: int,
    x: int,
    y: int,
    key: wp.uint64,
    inside: bool,
) -> Nearest:
    """Unpack what `outline_distance` kept for a pixel."""
    result = Nearest()
    result.edge = int(key & wp.uint64(0xFFFFFFFF))
    ends = surface.edges[result.edge]
    a = screen[frame, ends[0]]
    b = screen[frame, ends[1]]
    p = wp.vec2(float(x) + 0.5, float(y) + 0.5)
    shares = nearest_on_visible(a, b, p, fringe.near)
    result.rest = shares[0]
    result.t = shares[1]
    q = mix_shares(a, b, shares)
    distance = wp.length(p - q)
    sign = wp.where(inside, 1.0, -1.0)
    result.distance = sign * distance
    # The longer of two vectors gives the direction: from the pixel to its nearest point, or along the edge.
    length = wp.length(plane2(b) - plane2(a))
    if distance > 1.0e-3:
        result.outward = (q - p) * (sign / distance)
        if length > distance and result.rest != 0.0 and result.t != 0.0:
            normal = wp.vec2(b[1] - a[1], a[0] - b[0]) / length
            result.outward = wp.where(wp.dot(normal, result.outward) > 0.0, normal, -normal)
    else:
        # On the line itself: the edge's normal, turned away from the face that it bounds.
        result.outward = outward_normal(a, b, screen[frame, ends[2]])
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
def turned(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int) -> float:
    """-1 where a face is seen from behind: its normal is turned towards the viewer."""
    return wp.where(facing(surface, screen, frame, face, 0.0) > 0.0, -1.0, 1.0)
