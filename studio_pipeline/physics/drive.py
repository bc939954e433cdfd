"""How a rig's motion drives a solid: targets of the attached vertices and a warm start for the rest, at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.rotations import matrix_to_sixd, sixd_to_matrix
from studio_pipeline.geometry.skinning import posed_world, skinning_transforms
from studio_pipeline.physics.topology import connected_parts
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import Motion, Rig, Solid

__all__ = ["Drive", "driving_weights"]


def driving_weights(solid: Solid) -> tuple[np.ndarray, np.ndarray]:
    """Which vertices the joints hold and by which weights every vertex is carried.

    A vertex of driven tetrahedra follows their joints only: rigidly where there is one, by its skin weights
    among them where there are several. A connected part that no joint drives is held at every vertex, by its
    skin weights: nothing else would move it.

    Returns:
        held [P] bool and weights [P, J] float64 whose rows sum to one.
    """
    weights = np.maximum(solid.vertex_weights.astype(np.float64), 0.0)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
    driven = solid.tet_joints >= 0
    touched = np.zeros(weights.shape)
    touched[solid.tets[driven].reshape(-1), np.repeat(solid.tet_joints[driven], 4)] = 1.0
    held = touched.any(1)
    # The small share keeps joints with no skin weight here from dividing by zero.
    chosen = touched[held] * (weights[held] + 1e-6)
    weights[held] = chosen / chosen.sum(1, keepdims=True)
    parts = connected_parts(len(solid.vertices), solid.tets)
    driven_parts = np.zeros(parts.max() + 1, dtype=bool)
    driven_parts[parts[held]] = True
    return held | ~driven_parts[parts], weights


@dataclass
class Drive:
    """Positions that skinning would give a solid's vertices, as a function of time in frames."""

    rig: Rig
    motion: Motion
    rest: np.ndarray  # [P, 3] float64 [m]
    weights: np.ndarray  # [P, J] float64

    @classmethod
    def build(cls, rig: Rig, motion: Motion, solid: Solid) -> tuple[Drive, np.ndarray]:
        """The drive and the held vertices [P] bool.

        Raises:
            InputError: Joint counts disagree, or the motion has no frames or values that are not finite.
        """
        joints = rig.joint_count
        if motion.rotations.shape[1] != joints or solid.vertex_weights.shape[1] != joints:
            raise InputError(f"belongs to another rig than the one of {joints} joints", where="lifted motion or solid")
        if motion.frame_count == 0:
            raise InputError("has no frames", where="lifted motion")
        with np.errstate(invalid="ignore", divide="ignore"):
            sound = np.isfinite(skinning_transforms(rig, motion)).all((1, 2, 3))
        if not sound.all():
            frame = motion.first_frame + int(np.flatnonzero(~sound)[0])
            raise InputError("has joint rotations or translations that are not finite", where=f"motion, frame {frame}")
        held, weights = driving_weights(solid)
        return cls(rig, motion, solid.vertices.astype(np.float64), weights), held

    def pose(self, frame: float) -> tuple[np.ndarray, np.ndarray]:
        """Joint rotations [J, 6] and translations [J, 3] at a time in frames; cubic between frames, exact on them.

        Times below 0 lead from the rest pose at -1 to the first frame at 0.
        """
        rotations = self.motion.rotations.astype(np.float64)
        translations = self.motion.translations.astype(np.float64)
        last = len(rotations) - 1
        if frame < 0.0:
            rest = np.zeros_like(rotations[0])
            rest[:, [0, 4]] = 1.0
            return _mix(rest, rotations[0], 1.0 + frame), (1.0 + frame) * translations[0]
        left = min(int(np.floor(frame)), last)
        part = frame - left
        if part == 0.0 or left == last:
            return rotations[left], translations[left]
        keys = [max(left - 1, 0), left, left + 1, min(left + 2, last)]
        share = _catmull_rom(part)
        smooth = np.einsum("k,kja->ja", share, rotations[keys])
        # Far apart keys can cancel in the cubic: then the straight way.
        sound = np.linalg.norm(np.cross(smooth[:, :3], smooth[:, 3:]), axis=1) > 0.2
        straight = _mix(rotations[left], rotations[left + 1], part)
        return np.where(sound[:, None], smooth, straight), np.einsum("k,kja->ja", share, translations[keys])

    def affine(self, frame: float) -> np.ndarray:
        """Blended skinning transform of every vertex at a time in frames. [P, 3, 4] float64"""
        rotations, translations = self.pose(frame)
        world = posed_world(self.rig, rotations[None], translations[None])[0] @ np.linalg.inv(self.rig.rest_world)
        return (self.weights @ world[:, :3].reshape(-1, 12)).reshape(-1, 3, 4)

    def positions(self, affine: np.ndarray) -> np.ndarray:
        """Skinned positions of the vertices under `affine`. [P, 3] float64"""
        return np.einsum("pab,pb->pa", affine[:, :, :3], self.rest) + affine[:, :, 3]


def carry(x: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Positions ``x`` [P, 3] moved as the skinning moves from ``before`` to ``after`` [P, 3, 4]."""
    local = np.einsum("pba,pb->pa", before[:, :, :3], x - before[:, :, 3])
    # The transpose stands in for the inverse: blends are near rotations, and this is only a guess.
    return np.einsum("pab,pb->pa", after[:, :, :3], local) + after[:, :, 3]


def _mix(a: np.ndarray, b: np.ndarray, part: float) -> np.ndarray:
    """Rotations [J, 6] on the shortest arc from ``a`` to ``b``."""
    from scipy.spatial.transform import Rotation

    start, end = sixd_to_matrix(a), sixd_to_matrix(b)
    turn = Rotation.from_matrix(np.swapaxes(start, 1, 2) @ end).as_rotvec()
    return matrix_to_sixd(start @ Rotation.from_rotvec(part * turn).as_matrix())


def _catmull_rom(t: float) -> np.ndarray:
    return 0.5 * np.array([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3])
