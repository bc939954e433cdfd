"""Rotations in the 6D form of Zhou et al. 2019 (arXiv:1812.07035), in NumPy; `render` and the lift have torch twins."""

from __future__ import annotations

import numpy as np

__all__ = ["axis_angle_to_matrix", "matrix_to_sixd", "rotation_between", "sixd_identity", "sixd_to_matrix"]


def sixd_identity(*shape: int) -> np.ndarray:
    """Identity rotations. [*shape, 6] float64"""
    value = np.zeros((*shape, 6))
    value[..., 0] = value[..., 4] = 1.0
    return value


def sixd_to_matrix(sixd: np.ndarray) -> np.ndarray:
    """Gram-Schmidt of the two columns kept in ``sixd`` [..., 6] -> [..., 3, 3]."""
    a, b = sixd[..., :3].astype(np.float64), sixd[..., 3:].astype(np.float64)
    x = a / np.linalg.norm(a, axis=-1, keepdims=True)
    y = b - (x * b).sum(-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def matrix_to_sixd(matrix: np.ndarray) -> np.ndarray:
    """First two columns of ``matrix`` [..., 3, 3] -> [..., 6]."""
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def axis_angle_to_matrix(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula for rotation vectors [..., 3] in radians -> [..., 3, 3]."""
    vector = np.asarray(vector, dtype=np.float64)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    safe = np.where(angle > 1e-12, angle, 1.0)
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vector.shape[:-1], 3, 3)
    first = np.where(angle > 1e-12, np.sin(angle) / safe, 1.0)
    second = np.where(angle > 1e-12, (1.0 - np.cos(angle)) / safe**2, 0.5)
    return np.eye(3) + first * skew + second * (skew @ skew)


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns direction ``source`` [3] into ``target`` [3] -> [3, 3]."""
    a = source / np.linalg.norm(source)
    b = target / np.linalg.norm(target)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), float(a @ b)
    if sine < 1e-12:
        if cosine > 0.0:
            return np.eye(3)
        other = np.eye(3)[np.argmin(np.abs(a))]
        axis = np.cross(a, other)
        return axis_angle_to_matrix(axis / np.linalg.norm(axis) * np.pi)
    return axis_angle_to_matrix(axis / sine * np.arctan2(sine, cosine))
