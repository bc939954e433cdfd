"""Equations' rows of surface points: how what is measured of them changes with the joints."""

from __future__ import annotations

import numpy as np
import warp as wp

from studio_pipeline.render.runtime import initialize, over_frames
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.lifted_motion import row_kernels
from studio_pipeline.stages.lifted_motion.kinematics import Skeleton, Skin, strongest

__all__ = ["Rows"]


class Rows:
    """Makes rows for one rigged mesh; twins of `kinematics.Skin.jacobian`, sparse and in single precision."""

    def __init__(self, character: Character, rig: Rig, skeleton: Skeleton) -> None:
        initialize(row_kernels.__name__)
        self.skeleton = skeleton
        weights = np.asarray(rig.weights, np.float32)
        joints, shares = strongest(weights)
        carried = np.asarray((weights > 0.0).astype(np.float32) @ skeleton.below.T > 0.0)  # [V, J]
        on_face = np.asarray(carried[character.faces].any(axis=1))  # [F, J]
        most = int(on_face.sum(1).max())
        carriers = np.full((len(on_face), most), -1, np.int32)
        for slot in range(most):
            left = on_face.any(1)
            joint = on_face.argmax(1)
            carriers[left, slot] = joint[left]
            on_face[np.flatnonzero(left), joint[left]] = False
        self.bones = row_kernels.Bones()
        self.bones.rest = _given(character.vertices, wp.vec3)
        self.bones.joints = _given(joints, wp.int32)
        self.bones.weights = _given(shares, wp.float32)
        self.bones.faces = _given(character.faces, wp.vec3i)
        self.bones.carriers = _given(carriers, wp.int32)
        self.bones.below = _given(skeleton.below, wp.int32)

    def of(
        self,
        skin: Skin,
        faces: np.ndarray,
        shares: np.ndarray,
        by_point: np.ndarray,
        normals: np.ndarray | None = None,
        by_normal: np.ndarray | None = None,
    ) -> np.ndarray:
        """Derivatives of ``by_point . point + by_normal . normal`` by a pose step.

        Args:
            skin: The pose.
            faces: Face of each point [N].
            shares: Barycentrics [N, 3].
            by_point: Derivatives of C values by the world point [N, C, 3].
            normals: Unit normals [N, 3] that turn with the points.
            by_normal: Derivatives of the values by them [N, C, 3].

        Returns:
            Rows [N, C, 2J * 3] float32.
        """
        count, values = by_point.shape[:2]
        result = np.zeros((count, values, 6 * self.skeleton.count), np.float32)
        posed = row_kernels.Posed()
        posed.transforms = _given(skin.transforms, wp.mat44)
        posed.heads = _given(skin.world[:, :3, 3], wp.vec3)
        posed.axes = _given(skin.world[:, :3, :3], wp.mat33)
        posed.frames = _given(skin.carrier, wp.mat33)
        turned = np.zeros((0, 3)) if normals is None else normals
        shading = np.zeros((0, 0, 3)) if by_normal is None else by_normal
        given = [np.ascontiguousarray(v, np.float32) for v in (shares, turned, by_point, shading)]
        index = np.ascontiguousarray(faces, np.int32)

        def work(part: slice) -> None:
            points = [
                _view(index[part], wp.int32),
                *(_view(v[part] if len(v) else v, wp.vec3) for v in given),
                _view(result[part], wp.float32),
            ]
            inputs = [self.bones, posed, *points]
            wp.launch(row_kernels.rows_of, dim=part.stop - part.start, inputs=inputs, device="cpu")

        over_frames(count, work)
        return result


def _given(value: np.ndarray, dtype: type) -> wp.array:
    kind = np.int32 if dtype in (wp.int32, wp.vec3i) else np.float32
    return wp.array(np.ascontiguousarray(value, kind), dtype=dtype, device="cpu")


def _view(value: np.ndarray, dtype: type) -> wp.array:
    return wp.array(value, dtype=dtype, device="cpu", copy=False)
