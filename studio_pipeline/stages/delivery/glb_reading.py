"""A second opinion on a GLB: a reader and pose evaluator that shares nothing with the writer (glTF 2.0, section 3)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["GlbFile"]

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GlbFile:
    """A parsed GLB whose only buffer is its binary chunk.

    Raises:
        ValueError: The container is broken.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        if magic != b"glTF" or version != 2 or length != len(data):
            raise ValueError("no GLB 2 container, or its length is wrong")
        size, kind = struct.unpack_from("<I4s", data, 12)
        if kind != b"JSON" or size % 4:
            raise ValueError("the first chunk is not aligned JSON")
        self.document: dict[str, Any] = json.loads(data[20 : 20 + size])
        start = 20 + size
        length, kind = struct.unpack_from("<I4s", data, start)
        if kind != b"BIN\0" or length % 4 or start + 8 + length != len(data):
            raise ValueError("the second chunk is not an aligned binary chunk up to the end")
        self.binary = data[start + 8 :]
        if self.document["buffers"] != [{"byteLength": len(self.binary)}]:
            raise ValueError("the buffer's length is not the binary chunk's")

    def accessor(self, index: int) -> np.ndarray:
        """Values of accessor ``index``: [count], [count, n], or [count, 4, 4] row by row."""
        entry = self.document["accessors"][index]
        view = self.document["bufferViews"][entry["bufferView"]]
        dtype = np.dtype(_TYPES[entry["componentType"]])
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        width = _SIZES[entry["type"]]
        stop = start + entry["count"] * width * dtype.itemsize
        if start % dtype.itemsize or stop > view.get("byteOffset", 0) + view["byteLength"] or stop > len(self.binary):
            raise ValueError(f"accessor {index} lies outside its buffer view or is not aligned")
        values = np.frombuffer(self.binary[start:stop], dtype=dtype)
        if width == 16:
            return values.reshape(-1, 4, 4).swapaxes(1, 2)
        return values if width == 1 else values.reshape(-1, width)

    def duration(self) -> tuple[float, float]:
        """First and last key time of the first animation [s]."""
        samplers = self.document["animations"][0]["samplers"]
        ends = [self.accessor(sampler["input"])[[0, -1]] for sampler in samplers]
        return float(min(e[0] for e in ends)), float(max(e[1] for e in ends))

    def primitive(self) -> dict[str, Any]:
        """The only primitive of the only mesh."""
        return self.document["meshes"][0]["primitives"][0]

    def influences(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints [V, k] int and weights [V, k] float64 of the primitive, all its sets of four side by side."""
        attributes = self.primitive()["attributes"]
        layers = range(sum(name.startswith("JOINTS_") for name in attributes))
        joints = [self.accessor(attributes[f"JOINTS_{layer}"]) for layer in layers]
        weights = [self.accessor(attributes[f"WEIGHTS_{layer}"]) for layer in layers]
        return np.concatenate(joints, axis=1), np.concatenate(weights, axis=1).astype(np.float64)

    def surface(self, time: float | None) -> np.ndarray:
        """World positions of the mesh [V, 3] float64 at ``time`` [s]; None means with no animation playing."""
        nodes = self._posed_nodes(time)
        world = self._world(nodes)
        index = next(i for i, node in enumerate(nodes) if "mesh" in node)
        primitive = self.primitive()
        points = self.accessor(primitive["attributes"]["POSITION"]).astype(np.float64)
        for weight, target in zip(nodes[index].get("weights", ()), primitive.get("targets", ()), strict=False):
            if weight:
                points = points + weight * self.accessor(target["POSITION"])
        rest = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        if "skin" not in nodes[index]:
            return (rest @ world[index].T)[:, :3]
        skin = self.document["skins"][nodes[index]["skin"]]
        binds = self.accessor(skin["inverseBindMatrices"]).astype(np.float64)
        moves = np.stack([world[node] for node in skin["joints"]]) @ binds
        joints, weights = self.influences()
        result = np.zeros((len(points), 4))
        for slot in range(joints.shape[1]):
            result += weights[:, slot, None] * np.einsum("vab,vb->va", moves[joints[:, slot]], rest)
        return result[:, :3]

    def camera_to_world(self, time: float | None) -> np.ndarray:
        """World transform of the camera's node at ``time`` [s]. [4, 4]"""
        nodes = self._posed_nodes(time)
        return self._world(nodes)[next(i for i, node in enumerate(nodes) if "camera" in node)]

    def _posed_nodes(self, time: float | None) -> list[dict[str, Any]]:
        nodes = [dict(node) for node in self.document["nodes"]]
        if time is None:
            return nodes
        animation = self.document["animations"][0]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times, values = self.accessor(sampler["input"]), self.accessor(sampler["output"]).astype(np.float64)
            node, path = channel["target"]["node"], channel["target"]["path"]
            if path == "weights":
                values = values.reshape(len(times), -1)
            nodes[node][path] = _interpolate(times, values, time, spherical=path == "rotation")
        return nodes

    def _world(self, nodes: list[dict[str, Any]]) -> list[np.ndarray]:
        world: list[np.ndarray] = [np.eye(4)] * len(nodes)
        pending = [(root, np.eye(4)) for root in self.document["scenes"][self.document["scene"]]["nodes"]]
        while pending:
            index, parent = pending.pop()
            world[index] = parent @ _local(nodes[index])
            pending.extend((child, world[index]) for child in nodes[index].get("children", ()))
        return world


def _interpolate(times: np.ndarray, values: np.ndarray, time: float, *, spherical: bool) -> np.ndarray:
    after = int(np.clip(np.searchsorted(times, time), 1, max(len(times) - 1, 1)))
    if len(times) == 1:
        return values[0]
    before = after - 1
    amount = float(np.clip((time - times[before]) / (times[after] - times[before]), 0.0, 1.0))
    a, b = values[before], values[after]
    if not spherical:
        return a + amount * (b - a)
    dot = float(a @ b)
    b, dot = (-b, -dot) if dot < 0.0 else (b, dot)
    angle = np.arccos(min(dot, 1.0))
    if angle < 1e-6:
        mixed = a + amount * (b - a)
    else:
        mixed = (np.sin((1.0 - amount) * angle) * a + np.sin(amount * angle) * b) / np.sin(angle)
    return mixed / np.linalg.norm(mixed)


def _local(node: dict[str, Any]) -> np.ndarray:
    x, y, z, w = np.asarray(node.get("rotation", (0.0, 0.0, 0.0, 1.0)), dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.asarray(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
