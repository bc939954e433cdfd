# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Anti-aliased edges inside the silhouette, where one part of a mesh hides another, and their adjoint.

After Laine et al., "Modular primitives for high-performance differentiable rendering" (2020): where an edge at which
the surface turns away or ends passes between the centres of two neighbouring pixels, the pixel that it lies in takes
on the other's colour, by as much as the edge is past the pixels' border. An edge nearer to the vertical does so along
rows, others along columns; so a straight edge covers each row as much as it should. Edges are taken from the mesh,
not from the faces that the two pixels see, so an edge between faces smaller than a pixel counts too.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import pixel_bound, seen_span
from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.outline_kernels import Surface, outlines, outward_normal

__all__ = ["Borrowed", "Inner", "borrowed", "find_inner", "inner_colour", "inner_flow", "inner_pull"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.struct
class Inner:
    """Pairs of neighbouring pixels that an inner edge passes between; empty arrays where there are to be none."""

    keys: wp.array4d(dtype=wp.uint64)  # [T, 2, H, W] (depth, edge) between a pixel and its right, its lower neighbour
    marks: wp.array3d(dtype=wp.uint8)  # [T, H, W] 1 where a pixel is part of a pair


@wp.struct
class Crossing:
    """Where an edge crosses the line through a row's or column's pixel centres."""

    rest: float  # screen shares of the edge's ends
    t: float
    where: float  # [px] along the row or column
    slope: float  # how far `where` moves as the row or column does


@wp.struct
class Borrowed:
    """How much a pixel takes of its neighbours' colours, each 0 .. 0.5."""

    left: float
    right: float
    up: float
    down: float


@wp.func
def crossing(a: wp.vec3, b: wp.vec3, axis: int, line: int) -> Crossing:
    """Of the line through a and b with row (axis 0) or column (axis 1) number ``line``."""
    other = 1 - axis
    at = float(line) + 0.5
    whole = b[other] - a[other]
    result = Crossing()
    result.rest = (b[other] - at) / whole
    result.t = (at - a[other]) / whole
    result.where = a[axis] * result.rest + b[axis] * result.t
    result.slope = (b[axis] - a[axis]) / whole
    return result


@wp.func
def occludes(
    surface: Surface,
    face_ids: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=float),
    frame: int,
    edge: int,
    edge_depth: float,
    y: int,
    x: int,
    far_y: int,
    far_x: int,
) -> bool:
    """Whether pixel (x, y) sees the part that the edge bounds, and the other one what it hides."""
    sides = surface.edge_faces[edge]
    face = face_ids[frame, y, x]
    far_face = face_ids[frame, far_y, far_x]
    if face < 0 or far_face < 0 or far_face == sides[0] or far_face == sides[1]:
        return False
    far_depth = depth[frame, far_y, far_x]
    if not far_depth > edge_depth:
        return False
    # The part's next faces count where those at the edge are too small to be seen.
    return face == sides[0] or face == sides[1] or depth[frame, y, x] < 0.5 * (edge_depth + far_depth)


@wp.kernel
def find_inner(
    screen: wp.array2d(dtype=wp.vec3),
    surface: Surface,
    facts: wp.array2d(dtype=wp.vec2),
    face_ids: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=float),
    near: float,
    inner: Inner,
):
    """Keep the nearest edge that passes between two pixels and hides what one of them sees; launched over (T, E)."""
    frame, edge = wp.tid()
    if not outlines(surface, facts, frame, edge):
        return
    ends = surface.edges[edge]
    a = screen[frame, ends[0]]
    b = screen[frame, ends[1]]
    axis = wp.where(wp.abs(b[1] - a[1]) >= wp.abs(b[0] - a[0]), 0, 1)
    other = 1 - axis
    lines = seen_span(a[other], b[other], a[2], b[2], near)
    limit = wp.where(axis == 0, face_ids.shape[1], face_ids.shape[2])
    length = wp.where(axis == 0, face_ids.shape[2], face_ids.shape[1])
    low = wp.max(pixel_bound(wp.ceil(lines[0] - 0.5), limit), 0)
    high = wp.min(pixel_bound(wp.ceil(lines[1] - 0.5), limit), limit)
    first_inside = outward_normal(a, b, screen[frame, ends[2]])[axis] > 0.0
    for line in range(low, high):
        cross = crossing(a, b, axis, line)
        edge_depth = 1.0 / (cross.rest / a[2] + cross.t / b[2])
        left = pixel_bound(wp.floor(cross.where - 0.5), length)
        if left >= 0 and left + 1 < length and edge_depth > near:
            y = wp.where(axis == 0, line, left)
            x = wp.where(axis == 0, left, line)
            mark_pair(surface, face_ids, depth, frame, edge, edge_depth, axis, y, x, first_inside, inner)


@wp.func
def mark_pair(
    surface: Surface,
    face_ids: wp.array3d(dtype=wp.int32),
    depth: wp.array3d(dtype=float),
    frame: int,
    edge: int,
    edge_depth: float,
    axis: int,
    y: int,
    x: int,
    first_inside: bool,
    inner: Inner,
):
    """Keep an edge for the pair of (x, y) and its right (axis 0) or lower neighbour, if it hides one from the other."""
    y1 = y + axis
    x1 = x + 1 - axis
    hides = wp.bool(False)
    if first_inside:
        hides = occludes(surface, face_ids, depth, frame, edge, edge_depth, y, x, y1, x1)
    else:
        hides = occludes(surface, face_ids, depth, frame, edge, edge_depth, y1, x1, y, x)
    if hides:
        key = (wp.uint64(wp.cast(edge_depth, wp.uint32)) << wp.uint64(32)) | wp.uint64(edge)
        wp.atomic_min(inner.keys, frame, axis, y, x, key)
        inner.marks[frame, y, x] = wp.uint8(1)
        inner.marks[frame, y1, x1] = wp.uint8(1)


@wp.func
def past_border(
    surface: Surface, screen: wp.array2d(dtype=wp.vec3), inner: Inner, frame: int, axis: int, y: int, x: int
) -> float:
    """How far the edge is past the border [px] between (x, y) and its right (axis 0) or lower neighbour; 0: no edge."""
    key = inner.keys[frame, axis, y, x]
    if key == wp.uint64(EMPTY_KEY):
        return 0.0
    ends = surface.edges[int(key & wp.uint64(0xFFFFFFFF))]
    line = wp.where(axis == 0, y, x)
    border = float(wp.where(axis == 0, x, y)) + 1.0
    return crossing(screen[frame, ends[0]], screen[frame, ends[1]], axis, line).where - border


@wp.func
def borrowed(surface: Surface, screen: wp.array2d(dtype=wp.vec3), inner: Inner, frame: int, y: int, x: int) -> Borrowed:
    """What a pixel takes of its neighbours' colours."""
    result = Borrowed()
    result.right = wp.max(-past_border(surface, screen, inner, frame, 0, y, x), 0.0)
    result.down = wp.max(-past_border(surface, screen, inner, frame, 1, y, x), 0.0)
    if x > 0:
        result.left = wp.max(past_border(surface, screen, inner, frame, 0, y, x - 1), 0.0)
    if y > 0:
        result.up = wp.max(past_border(surface, screen, inner, frame, 1, y - 1, x), 0.0)
    return result


@wp.func
def along_row(taken: Borrowed, foreground: wp.array3d(dtype=wp.vec3), frame: int, y: int, x: int) -> wp.vec3:
    """A pixel's colour blended with those to its left and right."""
    colour = foreground[frame, y, x] * (1.0 - taken.left - taken.right)
    if taken.left > 0.0:
        colour += foreground[frame, y, x - 1] * taken.left
    if taken.right > 0.0:
        colour += foreground[frame, y, x + 1] * taken.right
    return colour


@wp.func
def inner_colour(
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    inner: Inner,
    foreground: wp.array3d(dtype=wp.vec3),
    frame: int,
    y: int,
    x: int,
) -> wp.vec3:
    """The surface's colour at a pixel, blended across inner edges: first along the row, then along the column.

    Two steps, so that the corner of a box covers a pixel as the product of its sides, and shares never exceed one.
    """
    taken = borrowed(surface, screen, inner, frame, y, x)
    colour = along_row(taken, foreground, frame, y, x) * (1.0 - taken.up - taken.down)
    if taken.up > 0.0:
        colour += foreground[frame, y - 1, x] * taken.up
    if taken.down > 0.0:
        colour += foreground[frame, y + 1, x] * taken.down
    return colour


@wp.func
def lent(
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    inner: Inner,
    g_colours: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    frame: int,
    y: int,
    x: int,
    share: float,
    in_row: bool,
) -> wp.vec3:
    """Adjoint of what the pixel (x, y) took of a neighbour in its row or column."""
    g = g_colours[frame, y, x] * (silhouette[frame, y, x] * share)
    if in_row:
        taken = borrowed(surface, screen, inner, frame, y, x)
        g = g * (1.0 - taken.up - taken.down)
    return g


@wp.func
def inner_flow(
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    inner: Inner,
    g_colours: wp.array3d(dtype=wp.vec3),
    silhouette: wp.array3d(dtype=float),
    frame: int,
    y: int,
    x: int,
) -> wp.vec3:
    """Adjoint of a pixel's own colour before `inner_colour`, gathered from its own and its neighbours'."""
    taken = borrowed(surface, screen, inner, frame, y, x)
    own = (1.0 - taken.left - taken.right) * (1.0 - taken.up - taken.down)
    g = g_colours[frame, y, x] * (silhouette[frame, y, x] * own)
    share = past_border(surface, screen, inner, frame, 0, y, x)
    if share > 0.0:
        g += lent(surface, screen, inner, g_colours, silhouette, frame, y, x + 1, share, True)
    share = past_border(surface, screen, inner, frame, 1, y, x)
    if share > 0.0:
        g += lent(surface, screen, inner, g_colours, silhouette, frame, y + 1, x, share, False)
    if x > 0:
        share = -past_border(surface, screen, inner, frame, 0, y, x - 1)
        if share > 0.0:
            g += lent(surface, screen, inner, g_colours, silhouette, frame, y, x - 1, share, True)
    if y > 0:
        share = -past_border(surface, screen, inner, frame, 1, y - 1, x)
        if share > 0.0:
            g += lent(surface, screen, inner, g_colours, silhouette, frame, y - 1, x, share, False)
    return g


@wp.func
def pull_edge(
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    inner: Inner,
    frame: int,
    axis: int,
    y: int,
    x: int,
    g_where: float,
    g_screen: wp.array2d(dtype=wp.vec3),
):
    """From the adjoint of where the edge between a pair passes to its ends."""
    ends = surface.edges[int(inner.keys[frame, axis, y, x] & wp.uint64(0xFFFFFFFF))]
    cross = crossing(screen[frame, ends[0]], screen[frame, ends[1]], axis, wp.where(axis == 0, y, x))
    pull = wp.vec3(g_where, -cross.slope * g_where, 0.0)
    if axis == 1:
        pull = wp.vec3(-cross.slope * g_where, g_where, 0.0)
    wp.atomic_add(g_screen, frame, ends[0], pull * cross.rest)
    wp.atomic_add(g_screen, frame, ends[1], pull * cross.t)


@wp.func
def inner_pull(
    surface: Surface,
    screen: wp.array2d(dtype=wp.vec3),
    inner: Inner,
    foreground: wp.array3d(dtype=wp.vec3),
    g: wp.vec3,
    frame: int,
    y: int,
    x: int,
    g_screen: wp.array2d(dtype=wp.vec3),
):
    """From the adjoint g of `inner_colour` at a pixel to the edges that it is blended across."""
    taken = borrowed(surface, screen, inner, frame, y, x)
    colour = foreground[frame, y, x]
    mixed = along_row(taken, foreground, frame, y, x)
    g_row = g * (1.0 - taken.up - taken.down)
    if taken.left > 0.0:
        g_where = wp.dot(g_row, foreground[frame, y, x - 1] - colour)
        pull_edge(surface, screen, inner, frame, 0, y, x - 1, g_where, g_screen)
    if taken.right > 0.0:
        g_where = wp.dot(g_row, colour - foreground[frame, y, x + 1])
        pull_edge(surface, screen, inner, frame, 0, y, x, g_where, g_screen)
    if taken.up > 0.0:
        g_where = wp.dot(g, foreground[frame, y - 1, x] - mixed)
        pull_edge(surface, screen, inner, frame, 1, y - 1, x, g_where, g_screen)
    if taken.down > 0.0:
        g_where = wp.dot(g, mixed - foreground[frame, y + 1, x])
        pull_edge(surface, screen, inner, frame, 1, y, x, g_where, g_screen)
