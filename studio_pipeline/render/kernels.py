# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Hard rasterization in Warp: z-buffer by packed atomics, then a pass that resolves what each pixel sees.

Screen vertices are (x [px], y [px], depth [m]). A key packs the depth's bits above the face's index, so
that the smallest key is the nearest face and, at equal depth, the lowest index: no order of execution
changes the result. The same source runs on the CPU (one thread a launch) and on CUDA.

Faces that cross the near plane are clipped without new corners: with corners h_i = z_i (x_i, y_i, 1) and
w_i = (p - p_j) x (p - p_k), a pixel p has the barycentrics (w_i / z_i) / sum(w_i / z_i) whatever the signs of z_i
(Olano and Greer 1997); it sees the face where they are all positive and the depth is beyond the near plane.
"""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernel_math import (
    clipped_span,
    cross2,
    edge_weights,
    first_corner,
    last_corner,
    orientation,
    pixel_bound,
)

__all__ = ["EMPTY_KEY", "resolve", "resolve_pixel", "resolve_rows", "zbuffer"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

EMPTY_KEY = 0xFFFFFFFFFFFFFFFF


@wp.kernel
def zbuffer(
    screen: wp.array2d(dtype=wp.vec3),  # [T, V]
    faces: wp.array(dtype=wp.vec3i),  # [F]
    near: float,
    cull_back: int,
    keys: wp.array3d(dtype=wp.uint64),  # [T, H, W]
):
    """Keep the smallest key of all faces that cover a pixel centre; launched over (T, F)."""
    frame, face = wp.tid()
    corner = faces[face]
    a = screen[frame, corner[0]]
    b = screen[frame, corner[1]]
    c = screen[frame, corner[2]]
    area = orientation(a, b, c, near)
    # Rows grow downwards: a face that is counter-clockwise in the world has a negative area when it faces us.
    if area == 0.0 or (cull_back != 0 and area > 0.0):
        return
    if not (a[2] > near and b[2] > near and c[2] > near):
        cover_clipped(a, b, c, frame, face, near, keys)
        return
    height = keys.shape[1]
    width = keys.shape[2]
    x0 = wp.max(pixel_bound(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]) - 0.5), width), 0)
    x1 = wp.min(pixel_bound(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]) - 0.5), width), width - 1)
    y0 = wp.max(pixel_bound(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]) - 0.5), height), 0)
    y1 = wp.min(pixel_bound(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]) - 0.5), height), height - 1)
    # Corners in an order of their own: faces that coincide get the same depth to the last bit, however they are wound.
    low = first_corner(a, b)
    high = last_corner(a, b)
    mid = last_corner(low, c)
    a = first_corner(low, c)
    b = first_corner(mid, high)
    c = last_corner(mid, high)
    side = wp.sign(cross2(b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]))
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            w = edge_weights(a, b, c, float(x) + 0.5, float(y) + 0.5) * side
            if w[0] >= 0.0 and w[1] >= 0.0 and w[2] >= 0.0:
                depth = (w[0] + w[1] + w[2]) / (w[0] / a[2] + w[1] / b[2] + w[2] / c[2])
                if depth > near:
                    key = (wp.uint64(wp.cast(depth, wp.uint32)) << wp.uint64(32)) | wp.uint64(face)
                    wp.atomic_min(keys, frame, y, x, key)


@wp.func
def cover_clipped(
    a: wp.vec3, b: wp.vec3, c: wp.vec3, frame: int, face: int, near: float, keys: wp.array3d(dtype=wp.uint64)
):
    """The rest of `zbuffer` for a face that crosses the near plane."""
    depths = wp.vec3(a[2], b[2], c[2])
    columns = clipped_span(wp.vec3(a[0], b[0], c[0]), depths, near)
    rows = clipped_span(wp.vec3(a[1], b[1], c[1]), depths, near)
    height = keys.shape[1]
    width = keys.shape[2]
    x0 = wp.max(pixel_bound(wp.ceil(columns[0] - 0.5), width), 0)
    x1 = wp.min(pixel_bound(wp.floor(columns[1] - 0.5), width), width - 1)
    y0 = wp.max(pixel_bound(wp.ceil(rows[0] - 0.5), height), 0)
    y1 = wp.min(pixel_bound(wp.floor(rows[1] - 0.5), height), height - 1)
    side = wp.sign(cross2(b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]))
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            w = edge_weights(a, b, c, float(x) + 0.5, float(y) + 0.5) * side
            q = wp.vec3(w[0] / a[2], w[1] / b[2], w[2] / c[2])
            if (q[0] >= 0.0 and q[1] >= 0.0 and q[2] >= 0.0) or (q[0] <= 0.0 and q[1] <= 0.0 and q[2] <= 0.0):
                depth = (w[0] + w[1] + w[2]) / (q[0] + q[1] + q[2])
                if depth > near:
                    key = (wp.uint64(wp.cast(depth, wp.uint32)) << wp.uint64(32)) | wp.uint64(face)
                    wp.atomic_min(keys, frame, y, x, key)


@wp.func
def resolve_pixel(
    screen: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    keys: wp.array3d(dtype=wp.uint64),
    empty_depth: float,
    frame: int,
    y: int,
    x: int,
    face_ids: wp.array3d(dtype=wp.int32),
    barycentrics: wp.array3d(dtype=wp.vec3),
    depth: wp.array3d(dtype=float),
):
    """Turn one key into face, perspective-correct barycentrics and depth."""
    key = keys[frame, y, x]
    if key == wp.uint64(EMPTY_KEY):
        face_ids[frame, y, x] = -1
        barycentrics[frame, y, x] = wp.vec3(0.0, 0.0, 0.0)
        depth[frame, y, x] = empty_depth
        return
    face = int(key & wp.uint64(0xFFFFFFFF))
    corner = faces[face]
    a = screen[frame, corner[0]]
    b = screen[frame, corner[1]]
    c = screen[frame, corner[2]]
    w = edge_weights(a, b, c, float(x) + 0.5, float(y) + 0.5)
    q = wp.vec3(w[0] / a[2], w[1] / b[2], w[2] / c[2])
    total = q[0] + q[1] + q[2]
    face_ids[frame, y, x] = face
    barycentrics[frame, y, x] = q / total
    depth[frame, y, x] = (w[0] + w[1] + w[2]) / total


@wp.kernel
def resolve(
    screen: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    keys: wp.array3d(dtype=wp.uint64),
    empty_depth: float,
    face_ids: wp.array3d(dtype=wp.int32),  # [T, H, W]
    barycentrics: wp.array3d(dtype=wp.vec3),
    depth: wp.array3d(dtype=float),
):
    """`resolve_pixel` of every pixel; launched over (T, H, W)."""
    frame, y, x = wp.tid()
    resolve_pixel(screen, faces, keys, empty_depth, frame, y, x, face_ids, barycentrics, depth)


@wp.kernel
def resolve_rows(
    screen: wp.array2d(dtype=wp.vec3),
    faces: wp.array(dtype=wp.vec3i),
    keys: wp.array3d(dtype=wp.uint64),
    empty_depth: float,
    face_ids: wp.array3d(dtype=wp.int32),  # [T, H, W]
    barycentrics: wp.array3d(dtype=wp.vec3),
    depth: wp.array3d(dtype=float),
    lanes: int,
):
    """`resolve` launched over (T, H, lanes): on a CPU one lane walks along its row, which is quicker."""
    frame, y, lane = wp.tid()
    for x in range(lane, keys.shape[2], lanes):
        resolve_pixel(screen, faces, keys, empty_depth, frame, y, x, face_ids, barycentrics, depth)
