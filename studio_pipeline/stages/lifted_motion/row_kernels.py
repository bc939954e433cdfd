# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
"""Derivatives of skinned surface points and normals by joint steps, in Warp: only the joints that carry a point."""

from __future__ import annotations

import warp as wp

__all__ = ["Bones", "Posed", "rows_of"]

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.struct
class Bones:
    """A skinned mesh, the same in all poses."""

    rest: wp.array(dtype=wp.vec3)  # [V]
    joints: wp.array2d(dtype=wp.int32)  # [V, K] influences
    weights: wp.array2d(dtype=float)  # [V, K], rows sum to one
    faces: wp.array(dtype=wp.vec3i)  # [F]
    carriers: wp.array2d(dtype=wp.int32)  # [F, A] joints that a face hangs on, -1 past their number
    below: wp.array2d(dtype=wp.int32)  # [J, J] 1 where the second joint hangs on the first


@wp.struct
class Posed:
    """Joint frames of one pose."""

    transforms: wp.array(dtype=wp.mat44)  # [J] skinning
    heads: wp.array(dtype=wp.vec3)  # [J] world
    axes: wp.array(dtype=wp.mat33)  # [J] columns: the joint's own axes, world
    frames: wp.array(dtype=wp.mat33)  # [J] columns: axes in which translations act, world


@wp.kernel
def rows_of(
    bones: Bones,
    posed: Posed,
    faces: wp.array(dtype=wp.int32),  # [N] face of each point
    shares: wp.array(dtype=wp.vec3),  # [N] barycentrics
    normals: wp.array(dtype=wp.vec3),  # [N] or [0]
    by_point: wp.array2d(dtype=wp.vec3),  # [N, C]
    by_normal: wp.array2d(dtype=wp.vec3),  # [N, C] or [0, 0]
    rows: wp.array3d(dtype=float),  # [N, C, 2 J 3] out, zeros
):
    """Rows ``by_point . d point + by_normal . d normal`` for steps (see `kinematics.Pose.moved`); launched over N."""
    sample = wp.tid()
    face = faces[sample]
    corners = bones.faces[face]
    share = shares[sample]
    half = rows.shape[2] / 2
    shaded = by_normal.shape[0] > 0
    for slot in range(bones.carriers.shape[1]):
        joint = bones.carriers[face, slot]
        if joint < 0:
            break
        lever = wp.vec3(0.0, 0.0, 0.0)
        part = float(0.0)  # noqa: UP018 - a Warp variable
        for corner in range(3):
            vertex = corners[corner]
            for k in range(bones.joints.shape[1]):
                weight = bones.weights[vertex, k] * share[corner]
                carrier = bones.joints[vertex, k]
                if weight > 0.0 and bones.below[joint, carrier] != 0:
                    part += weight
                    lever += weight * wp.transform_point(posed.transforms[carrier], bones.rest[vertex])
        lever -= part * posed.heads[joint]
        for axis in range(3):
            turn = wp.vec3(posed.axes[joint][0, axis], posed.axes[joint][1, axis], posed.axes[joint][2, axis])
            slide = wp.vec3(posed.frames[joint][0, axis], posed.frames[joint][1, axis], posed.frames[joint][2, axis])
            moved = wp.cross(turn, lever)
            for row in range(by_point.shape[1]):
                along = by_point[sample, row]
                value = wp.dot(along, moved)
                if shaded:
                    value += part * wp.dot(by_normal[sample, row], wp.cross(turn, normals[sample]))
                rows[sample, row, joint * 3 + axis] = value
                rows[sample, row, half + joint * 3 + axis] = part * wp.dot(along, slide)
