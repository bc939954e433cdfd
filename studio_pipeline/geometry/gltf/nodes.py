"""The node graph of a glTF file: a forest, its transforms, and what the shown scene holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.gltf.document import Document
from studio_pipeline.geometry.gltf.json_view import JsonObject

__all__ = ["NodeGraph", "compose", "decompose", "quaternion_matrices", "read_nodes", "world_matrices"]

MAX_NODES = 20_000


@dataclass(frozen=True)
class NodeGraph:
    """All nodes of a file. N nodes."""

    names: list[str]
    parents: np.ndarray  # [N] int32, -1 for roots
    order: list[int]  # parents before children
    translations: np.ndarray  # [N, 3] float64
    rotations: np.ndarray  # [N, 4] float64, unit quaternions x y z w
    scales: np.ndarray  # [N, 3] float64
    matrices: np.ndarray  # [N, 4, 4] float64, local, exactly as the file has them
    shown: list[int]  # nodes of the default scene, depth first in the file's order

    def world(self) -> np.ndarray:
        """World transforms with no animation playing. [N, 4, 4] float64"""
        return world_matrices(self.parents, self.order, self.matrices)


def quaternion_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Unit quaternions [..., 4] (x, y, z, w) -> rotation matrices [..., 3, 3]."""
    x, y, z, w = np.moveaxis(quaternions, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def compose(translations: np.ndarray, rotations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Local matrices [..., 4, 4] of translations [..., 3], unit quaternions [..., 4] and scales [..., 3]."""
    matrices = np.zeros((*translations.shape[:-1], 4, 4))
    matrices[..., :3, :3] = quaternion_matrices(rotations) * scales[..., None, :]
    matrices[..., :3, 3] = translations
    matrices[..., 3, 3] = 1.0
    return matrices


def decompose(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation [3], unit quaternion [4] and scale [3] of a local matrix [4, 4]; a mirror goes into the x scale."""
    from scipy.spatial.transform import Rotation

    linear = matrix[:3, :3]
    scale = np.linalg.norm(linear, axis=0)
    if np.linalg.det(linear) < 0.0:
        scale[0] = -scale[0]
    if (np.abs(scale) < 1e-12).any():
        return matrix[:3, 3].copy(), np.array([0.0, 0.0, 0.0, 1.0]), scale
    return matrix[:3, 3].copy(), Rotation.from_matrix(linear / scale).as_quat(), scale


def world_matrices(parents: np.ndarray, order: list[int], local: np.ndarray) -> np.ndarray:
    """Accumulate local [..., N, 4, 4] into world transforms of the same shape."""
    world = np.array(local, dtype=np.float64)
    for node in order:
        if parents[node] >= 0:
            world[..., node, :, :] = world[..., parents[node], :, :] @ local[..., node, :, :]
    return world


def read_nodes(document: Document) -> NodeGraph:
    """Read and check the node graph.

    Raises:
        InputError: A child index is wrong, a node has two parents or is its own ancestor, or a transform is broken.
    """
    items = document.list("nodes")
    if len(items) > MAX_NODES:
        raise document.root.error(f"has {len(items)} nodes, at most {MAX_NODES}", "nodes", do="simplify the scene")
    children = [item.indices("children", len(items)) for item in items]
    parents = np.full(len(items), -1, dtype=np.int32)
    for node, below in enumerate(children):
        for child in below:
            if parents[child] >= 0 or child == node:
                raise items[node].error(f"shares the child {child} with another node, nodes must form a tree")
            parents[child] = node
    order = [node for node in range(len(items)) if parents[node] < 0]
    for node in order:  # grows while it is walked: breadth first
        order.extend(children[node])
    if len(order) != len(items):
        raise document.root.error("hold a cycle: a node is its own ancestor", "nodes")
    transforms = [_transform(item) for item in items]
    return NodeGraph(
        names=[item.text("name", "") for item in items],
        parents=parents,
        order=order,
        translations=np.array([t[0] for t in transforms]).reshape(-1, 3),
        rotations=np.array([t[1] for t in transforms]).reshape(-1, 4),
        scales=np.array([t[2] for t in transforms]).reshape(-1, 3),
        matrices=np.array([t[3] for t in transforms]).reshape(-1, 4, 4),
        shown=_shown(document, parents, children),
    )


def _transform(item: JsonObject) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if "matrix" in item:
        matrix = np.array(item.numbers("matrix", 16)).reshape(4, 4).T
        if not np.allclose(matrix[3], [0.0, 0.0, 0.0, 1.0], atol=1e-6):
            raise item.error("is no affine transform", "matrix")
        return (*decompose(matrix), matrix)
    translation = np.array(item.numbers("translation", 3, (0.0, 0.0, 0.0)))
    rotation = np.array(item.numbers("rotation", 4, (0.0, 0.0, 0.0, 1.0)))
    scale = np.array(item.numbers("scale", 3, (1.0, 1.0, 1.0)))
    length = np.linalg.norm(rotation)
    if length < 1e-9:
        raise item.error("is a zero quaternion", "rotation")
    rotation = rotation / length
    return translation, rotation, scale, compose(translation, rotation, scale)


def _shown(document: Document, parents: np.ndarray, children: list[list[int]]) -> list[int]:
    scenes = document.list("scenes")
    if scenes:
        scene = scenes[document.root.optional_index("scene", len(scenes)) or 0]
        stack = scene.indices("nodes", len(parents))[::-1]
    else:
        stack = [node for node in range(len(parents)) if parents[node] < 0][::-1]
    shown: dict[int, None] = {}
    while stack:
        node = stack.pop()
        if node not in shown:
            shown[node] = None
            stack.extend(children[node][::-1])
    return list(shown)
