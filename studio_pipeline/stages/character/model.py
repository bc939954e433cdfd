"""A character file as read, in its own units: parts, nodes and bindings, not yet merged or scaled.

Every reader (glTF, OBJ, USD) fills these records; merging, scaling and rigging look at nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.gltf.nodes import world_matrices
from studio_pipeline.schema.errors import InputError

__all__ = [
    "MAX_FACES",
    "MAX_JOINTS",
    "MAX_VERTICES",
    "Binding",
    "Material",
    "Model",
    "Part",
    "Texture",
    "clean_part",
    "part_transforms",
    "pose_model",
]

MAX_VERTICES = 2_000_000
MAX_FACES = 4_000_000
MAX_JOINTS = 1024


@dataclass(frozen=True)
class Texture:
    """A picture that colours a material, still encoded."""

    data: bytes
    label: str  # file and field, for errors
    wrap: tuple[str, str] = ("repeat", "repeat")  # along u and v: repeat, mirror or clamp


@dataclass(frozen=True)
class Material:
    """What a face looks like: ``color * texture`` in linear light."""

    name: str = ""
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # linear RGB factor and alpha
    texture: Texture | None = None
    alpha_mode: str = "OPAQUE"  # OPAQUE, MASK or BLEND
    alpha_cutoff: float = 0.5
    double_sided: bool = False


@dataclass(frozen=True)
class Binding:
    """Skin of a part: S joints. The rest of the skinning is in `Part`."""

    joints: np.ndarray  # [S] int, nodes
    inverse_bind: np.ndarray  # [S, 4, 4] float64
    indices: np.ndarray  # [n, k] int64, into ``joints``
    weights: np.ndarray  # [n, k] float64, rows sum to one


@dataclass(frozen=True)
class Part:
    """One primitive: n vertices in the frame of its node (or of its skin's bind pose)."""

    name: str
    node: int
    positions: np.ndarray  # [n, 3] float64
    faces: np.ndarray  # [m, 3] int64
    material: Material
    normals: np.ndarray | None = None  # [n, 3] float64
    uv: np.ndarray | None = None  # [n, 2] float64, origin top left
    colors: np.ndarray | None = None  # [n, 3] float64, linear
    binding: Binding | None = None
    morphs: np.ndarray | None = None  # [K, n, 3] float64 displacements
    morph_weights: np.ndarray | None = None  # [K] float64 at rest


@dataclass
class Model:
    """A whole file. N nodes."""

    path: Path
    names: list[str]
    parents: np.ndarray  # [N] int32
    order: list[int]  # parents before children
    local: np.ndarray  # [N, 4, 4] float64, with no animation playing
    parts: list[Part]
    moving: set[int] = field(default_factory=set)  # nodes that some animation moves
    unit_m: float = 1.0  # metres that the file says its unit has
    unit_stated: bool = False  # whether the file says so itself
    warnings: list[str] = field(default_factory=list)
    stiffness: dict[int, float] = field(default_factory=dict)  # by node: factor painted on the flesh around it

    def world(self) -> np.ndarray:
        """Node transforms at rest. [N, 4, 4] float64"""
        return world_matrices(self.parents, self.order, self.local)


def clean_part(part: Part, path: Path) -> Part | None:
    """Drop degenerate triples and unreferenced vertices, keeping the order; None when nothing is left.

    Raises:
        InputError: A face names a vertex that isn't there, or a position is not finite.
    """
    count = len(part.positions)
    if len(part.faces) and part.faces.max() >= count:
        raise InputError(
            f"mesh {part.name!r} has a face with vertex {int(part.faces.max())}, but {count} vertices",
            where=path,
            do="export the character again",
        )
    a, b, c = part.faces.T
    faces = part.faces[(a != b) & (b != c) & (a != c)]
    if not len(faces):
        return None
    used = np.zeros(count, dtype=bool)
    used[faces] = True
    for what, values in (("positions", part.positions), ("morph target displacements", part.morphs)):
        if values is not None and (bad := int((~np.isfinite(values).all(-1)).sum())):
            raise InputError(
                f"mesh {part.name!r} has {bad} of {count} vertices with NaN or infinite {what}",
                where=path,
                do="clean the mesh in its program and export it again",
            )
    keep = np.flatnonzero(used)
    renumber = np.zeros(count, dtype=np.int64)
    renumber[keep] = np.arange(len(keep))
    binding = part.binding
    if binding is not None:
        binding = Binding(binding.joints, binding.inverse_bind, binding.indices[keep], binding.weights[keep])
    return Part(
        name=part.name,
        node=part.node,
        positions=part.positions[keep],
        faces=renumber[faces],
        material=part.material,
        normals=None if part.normals is None else part.normals[keep],
        uv=None if part.uv is None else part.uv[keep],
        colors=None if part.colors is None else part.colors[keep],
        binding=binding,
        morphs=None if part.morphs is None else part.morphs[:, keep],
        morph_weights=part.morph_weights,
    )


def part_transforms(part: Part, world: np.ndarray) -> np.ndarray:
    """What moves each vertex of a part, given node transforms [N, 4, 4]: [n, 3, 4] (skinned) or [1, 3, 4]."""
    binding = part.binding
    if binding is None:
        return world[part.node][None, :3]
    matrices = (world[binding.joints] @ binding.inverse_bind)[:, :3]
    blended = np.zeros((len(part.positions), 3, 4))
    for slot in range(binding.indices.shape[1]):
        blended += binding.weights[:, slot, None, None] * matrices[binding.indices[:, slot]]
    return blended


def morphed(part: Part, weights: np.ndarray | None = None) -> np.ndarray:
    """Positions of a part with its morph targets applied. [n, 3]"""
    weights = part.morph_weights if weights is None else weights
    if part.morphs is None or weights is None or not weights.any():
        return part.positions
    return part.positions + np.tensordot(weights, part.morphs, axes=1)


def pose_model(model: Model, world: np.ndarray, morph_weights: dict[int, np.ndarray] | None = None) -> np.ndarray:
    """All parts' vertices, one after another, in the file's world and unit.

    Args:
        model: The file.
        world: Node transforms. [N, 4, 4]
        morph_weights: Weights [K] by node, for nodes whose morph targets are animated.

    Returns:
        [V, 3] float64
    """
    posed = []
    for part in model.parts:
        rest = morphed(part, (morph_weights or {}).get(part.node))
        transform = part_transforms(part, world)
        posed.append(
            np.einsum("nab,nb->na", transform[:, :, :3], rest, optimize=False) + transform[:, :, 3]
            if len(transform) > 1
            else rest @ transform[0, :, :3].T + transform[0, :, 3]
        )
    return np.concatenate(posed)
