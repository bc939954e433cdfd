"""A small GLB writer: accessors into one binary chunk, deterministic bytes (glTF 2.0, Khronos)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ARRAY_BUFFER", "ELEMENT_ARRAY_BUFFER", "GlbBuilder"]

ARRAY_BUFFER = 34962
ELEMENT_ARRAY_BUFFER = 34963

_COMPONENTS = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
_KINDS = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class GlbBuilder:
    """Collects a glTF document and its binary chunk.

    Lists of the document (``nodes``, ``meshes`` ...) are filled by `add`, which returns the new index.
    """

    def __init__(self, generator: str, extras: dict[str, Any]) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator, "extras": extras}}
        self._binary = bytearray()

    def add(self, group: str, entry: dict[str, Any]) -> int:
        """Append ``entry`` to the document's list ``group`` and return its index."""
        entries = self.document.setdefault(group, [])
        entries.append(entry)
        return len(entries) - 1

    def view(self, data: bytes, *, target: int | None = None) -> int:
        """Append bytes to the binary chunk, aligned to 4, and return the index of their buffer view."""
        self._binary.extend(b"\0" * (-len(self._binary) % 4))
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        if target is not None:
            entry["target"] = target
        self._binary.extend(data)
        return self.add("bufferViews", entry)

    def accessor(self, array: np.ndarray, *, target: int | None = None, bounds: bool = False) -> int:
        """Append an array [count, ...] and return the index of its accessor.

        MAT4 arrays [count, 4, 4] are given row by row, as NumPy has them, and stored column by column.
        ``bounds`` writes min and max, which positions and animation times need.
        """
        data = np.swapaxes(array, 1, 2) if array.ndim == 3 else array
        data = np.ascontiguousarray(data)
        entry: dict[str, Any] = {
            "bufferView": self.view(data.astype(data.dtype.newbyteorder("<")).tobytes(), target=target),
            "componentType": _COMPONENTS[data.dtype.name],
            "count": len(data),
            "type": _KINDS[data.shape[1:]],
        }
        if bounds:
            flat = data.reshape(len(data), -1).astype(np.float64)
            entry["min"], entry["max"] = flat.min(0).tolist(), flat.max(0).tolist()
        return self.add("accessors", entry)

    def write(self, path: Path) -> None:
        """Write the GLB container: header, JSON chunk padded with spaces, binary chunk padded with zeros."""
        binary = bytes(self._binary) + b"\0" * (-len(self._binary) % 4)
        document = {**self.document, "buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        with path.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary)))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", len(binary), b"BIN\0") + binary)
