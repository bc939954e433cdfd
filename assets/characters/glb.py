"""A painted mesh, with or without a skeleton, as a GLB file."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
from kit import Mesh, Skeleton

__all__ = ["write_glb"]


def write_glb(
    path: Path,
    name: str,
    mesh: Mesh,
    picture: np.ndarray,
    skeleton: Skeleton | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, int]:
    """Write the character; returns its counts."""
    from PIL import Image

    size = picture.shape[0]
    corner = np.concatenate([mesh.faces[..., None].astype(float), np.round(mesh.corner_uv, 3)], axis=-1).reshape(-1, 3)
    unique, inverse = np.unique(corner, axis=0, return_inverse=True)
    index = unique[:, 0].astype(int)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", optimize=True)
    writer = _Writer()
    attributes = {
        "POSITION": writer.accessor(mesh.positions[index].astype("<f4"), "VEC3", 34962, bounds=True),
        "NORMAL": writer.accessor(mesh.normals[index].astype("<f4"), "VEC3", 34962),
        "TEXCOORD_0": writer.accessor((unique[:, 1:] / size).astype("<f4"), "VEC2", 34962),
    }
    nodes: list[dict] = [{"name": name, "mesh": 0}]
    document: dict = {"asset": {"version": "2.0", "generator": "assets/characters/generate.py"}}
    roots = [0]
    if skeleton is not None and weights is not None:
        chosen = np.argsort(-weights, axis=1, kind="stable")[:, :4]
        attributes["JOINTS_0"] = writer.accessor(chosen[index].astype("u1"), "VEC4", 34962)
        four = np.take_along_axis(weights, chosen, axis=1)[index]
        attributes["WEIGHTS_0"] = writer.accessor(four.astype("<f4"), "VEC4", 34962)
        inverse_bind = np.tile(np.eye(4), (len(skeleton.names), 1, 1))
        inverse_bind[:, :3, 3] = -skeleton.heads
        bind = writer.accessor(inverse_bind.transpose(0, 2, 1).reshape(-1, 16).astype("<f4"), "MAT4", None)
        nodes[0]["skin"] = 0
        roots.append(1)
        for joint, parent in enumerate(skeleton.parents):
            offset = skeleton.heads[joint] - (skeleton.heads[parent] if parent >= 0 else 0.0)
            node = {"name": skeleton.names[joint], "translation": [round(float(v), 6) for v in offset]}
            below = [1 + j for j, p in enumerate(skeleton.parents) if p == joint]
            nodes.append({**node, "children": below} if below else node)
        joints = list(range(1, len(skeleton.names) + 1))
        document["skins"] = [{"name": name, "joints": joints, "skeleton": 1, "inverseBindMatrices": bind}]
    faces = writer.accessor(inverse.reshape(-1, 1).astype("<u2"), "SCALAR", 34963)
    document |= {
        "scene": 0,
        "scenes": [{"name": name, "nodes": roots}],
        "nodes": nodes,
        "meshes": [{"name": name, "primitives": [{"attributes": attributes, "indices": faces, "material": 0}]}],
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.9,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"name": name, "mimeType": "image/png", "bufferView": writer.view(png.getvalue(), None)}],
    }
    writer.finish(path, document)
    return {"vertices": len(index), "faces": len(mesh.faces), "bytes": path.stat().st_size}


class _Writer:
    """Collects buffer views and accessors of one GLB."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def view(self, data: bytes, target: int | None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        item = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(item | ({"target": target} if target else {}))
        self.data += data
        return len(self.views) - 1

    def accessor(self, values: np.ndarray, kind: str, target: int | None, *, bounds: bool = False) -> int:
        codes = {"f4": 5126, "u1": 5121, "u2": 5123}
        item: dict = {"bufferView": self.view(values.tobytes(), target), "componentType": codes[values.dtype.str[1:]]}
        item |= {"count": len(values), "type": kind}
        if bounds:
            item |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(item)
        return len(self.accessors) - 1

    def finish(self, path: Path, document: dict) -> None:
        self.data += b"\0" * (-len(self.data) % 4)
        document |= {
            "bufferViews": self.views,
            "accessors": self.accessors,
            "buffers": [{"byteLength": len(self.data)}],
        }
        text = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(self.data)
        head = struct.pack("<4sII", b"glTF", 2, total)
        parts = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.data), b"BIN\0")
        path.write_bytes(head + parts + bytes(self.data))
