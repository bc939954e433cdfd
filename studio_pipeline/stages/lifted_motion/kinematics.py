"""Forward kinematics and skinning twice: NumPy with analytic Jacobians for Gauss-Newton, torch for gradients.

Frames and deltas are those of `schema.records.Rig`. A step moves a pose by right increments in the joint's
own frame: ``rotation <- rotation @ exp(omega)``, ``translation <- translation + step``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio_pipeline.geometry.rotations import axis_angle_to_matrix
from studio_pipeline.geometry.skinning import rest_local
from studio_pipeline.schema.records import CameraPath, Rig

if TYPE_CHECKING:
    import torch

__all__ = [
    "Pose",
    "Skeleton",
    "Skin",
    "bind_points",
    "matrix_to_axis_angle",
    "project_with_jacobian",
    "strongest",
    "torch_vertices",
    "turn_between",
]


INFLUENCES = 8  # at most, of one vertex (see `schema.records.Rig`)


@dataclass
class Pose:
    """Joint deltas of one frame."""

    rotations: np.ndarray  # [J, 3, 3] float64
    translations: np.ndarray  # [J, 3] float64 [m]

    @classmethod
    def rest(cls, joints: int) -> Pose:
        """The rest pose."""
        return cls(np.tile(np.eye(3), (joints, 1, 1)), np.zeros((joints, 3)))

    def copy(self) -> Pose:
        """An independent copy."""
        return Pose(self.rotations.copy(), self.translations.copy())

    def moved(self, step: np.ndarray) -> Pose:
        """The pose after right increments ``step`` [2J * 3]: all rotations [rad], then all translations [m]."""
        omega, shift = step.reshape(2, -1, 3)
        return Pose(self.rotations @ axis_angle_to_matrix(omega), self.translations + shift)


def matrix_to_axis_angle(matrix: np.ndarray) -> np.ndarray:
    """Rotation vectors [..., 3] of rotation matrices [..., 3, 3], angles in [0, pi]."""
    from scipy.spatial.transform import Rotation

    flat = np.ascontiguousarray(matrix.reshape(-1, 3, 3))
    return Rotation.from_matrix(flat).as_rotvec().reshape(*matrix.shape[:-2], 3)


def turn_between(pose: Pose, other: Pose) -> float:
    """The largest turn of a joint between two poses [rad]."""
    turns = matrix_to_axis_angle(np.swapaxes(pose.rotations, -1, -2) @ other.rotations)
    return float(np.linalg.norm(turns, axis=1).max())


class Skeleton:
    """A rig's constants, laid out for repeated evaluation."""

    def __init__(self, rig: Rig) -> None:
        self.parents = np.asarray(rig.parents)
        self.count = len(self.parents)
        self.local = rest_local(self.parents, np.asarray(rig.rest_world, dtype=np.float64))
        self.inverse_rest = np.linalg.inv(rig.rest_world)
        self.below = np.eye(self.count)  # [J, J], 1 where the column's joint hangs on the row's joint
        for joint in range(self.count - 1, 0, -1):
            self.below[self.parents[joint]] += self.below[joint]

    def posed(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Posed joint frames [J, 4, 4] and the frames in which translations act [J, 3, 3], both world."""
        delta = np.zeros((self.count, 4, 4))
        delta[:, :3, :3], delta[:, :3, 3], delta[:, 3, 3] = pose.rotations, pose.translations, 1.0
        world, carrier = np.empty_like(delta), np.empty((self.count, 3, 3))
        for joint, parent in enumerate(self.parents):
            base = self.local[joint] if parent < 0 else world[parent] @ self.local[joint]
            carrier[joint] = base[:3, :3]
            world[joint] = base @ delta[joint]
        return world, carrier

    def transforms(self, pose: Pose) -> np.ndarray:
        """Skinning transforms. [J, 4, 4]"""
        return self.posed(pose)[0] @ self.inverse_rest

    def many_worlds(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """Posed joint frames of many poses, rotations [M, J, 3, 3] and translations [M, J, 3]. [M, J, 4, 4]"""
        delta = np.zeros((*rotations.shape[:2], 4, 4))
        delta[..., :3, :3], delta[..., :3, 3], delta[..., 3, 3] = rotations, translations, 1.0
        world = np.matmul(self.local[None], delta)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                world[:, joint] = world[:, parent] @ world[:, joint]
        return world

    def many_transforms(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """Skinning transforms of many poses. [M, J, 4, 4]"""
        return self.many_worlds(rotations, translations) @ self.inverse_rest


def bind_points(vertices: np.ndarray, weights: np.ndarray, corners: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Rest moments of surface points: what each joint's transform acts on. [N, J, 4]

    Args:
        vertices: Rest vertices [V, 3] [m].
        weights: Skin weights [V, J].
        corners: Vertex indices of each point's face [N, 3].
        shares: Barycentrics [N, 3].
    """
    rest = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1).astype(np.float64)
    moments = np.zeros((len(corners), weights.shape[1], 4))
    for corner in range(3):
        index = corners[:, corner]
        share = weights[index].astype(np.float64) * shares[:, corner, None]
        moments += share[..., None] * rest[index][:, None, :]
    return moments


def strongest(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The joints that move each vertex most [V, 8 at most] int32, and their shares of it; rows sum to one. float32"""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    shares = np.take_along_axis(weights, order, axis=1)
    return order.astype(np.int32), (shares / shares.sum(1, keepdims=True)).astype(np.float32)


class Skin:
    """Posed surface points of one pose, and how they move with it."""

    def __init__(self, skeleton: Skeleton, pose: Pose) -> None:
        self.skeleton = skeleton
        self.world, self.carrier = skeleton.posed(pose)
        self.transforms = self.world @ skeleton.inverse_rest
        self.vertices: np.ndarray | None = None  # [V, 3], filled by whoever poses them first

    def points(self, moments: np.ndarray) -> np.ndarray:
        """Positions of points with rest moments [N, J, 4] -> [N, 3] world [m]."""
        return np.einsum("kab,nkb->na", self.transforms[:, :3, :], moments, optimize=True)

    def jacobian(self, moments: np.ndarray) -> np.ndarray:
        """Derivative of the points by a pose step (see `Pose.moved`). [N, 3, 2J * 3] float32"""
        count, joints = moments.shape[:2]
        carried = np.matmul(
            np.swapaxes(moments, 0, 1).astype(np.float32), np.swapaxes(self.transforms[:, :3], 1, 2).astype(np.float32)
        )  # [J, N, 3]: where each joint's transform takes its part of the point
        below = self.skeleton.below.astype(np.float32)
        lever = (below @ carried.reshape(joints, -1)).reshape(joints, count, 3)  # the part that hangs on the joint
        share = (below @ moments[..., 3].T.astype(np.float32))[..., None]  # [J, N, 1]
        lever -= share * self.world[:, None, :3, 3].astype(np.float32)
        lever = np.ascontiguousarray(np.moveaxis(lever, (2, 1), (0, 1)))[..., None]  # [3, N, J, 1]
        x, y, z = np.moveaxis(self.world[:, :3, :3].astype(np.float32), 1, 0)[:, None]  # each [1, J, axis]
        rows = np.empty((count, 3, 2, joints, 3), np.float32)
        rows[:, 0, 0] = y * lever[2] - z * lever[1]
        rows[:, 1, 0] = z * lever[0] - x * lever[2]
        rows[:, 2, 0] = x * lever[1] - y * lever[0]
        slide = np.moveaxis(self.carrier.astype(np.float32), 1, 0)  # [3, J, axis]
        rows[:, :, 1] = share[..., 0].T[:, None, :, None] * slide[None]
        return rows.reshape(count, 3, -1)


def project_with_jacobian(
    camera: CameraPath, frame: int, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels [N, 2], depths [N], d pixel / d point [N, 2, 3] and d depth / d point [3] of world points [N, 3]."""
    matrix, focal = camera.world_to_camera[frame], float(camera.focal[frame])
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    depth = np.maximum(-seen[:, 2], 1e-6)
    x, y = focal * seen[:, 0] / depth, -focal * seen[:, 1] / depth
    by_camera = np.zeros((len(points), 2, 3))
    by_camera[:, 0, 0] = focal / depth
    by_camera[:, 1, 1] = -focal / depth
    by_camera[:, 0, 2] = x / depth
    by_camera[:, 1, 2] = y / depth
    pixels = np.stack([camera.width / 2.0 + x, camera.height / 2.0 + y], axis=-1)
    return pixels, depth, by_camera @ matrix[:3, :3], -matrix[2, :3]


def torch_vertices(rig: Rig, vertices: np.ndarray, rotations: torch.Tensor, translations: torch.Tensor) -> torch.Tensor:
    """Linear blend skinning in torch, differentiable in the deltas.

    Args:
        rig: The rig.
        vertices: Rest vertices [V, 3] [m].
        rotations: 6D rotations [T, J, 6].
        translations: Translations [T, J, 3] [m].

    Returns:
        World vertices [T, V, 3].
    """
    import torch
    import torch.nn.functional as functional

    kind = rotations.dtype
    first = functional.normalize(rotations[..., :3], dim=-1)
    second = rotations[..., 3:] - (first * rotations[..., 3:]).sum(-1, keepdim=True) * first
    second = functional.normalize(second, dim=-1)
    turn = torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)
    top = torch.cat([turn, translations[..., None]], dim=-1)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=kind).expand(*top.shape[:-2], 1, 4)
    delta = torch.cat([top, bottom], dim=-2)
    local = torch.as_tensor(rest_local(rig.parents, np.asarray(rig.rest_world, dtype=np.float64)), dtype=kind)
    local = local[None] @ delta
    world: list[torch.Tensor] = []
    for joint, parent in enumerate(rig.parents):
        world.append(local[:, joint] if parent < 0 else world[int(parent)] @ local[:, joint])
    inverse = torch.as_tensor(np.linalg.inv(rig.rest_world), dtype=kind)
    transforms = torch.stack(world, dim=1) @ inverse[None]
    weights = torch.as_tensor(np.asarray(rig.weights), dtype=kind)
    blended = torch.matmul(weights, transforms[:, :, :3, :].flatten(2)).unflatten(-1, (3, 4))
    rest = torch.as_tensor(np.asarray(vertices), dtype=kind)
    return (blended[..., :3] @ rest[None, :, :, None]).squeeze(-1) + blended[..., 3]
