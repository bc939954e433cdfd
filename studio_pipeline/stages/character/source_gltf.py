"""GLB and glTF -> `Model`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.geometry.gltf import Document, NodeGraph, open_document, read_clip, read_nodes
from studio_pipeline.geometry.gltf.json_view import JsonObject
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.model import MAX_FACES, MAX_JOINTS, MAX_VERTICES, Binding, Model, Part, clean_part
from studio_pipeline.stages.character.source_gltf_materials import MaterialReader

__all__ = ["read_gltf"]

MAX_ANIMATIONS = 1000


def read_gltf(path: Path) -> tuple[Model, Document, NodeGraph]:
    """Read the shown scene of a glTF file; the document and its nodes are returned for its animations.

    Raises:
        InputError: The file is malformed, hostile or holds no triangles.
    """
    document = open_document(path)
    nodes = read_nodes(document)
    model = Model(path, nodes.names, nodes.parents, nodes.order, nodes.matrices, [])
    _check_sizes(document, nodes)
    reader = _PartReader(document, model)
    for node in nodes.shown:
        reader.add_node(node)
    model.moving = _moving_nodes(document, nodes)
    model.stiffness = _painted_nodes(document, model.warnings)
    return model, document, nodes


def _check_sizes(document: Document, nodes: NodeGraph) -> None:
    """Add up what the file declares before anything of that size is allocated."""
    meshes, accessors = document.list("meshes"), document.list("accessors")
    vertices = faces = 0
    for node in nodes.shown:
        mesh = document.list("nodes")[node].optional_index("mesh", len(meshes))
        for primitive in meshes[mesh].objects("primitives") if mesh is not None else []:
            position = primitive.object("attributes").optional_index("POSITION", len(accessors))
            if position is None:
                continue
            count = accessors[position].integer("count")
            index = primitive.optional_index("indices", len(accessors))
            corners = count if index is None else accessors[index].integer("count")
            vertices += count * (1 + len(primitive.items("targets")))
            faces += corners // 3 if primitive.integer("mode", 4) == 4 else corners
            if vertices > 4 * MAX_VERTICES or faces > MAX_FACES:
                raise InputError(
                    f"declares more than {MAX_FACES} faces or {4 * MAX_VERTICES} vertices",
                    where=document.path,
                    do="reduce the mesh",
                )


def _painted_nodes(document: Document, warnings: list[str]) -> dict[int, float]:
    """Factors named ``stiffness`` among the custom properties of nodes; what is no sensible factor is left out."""
    found: dict[int, float] = {}
    for index, node in enumerate(document.list("nodes")):
        value = node.extra("stiffness")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 1e-3 <= value <= 1e3:
            found[index] = float(value)
        elif value is not None:
            warnings.append(f"{node.where}: its stiffness is no factor from 0.001 to 1000 and is left out")
    return found


def _moving_nodes(document: Document, nodes: NodeGraph) -> set[int]:
    moving: set[int] = set()
    defaults = {"translation": nodes.translations, "rotation": nodes.rotations, "scale": nodes.scales}
    for index in range(min(len(document.list("animations")), MAX_ANIMATIONS)):
        for channel in read_clip(document, index).channels:
            if channel.path in defaults and channel.varies_from(defaults[channel.path][channel.node]):
                moving.add(channel.node)
    return moving


class _PartReader:
    """Turns the primitives of nodes into parts, sharing what meshes and skins share."""

    def __init__(self, document: Document, model: Model) -> None:
        self.document, self.model = document, model
        self.materials = MaterialReader(document, model.warnings)
        self.skins: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def add_node(self, node: int) -> None:
        item = self.document.list("nodes")[node]
        meshes = self.document.list("meshes")
        mesh_index = item.optional_index("mesh", len(meshes))
        if mesh_index is None:
            return
        skin = item.optional_index("skin", len(self.document.list("skins")))
        mesh = meshes[mesh_index]
        default = item.numbers("weights", 0) if "weights" in item else mesh.numbers("weights", 0, ())
        for primitive in mesh.objects("primitives"):
            part = self._part(node, mesh, primitive, skin, np.array(default))
            if part is not None and (part := clean_part(part, self.document.path)) is not None:
                self.model.parts.append(part)

    def _part(
        self, node: int, mesh: JsonObject, primitive: JsonObject, skin: int | None, default: np.ndarray
    ) -> Part | None:
        name = mesh.text("name", "") or self.model.names[node] or mesh.where.rsplit(" ", 1)[-1]
        attributes = primitive.object("attributes")
        if "POSITION" not in attributes:
            return None
        if primitive.integer("mode", 4, high=6) < 4:
            self.model.warnings.append(f"mesh {name!r}: points and lines are left out")
            return None
        positions = self._attribute(attributes, "POSITION", None, "VEC3")
        assert positions is not None
        count = len(positions)
        material = self.materials.read(primitive.optional_index("material", len(self.document.list("materials"))))
        uv = None
        if material.texture is not None:
            uv = self._finite(
                self._attribute(attributes, f"TEXCOORD_{material.texcoord}", count, "VEC2"), name, "uv", 0.0
            )
            uv = np.zeros((count, 2)) if uv is None else material.transform_uv(uv)
        colors = self._finite(self._attribute(attributes, "COLOR_0", count, "VEC3", "VEC4"), name, "colours", 1.0)
        normals = self._finite(self._attribute(attributes, "NORMAL", count, "VEC3"), name, "normals", 0.0)
        morphs = self._morphs(primitive, count)
        return Part(
            name=name,
            node=node,
            positions=positions,
            faces=self._faces(primitive, count),
            material=material.material,
            normals=normals,
            uv=uv,
            colors=None if colors is None else np.clip(colors[:, :3], 0.0, 1.0),
            binding=None if skin is None else self._binding(attributes, skin, count, name),
            morphs=morphs,
            morph_weights=None if morphs is None else np.resize(np.append(default, np.zeros(len(morphs))), len(morphs)),
        )

    def _attribute(self, attributes: JsonObject, key: str, count: int | None, *kinds: str) -> np.ndarray | None:
        index = attributes.optional_index(key, self.document.accessor_count)
        if index is None:
            return None
        accessor = self.document.list("accessors")[index]
        if key == "POSITION" and "bufferView" not in accessor and "sparse" not in accessor:
            raise accessor.error("has no data (compressed geometry?)", do="export without Draco or meshopt compression")
        values = self.document.floats(index, *kinds)
        if count is not None and len(values) != count:
            raise attributes.error(f"has {len(values)} elements for {count} vertices", key)
        return values

    def _finite(self, values: np.ndarray | None, name: str, what: str, stand_in: float) -> np.ndarray | None:
        """Broken decoration is repaired with a warning; broken shape is refused elsewhere."""
        if values is not None and not np.isfinite(values).all():
            self.model.warnings.append(f"mesh {name!r}: {what} that are not finite were replaced")
            values = np.where(np.isfinite(values), values, stand_in)
        return values

    def _faces(self, primitive: JsonObject, count: int) -> np.ndarray:
        index = primitive.optional_index("indices", self.document.accessor_count)
        corners = np.arange(count) if index is None else self.document.integers(index, "SCALAR")[:, 0]
        mode = primitive.integer("mode", 4)
        if mode == 4:
            return corners[: len(corners) // 3 * 3].reshape(-1, 3)
        if len(corners) < 3:
            return np.zeros((0, 3), dtype=np.int64)
        if mode == 6:
            first = np.full(len(corners) - 2, corners[0])
            return np.stack([first, corners[1:-1], corners[2:]], axis=1)
        strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
        strip[1::2] = strip[1::2, [1, 0, 2]]
        return strip

    def _morphs(self, primitive: JsonObject, count: int) -> np.ndarray | None:
        targets = []
        for target in primitive.objects("targets"):
            shift = self._attribute(target, "POSITION", count, "VEC3") if "POSITION" in target else None
            targets.append(np.zeros((count, 3)) if shift is None else shift)
        return np.stack(targets) if targets else None

    def _skin(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index not in self.skins:
            item = self.document.list("skins")[index]
            joints = np.array(item.indices("joints", len(self.model.names)), dtype=np.int64)
            if not 1 <= len(joints) <= MAX_JOINTS:
                raise item.error(f"has {len(joints)} joints, expected 1 to {MAX_JOINTS}", "joints")
            accessor = item.optional_index("inverseBindMatrices", self.document.accessor_count)
            inverse = np.tile(np.eye(4), (len(joints), 1, 1))
            if accessor is not None:
                values = self.document.floats(accessor, "MAT4")
                if len(values) < len(joints) or not np.isfinite(values[: len(joints)]).all():
                    raise item.error("are too few or not finite", "inverseBindMatrices")
                inverse = values[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
            self.skins[index] = (joints, inverse)
        return self.skins[index]

    def _binding(self, attributes: JsonObject, skin: int, count: int, name: str) -> Binding | None:
        joints, inverse = self._skin(skin)
        indices, weights = [], []
        for layer in range(8):
            key = f"JOINTS_{layer}"
            if key not in attributes:
                break
            index = self.document.integers(attributes.index(key, self.document.accessor_count), "VEC4")
            weight = self._attribute(attributes, f"WEIGHTS_{layer}", count, "VEC4")
            if weight is None or len(index) != count:
                raise attributes.error("has no matching weights", key)
            indices.append(index)
            weights.append(weight)
        if not indices:
            return None
        index, weight = np.concatenate(indices, axis=1), np.concatenate(weights, axis=1)
        if bad := int((~np.isfinite(weight).all(1)).sum()):
            raise InputError(
                f"mesh {name!r} has {bad} of {count} vertices with NaN or infinite skin weights",
                where=self.document.path,
                do="normalise the weights in its program and export it again",
            )
        weight = np.maximum(weight, 0.0)
        if (index[weight > 0.0] >= len(joints)).any():
            raise attributes.error(f"name joints beyond the skin's {len(joints)}", "JOINTS_0")
        index = np.where(weight > 0.0, index, 0)
        total = weight.sum(1)
        if (total <= 0.0).any():
            self.model.warnings.append(f"mesh {name!r}: {int((total <= 0.0).sum())} vertices without skin weights")
            weight[total <= 0.0, 0] = 1.0  # what viewers do: the skin's first joint
        return Binding(joints, inverse, index, weight / weight.sum(1, keepdims=True))
