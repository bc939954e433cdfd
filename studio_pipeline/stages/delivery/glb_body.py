"""The character itself in a GLB: surface, material, joints as nodes, skin."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from studio_pipeline.schema.records import Character
from studio_pipeline.stages.delivery.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, GlbBuilder
from studio_pipeline.stages.delivery.normals import unit_normals
from studio_pipeline.stages.delivery.scene import RigScene, strongest_influences
from studio_pipeline.stages.delivery.texture import has_tint, png_bytes

__all__ = ["free_name", "placement", "quaternions", "skinned_body", "surface_primitive"]


def skinned_body(builder: GlbBuilder, scene: RigScene, *, influences: int) -> tuple[list[int], int]:
    """Add the skinned surface and its joints.

    Args:
        builder: Gets meshes, nodes and a skin.
        scene: What is written.
        influences: Joints kept a vertex, a multiple of 4; sets of four that no vertex needs are left out.

    Returns:
        The joints' nodes in the rig's order (the root first), and the node of the surface.
    """
    primitive = surface_primitive(builder, scene)
    joints, weights = strongest_influences(scene.rig.weights, influences)
    narrow = np.uint8 if scene.rig.joint_count <= 256 else np.uint16
    needed = max(1, int((weights > 0.0).sum(1).max(initial=0)))
    for layer, first in enumerate(range(0, needed, 4)):
        four = slice(first, first + 4)
        primitive["attributes"][f"JOINTS_{layer}"] = builder.accessor(
            joints[:, four].astype(narrow), target=ARRAY_BUFFER
        )
        primitive["attributes"][f"WEIGHTS_{layer}"] = builder.accessor(
            weights[:, four].astype(np.float32), target=ARRAY_BUFFER
        )
    mesh = builder.add("meshes", {"name": scene.character.name, "primitives": [primitive]})
    joint_nodes = _joint_nodes(builder, scene)
    skin = builder.add(
        "skins",
        {
            "name": scene.character.name,
            "joints": joint_nodes,
            "skeleton": joint_nodes[0],
            "inverseBindMatrices": builder.accessor(_inverse_rigid(scene.file_rest_world).astype(np.float32)),
        },
    )
    return joint_nodes, builder.add("nodes", {"name": free_name(scene, "Body"), "mesh": mesh, "skin": skin})


def surface_primitive(builder: GlbBuilder, scene: RigScene) -> dict[str, Any]:
    """The rest surface: positions, normals, texture coordinates, tint, faces and material."""
    character = scene.character
    attributes = {
        "POSITION": builder.accessor(scene.file_vertices, target=ARRAY_BUFFER, bounds=True),
        "NORMAL": builder.accessor(unit_normals(character.normals), target=ARRAY_BUFFER),
        "TEXCOORD_0": builder.accessor(character.uv.astype(np.float32), target=ARRAY_BUFFER),
    }
    if has_tint(character):
        colors = np.clip(character.vertex_colors, 0.0, 1.0).astype(np.float32)
        attributes["COLOR_0"] = builder.accessor(colors, target=ARRAY_BUFFER)
    wide = np.uint16 if len(character.vertices) < 65535 else np.uint32
    indices = builder.accessor(character.faces.astype(wide).reshape(-1), target=ELEMENT_ARRAY_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": _material(builder, character), "mode": 4}


def _material(builder: GlbBuilder, character: Character) -> int:
    view = builder.view(png_bytes(character.atlas))
    image = builder.add("images", {"name": "albedo", "mimeType": "image/png", "bufferView": view})
    sampler = builder.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497})
    texture = builder.add("textures", {"source": image, "sampler": sampler})
    surface = {"baseColorTexture": {"index": texture}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    return builder.add(
        "materials",
        {"name": character.name, "doubleSided": character.double_sided, "pbrMetallicRoughness": surface},
    )


def _joint_nodes(builder: GlbBuilder, scene: RigScene) -> list[int]:
    nodes = []
    for name, parent, rest in zip(scene.rig.names, scene.rig.parents, scene.file_rest_local, strict=True):
        node = builder.add("nodes", {"name": name, **placement(rest)})
        if parent >= 0:
            builder.document["nodes"][nodes[parent]].setdefault("children", []).append(node)
        nodes.append(node)
    return nodes


def free_name(scene: RigScene, name: str) -> str:
    """``name``, made different from every joint's."""
    while name in scene.rig.names:
        name += "_"
    return name


def placement(matrix: np.ndarray) -> dict[str, list[float]]:
    """A node's translation and rotation from a rigid matrix [4, 4]."""
    return {"translation": matrix[:3, 3].tolist(), "rotation": quaternions(matrix[None, :3, :3])[0].tolist()}


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions x, y, z, w [T, 4] of rotations [T, 3, 3], each on the same side as the one before."""
    quaternions = Rotation.from_matrix(matrices).as_quat(canonical=True)
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(1) < 0.0, -1.0, 1.0)
    quaternions[1:] *= np.cumprod(flips)[:, None]
    return quaternions


def _inverse_rigid(matrices: np.ndarray) -> np.ndarray:
    """Exact-bottom-row inverse of rigid transforms. [J, 4, 4]"""
    inverse = np.tile(np.eye(4), (len(matrices), 1, 1))
    inverse[:, :3, :3] = np.swapaxes(matrices[:, :3, :3], 1, 2)
    inverse[:, :3, 3] = -np.einsum("jba,jb->ja", matrices[:, :3, :3], matrices[:, :3, 3])
    return inverse
