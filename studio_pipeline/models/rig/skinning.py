"""Weights of a mesh from the skin network."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from studio_pipeline.geometry.geodesics import bone_geodesics
from studio_pipeline.models.rig.clouds import Cloud
from studio_pipeline.models.rig.skin import SkinNet

__all__ = ["network_weights"]

_SHAPE = 1024  # points that the shape is read from, as in training
_NEAR = 6  # points through which a vertex is reached
_AGAINST = 0.25  # what a point that faces the other way counts as farther off, of half the longest side
_CHUNK = 8192  # vertices at once


@torch.no_grad()
def network_weights(
    net: SkinNet, cloud: Cloud, heads: np.ndarray, tails: np.ndarray, vertices: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """Weights [V, J] float64 of vertices for bones, all positive, rows sum to one.

    Args:
        net: The trained network.
        cloud: The mesh's surface, some thousand points.
        heads: Of the bones [J, 3], in the cloud's box.
        tails: Of the bones [J, 3], in the cloud's box.
        vertices: [V, 3] in the cloud's box.
        normals: [V, 3] outward.
    """
    ways = bone_geodesics(cloud.points, cloud.normals, heads, tails)
    ways = _at_vertices(cloud, ways, vertices, normals)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)[None]

    shape = tensor(cloud.points[:_SHAPE]), tensor(cloud.normals[:_SHAPE])
    bones = tensor(heads), tensor(tails), torch.ones(1, len(heads), dtype=torch.bool)
    told = [
        net(shape, bones, (tensor(vertices[part]), tensor(normals[part]), tensor(ways[part])))[0].double().exp().numpy()
        for part in (slice(k, k + _CHUNK) for k in range(0, len(vertices), _CHUNK))
    ]
    weights = np.concatenate(told)
    return weights / weights.sum(1, keepdims=True)


def _at_vertices(cloud: Cloud, ways: np.ndarray, vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Distances from bones to vertices, by way of the points [N, J] near them that face as they do. [V, J]"""
    distance, near = cKDTree(cloud.points).query(vertices, k=_NEAR)
    facing = np.einsum("vkc,vc->vk", cloud.normals[near], normals)
    best = near[np.arange(len(near)), np.argmin(distance + _AGAINST * (facing < 0.0), axis=1)]
    step = np.linalg.norm(cloud.points[best] - vertices, axis=1)
    return ways[best] + step[:, None]
