"""Forward kinematics and linear blend skinning in NumPy (see `schema.records.Rig` for the frames)."""

from __future__ import annotations

import numpy as np

from studio_pipeline.geometry.rotations import sixd_to_matrix
from studio_pipeline.schema.records import Motion, Rig

__all__ = ["delta_matrices", "pose_vertices", "posed_world", "rest_local", "skinning_transforms"]


def rest_local(parents: np.ndarray, rest_world: np.ndarray) -> np.ndarray:
    """Rest transform of each joint in its parent's frame. [J, 4, 4]"""
    local = np.array(rest_world, dtype=np.float64)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            local[joint] = np.linalg.solve(rest_world[parent], rest_world[joint])
    return local


def delta_matrices(rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """Deltas as matrices: rotations [..., 6] and translations [..., 3] -> [..., 4, 4]."""
    delta = np.zeros((*rotations.shape[:-1], 4, 4))
    delta[..., :3, :3] = sixd_to_matrix(rotations)
    delta[..., :3, 3] = translations
    delta[..., 3, 3] = 1.0
    return delta


def posed_world(rig: Rig, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """Posed joint frames. rotations [T, J, 6], translations [T, J, 3] -> [T, J, 4, 4] float64"""
    local = rest_local(rig.parents, rig.rest_world) @ delta_matrices(rotations, translations)
    world = np.empty_like(local)
    for joint, parent in enumerate(rig.parents):
        world[:, joint] = local[:, joint] if parent < 0 else world[:, parent] @ local[:, joint]
    return world


def skinning_transforms(rig: Rig, motion: Motion) -> np.ndarray:
    """Per frame and joint, what moves the rest surface. [T, J, 4, 4] float64"""
    return posed_world(rig, motion.rotations, motion.translations) @ np.linalg.inv(rig.rest_world)


def pose_vertices(vertices: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Linear blend skinning: vertices [V, 3], weights [V, J], transforms [T, J, 4, 4] -> [T, V, 3] float32."""
    rest = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
    posed = np.empty((len(transforms), len(vertices), 3), dtype=np.float32)
    for frame, transform in enumerate(transforms):
        blended = np.einsum("vj,jab->vab", weights, transform[:, :3, :], optimize=True)
        posed[frame] = np.einsum("vab,vb->va", blended, rest)
    return posed
