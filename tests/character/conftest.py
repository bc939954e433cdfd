"""A GLB written by hand, piece by piece, so that a test can break any of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CODES = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125, "i1": 5120, "i2": 5122}
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
TETRAHEDRON_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


class GlbWriter:
    """Collects accessors; ``json`` may be changed at will before `save`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }

    def view(self, data: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)})
        self.data += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, kind: str, dtype: str = "f4", **more: Any) -> int:
        values = np.ascontiguousarray(values, dtype=f"<{dtype}")
        count = len(values)
        item = {"bufferView": self.view(values.tobytes()), "componentType": CODES[dtype], "count": count, "type": kind}
        self.json["accessors"].append(item | more)
        return len(self.json["accessors"]) - 1

    def mesh(self, positions: np.ndarray, faces: np.ndarray | None, **attributes: int) -> int:
        primitive: dict[str, Any] = {"attributes": {"POSITION": self.accessor(positions, "VEC3"), **attributes}}
        if faces is not None:
            primitive["indices"] = self.accessor(np.reshape(faces, (-1, 1)), "SCALAR", "u2")
        self.json["meshes"].append({"name": "body", "primitives": [primitive]})
        return len(self.json["meshes"]) - 1

    def node(self, **fields: Any) -> int:
        self.json["nodes"].append(fields)
        return len(self.json["nodes"]) - 1

    def bytes(self) -> bytes:
        document = {"buffers": [{"byteLength": len(self.data)}]} | self.json
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.data) + b"\0" * (-len(self.data) % 4)
        head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary))
        return (
            head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
        )

    def save(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path


def tetrahedron() -> GlbWriter:
    writer = GlbWriter()
    writer.node(mesh=writer.mesh(TETRAHEDRON, TETRAHEDRON_FACES))
    return writer


def skinned() -> GlbWriter:
    """A bar of 6 x 4 vertices on three joints along y, with one animation of each interpolation."""
    writer = GlbWriter()
    ring = np.array([[-0.1, 0, -0.1], [0.1, 0, -0.1], [0.1, 0, 0.1], [-0.1, 0, 0.1]])
    positions = np.concatenate([ring + np.array([0, 0.2 * k, 0]) for k in range(6)])
    sides = [[4 * k + s, 4 * k + 4 + s, 4 * k + 4 + (s + 1) % 4] for k in range(5) for s in range(4)]
    sides += [[4 * k + s, 4 * k + 4 + (s + 1) % 4, 4 * k + (s + 1) % 4] for k in range(5) for s in range(4)]
    along = np.clip(positions[:, 1] / 0.5, 0, 2)
    first = np.minimum(along.astype(int), 1)
    weights = np.zeros((24, 4))
    weights[:, 0], weights[:, 1] = 1 - (along - first), along - first
    joints = np.stack([first, first + 1, 0 * first, 0 * first], axis=1)
    mesh = writer.mesh(
        positions,
        np.array(sides),
        JOINTS_0=writer.accessor(joints, "VEC4", "u1"),
        WEIGHTS_0=writer.accessor(weights, "VEC4"),
    )
    writer.node(mesh=mesh, skin=0)
    writer.json["scenes"][0]["nodes"] = [0, 1]
    writer.node(name="a", children=[2])
    writer.node(name="b", children=[3], translation=[0, 0.5, 0])
    writer.node(name="c", translation=[0, 0.5, 0])
    bind = np.tile(np.eye(4), (3, 1, 1))
    bind[:, 3, 1] = [0.0, -0.5, -1.0]  # column-major
    writer.json["skins"] = [{"joints": [1, 2, 3], "inverseBindMatrices": writer.accessor(bind.reshape(3, 16), "MAT4")}]
    times = writer.accessor([[0.0], [0.5], [1.0]], "SCALAR")
    half = np.sqrt(0.5)
    turns = writer.accessor([[0, 0, 0, 1], [0, 0, half, half], [0, 0, 0, -1]], "VEC4")
    moves = writer.accessor([[0, 0, 0], [0.2, 0, 0], [0, 0.1, 0]], "VEC3")
    spline = np.zeros((3, 3, 3))
    spline[:, 1] = [[0, 0.5, 0], [0.1, 0.5, 0], [0, 0.5, 0.2]]
    spline[:, 0] = spline[:, 2] = [0.3, 0.0, -0.1]
    smooth = writer.accessor(spline.reshape(9, 3), "VEC3")
    writer.json["animations"] = [
        {
            "name": "move",
            "samplers": [
                {"input": times, "output": turns},
                {"input": times, "output": moves, "interpolation": "STEP"},
                {"input": times, "output": smooth, "interpolation": "CUBICSPLINE"},
            ],
            "channels": [
                {"sampler": 0, "target": {"node": 2, "path": "rotation"}},
                {"sampler": 1, "target": {"node": 1, "path": "translation"}},
                {"sampler": 2, "target": {"node": 3, "path": "translation"}},
            ],
        }
    ]
    return writer


@pytest.fixture
def writer() -> type[GlbWriter]:
    return GlbWriter


@pytest.fixture
def make_tetrahedron() -> Callable[[], GlbWriter]:
    return tetrahedron


@pytest.fixture
def make_skinned() -> Callable[[], GlbWriter]:
    return skinned


@pytest.fixture(scope="session")
def skinned_bytes() -> bytes:
    return skinned().bytes()
