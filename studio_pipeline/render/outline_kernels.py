# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Where the outline of a mesh runs on the screen, and how far each pixel is from it.

Screen vertices are (x [px], y [px], depth [m]); frames come first.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import cross2, pixel_bound
from studio_pipeline.render.textures import Pyramid

__all__ = [
    "coverage",
    "coverage_slope",
    "facing",
    "mix2",
    "nearest_on_edge",
    "nearest_outline",
    "outline_distance",
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
def turned(surface: Surface, screen: wp.array2d(dtype=wp.vec3), frame: int, face: int) -> float:
    """-1 where a face is seen from behind: its normal is turned towards the viewer."""
    return wp.where(facing(surface, screen, frame, face, 0.0) > 0.0, -1.0, 1.0)
