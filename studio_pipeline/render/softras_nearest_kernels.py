# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""SoftRas' coverage and nearest faces in Warp, what its colour starts from (see `render.softras_blend_kernels`)."""

from __future__ import annotations

import warp as wp

from studio_pipeline.render.kernels import EMPTY_KEY
from studio_pipeline.render.lanes import LANES, Lanes, LongLanes, occluded, ramp
from studio_pipeline.render.softras_kernels import FIXED, Soft, Triangle, feet, reached, triangle
from studio_pipeline.render.softras_shading import spots

__all__ = ["NOTHING", "IndexLanes", "KeyLanes", "front", "nearest", "split_keys"]

wp.set_module_options({"enable_backward": False, "fuse_fp": True})

IndexLanes = wp.types.vector(length=LANES, dtype=wp.int32)
KeyLanes = wp.types.vector(length=LANES, dtype=wp.uint64)
NOTHING = -1.0e30  # depth where there is no face


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
